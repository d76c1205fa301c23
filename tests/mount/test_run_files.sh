# A run's own files: what may be written about it, its console, its script.
# shellcheck shell=bash

R() { # NAME: a path in the run r
	printf '%s/runs/r/%s' "$MNT" "$1"
}

test_job_type_and_tags() {
	start_mount
	new_run r
	eq "job type" "$(cat "$(R job_type)")" ""
	echo train >"$(R job_type)"
	expect_errno EINVAL write "$(R job_type)" 'two words'
	quiet touch "$(R tags/best)"
	: >"$(R tags/a=1)"
	quiet touch "$(R tags/best)"
	expect_errno EINVAL create "$(R tags/.x)"
	expect_errno EINVAL append "$(R tags/best)" x
	expect_errno EEXIST mkdir "$(R tags/best)" || true
	end_run r
	remount
	echo eval >"$(R job_type)"
	quiet touch "$(R tags/late)"
	rm "$(R tags/a=1)"
	expect_errno ENOENT unlink "$(R tags/a=1)"
	eq "tags" "$(ls "$(R tags)" | tr '\n' ' ')" "best late "
	eq "tags in info.json" "$(json "$(R info.json)" 'd["job_type"], d["tags"]')" \
		"('eval', ['best', 'late'])"
	: >"$(R job_type)"
	eq "job type" "$(cat "$(R job_type)")" ""
}

test_notes_of_another() {
	need_root
	start_mount
	new_run r
	end_run r
	expect_errno_as_user EACCES write "$(R job_type)" x
	expect_errno_as_user EACCES create "$(R tags/x)"
	chmod 777 "$(R .)"
	as_user touch "$(R tags/x)"
	as_user "$SYS" write "$(R job_type)" x >/dev/null
}

test_json() {
	local name
	start_mount
	new_run r
	for name in config.json metadata.json; do
		eq "$name" "$(cat "$(R "$name")")" '{}'
		echo '{"lr": 0.1}' >"$(R "$name")"
		expect_errno EINVAL write "$(R "$name")" $'{\n "lr" x}'
		eq "$name" "$(cat "$(R "$name")")" '{"lr": 0.1}'
		grep -q "^error: EINVAL: $name: line 2, column 7: " "$(R log)" ||
			fail "log: $(cat "$(R log)")"
		# One line a write.
		printf '{\n"lr":\n0.2\n}\n' >"$(R "$name")"
		eq "$name" "$(json "$(R "$name")" 'd["lr"]')" 0.2
		# An end that never comes is an error when it is closed.
		expect_errno EINVAL write "$(R "$name")" '{"lr": '
		grep -q "^error: EINVAL: $name: line 1" "$(R log)" || fail "log: $(cat "$(R log)")"
		eq "$name" "$(json "$(R "$name")" 'd["lr"]')" 0.2
	done
	echo '[1]' >"$(R config.json)"
	expect_errno EINVAL write "$(R metadata.json)" '[1]'
	end_run r failed
	echo '{"late": 1}' >"$(R config.json)"
	end_run r
	expect_errno EROFS write "$(R config.json)" '{}'
	eq "config.json" "$(cat "$(R config.json)")" '{"late": 1}'
}

test_long_json() {
	local bs
	start_mount
	new_run r
	"$PYTHON" -c 'import json
json.dump({"key%d" % i: [True, "\u00e9\U0001f600", -1.5e-7] for i in range(6000)},
	open("want.json", "w"))'
	[ "$(stat -c %s want.json)" -gt 300000 ] || fail "too short"
	for bs in 4093 65536 1M; do
		dd if=want.json of="$(R config.json)" bs=$bs status=none
		same want.json "$(R config.json)"
		: >"$(R log)"
		echo '{}' >"$(R config.json)"
	done
	"$PYTHON" -c 'import json, sys
json.dump(json.load(open("want.json")), open(sys.argv[1], "w"))' "$(R config.json)"
	same want.json "$(R config.json)"
	# Wrong in the middle: nobody waits for the end.
	sed 's/"key3000": /"key3000" x/' want.json >bad.json
	fails dd if=bad.json of="$(R config.json)" bs=64k
	same want.json "$(R config.json)"
	head -c 1048577 /dev/zero | tr '\0' ' ' >bad.json
	fails cp bad.json "$(R config.json)"
	same want.json "$(R config.json)"
	remount
	same want.json "$(R config.json)"
}

