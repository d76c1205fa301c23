# /events.ndjson: what it says of a pipeline, how it is read, and that an edit of it is seen.
# shellcheck shell=bash source=lib.sh

event() { # FILTER of jq over the whole log, as one line
	jq -c "select($1)" "$MNT/events.ndjson"
}

audit() { # ARGUMENT…: its output goes to $T/audit; its exit status
	"$LINEAGEFS" audit "$@" >"$T/audit" 2>&1
}

audit_fails() { # PATTERN ARGUMENT…
	local pattern=$1
	shift
	! audit "$@" || fail "audit $* sees nothing: $(cat "$T/audit")"
	grep -qE "$pattern" "$T/audit" || fail "audit $*: $(cat "$T/audit"), not $pattern"
}

pipeline() {
	new_run prepare
	mkdir "$OUT/data"
	echo rows >"$OUT/data/rows"
	log_now prepare 'data type=dataset'
	end_run prepare
	new_run train
	ln -s data:latest "$MNT/runs/train/inputs/rows"
	(
		export LINEAGEFS_RUN=train
		cat "$MNT/artifacts/data/v0/files/rows" "$MNT/artifacts/data/v0/files/rows" >"$T/rows"
	)
	echo weights >"$OUT/model"
	end_run train
	new_run again
	echo weights >"$OUT/model"
	log_now again model
	chmod 700 "$MNT/runs/again"
	end_run again failed
	end_run again running
	end_run again 'failed exit_code=3'
	new_run idle
	rmdir "$MNT/runs/idle"
	mkdir "$MNT/artifacts/empty"
	rmdir "$MNT/artifacts/empty"
}

test_every_change_is_told() {
	need jq
	start_mount
	pipeline
	eq "mode" "$(stat -c '%a %u' "$MNT/events.ndjson")" "640 $(id -u)"
	eq "size" "$(stat -c %s "$MNT/events.ndjson")" "$(wc -c <"$MNT/events.ndjson")"
	jq -r '[.event, .run // "-", .artifact // "-"] | join(" ")' "$MNT/events.ndjson" >"$T/told"
	cat >"$T/want" <<-END
		run_started prepare -
		collection_made prepare data
		text prepare data
		logged prepare data:v0
		run_ended prepare -
		run_started train -
		input train data:v0
		input train data:v0
		collection_made train model
		logged train model:v0
		run_ended train -
		run_started again -
		logged_equal again model:v0
		owner again -
		run_ended again -
		run_resumed again -
		run_ended again -
		run_started idle -
		run_removed idle -
		collection_made - empty
		collection_removed - empty
	END
	same "$T/told" "$T/want"
	eq "numbers" "$(jq -s 'map(.n) == [range(1; length + 1)]' "$MNT/events.ndjson")" true
	eq "who" "$(jq -s -c 'map(.uid) | unique' "$MNT/events.ndjson")" "[$(id -u)]"
	eq "pids" "$(jq -s 'map(.pid > 0) | all' "$MNT/events.ndjson")" true
	# What this shell wrote to state itself.
	eq "a pid" "$(event '.event == "run_resumed"' | jq .pid)" "$BASHPID"
	eq "how" "$(event '.event == "input"' | jq -s -c 'map([.how, .role])')" \
		'[["declared","rows"],["observed",null]]'
	eq "what" "$(event '.event == "logged" and .run == "train"' | jq -c '[.digest, .files, .size]')" \
		"[\"$(jq -r .digest "$MNT/artifacts/model/v0/info.json")\",1,8]"
	eq "the end" "$(event '.event == "run_ended" and .run == "again"' | jq -s -c 'map([.state, .exit_code])')" \
		'[["failed",null],["failed",3]]'
	eq "mode" "$(event '.event == "owner"' | jq -r .mode)" 0700
	eq "events" "$(grep -c . "$MNT/events.ndjson")" "$(jq .events.count "$MNT/_status.json")"
	# What is refused is no change.
	fails rmdir "$MNT/runs/train"
	fails ln -s none:v0 "$MNT/runs/train/inputs/x"
	eq "events after" "$(jq .events.count "$MNT/_status.json")" 21
}

