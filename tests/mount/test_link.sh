# Incremental versions: links from a version's files into a draft. shellcheck shell=bash

# A version `base` of a run that has ended.
base_version() {
	start_mount
	new_run r0
	make_content "$OUT/base"
	end_run r0
	V0=$MNT/artifacts/base/v0
}

# What the blobs take and when they were changed.
blobs() {
	find "$STORE/blobs" -type f -printf '%P %s %b %C@ %n\n' | sort
}

test_link_of_a_whole_version() {
	base_version
	blobs >"$T/before"
	new_run r1
	mkdir "$OUT/base"
	quiet cp -al "$V0/files/." "$OUT/base/"
	blobs >"$T/after"
	same "$T/before" "$T/after"
	quiet diff -r --no-dereference "$V0/files" "$OUT/base"
	# No hard links in the draft: each name is a file of its own.
	eq "files with several names" "$(find "$OUT/base" -type f -links +1)" ""
	eq "mode" "$(stat -c %a "$OUT/base/sub/script" "$OUT/base/hello" "$OUT/base/sub/large" | tr '\n' ' ')" "755 644 644 "
	eq "times" "$(cd "$OUT/base" && stat -c '%n %Y' hello sub/large)" \
		"$(cd "$V0/files" && stat -c '%n %Y' hello sub/large)"
	eq "links" "$(readlink "$OUT/base/link-to-script" "$OUT/base/sub/link-up" | tr '\n' ' ')" "sub/script ../hello "
	exists "$MNT/runs/r1/inputs/base:v0"
	# Nothing takes room in the draft; others see what they would of a copy.
	[ "$(stat -c %b "$OUT/base/sub/large")" -ge $(($(stat -c %s "$V0/files/sub/large") / 512)) ] ||
		fail "the large file seems to have no blocks"
	eq "blocks in the store" "$(stat -c %b "$STORE"/drafts/*/base/sub/large)" 0
	log_now r1 base
	grep -q '^equal: base:v0 ' "$MNT/runs/r1/log" || fail "$(cat "$MNT/runs/r1/log")"
	printf 'one more line\n' >>"$OUT/base/sub/large"
	end_run r1
	check_sums "$V0" "$MNT/artifacts/base/v1"
	eq "the change" "$(diff -rq --no-dereference "$V0/files" "$MNT/artifacts/base/v1/files" | wc -l)" 1
	tail -n 1 "$MNT/artifacts/base/v1/files/sub/large" | grep -q 'one more line'
	eq "depends on" "$(ls "$MNT/lineage/base:v1/upstream/artifacts")" "base:v0"
	remount
	check_all_sums
	stop_mount
}

test_link_every_way_to_write() {
	base_version
	large=$V0/files/sub/large
	sum=$(sha256sum <"$large")
	size=$(stat -c %s "$large")
	new_run r1
	mkdir "$OUT/d"
	for way in append overwrite truncate empty shrink grow remove replace again; do
		ln "$large" "$OUT/d/$way"
	done
	exec 7<"$OUT/d/append" 8<"$OUT/d/empty"
	printf 'x' >>"$OUT/d/append"
	printf 'X' | dd of="$OUT/d/overwrite" bs=1 seek=100000 conv=notrunc status=none
	printf 'new\n' >"$OUT/d/truncate"
	: >"$OUT/d/empty"
	truncate -s 70000 "$OUT/d/shrink"
	truncate -s $((size + 5)) "$OUT/d/grow"
	rm "$OUT/d/remove"
	printf 'other\n' >"$T/other"
	mv "$T/other" "$OUT/d/replace"
	# Emptied, and written again to the size it had.
	: >"$OUT/d/again"
	head -c "$size" /dev/zero >>"$OUT/d/again"
	eq "append" "$(sha256sum <"$OUT/d/append")" "$(cat "$large" <(printf x) | sha256sum)"
	eq "who had it open" "$(sha256sum <&7)" "$(sha256sum <"$OUT/d/append")"
	eq "who had it open when it was emptied" "$(wc -c <&8)" 0
	exec 7<&- 8<&-
	eq "overwrite" "$(cmp -l "$large" "$OUT/d/overwrite" | wc -l)" 1
	eq "truncate" "$(cat "$OUT/d/truncate")" new
	eq "empty" "$(stat -c %s "$OUT/d/empty")" 0
	same "$OUT/d/shrink" <(head -c 70000 "$large")
	same "$OUT/d/grow" <(cat "$large" <(head -c 5 /dev/zero))
	same "$OUT/d/again" <(head -c "$size" /dev/zero)
	eq "the version" "$(sha256sum <"$large")" "$sum"
	end_run r1
	check_all_sums
	remount
	check_all_sums
	stop_mount
}

