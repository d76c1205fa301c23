# kill -9 of the daemon, and a new mount: what was reported logged is there, whole; drafts are as
# they were; nothing needs a hand.
# shellcheck shell=bash

# Logs versions without end. Before it asks for one it notes what that version must hold, and after
# the daemon said yes, that it said so.
workload() { # NAME
	local i text
	for ((i = 0; ; i++)); do
		text="$1 $i $RANDOM"
		mkdir "$MNT/runs/$1.$i" || return
		cd "$MNT/runs/$1.$i/outputs" || return
		mkdir "$1" || return
		echo "$text" >"$1/small" || return
		head -c $((70000 + i)) "$T/random" >"$1/large" || return
		echo "$text" >"$T/acked/$1.$i.draft"
		echo "$1" >../log || return
		echo "$text" >"$T/acked/$1.$i.first"
		echo "$text again" >"$1/small" || return
		echo "tail" >>"$1/large" || return
		echo finished >../state || return
		echo "$text again" >"$T/acked/$1.$i.second"
	done
}

# What the draft of a run may hold: what was written last, or what was being written.
draft_may_hold() { # NOTE TEXT GOT
	if [ -e "${1%.draft}.first" ]; then
		[ -z "$3" ] || [ "$3" = "$2" ] || [ "$3" = "$2 again" ]
	else
		[ "$3" = "$2" ]
	fi
}

check_acked() {
	local note run name text got
	for note in "$T"/acked/*; do
		[ -e "$note" ] || continue
		run=$(basename "${note%.*}")
		name=${run%.*}
		text=$(cat "$note")
		exists "$MNT/runs/$run"
		if [[ $note == *.draft ]]; then
			got=$(cat "$MNT/runs/$run/outputs/$name/small")
			draft_may_hold "$note" "$text" "$got" || fail "draft of $run holds '$got', not '$text'"
		else
			got=$(grep -lxF "$text" "$MNT/artifacts/$name"/v*/files/small || true)
			[ -n "$got" ] || fail "reported logged, but lost: $run ($text)"
		fi
	done
}

