# Logging: when a version is made, when not, and what is said about it.
# shellcheck shell=bash

# The line about one draft in a run's log.
said() { # RUN NAME
	grep -E "^[a-z]+: $2\b" "$MNT/runs/$1/log" | head -n 1
}

test_both_ways() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	echo one >"$OUT/a/f"
	log_now r a
	[[ $(said r a) == "logged: a:v0 sha256:"* ]] || fail "log says '$(said r a)'"
	eq "state" "$(cat "$MNT/runs/r/state")" running
	# The draft stays as it is, and is a directory yet.
	[ -d "$OUT/a" ] && [ ! -L "$OUT/a" ] || fail "the draft went"
	eq "draft" "$(cat "$OUT/a/f")" one
	eq "what is logged" "$(readlink "$OUT/a:v0")" ../../../artifacts/a/v0/files
	echo two >"$OUT/a/f"
	echo new >"$OUT/b"
	end_run r
	eq "versions" "$(versions a) $(versions b)" "v0 v1 v0"
	eq "v0" "$(cat "$MNT/artifacts/a/v0/files/f")" one
	eq "v1" "$(cat "$MNT/artifacts/a/v1/files/f")" two
	eq "draft's end" "$(readlink "$OUT/a") $(readlink "$OUT/b")" "a:v1 b:v0/b"
	eq "outputs" "$(ls "$OUT" | tr '\n' ' ')" "a a:v0 a:v1 b b:v0 "
	check_all_sums
}

# What did not change since it was last logged makes nothing at the end.
test_unchanged_since_log() {
	start_mount
	new_run r
	echo one >"$OUT/a"
	log_now r a
	log_now r a
	end_run r
	eq "versions" "$(versions a)" v0
	eq "draft's end" "$(readlink "$OUT/a")" a:v0/a
}

test_many_versions_in_one_run() {
	local i
	start_mount
	new_run r
	mkdir "$OUT/ckpt"
	for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
		echo "weights $i" >"$OUT/ckpt/w"
		seq "$i" 20000 >"$OUT/ckpt/large"
		log_now r 'ckpt type=model'
	done
	end_run r
	eq "versions" "$(versions ckpt)" "v0 v1 v2 v3 v4 v5 v6 v7 v8 v9 v10 v11"
	eq "latest" "$(readlink "$MNT/artifacts/ckpt/latest")" v11
	for i in 0 5 11; do
		eq "v$i" "$(cat "$MNT/artifacts/ckpt/v$i/files/w")" "weights $i"
		eq "its producer" "$(ls "$MNT/artifacts/ckpt/v$i/producers")" r
	done
	check_all_sums
}

test_equal_content() {
	start_mount
	quick_version one data same
	quick_version two data same
	eq "versions" "$(versions data)" v0
	eq "producers" "$(ls "$MNT/artifacts/data/v0/producers" | tr '\n' ' ')" "one two "
	eq "producer" "$(readlink "$MNT/artifacts/data/v0/producer")" ../../../runs/one
	[[ $(said two data) == "equal: data:v0 sha256:"* ]] || fail "log says '$(said two data)'"
	eq "draft's end" "$(readlink "$MNT/runs/two/outputs/data")" data:v0
	# Times and modes other than the execute bit are no content; the execute bit is.
	new_run three
	mkdir -m 750 "$OUT/data"
	(umask 077 && echo same >"$OUT/data/text")
	touch -d 2001-01-01 "$OUT/data/text"
	end_run three
	eq "versions" "$(versions data)" v0
	new_run four
	mkdir "$OUT/data"
	echo same >"$OUT/data/text"
	chmod +x "$OUT/data/text"
	end_run four
	eq "versions" "$(versions data)" "v0 v1"
}

test_equal_to_an_older_version() {
	start_mount
	quick_version one data first
	quick_version two data second
	quick_version three data first
	eq "versions" "$(versions data)" "v0 v1"
	eq "latest" "$(readlink "$MNT/artifacts/data/latest")" v1
	eq "producers" "$(ls "$MNT/artifacts/data/v0/producers" | tr '\n' ' ')" "one three "
	# Under another name the same content is another artifact.
	quick_version four other first
	eq "versions" "$(versions other)" v0
}

