# What takes long for one user does not hold up the others. The copy that a logged file gets before
# it is written on has a spare name in the store while it is made: that is how a test knows.
# shellcheck shell=bash

big_logged_files() { # COUNT
	local i
	start_mount -o threads=2
	new_run other
	new_run r
	mkdir "$OUT/d"
	random_file "$T/random" 80000000
	for ((i = 0; i < $1; i++)); do
		cp "$T/random" "$OUT/d/$i"
		echo "$i" >>"$OUT/d/$i"
	done
	log_now r d
}

is_copying() {
	compgen -G "$STORE/drafts/spare.*" >/dev/null
}

copying_or_gone() {
	is_copying || gone "$1"
}

# It waits for the daemon.
asks_or_gone() {
	[ "$(cat "/proc/$1/wchan" 2>/dev/null)" = request_wait_answer ] || gone "$1"
}

# As many copies as there are threads for requests.
test_others_are_answered_during_a_copy() {
	local i first second spare
	big_logged_files 4
	for ((i = 0; i < 4; i += 2)); do
		"$SYS" open-write "$OUT/d/$i" >"$T/first" &
		first=$!
		own_pid "$first"
		wait_until copying_or_gone "$first"
		spare=$(compgen -G "$STORE/drafts/spare.*" | head -n 1)
		"$SYS" open-write "$OUT/d/$((i + 1))" >"$T/second" &
		second=$!
		own_pid "$second"
		wait_until asks_or_gone "$second" || skip "/proc does not say what is waited for"
		cat "$MNT/runs/other/state" >"$T/state"
		if [ -n "$spare" ] && [ -e "$spare" ]; then
			wait "$first" "$second"
			eq "opening" "$(cat "$T/first" "$T/second")" $'OK\nOK'
			return 0
		fi
		wait "$first" "$second"
	done
	fail "nobody was answered before a copy was done"
}

test_truncate_is_patient_too() {
	big_logged_files 1
	expect_errno OK truncate "$OUT/d/0" 50000000
	head -c 50000000 "$T/random" | cmp - "$OUT/d/0"
	expect_errno OK write "$OUT/d/0" x
	eq "content" "$(cat "$OUT/d/0")" x
	check_all_sums
}

# Who wanted the copy is killed: it is not made to its end, and the file stays shared.
test_a_copy_ends_with_its_caller() {
	local i opener
	big_logged_files 4
	for ((i = 0; i < 4; i++)); do
		"$SYS" open-write "$OUT/d/$i" >"$T/out" &
		opener=$!
		own_pid "$opener"
		wait_until copying_or_gone "$opener"
		kill -9 "$opener" 2>/dev/null || true
		wait "$opener" 2>/dev/null || true
		if [ "$(stat -c %h "$STORE"/drafts/*/d/"$i")" = 2 ]; then
			echo more >>"$OUT/d/$i"
			eq "size" "$(stat -c %s "$OUT/d/$i")" 80000007
			check_all_sums
			return 0
		fi
	done
	fail "every copy was made to its end"
}