test_console() {
	local pid
	start_mount
	new_run r
	eq "size" "$(stat -c %s "$(R console.log)")" 0
	cat "$(R console.log)"
	tail -n +1 -f "$(R console.log)" >tailed &
	pid=$!
	own_pid $pid
	printf 'one\0\n' >>"$(R console.log)"
	wait_until grep -qa one tailed || fail "tail -f does not see the first line"
	# Two who append do not overwrite each other, whoever of them was first.
	exec 4>>"$(R console.log)"
	echo another >>"$(R console.log)"
	echo two >&4
	exec 4>&-
	eq "size" "$(stat -c %s "$(R console.log)")" "$(wc -c <"$(R console.log)")"
	eq "console_bytes" "$(json "$(R info.json)" 'd["console_bytes"]')" \
		"$(wc -c <"$(R console.log)")"
	wait_until grep -qa two tailed || fail "tail -f does not follow"
	kill $pid
	wait $pid 2>/dev/null || true
	exec 3>>"$(R console.log)"
	end_run r failed
	fails sh -c 'echo late >&3'
	exec 3>&-
	expect_errno EROFS append "$(R console.log)" x
	end_run r running
	echo three >>"$(R console.log)"
	end_run r
	expect_errno EROFS append "$(R console.log)" x
	expect_errno EROFS truncate "$(R console.log)" 0
	remount
	eq "lines" "$(tail -n 2 "$(R console.log)" | tr '\n' ' ')" "two three "
}

test_console_goes_with_the_run() {
	start_mount
	new_run r
	seq 1000 >>"$(R console.log)"
	exists "$STORE/consoles/"*
	rmdir "$MNT/runs/r"
	eq "consoles" "$(ls "$STORE/consoles")" ""
	new_run r
	eq "size" "$(stat -c %s "$(R console.log)")" 0
}

test_state_with_an_exit_status() {
	start_mount
	new_run r
	expect_errno EINVAL write "$(R state)" $'failed exit_code=256\n'
	expect_errno EINVAL write "$(R state)" $'failed because\n'
	expect_errno EINVAL write "$(R state)" $'running exit_code=1\n'
	grep -q '^error: EINVAL: not how a run ends: exit_code=1' "$(R log)" ||
		fail "log: $(cat "$(R log)")"
	end_run r 'failed signal=KILL'
	eq "state" "$(cat "$(R state)")" failed
	eq "end" "$(json "$(R info.json)" 'd["exit_code"], d["signal"]')" "(None, 'SIGKILL')"
	end_run r running
	eq "end" "$(json "$(R info.json)" 'd["exit_code"], d["signal"], d["ended_at"]')" \
		"(None, None, None)"
	end_run r 'failed exit_code=3'
	eq "end" "$(json "$(R info.json)" 'd["exit_code"], d["signal"]')" "(3, None)"
	echo x >"$T/x"
	end_run r 'finished exit_code=0'
	remount
	eq "end" "$(json "$(R info.json)" 'd["exit_code"], d["state"]')" "(0, 'finished')"
}

test_rerun_without_a_command() {
	start_mount
	new_run r
	exists "$(R rerun.sh)"
	fails "$(R rerun.sh)"
	grep -q 'the run r is not known' "$T/out" || fail "$(cat "$T/out")"
	fails sh -c ": >'$(R rerun.sh)'"
}

test_older_schema() {
	start_mount
	stop_mount
	echo 'lineagefs store 1' >"$STORE/lineagefs-store"
	fails "$LINEAGEFS" mount "$STORE" "$MNT" -f
	grep -q 'written by an older lineagefs' "$T/out" || fail "$(cat "$T/out")"
}
