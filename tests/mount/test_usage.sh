# When versions were last used, and how many bytes they hold. shellcheck shell=bash

use() { # RUN VERSION: the run reads a file of it
	mkdir -p "$MNT/runs/$1"
	cat "$MNT/view/$1/$2/files/text" >/dev/null
}

used_after() { # VERSION TIME
	local at
	at=$(stat -c %.9X "$MNT/artifacts/$1")
	awk -v a="$at" -v b="$2" 'BEGIN { exit !(a > b) }'
}

test_access_time_is_the_last_use() {
	local made
	start_mount
	quick_version first m one
	quick_version second m two
	made=$(stat -c %.9Y "$MNT/artifacts/m/v0")
	eq "atime of an unused version" "$(stat -c %.9X "$MNT/artifacts/m/v0")" "$made"
	# Nobody's reading is no use.
	cat "$MNT/artifacts/m/v0/files/text" >/dev/null
	eq "atime after nobody's read" "$(stat -c %.9X "$MNT/artifacts/m/v0")" "$made"
	use reader m/v0
	wait_until used_after m/v0 "$made" || fail "atime does not go forwards"
	eq "mtime" "$(stat -c %.9Y "$MNT/artifacts/m/v0")" "$made"
	eq "atime of another version" "$(stat -c %.9X "$MNT/artifacts/m/v1")" \
		"$(stat -c %.9Y "$MNT/artifacts/m/v1")"
	# A declaration is one as well.
	made=$(stat -c %.9Y "$MNT/artifacts/m/v1")
	ln -s m:v1 "$MNT/runs/reader/inputs/in"
	wait_until used_after m/v1 "$made" || fail "atime of a declared input"
	made=$(stat -c %.9X "$MNT/artifacts/m/v0")
	remount
	eq "atime after a restart" "$(stat -c %.9X "$MNT/artifacts/m/v0")" "$made"
	eq "used in 90 days" "$(find "$MNT"/artifacts/*/v* -maxdepth 0 -atime +90)" ""
	eq "not used after it" "$(find "$MNT"/artifacts/*/v* -maxdepth 0 ! -newerat @"$made" |
		wc -l)" 1
	expect_errno EROFS utime "$MNT/artifacts/m/v0"
}
