# gc: what goes, what stays, and that it may end anywhere. shellcheck shell=bash

CHECK=$(dirname "$LINEAGEFS")/tests/bench/check_real

# m:v0 to m:v<N - 1>, each with four bytes of its own
log_numbers() { # RUN NAME N
	local i
	new_run "$1"
	for ((i = 0; i < $3; i++)); do
		printf '%s %s\n' "$2" "$i" >"$OUT/$2"
		log_now "$1" "$2"
	done
	end_run "$1"
}

gc() { # ARGUMENT…: its last line
	"$LINEAGEFS" gc "$@" >"$T/gc" 2>"$T/gc.err" || fail "gc $*: $(cat "$T/gc.err")"
	[ ! -s "$T/gc.err" ] || fail "gc $*: $(cat "$T/gc.err")"
	tail -n 1 "$T/gc"
}

store_is_clean() {
	local said
	[ -x "$CHECK" ] || fail "no $CHECK; make builds it"
	said=$("$CHECK" "$STORE") || fail "$said"
	set -- $said
	eq "stored bytes" "$2" "$4"
}

test_policy() {
	start_mount
	log_numbers first m 6
	log_numbers second n 2
	ln -s v1 "$MNT/artifacts/m/prod"
	new_run user
	ln -s m:v2 "$MNT/runs/user/inputs/in"
	eq "nothing to do" "$(gc "$MNT")" "freed: 0 versions, 0"
	eq "dry run" "$(gc --dry-run --keep-last 2 "$MNT")" "would free: 2 versions, 8"
	eq "names" "$(head -n -1 "$T/gc" | tr '\n' ' ')" "m:v0 m:v3 "
	eq "after a dry run" "$(versions m)" "v0 v1 v2 v3 v4 v5"
	eq "not so long unused" "$(gc "$MNT" --unused-for 1)" "freed: 0 versions, 0"
	# By the store as well as by the mount, which it is while it is in use.
	eq "keep 2" "$(gc "$STORE" --keep-last 2)" "freed: 2 versions, 8"
	eq "kept" "$(versions m) $(versions n)" "v1 v2 v4 v5 v0 v1"
	eq "not in the trash" "$(ls "$MNT/trash" 2>/dev/null)" ""
	rm "$MNT/artifacts/m/prod"
	end_run user
	eq "as JSON" "$(gc --json "$MNT" --keep-last 1 --unused-for 0 >/dev/null &&
		json "$T/gc" 'd["versions"], d["bytes"]')" "(4, 16)"
	eq "the last ones" "$(versions m) $(versions n)" "v5 v1"
	check_all_sums
	# Lineage stays whole.
	eq "outputs of the run" "$(readlink "$MNT/runs/first/outputs/m:v0")" \
		../../../artifacts/m/v0/files
	"$LINEAGEFS" lineage -m "$MNT" user | grep -q m:v2 || fail "lineage of what is gone"
	stop_mount
	store_is_clean
}

test_trash() {
	start_mount
	log_numbers first m 4
	rmdir "$MNT/artifacts/m/v0" "$MNT/artifacts/m/v1"
	eq "too new" "$(gc "$MNT")" "freed: 0 versions, 0"
	eq "dry run" "$(gc -n --empty-trash "$MNT")" "would free: 2 versions, 8"
	eq "all" "$(gc --empty-trash "$MNT")" "freed: 2 versions, 8"
	eq "left" "$(versions m)" "v2 v3"
}

test_store_that_is_not_mounted() {
	start_mount
	log_numbers first m 4
	rmdir "$MNT/artifacts/m/v0"
	stop_mount
	eq "dry run" "$(gc "$STORE" -n --empty-trash --keep-last 1)" "would free: 3 versions, 12"
	eq "old trash" "$(gc "$STORE")" "freed: 0 versions, 0"
	printf '[mount]\ntrash_days = 0\n' >"$T/ini"
	eq "trash without days" "$(gc -c "$T/ini" "$STORE")" "freed: 1 version, 4"
	eq "policy" "$(gc "$STORE" --keep-last 1)" "freed: 2 versions, 8"
	store_is_clean
	start_mount
	eq "left" "$(versions m)" v3
	check_all_sums
}

