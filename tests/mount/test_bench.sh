# The benchmarks run through, in miniature. No figure of theirs is looked at.

test_rows_run_and_nothing_is_left() {
	local loops row
	need_root
	need losetup mkfs.ext4 openssl
	losetup --find >"$T/free" 2>&1 || skip "no loop devices"
	mkdir "$T/helpers"
	"${CC:-cc}" -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -pthread \
		-o "$T/helpers/io" "$HERE/../bench/io.c"
	loops=$(losetup --list --noheadings --output BACK-FILE | grep -cF "$T" || true)
	eq "loop devices before" "$loops" 0
	for row in read-random log-large finish-one; do
		TMPDIR=$T "$PYTHON" "$HERE/../bench/run" --quick --program "$LINEAGEFS" \
			--helpers "$T/helpers" "$row" >"$T/out" 2>&1 || fail "$row: $(tail -n 1 "$T/out")"
		grep -qE "^\| \*\*$row\*\*" "$T/out" || fail "$row is not in the table"
		grep -qE '^\| .* \| [0-9.]+ m?s \| [0-9.]+ m?s \| \*\*[0-9.]+\*\*' "$T/out" ||
			fail "$row: no ratio: $(tail -n 20 "$T/out")"
		eq "left after $row" "$(find "$T" -maxdepth 1 -name 'lineagefs-bench.*')" ""
		eq "mounts after $row" "$(grep -cF "$T" /proc/self/mountinfo || true)" 0
		loops=$(losetup --list --noheadings --output BACK-FILE | grep -cF "$T" || true)
		eq "loop devices after $row" "$loops" 0
	done
	# Whoever is stopped leaves nothing either.
	TMPDIR=$T "$PYTHON" "$HERE/../bench/run" --quick --program "$LINEAGEFS" \
		--helpers "$T/helpers" write-sequential >"$T/out" 2>&1 &
	row=$!
	own_pid "$row"
	wait_until grep -qF "$T/lineagefs-bench" /proc/self/mountinfo || fail "mounts nothing"
	kill "$row"
	wait "$row" && fail "was not stopped"
	eq "left" "$(find "$T" -maxdepth 1 -name 'lineagefs-bench.*')" ""
	eq "mounts" "$(grep -cF "$T" /proc/self/mountinfo || true)" 0
}
