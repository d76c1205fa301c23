# EBUSY while somebody writes, and never once the last writer has closed.
# shellcheck shell=bash

busy_with() { # MODE SIZE
	start_mount
	new_run r
	mkdir "$OUT/model"
	head -c "$2" /dev/zero | tr '\0' w >"$OUT/model/w.bin"
	echo other >"$OUT/model/other"
	mkdir "$OUT/free"
	echo x >"$OUT/free/f"
	hold "$1" "$OUT/model/w.bin"
	expect_errno EBUSY write "$MNT/runs/r/log" $'model\n'
	grep -q '^error: model: EBUSY: .*model/w\.bin' "$MNT/runs/r/log" ||
		fail "log says '$(cat "$MNT/runs/r/log")'"
	absent "$MNT/artifacts/model/v0"
	# Another draft is not in its way.
	log_now r free
	poke
	expect_errno EBUSY write "$MNT/runs/r/log" $'model\n'
	let_go
	log_now r model
	eq "what was written" "$(head -c 1 "$MNT/artifacts/model/v0/files/w.bin")" '!'
	# And the same when its bytes are shared with v0.
	hold "$1" "$OUT/model/w.bin"
	expect_errno EBUSY write "$MNT/runs/r/state" $'finished\n'
	let_go
	end_run r
	check_all_sums
}

test_open_writer() {
	busy_with write 1000
}

test_open_writer_of_a_large_file() {
	busy_with write 500000
}

test_mapped_writer() {
	busy_with mmap 5000
}

test_mapped_writer_of_a_large_file() {
	busy_with mmap 500000
}

test_forked_child() {
	busy_with fork 1000
}

test_forked_child_of_a_large_file() {
	busy_with fork 500000
}

test_readers_do_not_matter() {
	start_mount
	new_run r
	mkdir "$OUT/model"
	seq 100000 >"$OUT/model/w.bin"
	hold read "$OUT/model/w.bin"
	log_now r model
	let_go
	hold read "$MNT/artifacts/model/v0/files/w.bin"
	echo more >>"$OUT/model/w.bin"
	end_run r
	let_go
	eq "versions" "$(versions model)" "v0 v1"
	check_all_sums
}

# A file that is open for writing and has no name any more is in no version's way.
test_unlinked_writer() {
	start_mount
	new_run r
	mkdir "$OUT/model"
	echo x >"$OUT/model/kept"
	echo x >"$OUT/model/gone"
	hold write "$OUT/model/gone"
	rm "$OUT/model/gone"
	log_now r model
	eq "files" "$(ls "$MNT/artifacts/model/v0/files")" kept
	let_go
}

never_busy() { # [LOAD]
	local loops=${LINEAGEFS_TEST_LOOPS:-300} got
	start_mount
	new_run r
	mkdir "$OUT/model"
	if [ "${1:-}" = load ]; then
		new_run load
		mkdir "$OUT/load"
		(while :; do cat "$LINEAGEFS" >"$OUT/load/f"; done) 2>/dev/null &
		LOAD=$!
		own_pid "$LOAD"
	fi
	got=$("$SYS" relog "$MNT/runs/r" model "$loops") ||
		fail "$got: $(cat "$MNT/runs/r/log")"
	if [ "${1:-}" = load ]; then
		kill "$LOAD"
		wait "$LOAD" 2>/dev/null || true
	fi
	eq "versions" "$(find "$MNT/artifacts/model" -maxdepth 1 -name 'v*' | wc -l)" "$loops"
}

test_never_after_close() {
	never_busy
}

test_never_after_close_under_load() {
	never_busy load
}

# The shell's way: a child writes and ends, and the next command logs.
test_never_after_a_child() {
	local i loops=${LINEAGEFS_TEST_LOOPS:-300}
	start_mount
	new_run r
	mkdir "$OUT/model"
	for ((i = 0; i < 50; i++)); do
		seq "$i" 30000 | cat >"$OUT/model/large"
		cp "$OUT/model/large" "$OUT/model/copy"
		log_now r model
	done
	eq "latest" "$(readlink "$MNT/artifacts/model/latest")" v49
}

# A log asks the kernel who writes, which for a moment keeps writers out: they do not notice.
test_opening_while_it_is_logged() {
	local i loops=${LINEAGEFS_TEST_LOOPS:-300}
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo 0 >"$OUT/d/f"
	(
		until [ -e "$T/enough" ]; do
			printf 'd\n' >"$MNT/runs/r/log" || true
		done
	) 2>/dev/null &
	own_pid $!
	for ((i = 0; i < 20 * loops; i++)); do
		echo "$i" >>"$OUT/d/f" || fail "opening number $i"
	done
	touch "$T/enough"
	wait "$!"
	end_run r
	check_all_sums
}