test_link_equal_files_stay_several() {
	start_mount
	new_run r0
	mkdir "$OUT/m"
	seq 50000 >"$OUT/m/a"
	cp "$OUT/m/a" "$OUT/m/b"
	touch -d 2001-01-01 "$OUT/m/b"
	log_now r0 m
	# The draft that was logged has the same bytes, in the same run and in another.
	mkdir "$OUT/n"
	new_run r1
	mkdir "$OUT/m"
	for run in r0/outputs/n r1/outputs/m; do
		quiet cp -al "$MNT/artifacts/m/v0/files/." "$MNT/runs/$run"
		quiet cp -al "$MNT/artifacts/m/v0/files/." "$MNT/runs/$run/again"
	done
	eq "b is as old as it was" "$(stat -c %Y "$OUT/m/b")" "$(date -d 2001-01-01 +%s)"
	ln "$OUT/m/a" "$OUT/m/hard"
	eq "names" "$(stat -c %h "$OUT/m/hard" "$OUT/m/b" | tr '\n' ' ')" "2 1 "
	echo more >>"$OUT/m/hard"
	same "$OUT/m/a" "$OUT/m/hard"
	seq 50000 >"$T/plain"
	for file in "$OUT/m/b" "$OUT/m/again/a" "$MNT/runs/r0/outputs/m/a" "$MNT/runs/r0/outputs/n/a"; do
		same "$file" "$T/plain"
	done
	chmod 600 "$MNT/runs/r0/outputs/n/a"
	eq "mode of another's" "$(stat -c %a "$OUT/m/again/a")" 644
	end_run r1
	end_run r0
	check_all_sums
	stop_mount
}

test_link_of_a_single_file_and_elsewhere() {
	base_version
	new_run r1
	ln "$V0/files/sub/large" "$OUT/one"
	ln "$V0/files/hello" "$OUT/.scratch"
	expect_errno EPERM link "$V0/files/link-to-script" "$OUT/two"
	expect_errno EEXIST link "$V0/files/hello" "$OUT/one"
	expect_errno EXDEV link "$V0/SHA256SUMS" "$OUT/sums"
	expect_errno EROFS link "$V0/files/hello" "$MNT/artifacts/base/v0/files/other"
	mkdir "$OUT/d"
	expect_errno EXDEV link "$OUT/one" "$OUT/d/one"
	end_run r1
	check_all_sums
	same "$MNT/artifacts/one/v0/files/one" "$V0/files/sub/large"
	# Through the view it counts for the run of the view as well.
	new_run r2
	new_run r3
	mkdir "$MNT/runs/r3/outputs/m"
	ln "$MNT/view/r2/base/v0/files/sub/large" "$MNT/runs/r3/outputs/m/x"
	exists "$MNT/runs/r2/inputs/base:v0" "$MNT/runs/r3/inputs/base:v0"
	stop_mount
}

test_link_survives_a_kill() {
	base_version
	new_run r1
	mkdir "$OUT/base"
	cp -al "$V0/files/." "$OUT/base"
	kill9_daemon
	start_mount
	OUT=$MNT/runs/r1/outputs V0=$MNT/artifacts/base/v0
	quiet diff -r --no-dereference "$V0/files" "$OUT/base"
	echo more >>"$OUT/base/sub/large"
	kill9_daemon
	start_mount
	end_run r1
	check_all_sums
	eq "versions" "$(versions base)" "v0 v1"
	# A run that failed keeps its draft, with what it borrowed.
	new_run r2
	mkdir "$OUT/m"
	ln "$V0/files/sub/large" "$MNT/runs/r2/outputs/m/large"
	end_run r2 failed
	same "$MNT/runs/r2/outputs/m/large" "$V0/files/sub/large"
	expect_errno EROFS open-write "$MNT/runs/r2/outputs/m/large"
	echo running >"$MNT/runs/r2/state"
	echo x >>"$MNT/runs/r2/outputs/m/large"
	end_run r2
	check_all_sums
	stop_mount
}

test_link_by_other_users() {
	need_root
	[ "$(cat /proc/sys/fs/protected_hardlinks)" = 1 ] || skip "protected_hardlinks is off"
	base_version
	as_user mkdir "$MNT/runs/theirs" "$MNT/runs/theirs/outputs/m"
	# The kernel does not let a user link to what he could not write to.
	expect_errno_as_user EPERM link "$V0/files/sub/large" "$MNT/runs/theirs/outputs/m/x"
	# Their own versions they may.
	as_user cp "$V0/files/sub/large" "$MNT/runs/theirs/outputs/m/large"
	echo m >"$MNT/runs/theirs/log"
	as_user ln "$MNT/artifacts/m/v0/files/large" "$MNT/runs/theirs/outputs/m/linked"
	eq "owner" "$(stat -c %u:%a "$MNT/runs/theirs/outputs/m/linked")" "$NOBODY:644"
	# root's link is root's, and what its owner does to it is nobody else's affair.
	new_run mine
	mkdir "$OUT/m"
	ln "$MNT/artifacts/m/v0/files/large" "$OUT/m/linked"
	eq "root's" "$(stat -c %u:%a "$OUT/m/linked")" "0:644"
	chmod 600 "$OUT/m/linked"
	expect_errno_as_user EACCES open-read "$OUT/m/linked"
	as_user sh -c "echo x >>'$MNT/runs/theirs/outputs/m/linked'"
	same "$OUT/m/linked" "$V0/files/sub/large"
	eq "theirs" "$(stat -c %a "$MNT/runs/theirs/outputs/m/linked")" 644
	end_run theirs
	end_run mine
	check_all_sums
	stop_mount
}

