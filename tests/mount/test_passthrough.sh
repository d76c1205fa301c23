# What the kernel reads and writes by itself: that it does where it can, and that nothing else
# changes by it.
# shellcheck shell=bash

# Skips where the kernel cannot, or may not.
passthrough_mount() {
	start_mount "$@"
	[ "$(json "$MNT/_status.json" 'd["passthrough"]')" = True ] ||
		skip "no passthrough: $(json "$MNT/_status.json" 'd["no_passthrough_because"]')"
}

# Bytes that the daemon has read and written so far, by its own system calls.
moved() {
	awk '/^[rw]char/ { n += $2 } END { print n }' "/proc/$DAEMON/io"
}

test_daemon_moves_no_bytes() {
	local before
	passthrough_mount
	random_file "$T/large" 20000000
	new_run r
	before=$(moved)
	exec 8>"$OUT/large"
	dd if="$T/large" bs=64k 2>"$T/err" >&8
	cmp "$T/large" "$OUT/large"
	exec 8>&-
	[ $(($(moved) - before)) -lt 1000000 ] || fail "the daemon wrote or read the draft"
	end_run r
	before=$(moved)
	cmp "$T/large" "$MNT/artifacts/large/v0/files/large"
	[ $(($(moved) - before)) -lt 1000000 ] || fail "the daemon read the version"
	(cd "$MNT/artifacts/large/v0/files" && sha256sum --quiet -c ../SHA256SUMS)
	stop_mount
}

test_without() {
	start_mount -o nopassthrough
	eq passthrough "$(json "$MNT/_status.json" 'd["passthrough"]')" False
	eq why "$(json "$MNT/_status.json" 'd["no_passthrough_because"]')" \
		"the option passthrough says no"
	random_file "$T/large" 300000
	new_run r
	cp "$T/large" "$OUT/large"
	end_run r
	cmp "$T/large" "$MNT/artifacts/large/v0/files/large"
	stop_mount
}

test_who_may_not() {
	need_root
	share_binary
	with_open_fuse as_nobody_without
}

as_nobody_without() {
	mkdir "$MNT"
	chown "$NOBODY:$NOBODY" "$T" "$MNT"
	as_user "$LINEAGEFS" mount "$STORE" "$MNT" -f >"$LOG" 2>&1 &
	DAEMON=$!
	own_pid "$DAEMON"
	wait_until eval "as_user test -e '$MNT/README'" || fail "$(tail -n 1 "$LOG")"
	as_user grep -q '"passthrough": false' "$MNT/_status.json" || fail "passthrough for nobody"
	as_user grep -q CAP_SYS_ADMIN "$MNT/_status.json" || fail "no reason"
	as_user sh -c "mkdir '$MNT/runs/r' && head -c 300000 /dev/urandom >'$T/large' &&
		cp '$T/large' '$MNT/runs/r/outputs/large' && echo finished >'$MNT/runs/r/state' &&
		cmp '$T/large' '$MNT/artifacts/large/v0/files/large'"
	umount "$MNT"
	daemon_ends
}

# Readers that come while somebody writes see what is written, at once and by every way.
test_readers_beside_a_writer() {
	passthrough_mount
	new_run r
	"$PYTHON" - "$OUT/f" <<'END' || fail "$(tail -n 1 "$T/err")"
import mmap, os, sys
path = sys.argv[1]
w = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.write(w, b"a" * 100000)
r = os.open(path, os.O_RDONLY)
assert os.pread(r, 10, 99990) == b"a" * 10
m = mmap.mmap(r, 100000, prot=mmap.PROT_READ)
os.pwrite(w, b"bb", 50000)
assert m[50000:50002] == b"bb" and os.pread(r, 2, 50000) == b"bb"
assert os.stat(path).st_size == 100000
os.pwrite(w, b"c", 200000)
assert os.stat(path).st_size == 200001 and os.fstat(r).st_size == 200001
a = os.open(path, os.O_WRONLY | os.O_APPEND)
os.write(a, b"end")
assert os.pread(r, 9, 200000) == b"cend"
os.ftruncate(w, 10)
assert os.stat(path).st_size == 10 and os.pread(r, 20, 0) == b"a" * 10
wm = mmap.mmap(w, 10)
wm[0:3] = b"map"
assert os.pread(r, 3, 0) == b"map"
END
	stop_mount
}

# A mapping that is written to keeps the draft from being logged, as an open file does.
test_writers_are_seen() {
	passthrough_mount
	new_run r
	random_file "$OUT/f" 100000
	hold mmap "$OUT/f"
	expect_errno EBUSY write "$MNT/runs/r/log" f
	let_go
	log_now r f
	stop_mount
}

# Who reads a draft's file from before it was logged keeps the bytes that it has, once somebody
# writes the file again; who opens it then has the new ones, and the version its own.
test_reader_from_before_the_log() {
	passthrough_mount
	new_run r
	random_file "$T/one" 100000
	exec 8>"$OUT/f"
	cat "$T/one" >&8
	# The first open was a writer's, so the kernel has taken the file over for the reader too.
	exec 9<"$OUT/f"
	exec 8>&-
	log_now r f
	echo more >>"$OUT/f"
	cmp "$T/one" <(cat <&9) || fail "the reader lost its file"
	cmp <(cat "$T/one" && echo more) "$OUT/f" || fail "the draft has not what was written"
	cmp "$T/one" "$MNT/artifacts/f/v0/files/f" || fail "the version changed"
	eq size "$(stat -c %s "$OUT/f")" 100005
	# Again, by truncation.
	log_now r f
	exec 7<>"$OUT/f"
	printf other >&7
	exec 9<"$OUT/f"
	exec 7>&-
	log_now r f
	truncate -s 70000 "$OUT/f"
	eq size "$(stat -c %s "$OUT/f")" 70000
	eq "bytes of the reader" "$(wc -c <&9)" 100005
	exec 9<&-
	log_now r f
	check_all_sums
	eq versions "$(versions f)" "v0 v1 v2 v3"
	stop_mount
}
