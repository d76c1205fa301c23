# A store on a disk that gets full, and has room again.
# shellcheck shell=bash

# The store on a small disk of its own. It goes with its mount: the runner unmounts what is left.
small_disk() {
	need_root
	need mkfs.ext4
	truncate -s 200M "$T/image"
	quiet mkfs.ext4 -q -F "$T/image"
	mkdir "$T/disk"
	mount -o loop "$T/image" "$T/disk" 2>"$T/err" || skip "no loop device: $(head -n 1 "$T/err")"
	STORE=$T/disk/store
	ALLOWED_LOG='No space left on device'
}

fill_disk() {
	fails dd if=/dev/zero of="$T/disk/filler" bs=1M
	# And what that left over at the end.
	fails dd if=/dev/zero of="$T/disk/filler2" bs=512
}

make_room() {
	rm "$T"/disk/filler*
}

leave_disk() {
	stop_mount
	umount "$T/disk"
}

test_log_again() {
	local i
	small_disk
	start_mount
	quick_version first a text
	new_run r
	make_content "$OUT/d"
	cp -a "$OUT/d" "$T/want"
	fill_disk
	for i in 1 2 3 4 5; do
		expect_errno ENOSPC mkdir "$MNT/runs/other$i"
		expect_errno ENOSPC write "$MNT/runs/r/log" $'d\n'
		expect_errno ENOSPC write "$MNT/artifacts/a/description" "$i"
		expect_errno ENOSPC write "$MNT/runs/r/state" $'finished\n'
	done
	absent "$MNT/artifacts/d/v0"
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	check_all_sums
	# No remount, no waiting.
	make_room
	end_run r
	quiet diff -r --no-dereference "$T/want" "$MNT/artifacts/d/v0/files"
	quick_version second a more
	eq "versions" "$(versions a)" "v0 v1"
	check_all_sums
	remount
	check_all_sums
	leave_disk
}

# Less and less is left, and commits go on until it is too little.
test_room_goes_slowly() {
	local i
	small_disk
	start_mount
	mkdir "$MNT/artifacts/a"
	head -c 3000 /dev/urandom | base64 -w 0 >"$T/text"
	for ((i = 0; i < 400; i++)); do
		fallocate -l 1M "$T/disk/filler$i" 2>/dev/null || true
		if ! cat "$T/text" >"$MNT/artifacts/a/description" 2>"$T/err"; then
			break
		fi
	done
	grep -q 'No space' "$T/err" || fail "after $i texts: $(head -n 1 "$T/err")"
	expect_errno ENOSPC mkdir "$MNT/artifacts/b"
	make_room
	mkdir "$MNT/artifacts/b"
	quick_version r b text
	remount
	check_all_sums
	leave_disk
}

# A draft takes all there is, and what it took comes back.
test_filled_by_a_draft() {
	small_disk
	start_mount
	new_run r
	mkdir "$OUT/d"
	fails dd if=/dev/zero of="$OUT/d/f" bs=1M
	fails dd if=/dev/zero of="$OUT/d/g" bs=512
	expect_errno ENOSPC write "$MNT/runs/r/state" $'finished\n'
	rm "$OUT/d/f"
	end_run r
	exists "$MNT/artifacts/d/v0/files/g"
	check_all_sums
	leave_disk
}

# It is not mounted, and says why; afterwards it is as it was.
test_mount_when_full() {
	small_disk
	start_mount
	quick_version r a text
	stop_mount
	fill_disk
	if try_mount; then
		fail "mounts without room"
	fi
	grep -q 'No space left' "$LOG" || fail "says $(tail -n 1 "$LOG")"
	if grep -q ssertion "$LOG"; then
		fail "$(grep ssertion "$LOG")"
	fi
	make_room
	start_mount
	check_all_sums
	quick_version s a more
	leave_disk
}