test_refused() {
	local dir
	start_mount
	quick_version first m one
	for dir in "$T" "$T/nothing" "$MNT/artifacts"; do
		fails "$LINEAGEFS" gc "$dir"
		grep -q 'neither a store nor' "$T/out" || fail "$dir: $(cat "$T/out")"
	done
	absent "$T/nothing" "$T/lineagefs-store"
	fails "$LINEAGEFS" gc
	fails "$LINEAGEFS" gc "$MNT" --keep-last
	fails "$LINEAGEFS" gc "$MNT" --keep-last -1
	grep -q 'takes a number' "$T/out" || fail "$(cat "$T/out")"
	fails "$LINEAGEFS" gc "$MNT" --unused-for 1d
	fails "$LINEAGEFS" gc "$MNT" "$STORE"
}

test_only_the_owner() {
	need_root
	share_binary
	start_mount -o allow_other
	log_numbers first m 2
	fails as_user "$LINEAGEFS" gc "$MNT" --keep-last 1
	grep -q 'only root and the owner' "$T/out" || fail "$(cat "$T/out")"
	fails as_user "$LINEAGEFS" gc "$STORE" --keep-last 1
	grep -q 'only root and the owner' "$T/out" || fail "$(cat "$T/out")"
	chmod 755 "$STORE"
	fails as_user "$LINEAGEFS" gc "$STORE" --keep-last 1
	grep -q 'only root and the owner' "$T/out" || fail "$(cat "$T/out")"
	eq "left" "$(versions m)" "v0 v1"
	stop_mount
	fails as_user "$LINEAGEFS" gc "$STORE" --keep-last 1
	grep -q 'only root and the owner' "$T/out" || fail "$(cat "$T/out")"
}

# The file that commands speak by.
test_control_file() {
	start_mount
	quick_version first m one
	[ -e "$MNT/_control" ] || fail "no _control"
	eq "listed" "$(ls -a "$MNT" | grep -c _control || true)" 0
	exec 7<>"$MNT/_control"
	printf '{"command": "du", "versions": ["m"]}' >&7
	eq "answer" "$(cat <&7 >"$T/json" && json "$T/json" 'd["together"]["freed"]')" 4
	expect_errno EINVAL write "$MNT/_control" '{"command": '
	expect_errno EINVAL write "$MNT/_control" '{"command": "no such"}'
	expect_errno EINVAL write "$MNT/_control" '{"command": "du"}'
	expect_errno EINVAL write "$MNT/_control" '{"command": "gc", "keep_last": "2"}'
	expect_errno EINVAL write "$MNT/_control" '{"command": "gc", "cursor": {"phase": 9}}'
	expect_errno ENOENT write "$MNT/_control" '{"command": "du", "versions": ["n"]}'
	! printf '{bad' >&7 2>/dev/null || fail "bad JSON"
	eq "why" "$(cat <&7 >"$T/json" && json "$T/json" 'd["error"][:16]')" "line 1, column 4"
	exec 7>&-
	expect_errno EPERM chmod "$MNT/_control" 600
	expect_errno EPERM unlink "$MNT/_control"
}

# --- killed anywhere ---