test_link_by_rsync() {
	need rsync
	start_mount
	make_content "$T/src"
	new_run r0
	mkdir "$OUT/m"
	quiet rsync -a "$T/src/" "$OUT/m/"
	end_run r0
	blobs >"$T/before"
	# A version's files are read-only, so rsync takes them for changed unless modes are left alone.
	new_run r1
	mkdir "$OUT/m"
	quiet rsync -a --no-perms --link-dest="$MNT/artifacts/m/v0/files" "$T/src/" "$OUT/m/"
	eq "blocks of what was linked" "$(stat -c %b "$STORE"/drafts/*/m/sub/large)" 0
	log_now r1 m
	grep -q '^equal: m:v0' "$MNT/runs/r1/log" || fail "$(cat "$MNT/runs/r1/log")"
	echo more >>"$T/src/sub/large"
	quiet rsync -a --no-perms --link-dest="$MNT/artifacts/m/v0/files" "$T/src/" "$OUT/m/"
	end_run r1
	quiet diff -r --no-dereference "$T/src" "$MNT/artifacts/m/v1/files"
	check_all_sums
	# With modes it copies what it could have linked: more room, the same content.
	new_run r2
	mkdir "$OUT/m"
	quiet rsync -a --link-dest="$MNT/artifacts/m/v1/files" "$T/src/" "$OUT/m/"
	log_now r2 m
	grep -q '^equal: m:v1' "$MNT/runs/r2/log" || fail "$(cat "$MNT/runs/r2/log")"
	end_run r2
	stop_mount
}

test_link_of_many_large_files_writes_none() {
	start_mount
	new_run r0
	mkdir "$OUT/m"
	for ((i = 0; i < 300; i++)); do
		head -c 70000 /dev/zero | tr '\0' "\\$(printf %o $((i % 200 + 33)))" >"$OUT/m/$i"
		printf '%s' "$i" >>"$OUT/m/$i"
	done
	end_run r0
	# Its drafts, which share the blobs' files, go in the background.
	wait_until eval '[ -z "$(ls "$STORE/drafts")" ]' || fail "the drafts of r0 stay"
	blobs >"$T/before"
	new_run r1
	mkdir "$OUT/m"
	cp -al "$MNT/artifacts/m/v0/files/." "$OUT/m"
	eq "blocks in the draft" "$(find "$STORE"/drafts -type f -printf '%b\n' | sort -u)" 0
	printf 'changed' >"$OUT/m/7"
	end_run r1
	blobs >"$T/after"
	same "$T/before" "$T/after"
	eq "producer" "$(readlink "$MNT/artifacts/m/v1/producer")" ../../../runs/r1
	check_all_sums
	stop_mount
}

# The store on a filesystem that can share blocks: cp(1) needs no link to copy nothing.
test_link_cp_shares_blocks() {
	need_root
	need mkfs.xfs filefrag
	truncate -s 400M "$T/image"
	mkfs.xfs -q "$T/image" 2>"$T/err" || skip "mkfs.xfs: $(head -n 1 "$T/err")"
	mkdir "$T/disk"
	mount -o loop "$T/image" "$T/disk" 2>"$T/err" || skip "no xfs: $(head -n 1 "$T/err")"
	STORE=$T/disk/store
	start_mount
	new_run r0
	mkdir "$OUT/m"
	random_file "$OUT/m/large" 8000001
	end_run r0
	sync -f "$T/disk"
	new_run r1
	mkdir "$OUT/m"
	cp -r "$MNT/artifacts/m/v0/files/." "$OUT/m"
	sync -f "$T/disk"
	shared=$(filefrag -v "$STORE"/drafts/*/m/large | grep -c shared || true)
	[ "$shared" -gt 0 ] || fail "cp -r copied: $(filefrag -v "$STORE"/drafts/*/m/large | tail -n 3)"
	chmod u+w "$OUT/m/large"
	printf x >>"$OUT/m/large"
	# So does the first write to what was linked.
	ln "$MNT/artifacts/m/v0/files/large" "$OUT/m/linked"
	printf x >>"$OUT/m/linked"
	sync -f "$T/disk"
	shared=$(filefrag -v "$STORE"/drafts/*/m/linked | grep -c shared || true)
	[ "$shared" -gt 0 ] || fail "the first write copied"
	same "$OUT/m/linked" "$OUT/m/large"
	end_run r1
	check_all_sums
	stop_mount
	umount "$T/disk"
}
