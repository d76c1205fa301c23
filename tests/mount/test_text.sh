# Small texts that are written: `type` and `description` of a collection.
# shellcheck shell=bash

setup() {
	start_mount
	C=$MNT/artifacts/c
	mkdir "$C"
	echo dataset >"$C/type"
	echo 'what it is' >"$C/description"
}

# A shell opens with O_TRUNC and closes a spare descriptor before it writes.
test_refused_text_leaves_the_old_one() {
	local shell
	setup
	for shell in bash sh "$PYTHON"; do
		case $shell in
		*python*) fails "$shell" -c "with open('$C/type', 'w') as f: f.write('bad type!')" ;;
		*) fails "$shell" -c "printf 'bad type!' >'$C/type'" ;;
		esac
		eq "type after $shell" "$(cat "$C/type")" dataset
	done
	expect_errno EINVAL write "$C/type" 'bad type!'
	eq "type" "$(cat "$C/type")" dataset
	remount
	eq "type" "$(cat "$C/type")" dataset
}

text_is() { # FILE TEXT
	[ "$(cat "$1")" = "$2" ]
}

test_texts_are_emptied() {
	setup
	: >"$C/description"
	eq "description" "$(cat "$C/description")" ""
	echo again >"$C/description"
	eq "description" "$(cat "$C/description")" again
	# Not by a shell: the kernel sends the release after close(2) has returned.
	"$PYTHON" -c "open('$C/description', 'w')"
	wait_until text_is "$C/description" "" || fail "the description stays"
	: >"$C/type"
	remount
	eq "description" "$(cat "$C/description")" ""
	eq "type" "$(cat "$C/type")" ""
}

# What truncate(2) and ftruncate(2) leave is the text.
test_truncated_texts() {
	setup
	expect_errno OK truncate "$C/description" 4
	eq "description" "$(cat "$C/description")" what
	echo 'a very long description' >"$C/description"
	"$PYTHON" - "$C/description" <<'END' || fail "rewriting in place"
import os, sys
with open(sys.argv[1], "r+") as f:
    f.write("short\n")
    f.truncate()
    assert os.fstat(f.fileno()).st_size == 6
END
	eq "description" "$(cat "$C/description")" short
	quiet truncate -s 0 "$C/description"
	eq "size" "$(stat -c %s "$C/description")" 0
	# What is no text is refused, and changes nothing.
	expect_errno EINVAL truncate "$C/type" 20
	expect_errno EFBIG truncate "$C/type" 2000000
	eq "type" "$(cat "$C/type")" dataset
	new_run r
	expect_errno OK truncate "$MNT/runs/r/state" 0
	eq "state" "$(cat "$MNT/runs/r/state")" running
}
