# Inputs from actual reads: which process belongs to which run, and what counts as reading.
# shellcheck shell=bash

# Two artifacts of two versions each.
make_inputs() {
	quick_version make-a0 a 'a zero'
	quick_version make-a1 a 'a one'
	quick_version make-b0 b 'b zero'
	A=$MNT/artifacts/a B=$MNT/artifacts/b
}

inputs() { # RUN: what it uses, on one line
	json "$MNT/runs/$1/info.json" \
		'" ".join(sorted(i["artifact"] for i in d["inputs"] if "artifact" in i))'
}

with_run() { # RUN COMMAND…
	env LINEAGEFS_RUN="$1" "${@:2}"
}

test_environment_names_the_run() {
	start_mount
	make_inputs
	new_run r
	with_run r cat "$A/v0/files/text" >/dev/null
	eq "inputs" "$(inputs r)" "a:v0"
	eq "listed" "$(ls "$MNT/runs/r/inputs")" "a:v0"
	eq "its target" "$(readlink "$MNT/runs/r/inputs/a:v0")" ../../../artifacts/a/v0/files
	eq "through it" "$(cat "$MNT/runs/r/inputs/a:v0/text")" "a zero"
	eq "consumers" "$(ls "$A/v0/consumers")" r
	eq "others' consumers" "$(ls "$A/v1/consumers" "$B/v0/consumers" | grep -v :)" ""
	eq "make-a0 consumes" "$(inputs make-a0)" ""
	# It happened: it cannot be taken back.
	expect_errno EPERM unlink "$MNT/runs/r/inputs/a:v0"
	remount
	eq "after a remount" "$(inputs r)" "a:v0"
}

test_looking_is_no_use() {
	start_mount
	make_inputs
	new_run r
	with_run r find "$MNT/artifacts" -ls >"$T/out"
	with_run r ls -lR "$MNT/artifacts" >"$T/out"
	with_run r du -a "$MNT/artifacts" >"$T/out"
	with_run r stat "$A/v0/files/text" >"$T/out"
	with_run r cat "$A/v0/info.json" "$A/v0/SHA256SUMS" "$A/type" >"$T/out"
	eq "inputs" "$(inputs r)" ""
	# Outside of any run even reading is none.
	grep -r zero "$MNT/artifacts" >"$T/out" || true
	eq "consumers" "$(ls "$A/v0/consumers" "$A/v1/consumers" "$B/v0/consumers" | grep -v :)" ""
	# Inside it is exactly what was opened.
	with_run r grep -r zero "$A/v1/files" "$B/v0/files" >"$T/out"
	eq "inputs" "$(inputs r)" "a:v1 b:v0"
}

test_registered_processes() {
	start_mount
	make_inputs
	new_run r
	# Whatever descends from it: a child, a grandchild, one of many at a time, a pipeline.
	sh -c '
		echo $$ >"$1/runs/r/procs"
		grep -qx $$ "$1/runs/r/procs" || exit 1
		cat "$1/artifacts/a/v0/files/text" >/dev/null
		sh -c "sh -c \"cat $1/artifacts/a/v1/files/text; true\"; true" >/dev/null
		printf "%s\n" "$1/artifacts/b/v0/files/text" | xargs -P 4 -n 1 cat >/dev/null
		read -r line <"$1/artifacts/a/v0/files/text"
		echo finished >"$1/runs/r/state"
	' sh "$MNT" || fail "the script failed"
	eq "inputs" "$(inputs r)" "a:v0 a:v1 b:v0"
	eq "state" "$(cat "$MNT/runs/r/state")" finished
}

test_threads_forks_and_daemons() {
	start_mount
	make_inputs
	quick_version make-c c 'c zero'
	new_run r
	"$PYTHON" - "$MNT" <<-'EOF'
		import multiprocessing, os, sys, threading, time
		mnt = sys.argv[1]
		def read(name):
		    with open(f"{mnt}/artifacts/{name}/files/text") as f:
		        f.read()
		with open(f"{mnt}/runs/r/procs", "w") as f:
		    f.write(f"{os.getpid()}\n")
		t = threading.Thread(target=read, args=("a/v0",)); t.start(); t.join()
		context = multiprocessing.get_context("fork")
		with context.Pool(2) as pool:
		    pool.map(read, ["a/v1"] * 8)
		# A daemon: its parent is gone, its environment was cleared.
		r, w = os.pipe()
		if os.fork() == 0:
		    os.setsid()
		    if os.fork():
		        os._exit(0)
		    os.execve("/bin/sh", ["sh", "-c", f"cat {mnt}/artifacts/b/v0/files/text; exec cat {mnt}/artifacts/c/v0/files/text"], {"PATH": os.environ["PATH"]})
		os.wait()
		os.close(w)
		os.read(r, 1) # until the daemon ends
		with open(f"{mnt}/runs/r/state", "w") as f:
		    f.write("finished\n")
	EOF
	# The daemon's line of ancestors ends before the run: only the environment could say more.
	case $(inputs r) in
	"a:v0 a:v1" | "a:v0 a:v1 b:v0 c:v0") ;;
	*) fail "inputs are $(inputs r)" ;;
	esac
}

