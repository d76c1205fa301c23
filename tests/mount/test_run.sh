# `lineagefs run`: a command as a run.
# shellcheck shell=bash disable=SC2016

# Runs a command as the run of this name; its exit status goes to RC, its output to $T/out and $T/err.
lrun() { # ID COMMAND...
	local id=$1
	shift
	RC=0
	"$LINEAGEFS" run -m "$MNT" --id "$id" -- "$@" >"$T/out" 2>"$T/err" || RC=$?
	R=$MNT/runs/$id
}

state() { # RUN
	cat "$MNT/runs/$1/state"
}

test_success() {
	start_mount
	quick_version prepare data x
	cat >conf.json <<<'{"lr": 0.1}'
	RC=0
	OMP_NUM_THREADS=3 "$LINEAGEFS" run -m "$MNT" --id r --job-type train --tag best --tag=x \
		--input data:latest --input data:v0 --input "two=$MNT/artifacts/data/v0/files/text" \
		--config conf.json -- sh -c 'cat >"$LINEAGEFS_RUN_DIR/outputs/model"; env' \
		</dev/null >env 2>"$T/err" <<<weights || RC=$?
	R=$MNT/runs/r
	eq "exit status" "$RC" 0
	eq "state" "$(state r)" finished
	eq "model" "$(cat "$MNT/artifacts/model/v0/files/model")" weights
	eq "said" "$(cat "$T/err")" $'lineagefs: logged model:v0: 1 file, 8 bytes\nlineagefs: run r finished'
	grep -qx "LINEAGEFS_RUN=r" env
	grep -qx "LINEAGEFS_RUN_DIR=$R" env
	grep -qx "LINEAGEFS_ARTIFACTS=$MNT/view/r" env
	grep -qx "LINEAGEFS_MOUNT=$MNT" env
	eq "inputs" "$(ls "$R/inputs" | tr '\n' ' ')" "data data-2 two "
	eq "input" "$(cat "$R/inputs/two")" x
	same conf.json "$R/config.json"
	eq "info" "$(json "$R/info.json" \
		'd["job_type"], d["tags"], d["exit_code"], d["signal"], d["command"][0:2], d["directory"]')" \
		"('train', ['best', 'x'], 0, None, ['sh', '-c'], '$T')"
	eq "executable" "$(json "$R/info.json" 'd["executable"]')" "$(command -v sh)"
	eq "env" "$(json "$R/info.json" 'd["env"]["OMP_NUM_THREADS"]')" 3
	eq "user" "$(json "$R/info.json" 'd["user"]')" "$(id -un)"
	same env "$R/console.log"
}

test_a_name_is_made_up() {
	start_mount
	"$LINEAGEFS" run -m "$MNT" -- true 2>/dev/null
	"$LINEAGEFS" run -m "$MNT" -- true 2>/dev/null
	eq "runs" "$(ls "$MNT/runs" | grep -cE '^[a-z]+-[a-z]+-[0-9]{3}$')" 2
}

test_exit_status() {
	start_mount
	lrun a sh -c 'exit 3'
	eq "exit status" "$RC $(state a)" "3 failed"
	eq "info" "$(json "$R/info.json" 'd["exit_code"], d["signal"]')" "(3, None)"
	lrun b sh -c 'kill -9 $$'
	eq "exit status" "$RC $(state b)" "137 failed"
	eq "info" "$(json "$R/info.json" 'd["exit_code"], d["signal"]')" "(None, 'SIGKILL')"
	lrun c "$T/missing"
	eq "exit status" "$RC $(state c)" "127 failed"
	lrun d /etc/passwd
	eq "exit status" "$RC $(state d)" "126 failed"
	grep -q '/etc/passwd cannot be run: Permission denied' "$T/err" || fail "$(cat "$T/err")"
	# Nothing of a run that failed is logged.
	lrun e sh -c 'echo x >$LINEAGEFS_RUN_DIR/outputs/m; exit 1'
	eq "exit status" "$RC" 1
	absent "$MNT/artifacts/m"
}