# Logs the same few contents again and again, each by a run of its own, while $T/go exists.
log_the_same() { # NAME SEED
	local i dir
	for ((i = 0; ; i++)); do
		[ -e "$T/go" ] || return 0
		(
			flock 8
			dir=$MNT/runs/$1-$2-$i
			mkdir "$dir" && mkdir -p "$dir/outputs/$1/sub" || exit
			cp "$T/content/large" "$T/content/$((i % 3)).large" "$dir/outputs/$1/" &&
				cp "$T"/content/*.small "$dir/outputs/$1/sub/" &&
				printf '%s\n' "$((i % 5))" >"$dir/outputs/$1/sub/number" &&
				echo finished >"$dir/state" &&
				echo "$1-$2-$i" | tee -a "$T/all.$1" >>"$T/logged.$1"
		) 8>"$T/lock.$1" 2>/dev/null || sleep 0.02
	done
}

# Waits for a random part of WINDOW milliseconds, of a kind of kill, and kills.
kill_soon() { # KIND PID
	local ms=$((RANDOM % (WINDOW[$1] + 1)))
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
	kill -9 "$2" 2>/dev/null || true
}

# 0: it was killed. The window follows how long gc takes, so that most kills meet it at work.
was_killed() { # KIND PID
	local rc=0
	wait "$2" 2>/dev/null || rc=$?
	if [ "$rc" = 137 ]; then
		WINDOW[$1]=$((WINDOW[$1] * 5 / 4 + 1))
		KILLS[$1]=$((KILLS[$1] + 1))
	else
		WINDOW[$1]=$((WINDOW[$1] * 3 / 4 + 1))
		return 1
	fi
}

collect() { # TARGET
	exec "$LINEAGEFS" gc "$1" --keep-last 1 --empty-trash >>"$T/gc.out" 2>&1 5>&- 6>&-
}

kill_client() {
	collect "$MNT" &
	own_pid $!
	kill_soon 0 $!
	was_killed 0 $!
}

# The daemon is killed under gc after gc.
kill_daemon() {
	(while (collect "$MNT"); do :; done) &
	own_pid $!
	kill_soon 1 "$DAEMON"
	was_killed 1 "$DAEMON"
	DAEMON=
	wait $! || true
	umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
	start_mount
}

kill_alone() {
	local rc=0
	exec 5>"$T/lock.same" 6>"$T/lock.other"
	flock 5
	flock 6
	stop_mount
	collect "$STORE" &
	own_pid $!
	kill_soon 2 $!
	was_killed 2 $! || rc=1
	# What it inherits it holds for as long as it lives.
	start_mount 5>&- 6>&-
	exec 5>&- 6>&-
	return "$rc"
}

# gc is killed at random points while the same bytes are logged: nothing that a version needs is
# lost, and all of the rest is freed at the end. LINEAGEFS_TEST_KILLS: so often (6).
test_killed_anywhere() {
	local n=${LINEAGEFS_TEST_KILLS:-6} i name tries=0 how=(kill_client kill_daemon kill_alone)
	KILLS=(0 0 0) WINDOW=(50 200 300) LOGGERS=()
	RANDOM=${LINEAGEFS_TEST_SEED:-$(date +%N | sed 's/^0*//')}
	mkdir "$T/content"
	random_file "$T/content/large" 300000
	for ((i = 0; i < 3; i++)); do
		random_file "$T/content/$i.large" 100000
	done
	for ((i = 0; i < 30; i++)); do
		random_file "$T/content/$i.small" $((i * 40))
	done
	start_mount
	touch "$T/go"
	# What an alias names stays whatever happens.
	new_run keeper
	mkdir "$OUT/same"
	cp "$T"/content/* "$OUT/same/"
	end_run keeper
	ln -s v0 "$MNT/artifacts/same/keep"
	for name in same other; do
		log_the_same "$name" "$RANDOM" &
		own_pid $!
		LOGGERS+=($!)
	done
	for (( ; KILLS[0] + KILLS[1] + KILLS[2] < n; tries++)); do
		wait_until eval '[ -s "$T/logged.same" ] && [ -s "$T/logged.other" ]'
		: >"$T/logged.same" >"$T/logged.other"
		"${how[RANDOM % 3]}" || continue
		check_all_sums
		eq "the alias" "$(readlink "$MNT/artifacts/same/keep")" v0
		exists "$MNT/artifacts/same/v0/files/large"
	done
	rm "$T/go"
	wait "${LOGGERS[@]}" || true
	"$LINEAGEFS" gc "$MNT" --keep-last 1 --empty-trash >"$T/out" || fail "gc: $(cat "$T/out")"
	check_all_sums
	for name in same other; do
		i=$(find "$MNT/artifacts/$name" -maxdepth 1 -name 'v[0-9]*' | wc -l)
		[ "$i" -le 2 ] || fail "$name has $i versions"
		exists "$MNT/artifacts/$name/latest/files/large"
	done
	stop_mount
	store_is_clean
	printf 'killed: client %s, daemon %s, alone %s, of %s; runs that logged: %s and %s\n' \
		"${KILLS[@]}" "$tries" "$(wc -l <"$T/all.same")" "$(wc -l <"$T/all.other")" \
		>"${LINEAGEFS_TEST_REPORT:-/dev/null}"
}