test_failed_and_on() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	echo one >"$OUT/a/f"
	log_now r a
	echo two >"$OUT/a/f"
	end_run r failed
	eq "state" "$(cat "$MNT/runs/r/state")" failed
	eq "versions" "$(versions a)" v0
	eq "the draft" "$(cat "$OUT/a/f")" two
	expect_errno EROFS write "$OUT/a/f" three
	expect_errno EROFS create "$OUT/a/g"
	expect_errno EROFS mkdir "$OUT/b"
	expect_errno EROFS unlink "$OUT/a/f"
	remount
	eq "the draft" "$(cat "$OUT/a/f")" two
	expect_errno EROFS write "$OUT/a/f" three
	end_run r running
	echo three >"$OUT/a/f"
	end_run r finished
	eq "versions" "$(versions a)" "v0 v1"
	eq "v1" "$(cat "$MNT/artifacts/a/v1/files/f")" three
}

test_log_late() {
	start_mount
	new_run r
	echo text >"$OUT/a"
	end_run r crashed
	absent "$MNT/artifacts/a/v0"
	end_run r finished
	eq "versions" "$(versions a)" v0
	eq "state" "$(cat "$MNT/runs/r/state")" finished
}

test_finished_is_sealed() {
	start_mount
	quick_version r a text
	expect_errno EROFS create "$OUT/new"
	expect_errno EROFS mkdir "$OUT/new"
	expect_errno 'EROFS|EPERM' unlink "$OUT/a"
	expect_errno 'EROFS|EPERM' symlink a:v0 "$MNT/runs/r/inputs/x"
	expect_errno 'EROFS|EPERM|EINVAL|ENOENT' write "$MNT/runs/r/log" $'a\n'
	eq "versions" "$(versions a)" v0
}

test_bad_commands() {
	start_mount
	new_run r
	echo text >"$OUT/a"
	expect_errno EINVAL write "$MNT/runs/r/state" $'done\n'
	expect_errno EINVAL write "$MNT/runs/r/state" $'finished now\n'
	expect_errno 'ENOENT|EINVAL' write "$MNT/runs/r/log" $'nothing\n'
	expect_errno EINVAL write "$MNT/runs/r/log" $'a colour=red\n'
	expect_errno EINVAL write "$MNT/runs/r/log" $'a type=b!d\n'
	expect_errno 'ENOENT|EINVAL' write "$MNT/runs/r/log" $'../a\n'
	eq "state" "$(cat "$MNT/runs/r/state")" running
	absent "$MNT/artifacts/a/v0"
	# With and without a newline, and with spaces around.
	expect_errno OK write "$MNT/runs/r/log" a
	expect_errno OK append "$MNT/runs/r/state" finished
	eq "versions" "$(versions a)" v0
}

test_log_reads_as_last_results() {
	start_mount
	new_run r
	echo 1 >"$OUT/a"
	echo 2 >"$OUT/b"
	end_run r
	[[ $(said r a) == "logged: a:v0 sha256:"* ]] || fail "log: $(cat "$MNT/runs/r/log")"
	[[ $(said r b) == "logged: b:v0 sha256:"* ]] || fail "log: $(cat "$MNT/runs/r/log")"
	eq "digest" "$(said r a | sed 's/.*sha256:\([0-9a-f]*\).*/\1/')" \
		"$(json "$MNT/artifacts/a/v0/info.json" 'd["digest"].removeprefix("sha256:")')"
}

# A script's own echo sees the failure.
test_shell_sees_the_error() {
	start_mount
	new_run r
	if bash -c 'echo nothing >"$1"' - "$MNT/runs/r/log" 2>/dev/null; then
		fail "echo to log did not fail"
	fi
	if sh -c 'echo done >"$1"' - "$MNT/runs/r/state" 2>/dev/null; then
		fail "echo to state did not fail"
	fi
}

test_all_or_none() {
	start_mount
	new_run r
	mkdir "$OUT/a" "$OUT/b" "$OUT/c"
	echo a >"$OUT/a/f"
	echo b >"$OUT/b/f"
	echo c >"$OUT/c/f"
	hold write "$OUT/b/f"
	expect_errno EBUSY write "$MNT/runs/r/state" $'finished\n'
	eq "state" "$(cat "$MNT/runs/r/state")" running
	absent "$MNT/artifacts/a/v0" "$MNT/artifacts/b/v0" "$MNT/artifacts/c/v0"
	grep -q '^error: b: EBUSY.*b/f' "$MNT/runs/r/log" || fail "log: $(cat "$MNT/runs/r/log")"
	echo more >>"$OUT/a/f"
	let_go
	end_run r
	eq "versions" "$(versions a) $(versions b) $(versions c)" "v0 v0 v0"
	eq "a" "$(cat "$MNT/artifacts/a/v0/files/f")" "a
more"
}