test_daemon_with_the_environment() {
	start_mount
	make_inputs
	new_run r
	with_run r setsid -f sh -c "cat '$A/v0/files/text' >'$T/read'; mv '$T/read' '$T/done'"
	wait_until test -e "$T/done"
	eq "inputs" "$(inputs r)" "a:v0"
}

test_another_program_of_the_same_process() {
	start_mount
	make_inputs
	new_run r
	new_run s
	# One process number, three programs.
	with_run r sh -c "read -r x <'$A/v0/files/text'
		exec env LINEAGEFS_RUN=s sh -c \"read -r x <'$A/v1/files/text'
			exec env -u LINEAGEFS_RUN cat '$B/v0/files/text'\"" >"$T/out"
	eq "of r" "$(inputs r)" "a:v0"
	eq "of s" "$(inputs s)" "a:v1"
	eq "of nobody" "$(ls "$B/v0/consumers")" ""
}

test_a_number_used_again() {
	need_root
	start_mount
	make_inputs
	new_run r
	# The next process gets the number of the one that has just ended, which was the run's.
	"$PYTHON" - "$A/v0/files/text" "$B/v0/files/text" >"$T/out" <<-'EOF'
		import os, sys
		def child(path, env):
		    os.execve("/bin/cat", ["cat", path], env)
		def run(path, env):
		    pid = os.fork()
		    if pid == 0:
		        child(path, env)
		    os.waitpid(pid, 0)
		    return pid
		env = dict(os.environ)
		same = 0
		for i in range(200):
		    first = run(sys.argv[1], dict(env, LINEAGEFS_RUN="r"))
		    try:
		        with open("/proc/sys/kernel/ns_last_pid", "w") as f:
		            f.write(str(first - 1))
		    except OSError:
		        sys.exit(77)
		    same += run(sys.argv[2], env) == first
		print("same", same)
		sys.exit(0 if same > 20 else 77)
	EOF
	local rc=$?
	[ $rc != 77 ] || skip "numbers cannot be chosen here"
	eq "inputs" "$(inputs r)" "a:v0"
	eq "consumers of the other" "$(ls "$B/v0/consumers")" ""
}

test_another_users_run() {
	need_root
	start_mount
	make_inputs
	mkdir "$MNT/runs/mine"
	as_user env LINEAGEFS_RUN=mine cat "$A/v0/files/text" >/dev/null
	eq "inputs" "$(inputs mine)" ""
	# Nor by putting a process of somebody else's into one's own run.
	as_user mkdir "$MNT/runs/theirs"
	expect_errno_as_user EPERM write "$MNT/runs/theirs/procs" "$$"
	expect_errno_as_user ESRCH write "$MNT/runs/theirs/procs" 999999999
	expect_errno_as_user EINVAL write "$MNT/runs/theirs/procs" "-1"
	expect_errno_as_user EACCES open-read "$MNT/view/mine/a/v0/files/text"
	eq "inputs" "$(inputs mine)" ""
}

test_own_outputs_are_no_inputs() {
	start_mount
	make_inputs
	new_run r
	mkdir "$OUT/a"
	echo mine >"$OUT/a/text"
	log_now r a
	with_run r cat "$A/v2/files/text" "$A/v0/files/text" >/dev/null
	with_run r cat "$OUT/a/text" >/dev/null
	eq "inputs" "$(inputs r)" "a:v0"
}