test_kill_loop() {
	local turn pids pid name version turns=$((${LINEAGEFS_TEST_LOOPS:-300} / 25))
	mkdir "$T/acked"
	random_file "$T/random" 200000
	[ "$turns" -ge 3 ] || turns=3
	[ "$turns" -le 60 ] || turns=60
	for ((turn = 0; turn < turns; turn++)); do
		start_mount
		check_acked
		# What earlier turns made is looked at once more, at the end.
		for version in "$MNT/artifacts"/[xy]$((turn - 1))/v*; do
			[ ! -e "$version" ] || check_sums "$version"
		done
		rm -f "$T"/acked/*
		pids=
		for name in x y; do
			{ workload "$name$turn" || true; } 2>/dev/null &
			pids+=" $!"
			own_pid $!
		done
		sleep "0.$(printf '%03d' $((RANDOM % 900)))"
		kill9_daemon
		for pid in $pids; do
			wait "$pid" 2>/dev/null || true
		done
	done
	start_mount
	check_acked
	check_all_sums
	# Numbers are used once, and links resolve.
	eq "links to nothing" "$(find "$MNT" -xtype l | head -n 1)" ""
	quick_version afterwards new text
	stop_mount
}

# The moment of the kill moved in small steps through one log of many files.
test_kill_during_log() {
	local step pid
	mkdir "$T/want"
	(cd "$T/want" && head -c 8000000 /dev/urandom | split -b 4000 -a 3 - small)
	random_file "$T/want/large" 30000000
	start_mount
	for step in 005 020 040 060 090 130 200 300; do
		new_run "r$step"
		cp -r "$T/want" "$OUT/d$step"
		{ echo finished >"$MNT/runs/r$step/state" || true; } 2>/dev/null &
		pid=$!
		own_pid "$pid"
		sleep "0.$step"
		kill9_daemon
		wait "$pid" 2>/dev/null || true
		start_mount
		if [ -e "$MNT/artifacts/d$step/v0" ]; then
			eq "state" "$(cat "$MNT/runs/r$step/state")" finished
		else
			eq "state" "$(cat "$MNT/runs/r$step/state")" running
			quiet diff -r "$T/want" "$MNT/runs/r$step/outputs/d$step"
			end_run "r$step"
		fi
		quiet diff -r "$T/want" "$MNT/artifacts/d$step/v0/files"
	done
	# The moments were not all before and after.
	grep -q 'dropping what an interrupted log left' "$LOG" || fail "no kill hit a log"
	check_all_sums
	# Bytes of what was interrupted and then logged are there once.
	measure_store
	[ "$BYTES" -lt 120000000 ] || fail "the store takes $BYTES bytes"
}

test_draft_as_it_was() {
	start_mount
	new_run r
	make_content "$OUT/d"
	log_now r d
	seq 5000 >>"$OUT/d/sub/large"
	echo new >"$OUT/d/hello"
	mv "$OUT/d/at-the-pack-size" "$OUT/d/renamed"
	ln "$OUT/d/renamed" "$OUT/d/second-name"
	echo tail >>"$OUT/d/second-name"
	rm "$OUT/d/empty"
	chmod 751 "$OUT/d/sub/script"
	cp -a "$OUT/d" "$T/want"
	kill9_daemon
	start_mount
	quiet diff -r --no-dereference "$T/want" "$OUT/d"
	eq "mode" "$(stat -c %a "$OUT/d/sub/script")" 751
	eq "links" "$(stat -c %h "$OUT/d/renamed")" 2
	echo more >>"$OUT/d/renamed"
	same "$OUT/d/renamed" "$OUT/d/second-name"
	check_all_sums
	end_run r
	eq "versions" "$(versions d)" "v0 v1"
	check_all_sums
}

# Who had a file of the draft open or mapped lives on, and cannot touch a version.
surviving_writer() { # MODE SIZE
	start_mount
	new_run r
	mkdir "$OUT/d"
	head -c "$2" /dev/zero | tr '\0' w >"$OUT/d/f"
	hold "$1" "$OUT/d/f"
	kill9_daemon
	start_mount
	# Without passthrough the descriptor is dead and this succeeds; with it, the kernel knows
	# the writer and it is EBUSY. Both are right.
	expect_errno 'OK|EBUSY' write "$MNT/runs/r/log" $'d\n'
	if [ -e "$MNT/artifacts/d/v0" ]; then
		cp "$MNT/artifacts/d/v0/files/f" "$T/before"
		poke
		same "$T/before" "$MNT/artifacts/d/v0/files/f"
	else
		poke
	fi
	if alive "$HOLDER"; then
		let_go
	fi
	end_run r
	check_all_sums
	remount
	check_all_sums
}

test_surviving_descriptor() {
	surviving_writer write 500000
}

test_surviving_descriptor_of_a_small_file() {
	surviving_writer write 1000
}

test_surviving_mapping() {
	surviving_writer mmap 500000
}

# Logged first, then written again by one who then outlives the daemon.
test_surviving_writer_of_a_logged_file() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	seq 100000 >"$OUT/d/f"
	log_now r d
	hold write "$OUT/d/f"
	poke
	kill9_daemon
	start_mount
	poke
	check_all_sums
	eq "the version" "$(head -n 1 "$MNT/artifacts/d/v0/files/f")" 1
	if alive "$HOLDER"; then
		let_go
	fi
	end_run r
	check_all_sums
}

# umount -l: the daemon goes on until the last user is gone, then ends cleanly.
test_lazy_umount() {
	need_root
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo x >"$OUT/d/f"
	hold write "$OUT/d/f"
	umount -l "$MNT"
	let_go
	daemon_ends
	start_mount
	end_run r
	check_all_sums
}

test_mount_over_a_dead_mount() {
	start_mount
	new_run r
	kill -9 "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
	# It may clear the dead mount away itself, or say that it is in the way.
	ALLOWED_LOG='warning: unmounted '
	if ! try_mount; then
		umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
		start_mount
	fi
	exists "$MNT/runs/r"
}
