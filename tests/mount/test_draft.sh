# A draft behaves as a directory of the local filesystem does.
# shellcheck shell=bash

posix_checks() { # DIRECTORY
	local failed
	if ! "$POSIX" "$1" >"$T/posix.out" 2>&1; then
		cat "$T/posix.out"
		failed=$(cut -d: -f1 "$T/posix.out" | sort -u | tr '\n' ' ')
		fail "${2:-}of the POSIX checks fail: $failed: $(head -n 1 "$T/posix.out")"
	fi
}

test_posix() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	posix_checks "$OUT/d"
	end_run r
	check_all_sums
}

test_posix_below() {
	start_mount
	new_run r
	mkdir -p "$OUT/d/some/where"
	posix_checks "$OUT/d/some/where"
	posix_checks "$OUT/d/some/where" "a second time, "
}

# Every round runs over files whose bytes the rounds before share with a version.
test_posix_after_log() {
	local round
	start_mount
	new_run r
	mkdir "$OUT/d"
	for round in 0 1 2; do
		posix_checks "$OUT/d" "round $round, "
		log_now r d
		cp "$MNT/artifacts/d/v$round/SHA256SUMS" "$T/sums.$round"
		cp -a "$OUT/d" "$T/copy.$round"
	done
	remount
	posix_checks "$OUT/d" "after a remount, "
	for round in 0 1 2; do
		same "$T/sums.$round" "$MNT/artifacts/d/v$round/SHA256SUMS"
		check_sums "$MNT/artifacts/d/v$round"
		diff -r --no-dereference "$T/copy.$round" "$MNT/artifacts/d/v$round/files" \
			>"$T/diff" 2>&1 || fail "v$round: $(head -n 1 "$T/diff")"
	done
}

test_posix_as_another_user() {
	need_root
	start_mount
	as_user mkdir "$MNT/runs/u" "$MNT/runs/u/outputs/d"
	as_user "$POSIX" "$MNT/runs/u/outputs/d" >"$T/posix.out" 2>&1 ||
		fail "as another user: $(head -n 1 "$T/posix.out")"
}

test_one_file_draft() {
	start_mount
	new_run r
	echo one >"$OUT/m"
	echo two >>"$OUT/m"
	log_now r m
	echo three >>"$OUT/m"
	log_now r m
	"$SYS" mutate otrunc "$OUT/m"
	log_now r m
	"$SYS" mutate pwrite "$OUT/m"
	chmod 755 "$OUT/m"
	end_run r
	eq "versions" "$(versions m)" "v0 v1 v2 v3"
	eq "v0" "$(cat "$MNT/artifacts/m/v0/files/m")" "one
two"
	eq "v2" "$(cat "$MNT/artifacts/m/v2/files/m")" "rewritten whole"
	check_all_sums
	[ -x "$MNT/artifacts/m/v3/files/m" ] || fail "no execute bit"
}

test_rsync() {
	need rsync
	start_mount
	make_content "$T/want"
	new_run r
	quiet rsync -a "$T/want/" "$OUT/d/"
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	quiet rsync -ai "$T/want/" "$OUT/d/"
	eq "what a second rsync sends" "$(cat "$T/out")" ""
	log_now r d
	echo changed >"$T/want/hello"
	rm "$T/want/at-the-pack-size"
	quiet rsync -a --delete --inplace "$T/want/" "$OUT/d/"
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	seq 100000 300000 >"$T/want/sub/large"
	quiet rsync -aX --delete "$T/want/" "$OUT/d/"
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	end_run r
	check_all_sums
}

test_tar() {
	start_mount
	make_content "$T/want"
	tar -C "$T/want" -cf "$T/want.tar" .
	new_run r
	mkdir "$OUT/d"
	quiet tar -C "$OUT/d" -xf "$T/want.tar"
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	eq "mtime" "$(stat -c %Y "$OUT/d/sub/deeper")" "$(stat -c %Y "$T/want/sub/deeper")"
	log_now r d
	quiet tar -C "$OUT/d" -xf "$T/want.tar"
	quiet tar -C "$OUT/d" --overwrite -xf "$T/want.tar"
	end_run r
	eq "versions" "$(versions d)" v0
	check_all_sums
}

in_git() {
	HOME=$T git -c user.name=T -c user.email=t@example.org -c init.defaultBranch=main "$@"
}

test_git() {
	need git
	start_mount
	new_run r
	make_content "$OUT/repo"
	cd "$OUT/repo"
	in_git init -q .
	in_git add -A
	in_git commit -q -m first
	log_now r repo
	echo more >>hello
	in_git commit -q -a -m second
	in_git checkout -q -b other HEAD~1
	echo other >>hello
	in_git commit -q -a -m third
	in_git gc -q
	in_git fsck --strict >"$T/fsck" 2>&1 || fail "git fsck: $(head -n 1 "$T/fsck")"
	eq "status" "$(in_git status --porcelain)" ""
	cd "$T"
	end_run r
	check_all_sums
	quiet in_git clone -q "$MNT/artifacts/repo/v1/files" "$T/clone"
	eq "commits" "$(cd "$T/clone" && in_git rev-list --count HEAD)" 2
}

test_sqlite() {
	need sqlite3
	local i pid pids=() db
	start_mount
	new_run r
	mkdir "$OUT/d"
	db=$OUT/d/test.db
	eq "journal" "$(sqlite3 "$db" 'PRAGMA journal_mode=WAL;')" wal
	sqlite3 "$db" 'CREATE TABLE t (writer INTEGER, n INTEGER, text TEXT);'
	for i in 1 2 3; do
		{
			echo '.timeout 60000'
			seq 60 | sed "s/.*/INSERT INTO t VALUES ($i, &, hex(randomblob(500)));/"
		} | sqlite3 "$db" >&2 &
		own_pid $!
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a writer failed"
	done
	eq "rows" "$(sqlite3 "$db" 'SELECT count(*), count(DISTINCT writer) FROM t;')" "180|3"
	eq "check" "$(sqlite3 "$db" 'PRAGMA integrity_check;')" ok
	log_now r d
	sqlite3 "$db" 'DELETE FROM t WHERE n > 10; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);' >&2
	eq "rows" "$(sqlite3 "$db" 'SELECT count(*) FROM t;')" 30
	eq "check" "$(sqlite3 "$db" 'PRAGMA integrity_check;')" ok
	end_run r
	check_all_sums
	cp "$MNT/artifacts/d/v0/files/test.db" "$T/v0.db"
	eq "rows of v0" "$(sqlite3 "$T/v0.db" 'SELECT count(*) FROM t;')" 180
}

test_make() {
	need make
	start_mount
	new_run r
	mkdir "$OUT/d"
	printf 'all: b\nb: a\n\tcp a b\n' >"$OUT/d/Makefile"
	echo x >"$OUT/d/a"
	quiet make -s -C "$OUT/d"
	quiet make -C "$OUT/d" -q
	sleep 0.02
	echo y >"$OUT/d/a"
	quiet make -s -C "$OUT/d"
	eq "b" "$(cat "$OUT/d/b")" y
	log_now r d
	quiet make -C "$OUT/d" -q
}

test_large_directory_is_logged() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	(cd "$OUT/d" && seq 50000 | split -l 1 -a 5 - f)
	eq "entries" "$(ls "$OUT/d" | wc -l)" 50000
	end_run r
	eq "entries" "$(ls "$MNT/artifacts/d/v0/files" | wc -l)" 50000
	check_sums "$MNT/artifacts/d/v0"
	quiet ls -l "$MNT/artifacts/d/v0/files"
}