test_a_crash_is_told() {
	need jq
	start_mount
	new_run r
	LINEAGEFS_RUN=r sh -c 'echo $$ >"$1/runs/r/procs"' - "$MNT"
	wait_until grep -q crashed "$MNT/runs/r/state" || fail "no crash"
	eq "who" "$(event '.state == "crashed"' | jq -c '[.uid, .pid, .run]')" "[$(id -u),$DAEMON,\"r\"]"
	event '.state == "crashed"' | jq -r .reason | grep -q 'last process' || fail "no reason"
}

test_it_is_a_file_to_read() {
	local size
	start_mount
	for i in 1 2 3 4 5 6 7 8; do quick_version "run-$i" "name-$i" "$i"; done
	cp "$MNT/events.ndjson" "$T/whole"
	size=$(stat -c %s "$T/whole")
	for at in 0 1 100 1000 $((size - 1)) "$size" $((size + 10)); do
		for bytes in 1 99 4096; do
			dd if="$MNT/events.ndjson" bs="$bytes" iflag=skip_bytes skip="$at" count=1 2>/dev/null >"$T/part"
			dd if="$T/whole" bs="$bytes" iflag=skip_bytes skip="$at" count=1 2>/dev/null >"$T/want"
			same "$T/part" "$T/want"
		done
	done
	tail -c 300 "$T/whole" >"$T/want"
	tail -c 300 "$MNT/events.ndjson" >"$T/part"
	same "$T/part" "$T/want"
	tail -n 5 "$T/whole" >"$T/want"
	tail -n 5 "$MNT/events.ndjson" >"$T/part"
	same "$T/part" "$T/want"
	eq "by grep" "$(grep -c '"run":"run-3"' "$MNT/events.ndjson")" 4
	expect_errno EPERM open-write "$MNT/events.ndjson"
	expect_errno EPERM truncate "$MNT/events.ndjson" 0
	expect_errno EPERM unlink "$MNT/events.ndjson"
	remount
	same "$MNT/events.ndjson" "$T/whole"
}

test_tail_follows() {
	start_mount
	local follower
	tail -f -n 0 "$MNT/events.ndjson" >"$T/tail" 2>&1 &
	follower=$!
	own_pid "$follower"
	quick_version first m 1
	wait_until grep -q '"event":"run_ended".*"run":"first"' "$T/tail" || fail "tail -f saw nothing"
	quick_version second m 2
	wait_until grep -q '"artifact":"m:v1"' "$T/tail" || fail "tail -f saw no more"
	kill "$follower"
	wait "$follower" 2>/dev/null || true
}

# Nobody asks for it, and the daemon is killed.
test_nothing_is_lost_by_a_crash() {
	need jq
	start_mount
	for i in 1 2 3; do quick_version "run-$i" m "$i"; done
	kill9_daemon
	start_mount
	eq "logged" "$(event '.event == "logged"' | jq -s -c 'map(.artifact)')" '["m:v0","m:v1","m:v2"]'
	audit -m "$MNT" || fail "$(cat "$T/audit")"
}

test_only_the_owner_reads_it() {
	need_root
	start_mount
	quick_version r m 1
	expect_errno_as_user EACCES open-read "$MNT/events.ndjson"
}