test_scratch() {
	start_mount
	new_run r
	mkdir "$OUT/.cache" "$OUT/a"
	echo temporary >"$OUT/.cache/f"
	echo temporary >"$OUT/.file"
	mv "$OUT/.file" "$OUT/.renamed"
	echo kept >"$OUT/a/.hidden-in-a-draft"
	expect_errno 'EINVAL|ENOENT' write "$MNT/runs/r/log" $'.cache\n'
	log_now r a
	exists "$OUT/.cache/f" "$OUT/.renamed"
	end_run r
	absent "$OUT/.cache" "$OUT/.renamed"
	eq "artifacts" "$(ls -A "$MNT/artifacts")" a
	exists "$MNT/artifacts/a/v0/files/.hidden-in-a-draft"
}

# Scratch moved into place is a draft.
test_rename_into_place() {
	start_mount
	new_run r
	mkdir "$OUT/.new"
	echo text >"$OUT/.new/f"
	mv "$OUT/.new" "$OUT/a"
	echo file >"$OUT/.b"
	mv "$OUT/.b" "$OUT/b"
	log_now r b
	echo again >"$OUT/.b"
	mv "$OUT/.b" "$OUT/b"
	rm -r "$OUT/a"
	mkdir "$OUT/a"
	echo anew >"$OUT/a/f"
	end_run r
	eq "versions" "$(versions a) $(versions b)" "v0 v0 v1"
	eq "a" "$(cat "$MNT/artifacts/a/v0/files/f")" anew
	eq "b" "$(cat "$MNT/artifacts/b/v1/files/b")" again
}

test_draft_removed_before_the_end() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	echo text >"$OUT/a/f"
	log_now r a
	rm -r "$OUT/a"
	echo text >"$OUT/b"
	rm "$OUT/b"
	end_run r
	eq "versions" "$(versions a)" v0
	eq "outputs" "$(ls "$OUT/a:v0")" f
	absent "$MNT/artifacts/b/v0"
}

test_run_of_nothing() {
	start_mount
	new_run r
	end_run r
	eq "state" "$(cat "$MNT/runs/r/state")" finished
	eq "outputs" "$(ls -A "$OUT")" ""
}

test_empty_draft() {
	start_mount
	new_run r
	mkdir "$OUT/empty"
	: >"$OUT/nothing"
	end_run r
	eq "versions" "$(versions empty) $(versions nothing)" "v0 v0"
	eq "files" "$(ls -A "$MNT/artifacts/empty/v0/files")" ""
	eq "files" "$(stat -c %s "$MNT/artifacts/nothing/v0/files/nothing")" 0
}

test_concurrent_runs() {
	local i pids=() pid
	start_mount
	quick_version first shared first
	for i in 1 2 3 4 5 6 7 8; do
		new_run "r$i"
		mkdir "$OUT/shared"
		head -c 100000 /dev/urandom >"$OUT/shared/large"
		echo "$i" >"$OUT/shared/f"
	done
	for i in 1 2 3 4 5 6 7 8; do
		(echo finished >"$MNT/runs/r$i/state") &
		own_pid $!
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "one of the concurrent runs could not log"
	done
	eq "versions" "$(versions shared)" "v0 v1 v2 v3 v4 v5 v6 v7 v8"
	eq "numbers" "$(cat "$MNT"/artifacts/shared/v[1-8]/files/f | sort | tr '\n' ' ')" \
		"1 2 3 4 5 6 7 8 "
	for i in 1 2 3 4 5 6 7 8; do
		eq "r$i" "$(cat "$MNT/runs/r$i/outputs/shared/f")" "$i"
	done
	check_all_sums
}