test_another_runs_draft() {
	start_mount
	new_run writer
	mkdir "$OUT/d"
	echo draft >"$OUT/d/f"
	new_run reader
	with_run reader cat "$MNT/runs/writer/outputs/d/f" >/dev/null
	eq "reads of" "$(json "$MNT/runs/reader/info.json" \
		'[(i["run"], i["unlogged"]) for i in d["inputs"]]')" "[('writer', True)]"
	remount
	eq "reads of" "$(json "$MNT/runs/reader/info.json" 'd["inputs"][0]["run"]')" writer
	# Neither has an edge from writing, nor from what is its own.
	with_run reader sh -c "echo more >>'$MNT/runs/writer/outputs/d/f'"
	with_run writer cat "$MNT/runs/writer/outputs/d/f" >/dev/null
	eq "writer reads of" "$(json "$MNT/runs/writer/info.json" 'd["inputs"]')" "[]"
}

test_ended_runs_use_nothing() {
	start_mount
	make_inputs
	new_run r
	end_run r failed
	with_run r cat "$A/v0/files/text" >/dev/null
	eq "inputs" "$(inputs r)" ""
	end_run r running
	with_run r cat "$A/v0/files/text" >/dev/null
	eq "inputs" "$(inputs r)" "a:v0"
	end_run r
	with_run r cat "$A/v1/files/text" >/dev/null
	eq "inputs" "$(inputs r)" "a:v0"
}

test_opens_are_counted() {
	start_mount
	make_inputs
	new_run r
	local i
	for i in 1 2 3; do
		with_run r cat "$A/v0/files/text" "$A/v0/files/text" >/dev/null
	done
	eq "opens" "$(json "$MNT/runs/r/info.json" 'd["inputs"][0]["opens"]')" 6
	remount
	with_run r cat "$A/v0/files/text" >/dev/null
	eq "opens" "$(json "$MNT/runs/r/info.json" 'd["inputs"][0]["opens"]')" 7
}

test_declared_and_observed() {
	start_mount
	make_inputs
	new_run r
	with_run r cat "$A/v0/files/text" >/dev/null
	ln -s a:v0 "$MNT/runs/r/inputs/train"
	eq "listed" "$(ls "$MNT/runs/r/inputs")" train
	rm "$MNT/runs/r/inputs/train"
	eq "listed" "$(ls "$MNT/runs/r/inputs")" a:v0
	ln -s a:v1 "$MNT/runs/r/inputs/valid"
	rm "$MNT/runs/r/inputs/valid"
	eq "inputs" "$(inputs r)" "a:v0"
	expect_errno EINVAL symlink a:v0 "$MNT/runs/r/inputs/a:v1"
}

# --- views ---

# What the kernel remembers of a view or a run is no way around who may read, or write, today.
test_access_is_revoked() {
	start_mount
	need_root
	make_inputs
	new_run r
	chmod 777 "$MNT/runs/r"
	as_user cat "$MNT/view/r/a/v0/files/text" >/dev/null
	chmod 700 "$MNT/artifacts/a"
	expect_errno_as_user EACCES open-read "$MNT/view/r/a/v0/files/text"
	chmod 755 "$MNT/artifacts/a"
	as_user cat "$MNT/view/r/a/v0/files/text" >/dev/null
	chmod 700 "$MNT/runs/r"
	expect_errno_as_user EACCES open-read "$MNT/view/r/b/v0/files/text"
	eq "inputs" "$(inputs r)" "a:v0"
	ls -ld "$MNT/runs/r/outputs" >/dev/null
	chown "$NOBODY" "$MNT/runs/r"
	as_user mkdir "$MNT/runs/r/outputs/d"
}

test_view_of_a_new_run_of_the_name() {
	start_mount
	make_inputs
	new_run r
	ls "$MNT/view/r" >/dev/null
	rmdir "$MNT/runs/r"
	new_run r
	eq "latest" "$(cat "$MNT/view/r/a/latest/files/text")" "$(cat "$MNT/artifacts/a/latest/files/text")"
}