test_audit() {
	local head
	start_mount
	audit -m "$MNT" || fail "nothing yet: $(cat "$T/audit")"
	quick_version one m 1
	audit -m "$MNT" || fail "$(cat "$T/audit")"
	grep -qxE '4 events, chained, head sha256:[0-9a-f]{64}' "$T/audit" || fail "$(cat "$T/audit")"
	head=$(sed 's/.*head //' "$T/audit")
	eq "head by hand" "$head" "sha256:$(tail -n 1 "$MNT/events.ndjson" | sha256sum | cut -c 1-64)"
	quick_version two m 2
	cp "$MNT/events.ndjson" "$T/copy"
	audit "$T/copy" || fail "$(cat "$T/audit")"
	audit - <"$T/copy" || fail "$(cat "$T/audit")"
	audit -m "$MNT" --head "$head" || fail "$(cat "$T/audit")"
	audit --head "$head" "$T/copy" || fail "$(cat "$T/audit")"
	sed '3s/"files":1/"files":2/' "$T/copy" >"$T/edited"
	audit_fails 'line 4: line 3 is not' "$T/edited"
	sed '4d' "$T/copy" >"$T/edited"
	audit_fails 'line 4: its number is 5' "$T/edited"
	sed '4s/}$//' "$T/copy" >"$T/edited"
	audit_fails 'line 4: it is not JSON' "$T/edited"
	head -c 1000 "$T/copy" >"$T/edited"
	audit_fails 'it is cut off' "$T/edited"
	head -n 3 "$T/copy" >"$T/edited"
	audit_fails 'no line has the hash' --head "$head" "$T/edited"
	audit_fails 'line 1: it says that there was one' - < <(sed 's/"prev":"0/"prev":"1/' "$T/copy")
	audit_fails 'cannot be opened' "$T/none"
	audit_fails 'cannot be read' "$T"
	for wrong in --none "--head x" "a b" "-m $MNT $T/copy"; do
		# shellcheck disable=SC2086
		"$LINEAGEFS" audit $wrong >"$T/out" 2>&1 && fail "audit $wrong works"
		# shellcheck disable=SC2086
		eq "status of audit $wrong" "$("$LINEAGEFS" audit $wrong >"$T/out" 2>&1 || echo $?)" 2
	done
}

test_an_edited_store_shows_it() {
	local size
	need jq ldd
	ALLOWED_LOG='the audit log does not end as it did|a line of the audit log is missing'
	start_mount
	for i in 1 2 3; do quick_version "run-$i" m "$i"; done
	stop_mount
	"$PYTHON" "$HERE/edit_log.py" "$LINEAGEFS" "$STORE" '"run":"run-2"' '"run":"run-9"'
	start_mount
	# In the middle only the chain shows it; at the end the store sees it itself.
	eq "broken" "$(jq .events.broken "$MNT/_status.json")" false
	audit_fails 'line [0-9]+: line [0-9]+ is not the one' -m "$MNT"
	stop_mount
	"$PYTHON" "$HERE/edit_log.py" "$LINEAGEFS" "$STORE" '"run":"run-9"' '"run":"run-2"'
	start_mount
	audit -m "$MNT" || fail "put back: $(cat "$T/audit")"
	stop_mount
	"$PYTHON" "$HERE/edit_log.py" "$LINEAGEFS" "$STORE" '"run":"run-3","state"' '"run":"run-4","state"'
	start_mount
	eq "broken" "$(jq .events.broken "$MNT/_status.json")" true
	audit_fails 'line [0-9]+: it is not the last one' -m "$MNT"
	quick_version later m 4
	audit_fails 'line [0-9]+: line [0-9]+ is not the one' -m "$MNT"
	remount
	eq "for good" "$(jq .events.broken "$MNT/_status.json")" true
	stop_mount
	"$PYTHON" "$HERE/edit_log.py" "$LINEAGEFS" "$STORE" '"run":"run-2"'
	start_mount
	fails cat "$MNT/events.ndjson"
	audit_fails 'what follows line [0-9]+ cannot be read' -m "$MNT"
	# tail reads a short file from its start.
	size=$(stat -c %s "$MNT/events.ndjson")
	eq "the rest" "$(dd if="$MNT/events.ndjson" iflag=skip_bytes skip=$((size - 400)) bs=1000 2>"$T/dd" |
		tail -n 1 | jq -r .run)" later
}