# Reads and writes elsewhere go on while something large is logged.
# Names of files and commands are text of users, and make no lines of their own.
test_no_line_is_forged() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	echo x >"$OUT/a/x"$'\n'"logged: d:v9 sha256:00"
	hold write "$OUT/a/x"$'\n'"logged: d:v9 sha256:00"
	expect_errno EBUSY write "$MNT/runs/r/log" $'a\n'
	eq "lines of log" "$(wc -l <"$MNT/runs/r/log")" 1
	grep -q '^error: a: EBUSY: .*a/x.x0alogged: d:v9' "$MNT/runs/r/log" ||
		fail "log says '$(cat "$MNT/runs/r/log")'"
	let_go
	expect_errno EINVAL write "$MNT/runs/r/log" $'a \e[31mred\n'
	grep -q '^error: EINVAL: .*: .x1b.31mred$' "$MNT/runs/r/log" ||
		fail "log says '$(cat "$MNT/runs/r/log")'"
}

test_one_type() {
	start_mount
	new_run r
	echo x >"$OUT/a"
	expect_errno EINVAL write "$MNT/runs/r/log" $'a type=model type=dataset\n'
	grep -q '^error: EINVAL: a second type: dataset$' "$MNT/runs/r/log" ||
		fail "log says '$(cat "$MNT/runs/r/log")'"
	absent "$MNT/artifacts/a"
	log_now r 'a type=model'
}

# Logs in the background; the result goes to $T/result. Sets LOGGER; SIGUSR1 interrupts it.
start_log() { # RUN NAME
	rm -f "$T/ready"
	"$SYS" catch "$MNT/runs/$1/log" "$2" "$T/ready" >"$T/result" &
	LOGGER=$!
	own_pid "$LOGGER"
	wait_until eval "[ -e '$T/ready' ] || gone $LOGGER"
}

interrupt_log() {
	while alive "$LOGGER"; do
		kill -USR1 "$LOGGER" 2>/dev/null || true
		sleep 0.01
	done
	wait "$LOGGER" || true
}

# A log that takes long is not over yet when others have logged.
test_others_go_on_meanwhile() {
	local turn
	start_mount
	new_run big
	mkdir "$OUT/big"
	truncate -s 64G "$OUT/big/zeros"
	new_run small
	start_log big big
	for turn in 1 2 3; do
		echo "$turn" >>"$OUT/a"
		ls "$MNT/artifacts" >"$T/out"
		log_now small a
	done
	alive "$LOGGER" || fail "others waited for a log: $(cat "$T/result")"
	interrupt_log
	eq "the large one" "$(cat "$T/result")" EINTR
	eq "versions" "$(versions a)" "v0 v1 v2"
	end_run small
}

# The larger it is the longer it takes, and one of them is hit.
test_log_interrupted() {
	local gigabytes
	start_mount
	new_run r
	for gigabytes in 1 4 16; do
		mkdir "$OUT/big$gigabytes"
		truncate -s "${gigabytes}G" "$OUT/big$gigabytes/zeros"
		start_log r "big$gigabytes"
		interrupt_log
		[ "$(cat "$T/result")" = OK ] || break
	done
	eq "the write to log" "$(cat "$T/result")" EINTR
	grep -q "^error: big$gigabytes: EINTR" "$MNT/runs/r/log" ||
		fail "log says '$(cat "$MNT/runs/r/log")'"
	absent "$MNT/artifacts/big$gigabytes/v0"
	eq "state" "$(cat "$MNT/runs/r/state")" running
	eq "the draft" "$(stat -c %s "$OUT/big$gigabytes/zeros")" $((gigabytes << 30))
	truncate -s 1M "$OUT/big$gigabytes/zeros"
	end_run r
	eq "versions" "$(versions "big$gigabytes")" v0
}

test_links_and_fifos_in_a_draft() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	ln -s nowhere "$OUT/a/dangling"
	ln -s /etc/hostname "$OUT/a/absolute"
	echo x >"$OUT/a/one"
	ln "$OUT/a/one" "$OUT/a/two"
	end_run r
	eq "dangling" "$(readlink "$MNT/artifacts/a/v0/files/dangling")" nowhere
	eq "absolute" "$(readlink "$MNT/artifacts/a/v0/files/absolute")" /etc/hostname
	eq "two names" "$(cat "$MNT/artifacts/a/v0/files/one" "$MNT/artifacts/a/v0/files/two")" "x
x"
	eq "links in a version" "$(stat -c %h "$MNT/artifacts/a/v0/files/one")" 1
}
