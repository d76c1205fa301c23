# Two callers at once: each loop here failed nearly every turn before what it guards was put right.
# shellcheck shell=bash

python() { # reads a script: M is the mount, put() writes a text in one write(2)
	"$PYTHON" - "$MNT" 3<&0 <<'END' 2>"$T/python" || fail "$(tail -n 1 "$T/python")"
import os, sys, threading, time
M = sys.argv[1]
def put(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)
def together(*functions):
    """Runs all at once; their first error is ours."""
    errors = []
    def guard(f):
        try:
            f()
        except BaseException as e:
            errors.append(e)
    threads = [threading.Thread(target=guard, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
with open(3) as script:
    exec(script.read())
END
}

# Both find the file shared; only one of them may give it an inode of its own.
test_two_writers_of_a_logged_file() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	python <<'END'
path = M + "/runs/r/outputs/d/a"
with open(path, "wb") as f:
    f.write(b"0" * 4000000)
for turn in range(12):
    put(M + "/runs/r/log", b"d\n")
    both = threading.Barrier(2)
    def writer(k):
        both.wait()
        fd = os.open(path, os.O_RDWR)
        both.wait()
        time.sleep(0.02)
        os.pwrite(fd, b"%d:%02d" % (k, turn), k * 1000)
        os.close(fd)
    together(lambda: writer(1), lambda: writer(2))
    with open(path, "rb") as f:
        data = f.read()
    for k in 1, 2:
        got = data[k * 1000:k * 1000 + 4]
        assert got == b"%d:%02d" % (k, turn), "turn %d: %r" % (turn, got)
END
	check_all_sums
}

# The inodes of a finished run's drafts are used again while the kernel still knows the old files.
test_new_files_beside_held_old_ones() {
	start_mount
	python <<'END'
held = []
for turn in range(25):
    run = M + "/runs/r%d" % turn
    os.mkdir(run)
    draft = run + "/outputs/d%d" % turn
    os.mkdir(draft)
    for k in range(20):
        put(draft + "/f%d" % k, b"%d.%d" % (turn, k))
        held.append(os.open(draft + "/f%d" % k, os.O_PATH))
    assert sorted(os.listdir(draft)) == sorted("f%d" % k for k in range(20))
    for k in range(20):
        with open(draft + "/f%d" % k, "rb") as f:
            assert f.read() == b"%d.%d" % (turn, k)
    put(run + "/state", b"finished\n")
    # The janitor has taken the old files away when their inodes have no name.
    os.stat(M + "/_status.json")
    time.sleep(0.02)
END
}

# A known file is written on and closed while another is hashed: its writer was there when the log
# began, and is not when its turn comes.
test_written_while_another_is_hashed() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	python <<'END'
run = M + "/runs/r"
draft = run + "/outputs/d"
put(draft + "/z", b"old")
time.sleep(0.1)  # so that it is known the next time: the clock of files moves in ticks
put(run + "/log", b"d\n")
with open(draft + "/a", "wb") as f:
    f.truncate(1 << 29)
fd = os.open(draft + "/z", os.O_WRONLY)
def finish():
    put(run + "/state", b"finished\n")
def write():
    time.sleep(0.1)
    os.write(fd, b"NEW")
    os.close(fd)
together(finish, write)
with open(draft + "/z", "rb") as f:
    got = f.read()
assert got == b"NEW", "the version has %r" % got
END
}

# A file is looked up while it gets an inode of its own: it stays one node, with one number.
test_looked_up_while_it_is_replaced() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	python <<'END'
run = M + "/runs/r"
draft = run + "/outputs/d"
with open(draft + "/a", "wb") as f:
    f.write(os.urandom(70000))
number = os.stat(draft + "/a").st_ino
done = False
def lister():
    while not done:
        os.listdir(draft)
def writer():
    global done
    try:
        for turn in range(150):
            put(run + "/log", b"d\n")
            reader = os.open(draft + "/a", os.O_RDONLY)
            data = b"turn %04d" % turn
            fd = os.open(draft + "/a", os.O_WRONLY)
            os.pwrite(fd, data, 0)
            os.close(fd)
            got = os.pread(reader, len(data), 0)
            os.close(reader)
            assert got == data, "turn %d: the reader has %r" % (turn, got)
            with open(draft + "/a", "rb") as f:
                got = f.read(len(data))
            assert got == data, "turn %d: read %r" % (turn, got)
            assert os.stat(draft + "/a").st_ino == number, "turn %d: another number" % turn
    finally:
        done = True
together(writer, lister, lister, lister)
END
	check_all_sums
}

# Once the state is written, the drafts are links: nobody sees what they were.
test_ended_at_once() {
	start_mount
	python <<'END'
for turn in range(8):
    run = M + "/runs/r%d" % turn
    os.mkdir(run)
    names = ["%s/outputs/d%d" % (run, n) for n in range(100)]
    for name in names:
        os.mkdir(name)
        put(name + "/f", b"%d" % turn)
    for name in names:
        os.stat(name)
    put(run + "/state", b"finished\n")
    mode = os.stat(run + "/outputs").st_mode
    stale = [name for name in reversed(names) if not os.path.islink(name)]
    assert not stale, "turn %d: %d drafts are none yet" % (turn, len(stale))
    assert mode & 0o222 == 0, "turn %d: still writable" % turn
END
}