test_wrong_use_makes_nothing() {
	local rc
	start_mount
	bad() { # STATUS ARGUMENT...
		rc=0
		"$LINEAGEFS" run "${@:2}" >"$T/out" 2>&1 || rc=$?
		eq "exit status of $*" "$rc" "$1"
		[ -s "$T/out" ] || fail "nothing is said of $*"
	}
	bad 2
	bad 2 -m "$MNT" --
	bad 2 -m "$MNT" --no-such -- true
	bad 2 -m "$MNT" --id
	bad 2 -m "$MNT" --id ../x -- true
	bad 2 -m "$MNT" --id x --resume y -- true
	bad 2 -m "$MNT" --job-type 'a b' -- true
	bad 2 -m "$MNT" --tag .x -- true
	bad 2 -m "$MNT" --input data -- true
	bad 1 -m "$MNT" --input data:v0 -- true
	bad 1 -m "$MNT" --id x --input data:v0 -- true
	grep -q 'there is no data:v0' "$T/out" || fail "$(cat "$T/out")"
	bad 1 -m "$MNT" --config missing.json -- true
	echo '{' >bad.json
	bad 1 -m "$MNT" --config bad.json -- true
	bad 1 -m "$T" -- true
	eq "runs" "$(ls "$MNT/runs")" ""
	new_run x
	bad 1 -m "$MNT" --id x -- true
	bad 1 -m "$MNT" --resume x -- true
	bad 1 -m "$MNT" --resume y -- true
	"$LINEAGEFS" run --help | grep -q -- --resume
}

test_resume() {
	start_mount
	lrun r sh -c 'echo 1 >$LINEAGEFS_RUN_DIR/outputs/m; echo one; exit 1'
	"$LINEAGEFS" run -m "$MNT" --resume r -- \
		sh -c 'echo 2 >>$LINEAGEFS_RUN_DIR/outputs/m; echo two' >/dev/null 2>&1
	eq "state" "$(state r)" finished
	eq "content" "$(tr '\n' ' ' <"$MNT/artifacts/m/v0/files/m")" "1 2 "
	eq "console" "$(tr '\n' ' ' <"$R/console.log")" "one two "
	fails "$LINEAGEFS" run -m "$MNT" --resume r -- true
	grep -q 'has finished' "$T/out" || fail "$(cat "$T/out")"
}

test_streams() {
	start_mount
	random_file want 3000000
	lrun r sh -c 'cat; echo problem >&2' <want
	same want out
	eq "standard error" "$(head -n 1 "$T/err")" problem
	eq "console" "$(stat -c %s "$R/console.log")" 3000008
	lrun s cat "$R/console.log" # and it can be read by a run
	# In one file, both in the order they were written.
	"$LINEAGEFS" run -m "$MNT" --id t -- \
		sh -c 'i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); echo $i >&2; i=$((i+1)); done' \
		>both 2>&1
	sed -i '/^lineagefs: /d' both
	seq 0 499 | diff - both >/dev/null || fail "the order of the streams is another"
	# None at all.
	RC=0
	"$LINEAGEFS" run -m "$MNT" --id u -- sh -c '[ ! -e /proc/self/fd/1 ] && exit 5' \
		<&- >&- 2>&- || RC=$?
	eq "exit status" "$RC $(state u)" "5 failed"
}

test_nobody_reads() {
	local status
	start_mount
	set +e
	"$LINEAGEFS" run -m "$MNT" --id r -- yes 2>"$T/err" | head -n 1 >/dev/null
	status=${PIPESTATUS[0]}
	set -e
	eq "exit status" "$status $(state r)" "141 failed"
	# Also one that is silent then: the end of its pipe is closed at once.
	set +e
	"$LINEAGEFS" run -m "$MNT" --id s -- \
		"$PYTHON" -c 'import select
p = select.poll(); p.register(1, 0)
assert p.poll(15000)' 2>"$T/err" | true
	status=${PIPESTATUS[0]}
	set -e
	eq "exit status" "$status" 0
}

test_something_stays_behind() {
	local start=$SECONDS
	start_mount
	lrun r sh -c 'sleep 60 & echo $! >pid; echo said'
	own_pid "$(cat pid)"
	eq "exit status" "$RC $(state r)" "0 finished"
	eq "output" "$(cat out)" said
	[ $((SECONDS - start)) -lt 20 ] || fail "it waits for what stays behind"
}