test_view_counts_for_its_run() {
	start_mount
	make_inputs
	new_run r
	eq "not listed" "$(ls "$MNT" | tr '\n' ' ')" "README _status.json artifacts digests events.ndjson jobs lineage runs tags trash types "
	eq "nothing listed in it" "$(ls -A "$MNT/view")" ""
	eq "as artifacts" "$(ls "$MNT/view/r")" "$(ls "$MNT/artifacts")"
	cat "$MNT/view/r/a/v0/files/text" >/dev/null
	eq "inputs" "$(inputs r)" "a:v0"
	eq "what a version shows" "$(ls "$MNT/view/r/a/v0" | tr '\n' ' ')" "SHA256SUMS files info.json "
	diff -r "$MNT/view/r/b/v0/files" "$B/v0/files" >"$T/diff" || fail "$(cat "$T/diff")"
	check_sums "$MNT/view/r/b/v0"
	expect_errno EROFS write "$MNT/view/r/a/v0/files/text" x
	expect_errno EROFS mkdir "$MNT/view/r/new"
	expect_errno ENOENT open-read "$MNT/view/no-such-run"
	find -L "$MNT/view/r" >"$T/find" 2>&1 || fail "$(tail -n 1 "$T/find")"
	# No path of a view has the number of another path.
	eq "shared numbers" "$(find "$MNT/view/r" "$MNT/artifacts" -printf '%i\n' | sort | uniq -d)" ""
	find "$MNT/view/r" -printf '%P %i\n' | sort >"$T/before"
	remount
	find "$MNT/view/r" -printf '%P %i\n' | sort >"$T/after"
	same "$T/before" "$T/after"
}

test_container_with_a_view_alone() {
	need_root
	need unshare
	start_mount
	make_inputs
	new_run r
	mkdir "$T/seen"
	env -i PATH="$PATH" unshare --mount --pid --fork --propagation private sh -c '
		mount --bind "$1/view/r" "$2/seen" && umount -l "$1" &&
		cat "$2/seen/a/latest/files/text" "$2/seen/b/v0/files/text"' sh "$MNT" "$T" >"$T/out" ||
		fail "the job failed"
	eq "it read" "$(tr '\n' ' ' <"$T/out")" "a one b zero "
	eq "inputs" "$(inputs r)" "a:v1 b:v0"
}

# The daemon in a pid namespace of its own does not see who calls from outside.
test_unseen_processes() {
	need_root
	need unshare nsenter
	mkdir -p "$MNT"
	unshare --pid --fork --mount-proc "$LINEAGEFS" mount "$STORE" "$MNT" -f >>"$LOG" 2>&1 &
	local outer=$! inner
	own_pid $outer
	inside() { # COMMAND…: sees the mount, but is not seen by the daemon
		nsenter --mount --target "$inner" -- "$@"
	}
	wait_until eval "inner=\$(cat /proc/$outer/task/$outer/children 2>/dev/null) && [ -n \"\$inner\" ]"
	inner=${inner%% *}
	own_pid "$inner"
	wait_until inside cat "$MNT/_status.json" >/dev/null 2>&1 || fail "does not mount"
	inside sh -c "
		mkdir '$MNT/runs/m' && mkdir '$MNT/runs/m/outputs/a' &&
		echo x >'$MNT/runs/m/outputs/a/text' && echo finished >'$MNT/runs/m/state' &&
		mkdir '$MNT/runs/r' &&
		LINEAGEFS_RUN=r cat '$MNT/artifacts/a/v0/files/text' '$MNT/artifacts/a/v0/files/text' &&
		cat '$MNT/artifacts/a/v0/info.json' >'$T/version.json' &&
		ls '$MNT/runs/r/inputs' >'$T/unseen' &&
		cat '$MNT/view/r/a/v0/files/text' &&
		ls '$MNT/runs/r/inputs' >'$T/seen'" >/dev/null || fail "reading failed"
	eq "opens by unseen processes" "$(json "$T/version.json" 'd["unseen_opens"]')" 2
	eq "attributed" "$(cat "$T/unseen")" ""
	eq "through the view" "$(cat "$T/seen")" a:v0
	kill "$inner"
	wait_until gone "$outer"
}

# --- pins ---

test_one_version_behind_an_alias() {
	start_mount
	make_inputs
	new_run r
	eq "at first" "$(with_run r readlink "$A/latest")" v1
	quick_version make-a2 a 'a two'
	eq "outside" "$(readlink "$A/latest")" v2
	eq "in the run" "$(with_run r readlink "$A/latest")" v1
	eq "in its view" "$(readlink "$MNT/view/r/a/latest")" v1
	eq "its size" "$(stat -c %s "$MNT/view/r/a/latest")" 2
	eq "read in the run" "$(with_run r cat "$A/latest/files/text")" "a one"
	ln -s a:latest "$MNT/runs/r/inputs/declared"
	eq "declared" "$(readlink "$MNT/runs/r/inputs/declared")" ../../../artifacts/a/v1/files
	remount
	eq "after a remount" "$(with_run r readlink "$A/latest")" v1
	# Logging into the collection lets go of the pin.
	mkdir "$MNT/runs/r/outputs/a"
	echo 'a three' >"$MNT/runs/r/outputs/a/text"
	log_now r a
	eq "after logging" "$(with_run r readlink "$A/latest")" v3
	eq "inputs" "$(inputs r)" "a:v1"
}

