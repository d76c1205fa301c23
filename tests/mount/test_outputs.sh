# The names in outputs/.
# shellcheck shell=bash

# Scratch may be anything; a draft is a directory or a file, wherever it came from.
test_scratch_that_is_no_draft() {
	local name
	start_mount
	new_run r
	ln -s /etc/passwd "$OUT/.link"
	mkfifo "$OUT/.pipe"
	mkdir "$OUT/.directory" "$OUT/draft"
	echo text >"$OUT/.file"
	expect_errno EPERM symlink /etc/passwd "$OUT/link"
	for name in link pipe; do
		expect_errno EPERM rename "$OUT/.$name" "$OUT/$name"
		expect_errno EPERM noreplace "$OUT/.$name" "$OUT/$name"
		expect_errno EPERM exchange "$OUT/.$name" "$OUT/draft"
		expect_errno EPERM exchange "$OUT/draft" "$OUT/.$name"
		expect_errno OK rename "$OUT/.$name" "$OUT/.other-$name"
	done
	expect_errno OK exchange "$OUT/.directory" "$OUT/draft"
	expect_errno OK rename "$OUT/.file" "$OUT/file"
	end_run r
	eq "artifacts" "$(ls "$MNT/artifacts" | tr '\n' ' ')" "draft file "
}

# A listing says of `..` what stat says.
test_parents_in_listings() {
	[ "$(uname -m)" = x86_64 ] || skip "the number of getdents64 is of x86_64"
	start_mount
	quick_version r1 d text
	new_run r
	mkdir -p "$OUT/d/sub/deeper" "$OUT/.scratch/below"
	cp -a "$OUT/d" "$OUT/e"
	log_now r e
	"$PYTHON" - "$MNT" <<'END' 2>"$T/err" || fail "$(tail -n 1 "$T/err")"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def listing(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    room = ctypes.create_string_buffer(65536)
    n = libc.syscall(217, fd, room, 65536)
    os.close(fd)
    at = 0
    while at < n:
        ino, _, length = struct.unpack_from("QqH", room, at)
        yield room.raw[at + 19:at + length].split(b"\0")[0].decode(), ino
        at += length
seen = 0
for path, directories, _ in os.walk(sys.argv[1]):
    entries = dict(listing(path))
    assert entries["."] == os.stat(path).st_ino, path
    if path != sys.argv[1]:
        assert entries[".."] == os.stat(path + "/..").st_ino, path
    seen += 1
assert seen > 25, seen
END
}