test_signals_are_passed_on() {
	local signal pid
	start_mount
	for signal in TERM INT HUP USR1 USR2 QUIT; do
		env --default-signal=INT,QUIT "$LINEAGEFS" run -m "$MNT" --id "$signal" -- \
			"$PYTHON" -c 'import signal, sys
got = []
def on(n, _):
    print(signal.Signals(n).name, flush=True)
    sys.exit(7)
for n in "TERM INT HUP USR1 USR2 QUIT".split():
    signal.signal(getattr(signal, "SIG" + n), on)
print("ready", flush=True)
while True:
    signal.pause()' >out 2>err &
		pid=$!
		own_pid $pid
		wait_until grep -q ready out
		kill -s "$signal" $pid
		RC=0
		wait $pid || RC=$?
		eq "exit status" "$RC" 7
		eq "signals" "$(tail -n 1 out)" "SIG$signal"
	done
	# One that kills it.
	"$LINEAGEFS" run -m "$MNT" --id killed -- sh -c 'echo ready; exec sleep 60' >out 2>err &
	pid=$!
	own_pid $pid
	wait_until grep -q ready out
	kill $pid
	RC=0
	wait $pid || RC=$?
	eq "exit status" "$RC" 143
	eq "signal" "$(json "$MNT/runs/killed/info.json" 'd["signal"]')" SIGTERM
}

on_terminal() { # SCRIPT ID COMMAND...
	local script=$1 id=$2
	shift 2
	"$PYTHON" "$HERE/terminal.py" "$script" "$LINEAGEFS" run -m "$MNT" --id "$id" -- "$@" \
		>"$T/out" 2>&1 || fail "$(tail -n 1 "$T/out")"
}

test_terminal() {
	start_mount
	on_terminal 'term.expect(b"1 1 1 40 100 a\r\nb\r\n"); term.expect(b"<status 0>")' r \
		"$PYTHON" -c 'import os
print(*[int(os.isatty(n)) for n in (0, 1, 2)], os.get_terminal_size().lines,
      os.get_terminal_size().columns, "a\nb")'
	eq "console" "$(cat "$MNT/runs/r/console.log")" $'1 1 1 40 100 a\nb'
	# The window changes its size.
	on_terminal '
term.expect(b"ready")
term.size(50, 120)
term.expect(b"50 120\r\n")
term.expect(b"<status 0>")' s \
		"$PYTHON" -c 'import os, signal
def on(*_):
    if os.get_terminal_size().lines == 50:
        print(50, os.get_terminal_size().columns)
        raise SystemExit(0)
signal.signal(signal.SIGWINCH, on)
print("ready", flush=True)
while True: signal.pause()'
	# What is typed reaches the command, and is echoed once.
	on_terminal '
term.expect(b"name? ")
term.type(b"otter\n")
got = term.expect(b"hello otter\r\n")
assert got.count(b"otter") == 2, got
term.expect(b"<status 0>")' t sh -c 'printf "name? "; read name; echo "hello $name"'
}

# ^C is for the whole foreground job: the command must not get it twice.
test_terminal_interrupt() {
	start_mount
	on_terminal '
for i in range(8):
    term.expect(b"ready")
    term.type(b"\x03")
term.expect(b"ints 8\r\n")
term.expect(b"<status 9>")' r \
		"$PYTHON" -c 'import os, signal, time
# A byte for each that is delivered: handlers of Python may stand for several.
out, into = os.pipe()
os.set_blocking(into, False)
signal.signal(signal.SIGINT, lambda *_: None)
signal.set_wakeup_fd(into)
n = 0
for i in range(8):
    print("ready", flush=True)
    n += len(os.read(out, 100))
    time.sleep(0.1)
os.write(into, b"x")
print("ints", n + len(os.read(out, 100)) - 1, flush=True)
raise SystemExit(9)'
	eq "state" "$(state r)" failed
}

test_terminal_suspend() {
	start_mount
	on_terminal '
term.expect(b"ready")
term.type(b"\x1a")
term.expect(b"<stopped>")
term.type(b"\n")
term.type(b"go on\n")
term.expect(b"got go on\r\n")
term.expect(b"<status 0>")' r sh -c 'echo ready; read x; echo "got $x"'
	eq "state" "$(state r)" finished
}

test_stragglers() {
	start_mount
	# One that ends by itself.
	lrun r sh -c '(exec 3>$LINEAGEFS_RUN_DIR/outputs/m; sleep 1; echo late >&3) >/dev/null 2>&1 &
		while [ ! -e $LINEAGEFS_RUN_DIR/outputs/m ]; do :; done'
	eq "exit status" "$RC $(state r)" "0 finished"
	eq "content" "$(cat "$MNT/artifacts/m/v0/files/m")" late
	# And one that does not.
	lrun s sh -c '(exec 3>$LINEAGEFS_RUN_DIR/outputs/m; echo x >&3; trap "exit 0" TERM
		while :; do sleep 0.1; done) >/dev/null 2>&1 & echo $! >pid; while [ ! -s $LINEAGEFS_RUN_DIR/outputs/m ]; do :; done'
	own_pid "$(cat pid)"
	eq "exit status" "$RC $(state s)" "1 running"
	grep -q 'could not be ended: m: EBUSY: open for writing: m' err || fail "$(cat err)"
	grep -q "echo 'finished exit_code=0' > $MNT/runs/s/state" err || fail "$(cat err)"
	kill "$(cat pid)"
	wait_until gone "$(cat pid)"
	end_run s 'finished exit_code=0'
}