# Readers in a run and outside, while versions come.
test_pins_under_load() {
	start_mount
	make_inputs
	new_run r
	local i pids=()
	for i in 1 2; do
		with_run r sh -c 'while [ ! -e "$2/stop" ]; do cat "$1/latest/files/text"; done' sh "$A" "$T" \
			>"$T/inside.$i" 2>&1 &
		pids+=($!)
		own_pid $!
	done
	wait_until test -s "$T/inside.1"
	wait_until test -s "$T/inside.2"
	for ((i = 0; i < 20; i++)); do
		quick_version "more-$i" a "more $i"
		eq "outside" "$(cat "$A/latest/files/text")" "more $i"
	done
	touch "$T/stop"
	wait "${pids[@]}"
	eq "inside" "$(sort -u "$T/inside.1" "$T/inside.2")" "a one"
	eq "inputs" "$(inputs r)" "a:v1"
}

# --- states ---

# A process of the run that waits for a file, and then ends with the status in it.
start_member() { # RUN
	rm -f "$T/end"
	sh -c 'echo $$ >"$1/runs/$3/procs" && echo $$ >"$2/member" || exit 1
		while [ ! -e "$2/end" ]; do sleep 0.02; done' sh "$MNT" "$T" "$1" &
	own_pid $!
	wait_until test -s "$T/member" || fail "did not register"
	MEMBER=$(cat "$T/member")
	rm "$T/member"
}

state_is() { # RUN STATE
	[ "$(cat "$MNT/runs/$1/state")" = "$2" ]
}

test_crash_is_seen() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo one >"$OUT/d/f"
	log_now r d
	echo two >"$OUT/d/f"
	start_member r
	eq "state" "$(cat "$MNT/runs/r/state")" running
	kill -9 "$MEMBER"
	wait_until state_is r crashed || fail "state is $(cat "$MNT/runs/r/state")"
	eq "logged" "$(cat "$MNT/artifacts/d/v0/files/f")" one
	eq "draft" "$(cat "$OUT/d/f")" two
	expect_errno EROFS write "$OUT/d/f" x
	[ -n "$(json "$MNT/runs/r/info.json" 'd["crashed_because"]')" ] || fail "no reason"
	# The owner may go on, and log late.
	end_run r running
	start_member r
	kill -9 "$MEMBER"
	wait_until state_is r crashed
	end_run r
	eq "logged late" "$(cat "$MNT/artifacts/d/v1/files/f")" two
}

test_no_crash_while_somebody_lives() {
	start_mount
	new_run r
	# A child outlives the registered process.
	start_member r
	sh -c 'echo $$ >"$1/runs/r/procs"; sleep 1000 & echo $! >"$2/child"; sleep 1.5' sh "$MNT" "$T"
	own_pid "$(cat "$T/child")"
	kill -9 "$MEMBER"
	sleep 1.5
	eq "while the child lives" "$(cat "$MNT/runs/r/state")" running
	kill "$(cat "$T/child")"
	wait_until state_is r crashed || fail "state is $(cat "$MNT/runs/r/state")"
	# A process with the run in its environment.
	end_run r running
	start_member r
	with_run r setsid -f sh -c "echo \$\$ >'$T/other'; exec sleep 1000"
	wait_until test -s "$T/other"
	own_pid "$(cat "$T/other")"
	kill -9 "$MEMBER"
	sleep 1.5
	eq "while it lives" "$(cat "$MNT/runs/r/state")" running
	kill "$(cat "$T/other")"
	wait_until state_is r crashed || fail "state is $(cat "$MNT/runs/r/state")"
	# Somebody who writes.
	end_run r running
	start_member r
	: >"$OUT/file"
	hold write "$OUT/file"
	kill -9 "$MEMBER"
	sleep 1.5
	eq "while it is written to" "$(cat "$MNT/runs/r/state")" running
	let_go
	wait_until state_is r crashed || fail "state is $(cat "$MNT/runs/r/state")"
}

test_runs_without_processes_run_on() {
	start_mount
	new_run r
	with_run r sh -c "echo x >'$OUT/file'"
	remount
	sleep 1.5
	eq "state" "$(cat "$MNT/runs/r/state")" running
}

