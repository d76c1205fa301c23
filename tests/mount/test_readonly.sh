# A run that failed keeps its drafts as they are, whoever still has them open or mapped.
# shellcheck shell=bash

# The kernel asks nobody about files that it writes by itself.
test_held_files_of_a_failed_run() {
	start_mount -o nopassthrough
	new_run r
	mkdir "$OUT/d"
	"$PYTHON" - "$MNT/runs/r" <<'END' 2>"$T/err" || fail "$(tail -n 1 "$T/err")"
import ctypes, errno, mmap, os, sys, time
run = sys.argv[1]
path = run + "/outputs/d/a"
libc = ctypes.CDLL(None, use_errno=True)
def state(text):
    fd = os.open(run + "/state", os.O_WRONLY)
    os.write(fd, text)
    os.close(fd)
def refused(what, f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == errno.EROFS, "%s: %s" % (what, e)
    else:
        assert False, what + " was done"
def punch():
    if libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(4096)) < 0:
        raise OSError(ctypes.get_errno(), "punch")
def content():
    with open(path, "rb") as f:
        return f.read()
with open(path, "wb") as f:
    f.write(b"A" * 200000)
with open(run + "/outputs/d/s", "wb") as f:
    f.write(b"S" * 200000)
fd = os.open(path, os.O_RDWR)
source = os.open(run + "/outputs/d/s", os.O_RDONLY)
mapped = mmap.mmap(fd, 8192)
mapped[0:6] = b"before"
state(b"failed\n")
refused("write", os.pwrite, fd, b"x", 0)
refused("punch", punch)
refused("fallocate", os.posix_fallocate, fd, 0, 300000)
refused("copy", os.copy_file_range, source, fd, 100, 8192, 8192)
refused("ftruncate", os.ftruncate, fd, 5)
assert content() == b"before" + b"A" * 199994
mapped[4096:4099] = b"ZZZ"
try:
    mapped.flush()
    assert False, "a mapping was written back"
except OSError:
    pass
for i in range(1000):
    if content() == b"before" + b"A" * 199994:
        break
    time.sleep(0.01)
else:
    assert False, "what a mapping has is read by others"
state(b"running\n")
assert content() == b"before" + b"A" * 199994
os.pwrite(fd, b"after", 0)
assert content()[:6] == b"aftere"
END
	end_run r
	check_all_sums
}
