# Bad input has a line in the daemon's log; what is asked as a matter of course has none.
# shellcheck shell=bash

# The lines since the last call.
new_lines() {
	local all
	all=$(grep -c 'info: refused: ' "$LOG" || true)
	grep 'info: refused: ' "$LOG" | tail -n +$((SEEN + 1)) >"$T/lines" || true
	SEEN=$all
}
SEEN=0

says() { # PATTERN of the one new line
	new_lines
	eq "lines of the log" "$(wc -l <"$T/lines")" 1
	grep -qE "$1" "$T/lines" || fail "the log says '$(cat "$T/lines")', not $1"
}

test_has_a_line() {
	start_mount
	quick_version r a text
	new_run s
	expect_errno EINVAL mkdir "$MNT/runs/bad name"
	says "mkdir 'bad name' at runs .* by uid $(id -u), pid [1-9][0-9]*: EINVAL"
	expect_errno EINVAL mkdir "$MNT/artifacts/$(printf '%0200d' 0)"
	says "mkdir '0000*\.\.\.' at artifacts .*: EINVAL"
	expect_errno ENAMETOOLONG mkdir "$OUT/$(printf '%0300d' 0)"
	says "'0000*\.\.\.' at outputs .*: ENAMETOOLONG"
	expect_errno EINVAL write "$MNT/runs/s/state" $'bogus\n'
	says "write 'bogus.*' at state .*: EINVAL"
	expect_errno EINVAL symlink nonsense "$MNT/runs/s/inputs/x"
	says "symlink 'x' with 'nonsense' at inputs .*: EINVAL"
	expect_errno ENOENT symlink a:v9 "$MNT/runs/s/inputs/x"
	says "symlink 'x' with 'a:v9' at inputs .*: ENOENT"
	mkdir "$OUT/d" "$OUT/e"
	echo x >"$OUT/d/f"
	expect_errno EXDEV rename "$OUT/d/f" "$OUT/e/f"
	says "rename 'f' with 'f' at draft .*: EXDEV"
	# A name cannot make a line of its own.
	expect_errno EINVAL mkdir "$MNT/runs/"$'a\ninfo: refused: b'
	says "mkdir 'a.x0ainfo: refused: b' at runs"
}

test_sealed_has_a_line() {
	need_root
	start_mount
	quick_version r a text
	expect_errno EROFS mkdir "$MNT/artifacts/a/v0/files/new"
	says "mkdir 'new' at files .*: EROFS"
	expect_errno EROFS unlink "$MNT/artifacts/a/v0/files/text"
	says "unlink 'text' at files .*: EROFS"
}

test_has_none() {
	start_mount
	quick_version r a text
	expect_errno EEXIST mkdir "$MNT/runs/r"
	expect_errno ENOENT unlink "$MNT/runs/s"
	fails cat "$MNT/artifacts/b"
	fails cat "$MNT/artifacts/a/v0/files/$(printf '%0200d' 0)"
	new_lines
	eq "lines" "$(cat "$T/lines")" ""
}

# Each is a line, or is counted in one.
test_not_too_many() {
	local lines left_out
	start_mount
	"$PYTHON" - "$MNT/runs" <<-'END'
		import os, sys
		for i in range(3000):
		    try:
		        os.mkdir(f"{sys.argv[1]}/bad name {i}")
		    except OSError:
		        pass
	END
	stop_mount
	lines=$(grep -c 'info: refused: ' "$LOG")
	left_out=$(sed -n 's/.*info: \([0-9]*\) more requests were refused/\1/p' "$LOG" |
		awk '{ n += $1 } END { print n + 0 }')
	eq "refusals in the log" $((lines + left_out)) 3000
	[ "$lines" -lt 3000 ] && [ "$lines" -ge 20 ] || fail "$lines lines"
}
