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

du_line() { # NAME…: what it says of the last, in bytes
	"$LINEAGEFS" du -b -m "$MNT" "$@" >"$T/du" || fail "du $*"
	awk 'END { print $1, $2, $3, $4 }' "$T/du"
}

# What it says would be free is what goes, to the byte.
test_du_says_what_goes() {
	local before after said
	CHECK=$(dirname "$LINEAGEFS")/tests/bench/check_real
	start_mount
	new_run first
	make_content "$OUT/d"
	random_file "$OUT/d/only-v0" 200001
	end_run first
	new_run second
	make_content "$OUT/d"
	random_file "$OUT/d/only-v1" 300001
	cp "$OUT/d/only-v1" "$OUT/d/sub/the-same"
	end_run second
	quick_version third e small
	eq "v0 alone" "$(du_line d:v0 | cut -d' ' -f3)" 200001
	eq "v1 alone" "$(du_line d:latest | cut -d' ' -f3)" 300001
	eq "lines for one name" "$(wc -l <"$T/du")" 2
	said=$(du_line d)
	eq "all of d" "${said#* }" "0 ${said%% *} d"
	eq "both by name" "$(du_line d:v0 d:v1)" "${said% d} together"
	eq "as JSON" "$("$LINEAGEFS" du --json -m "$MNT" d:v0 d:v1 >"$T/json" &&
		json "$T/json" 'd["together"]["freed"]')" "${said%% *}"
	eq "a small one" "$(du_line e)" "6 0 6 e"
	eq "for people" "$("$LINEAGEFS" du -m "$MNT" d:v0 | awk 'END { print $3 }')" 196K
	stop_mount
	if [ -x "$CHECK" ]; then
		before=$("$CHECK" "$STORE" | cut -d' ' -f2)
		eq "what there is" "$before" $((${said%% *} + 6))
	fi
	start_mount
	rmdir "$MNT/artifacts/d/v0"
	eq "from the trash" "$(du_line d:v0 | cut -d' ' -f3)" 200001
	"$LINEAGEFS" gc "$MNT" --empty-trash >"$T/out" || fail "gc"
	grep -qx 'to free: 1 version, 196K' "$T/out" || fail "gc says $(cat "$T/out")"
	grep -qx 'freed: 1 version, 196K' "$T/out" || fail "gc freed $(cat "$T/out")"
	stop_mount
	if [ -x "$CHECK" ]; then
		after=$("$CHECK" "$STORE") || fail "$after"
		eq "what went" $((before - $(cut -d' ' -f2 <<<"$after"))) 200001
	fi
}

test_du_refuses() {
	start_mount
	quick_version first m one
	fails "$LINEAGEFS" du -m "$MNT" nothing
	grep -q 'there is no nothing' "$T/out" || fail "$(cat "$T/out")"
	fails "$LINEAGEFS" du -m "$MNT" m:v1
	fails "$LINEAGEFS" du -m "$MNT" m:
	grep -q 'names neither' "$T/out" || fail "$(cat "$T/out")"
	fails "$LINEAGEFS" du -m "$MNT"
	fails "$LINEAGEFS" du -m "$T" m
	# Purged, it holds nothing.
	quick_version second m two
	rmdir "$MNT/artifacts/m/v0"
	"$LINEAGEFS" gc "$MNT" --empty-trash >"$T/out"
	fails "$LINEAGEFS" du -m "$MNT" m:v0
}

test_du_is_the_callers() {
	need_root
	share_binary
	start_mount -o allow_other
	new_run first
	printf 'secret\n' >"$OUT/m"
	chmod 600 "$OUT/m"
	log_now first m
	printf 'public\n' >"$OUT/m"
	chmod 644 "$OUT/m"
	log_now first m
	eq "as root" "$(du_line m)" "14 0 14 m"
	fails as_user "$LINEAGEFS" du -b -m "$MNT" m
	grep -q 'm: left out 1 ' "$T/out" || fail "$(cat "$T/out")"
	grep -qE ' 7 +0 +7  m$' "$T/out" || fail "$(cat "$T/out")"
	fails as_user "$LINEAGEFS" du -m "$MNT" m:v0
	grep -q 'may not be read' "$T/out" || fail "$(cat "$T/out")"
	chmod 711 "$MNT/artifacts/m"
	fails as_user "$LINEAGEFS" du -m "$MNT" m
	as_user "$LINEAGEFS" du -m "$MNT" m:v1 >/dev/null || fail "du of what may be read"
	chmod 700 "$MNT/artifacts/m"
	fails as_user "$LINEAGEFS" du -m "$MNT" m:v1
}