test_the_command_ends_its_run() {
	start_mount
	lrun r sh -c 'echo x >$LINEAGEFS_RUN_DIR/outputs/m; echo finished >$LINEAGEFS_RUN_DIR/state'
	eq "exit status" "$RC $(state r)" "0 finished"
	lrun s sh -c 'echo x >$LINEAGEFS_RUN_DIR/outputs/n; echo failed >$LINEAGEFS_RUN_DIR/state'
	eq "exit status" "$RC $(state s)" "0 failed"
	absent "$MNT/artifacts/n"
	exists "$R/outputs/n"
	grep -q 'run s failed: its command said so' "$T/err" || fail "$(cat "$T/err")"
}

test_logging_is_interrupted() {
	local pid
	start_mount
	"$LINEAGEFS" run -m "$MNT" --id r -- \
		truncate -s 4000000000 "$MNT/runs/r/outputs/m" >out 2>err & # quick to make, slow to hash
	pid=$!
	own_pid $pid
	wait_until grep -q '"logging"' "$MNT/runs/r/info.json" || fail "no logging is seen"
	kill -TERM $pid
	RC=0
	wait $pid || RC=$?
	eq "exit status" "$RC $(state r)" "1 running"
	grep -q interrupted err || fail "$(cat err)"
	absent "$MNT/artifacts/m"
}

test_progress() {
	start_mount
	on_terminal '
got = term.expect(b" % of ")
assert int(got.split(b"]")[-1].split(b"%")[0]) > 0, got
term.expect(b"\r\x1b[Klineagefs: logged m:v0: 1 file, 2.3 GiB\r\n")
term.expect(b"<status 0>")' r sh -c 'truncate -s 2500000000 $LINEAGEFS_RUN_DIR/outputs/m'
}

test_daemon_is_restarted() {
	local pid
	start_mount
	"$LINEAGEFS" run -m "$MNT" --id r -- sh -c \
		'echo early; echo x >$LINEAGEFS_RUN_DIR/outputs/m; echo ready >ready
		while [ ! -e go ]; do sleep 0.05; done; echo late' >out 2>err &
	pid=$!
	own_pid $pid
	wait_until test -s ready
	kill9_daemon
	touch go
	wait_until grep -q late out || fail "the command hangs"
	wait_until grep -q 'mount is gone; waiting' err || fail "$(cat err)"
	start_mount
	RC=0
	wait $pid || RC=$?
	eq "exit status" "$RC $(state r)" "0 finished"
	grep -q '5 bytes of the output are not in console.log' err || fail "$(cat err)"
	eq "content" "$(cat "$MNT/artifacts/m/v0/files/m")" x
}

test_which_mount() {
	need_root
	need unshare
	start_mount
	mkdir bound
	# Without what else is mounted on this machine.
	cat >among.sh <<-'END'
		set -e
		awk '$9 == "fuse.lineagefs" || $8 == "fuse.lineagefs" { print $5 }' /proc/self/mountinfo |
			grep -vxF "$MNT" | xargs -r -n 1 umount -l
		mount --bind "$MNT/runs" bound
		"$LINEAGEFS" run --id only -- true 2>/dev/null
		mkdir whole
		mount --bind "$MNT" whole
		"$LINEAGEFS" run --id twice -- true 2>/dev/null
		LINEAGEFS_MOUNT=$PWD/whole "$LINEAGEFS" run --id said -- printenv LINEAGEFS_MOUNT 2>/dev/null
		mkdir other
		"$LINEAGEFS" mount other.store other
		! "$LINEAGEFS" run -- true 2>several || exit 1
		umount other
		umount whole
		umount "$MNT"
		! "$LINEAGEFS" run -- true 2>none || exit 1
		umount bound
	END
	MNT=$MNT unshare -m --propagation private bash among.sh >said 2>among.err ||
		fail "$(tail -n 2 among.err) $(cat several none 2>/dev/null)"
	eq "runs" "$(ls "$MNT/runs" | tr '\n' ' ')" "only said twice "
	eq "mount" "$(cat said)" "$T/whole"
	grep -q "several places: .*$T/other" several || fail "$(cat several)"
	grep -q "not mounted anywhere" none || fail "$(cat none)"
}

