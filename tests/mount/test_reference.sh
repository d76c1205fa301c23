# Links that lead out of a draft. shellcheck shell=bash

references() { # VERSION EXPRESSION over r, by path
	json "$MNT/artifacts/$1/info.json" "(lambda r: $2)({x['path']: x for x in d.get('references', [])})"
}

verify() { # STATUS ARGUMENT…
	local want=$1 rc=0
	shift
	"$LINEAGEFS" verify -m "$MNT" "$@" >"$T/out" 2>"$T/err" || rc=$?
	[ "$rc" = "$want" ] || fail "verify $*: $rc, not $want: $(cat "$T/out" "$T/err")"
}

test_reference_to_files_and_urls() {
	start_mount
	mkdir "$T/data"
	printf 'big\n' >"$T/data/big"
	printf 'small\n' >"$T/data/small"
	mkfifo "$T/data/pipe"
	new_run r
	mkdir -p "$OUT/m/sub"
	ln -s "$T/data/big" "$OUT/m/sub/big"
	ln -s "$T/data/small" "$OUT/m/small"
	ln -s "$T/data/pipe" "$OUT/m/pipe"
	ln -s s3://bucket/key "$OUT/m/url"
	ln -s sub/big "$OUT/m/own"
	ln -s /nowhere/at/all "$OUT/m/nowhere"
	log_now r m
	eq "paths" "$(references m/v0 "' '.join(sorted(r))")" "nowhere pipe small sub/big url"
	eq "digest" "$(references m/v0 "r['sub/big']['digest']")" "sha256:$(sha256sum <"$T/data/big" | cut -c 1-64)"
	eq "size" "$(references m/v0 "r['small']['size']")" 6
	eq "the link" "$(readlink "$MNT/artifacts/m/v0/files/sub/big")" "$T/data/big"
	verify 0 m:v0
	grep -qx "unchanged: sub/big -> $T/data/big" "$T/out" || fail "$(cat "$T/out")"
	grep -qx "2 unchanged, 0 changed, 0 missing, 3 not checked" "$T/out" || fail "$(cat "$T/out")"
	# Touched, it has the bytes it had.
	touch "$T/data/big"
	verify 0 m
	verify 1 --quick m
	printf 'pig\n' >"$T/data/big"
	rm "$T/data/small"
	verify 1 m:latest
	grep -q '^changed: sub/big .*other bytes' "$T/out" || fail "$(cat "$T/out")"
	grep -q '^missing: small ' "$T/out" || fail "$(cat "$T/out")"
	verify 1 --json m:v0
	eq "as JSON" "$("$PYTHON" -c 'import json,sys
print(*sorted(json.loads(l)["state"] for l in open(sys.argv[1])), sep=",")' "$T/out")" \
		"changed,missing,not checked,not checked,not checked"
	# Equal content: what was noted first stays.
	log_now r m
	eq "size of what is gone" "$(references m/v0 "r['small']['size']")" 6
	eq "versions" "$(versions m)" v0
	verify 2
	verify 2 'no such'
	verify 1 m:v7
	end_run r
	remount
	eq "after a remount" "$(references m/v0 "len(r)")" 5
	stop_mount
}

test_reference_to_a_version_is_an_input() {
	start_mount
	quick_version r0 data one
	new_run r1
	mkdir -p "$OUT/m/sub"
	ln -s ../../../../../artifacts/data/latest/files/text "$OUT/m/sub/relative"
	ln -s "$MNT/artifacts/data/v0" "$OUT/m/absolute"
	end_run r1
	exists "$MNT/runs/r1/inputs/data:v0"
	eq "depends on" "$(ls "$MNT/lineage/m:v0/upstream/artifacts")" data:v0
	eq "listed" "$(references m/v0 "r['sub/relative']['artifact'] + ' ' + r['absolute']['artifact']")" "data:v0 data:v0"
	stop_mount
}

test_reference_by_whom() {
	need_root
	start_mount
	mkdir "$T/data"
	printf 'secret\n' >"$T/data/secret"
	chmod 600 "$T/data/secret"
	printf 'group\n' >"$T/data/group"
	chgrp 4242 "$T/data/group"
	chmod 640 "$T/data/group"
	as_user mkdir -p "$MNT/runs/theirs/outputs/m"
	as_user ln -s "$T/data/secret" "$MNT/runs/theirs/outputs/m/secret"
	as_user ln -s "$T/data/group" "$MNT/runs/theirs/outputs/m/group"
	# What the daemon has open is nobody's.
	as_user ln -s /proc/self/environ "$MNT/runs/theirs/outputs/m/environ"
	as_user sh -c "echo m >'$MNT/runs/theirs/log'"
	eq "known" "$(references m/v0 "[k for k in r if 'size' in r[k] or 'digest' in r[k]]")" "[]"
	# With a supplementary group.
	as_user ln -s "$T/data" "$MNT/runs/theirs/outputs/m/again"
	setpriv --reuid="$NOBODY" --regid="$NOBODY" --groups=4242 -- sh -c "echo m >'$MNT/runs/theirs/log'"
	eq "known to a member" "$(references m/v1 "[k for k in r if 'digest' in r[k]]")" "['group']"
	log_now theirs m
	stop_mount
}

test_reference_can_be_stopped_and_limited() {
	start_mount -o reference_hash_mb=1
	truncate -s 2M "$T/large"
	truncate -s 1M "$T/not-so-large"
	new_run r
	mkdir "$OUT/m"
	ln -s "$T/large" "$OUT/m/large"
	ln -s "$T/not-so-large" "$OUT/m/not-so-large"
	log_now r m
	eq "hashed" "$(references m/v0 "[k for k in sorted(r) if 'digest' in r[k]]")" "['not-so-large']"
	eq "size" "$(references m/v0 "r['large']['size']")" 2097152
	remount -o reference_hash_mb=1000000
	OUT=$MNT/runs/r/outputs
	# So long that it is not through before it is stopped.
	truncate -s 900G "$T/endless" || skip "no file that large"
	ln -s "$T/endless" "$OUT/m/endless"
	(echo m >"$MNT/runs/r/log") 2>"$T/err" &
	local writer=$!
	own_pid "$writer"
	wait_until eval '[ "$(json "$MNT/runs/r/info.json" "(d.get(\"logging\") or d.get(\"progress\") or {}).get(\"bytes\", 0)")" -gt 1000000 ]' ||
		fail "no progress: $(cat "$MNT/runs/r/info.json")"
	kill -9 "$writer"
	wait_until gone "$writer"
	wait_until grep -q EINTR "$MNT/runs/r/log" || fail "$(cat "$MNT/runs/r/log")"
	eq "versions" "$(versions m)" v0
	rm "$OUT/m/endless"
	end_run r
	stop_mount
}
