# What a user may have many of does not use up what the daemon has few of.
# shellcheck shell=bash

limit_daemon() { # SHELL-COMMAND: what the daemon is started after
	need_root
	printf '#!/bin/bash\n%s\nexec setpriv --bounding-set=-sys_resource "%s" "$@"\n' \
		"$1" "$LINEAGEFS" >"$T/limited"
	chmod 755 "$T/limited"
	LINEAGEFS=$T/limited
}

# The kernel remembers them all; they are moved and removed while it does.
test_many_directories() {
	limit_daemon 'ulimit -n 400'
	start_mount
	new_run r
	mkdir "$OUT/d"
	"$PYTHON" - "$OUT/d" <<'END' 2>"$T/err" || fail "many directories: $(tail -n 1 "$T/err")"
import os, sys
top = sys.argv[1]
os.mkdir(top + "/wide")
held = []
for i in range(1000):
    name = "%s/wide/%d" % (top, i)
    os.mkdir(name)
    with open(name + "/f", "w") as f:
        f.write(str(i))
    held.append(os.open(name, os.O_PATH | os.O_DIRECTORY))
os.chdir(top)
for i in range(60):
    os.mkdir("deep")
    os.chdir("deep")
with open("bottom", "w") as f:
    f.write("bottom")
os.rename(top + "/wide", top + "/moved")
for i in range(0, 1000, 50):
    os.unlink("f", dir_fd=held[i])
    os.rmdir("%s/moved/%d" % (top, i))
for i in range(1000):
    gone = i % 50 == 0
    try:
        fd = os.open("f", os.O_RDONLY, dir_fd=held[i])
        assert os.read(fd, 9) == b"%d" % i and not gone
        os.close(fd)
    except FileNotFoundError:
        assert gone
with open("bottom") as f:
    assert f.read() == "bottom"
assert len(os.listdir(top + "/moved")) == 980
END
	[ "$(ls "/proc/$DAEMON/fd" | wc -l)" -lt 300 ] || fail "descriptors of directories stay open"
	end_run r
	eq "directories" "$(find "$MNT/artifacts/d/v0/files" -type d | wc -l)" $((2 + 980 + 60))
}