test_git() {
	need git
	export HOME=$T GIT_CONFIG_NOSYSTEM=1
	start_mount
	mkdir code
	cd code
	git init -q
	git config user.email a@example.org
	git config user.name a
	lrun none true
	eq "git" "$(json "$R/info.json" 'd["git"]')" None
	echo 1 >train.py
	git add train.py
	git commit -qm one
	git remote add origin https://me:secret@example.org/code.git
	lrun clean true
	eq "git" "$(json "$R/info.json" 'd["git"]["commit"], d["git"]["dirty"], d["git"]["remote"]')" \
		"('$(git rev-parse HEAD)', False, 'https://example.org/code.git')"
	echo 2 >train.py
	lrun dirty true
	eq "dirty" "$(json "$R/info.json" 'd["git"]["dirty"]')" True
	grep -q "^# Its directory was at git commit $(git rev-parse HEAD) of .*, with uncommitted" \
		"$R/rerun.sh" || fail "$(cat "$R/rerun.sh")"
	# A git that hangs does not hold up the command.
	mkdir "$T/bin"
	printf '#!/bin/sh\nexec sleep 60\n' >"$T/bin/git"
	chmod 755 "$T/bin/git"
	PATH=$T/bin:$PATH timeout 30 "$LINEAGEFS" run -m "$MNT" --id slow -- true 2>/dev/null ||
		fail "it waits for git"
	eq "git" "$(json "$MNT/runs/slow/info.json" 'd["git"]')" None
}

test_rerun() {
	start_mount
	quick_version prepare data x
	quick_version prepare2 data y
	mkdir "$T/it's here"
	cd "$T/it's here"
	RANK='a b' "$LINEAGEFS" run -m "$MNT" --id r --job-type train --input in=data:v0 -- \
		sh -c 'printf "%s|" "$@" "$RANK" "$PWD"; cat "$LINEAGEFS_RUN_DIR/inputs/in/text"' \
		0 '' "it's" $'new\nline' '*' '$x' $'\xff\xfe' >want 2>/dev/null
	cd /
	mkdir "$T/bin"
	ln -s "$LINEAGEFS" "$T/bin/lineagefs"
	sh -n "$MNT/runs/r/rerun.sh"
	PATH=$T/bin:$PATH LINEAGEFS_MOUNT=$MNT "$MNT/runs/r/rerun.sh" >"$T/got" 2>"$T/err" ||
		fail "$(cat "$T/err")"
	same "$T/it's here/want" "$T/got"
	eq "runs" "$(ls "$MNT/runs" | wc -l)" 4
}

test_as_another_user() {
	need_root
	start_mount -o allow_other
	as_user test -x "$LINEAGEFS" || skip "another user cannot run $LINEAGEFS"
	mkdir work
	chown "$NOBODY" work
	cd work
	as_user "$LINEAGEFS" run -m "$MNT" --id r --tag x -- \
		sh -c 'echo x >$LINEAGEFS_RUN_DIR/outputs/m' 2>"$T/err" || fail "$(cat "$T/err")"
	eq "owner" "$(stat -c %u "$MNT/runs/r/console.log")" "$NOBODY"
	eq "state" "$(state r)" finished
}

# What the command leaves behind is ours to reap, or it would stay for as long as we run.
test_orphans_are_reaped() {
	start_mount
	lrun r "$PYTHON" -c 'import os, time
pid = os.fork()
if pid == 0:
    if os.fork() == 0:
        parent = os.getppid()
        while os.getppid() == parent: time.sleep(0.01)
        open("adopted", "w").write(str(os.getppid()))
        open("orphan", "w").write(str(os.getpid()))
        os._exit(0)
    time.sleep(0.1)
    os._exit(0)
os.waitpid(pid, 0)
end = time.monotonic() + 15
while time.monotonic() < end:
    try:
        os.kill(int(open("orphan").read() or 0), 0)
    except ProcessLookupError:
        raise SystemExit(open("adopted").read() != str(os.getppid()))
    except (OSError, ValueError):
        pass
    time.sleep(0.01)
raise SystemExit(1)'
	eq "exit status" "$RC" 0
}