test_daemon_restarts_in_the_middle() {
	start_mount
	make_inputs
	new_run stays
	new_run goes
	start_member stays
	local staying=$MEMBER
	start_member goes
	kill9_daemon
	kill -9 "$MEMBER"
	start_mount
	wait_until state_is goes crashed || fail "state is $(cat "$MNT/runs/goes/state")"
	eq "the other" "$(cat "$MNT/runs/stays/state")" running
	eq "its processes" "$(cat "$MNT/runs/stays/procs")" "$staying"
	kill -9 "$staying"
	wait_until state_is stays crashed || fail "state is $(cat "$MNT/runs/stays/state")"
}

# --- files whose writer was killed ---

# Opens a file of a draft for writing, writes a little, and is then killed, or ends as it is told.
half_write() { # FILE MODE END
	"$PYTHON" - "$@" <<-'EOF' || true
		import os, signal, sys
		f = open(sys.argv[1], sys.argv[2])
		f.write("half")
		f.flush()
		if sys.argv[3] == "exit":
		    os._exit(3)
		if sys.argv[3] == "fork":
		    if os.fork() == 0:
		        os.kill(os.getpid(), signal.SIGKILL)
		    os.wait()
		    f.write(" done\n")
		    f.close()
		    sys.exit(0)
		if sys.argv[3] == "thread":
		    import threading
		    t = threading.Thread(target=lambda: None)
		    t.start()
		    t.join()
		os.kill(os.getpid(), getattr(signal, "SIGKILL"))
	EOF
}

torn() { # RUN DRAFT FILE
	fails sh -c "echo $2 >'$MNT/runs/$1/log'"
	grep -q "EBADMSG: half written, its writer was killed by SIGKILL: $3" "$MNT/runs/$1/log" ||
		fail "log says $(cat "$MNT/runs/$1/log")"
}

test_half_written_files_are_refused() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo whole >"$OUT/d/other"
	half_write "$OUT/d/f" w kill
	torn r d d/f
	absent "$MNT/artifacts/d"
	# Neither a restart nor a new name makes it whole.
	remount
	mv "$OUT/d/f" "$OUT/d/g"
	torn r d d/g
	fails sh -c "echo finished >'$MNT/runs/r/state'"
	eq "state" "$(cat "$MNT/runs/r/state")" running
	# Written again, by whomever: appended to, ...
	echo ' done' >>"$OUT/d/g"
	log_now r d
	eq "logged" "$(cat "$MNT/artifacts/d/v0/files/g")" "half done"
	# ... from the start, ...
	half_write "$OUT/d/g" a thread
	torn r d d/g
	echo new >"$OUT/d/g"
	log_now r d
	# ... or removed.
	half_write "$OUT/d/h" w kill
	torn r d d/h
	rm "$OUT/d/h"
	end_run r
	eq "at last" "$(cat "$MNT/artifacts/d/v1/files/g")" new
}

# Who reads /proc/<pid>/smaps_rollup keeps the memory of the process while its files go.
test_half_written_while_its_memory_is_watched() {
	local pid
	start_mount
	new_run r
	for i in 1 2 3; do
		rm -f "$T/wrote"
		"$PYTHON" - "$OUT/d$i" "$T/wrote" <<-'EOF' &
			import sys, time
			memory = bytearray(b"x") * (400 << 20)
			open(sys.argv[1] + ".before", "w").close()
			f = open(sys.argv[1], "w")
			f.write("half")
			f.flush()
			open(sys.argv[2], "w").close()
			time.sleep(60)
		EOF
		pid=$!
		own_pid $pid
		wait_until test -e "$T/wrote" || fail "nothing is written"
		for j in 1 2 3; do
			(while cat /proc/$pid/smaps_rollup; do :; done) >"$T/rollup.$j" 2>&1 &
			own_pid $!
		done
		sleep 0.2
		kill -9 $pid
		wait $pid || true
		torn r d$i d$i
	done
}

test_who_ends_otherwise_leaves_whole_files() {
	start_mount
	new_run r
	half_write "$OUT/exits" w exit
	half_write "$OUT/forks" w fork
	# A reader that is killed, and a writer of which a child is.
	"$PYTHON" -c 'import os, sys; f = open(sys.argv[1]); f.read(); os.kill(os.getpid(), 9)' "$OUT/exits" || true
	end_run r
	eq "exits" "$(cat "$MNT/artifacts/exits/v0/files/exits")" half
	eq "forks" "$(cat "$MNT/artifacts/forks/v0/files/forks")" "half done"
}
