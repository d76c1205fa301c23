# fsck: a store that is not mounted, and one in use. shellcheck shell=bash

# Its output is in $T/fsck; the exit status is as wanted.
fsck_gives() { # STATUS ARGUMENT…
	local want=$1 got=0
	shift
	"$LINEAGEFS" fsck "$@" >"$T/fsck" 2>"$T/fsck.err" || got=$?
	[ "$got" = "$want" ] || fail "fsck $*: $got, not $want: $(cat "$T/fsck" "$T/fsck.err")"
}

log_some() { # RUN
	new_run "$1"
	mkdir "$OUT/m"
	echo "small of $1" >"$OUT/m/small"
	head -c 300000 /dev/urandom >"$OUT/m/large"
	log_now "$1" m
	end_run "$1"
}

# The file of the large blob in a version of m.
blob_of() { # FILE
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	echo "$STORE/blobs/${sum:0:2}/${sum:2}".*
}

test_clean() {
	start_mount
	log_some first
	fsck_gives 0 "$MNT"
	grep -q '^clean: [0-9]* rows$' "$T/fsck" || fail "$(cat "$T/fsck")"
	fsck_gives 0 "$STORE" --deep
	grep -q '^clean: .*, 293K hashed$' "$T/fsck" || fail "$(cat "$T/fsck")"
	fsck_gives 0 --json --repair "$MNT"
	eq "as JSON" "$(json "$T/fsck" 'd["clean"], d["complete"], d["problems"]')" "(True, True, [])"
	stop_mount
	fsck_gives 0 -q "$STORE"
	eq "quiet" "$(cat "$T/fsck" "$T/fsck.err")" ""
	absent "$STORE/quarantine"
}

test_usage() {
	fsck_gives 16
	fsck_gives 16 --nonsense "$STORE"
	fsck_gives 16 "$STORE" "$STORE"
	fsck_gives 8 "$T/nowhere"
	fsck_gives 0 --help
	mkdir "$T/plain"
	fsck_gives 8 "$T/plain"
}

test_stray_files() {
	start_mount
	log_some first
	stop_mount
	echo junk >"$STORE/blobs/junk"
	mkdir -p "$STORE/drafts/not a run/below"
	fsck_gives 4 "$STORE"
	eq "found" "$(grep -c '^found: file-stray: ' "$T/fsck")" 2
	exists "$STORE/blobs/junk"
	fsck_gives 1 --repair "$STORE"
	eq "set aside" "$(grep -c '^quarantined: file-stray: ' "$T/fsck")" 2
	eq "kept" "$(cat "$STORE/quarantine/junk")" junk
	exists "$STORE/quarantine/not a run/below"
	fsck_gives 0 "$STORE"
	start_mount
	check_all_sums
}

test_bytes() {
	local blob
	start_mount
	log_some first
	blob=$(blob_of "$MNT/artifacts/m/v0/files/large")
	stop_mount
	printf x | dd of="$blob" bs=1 seek=150000 conv=notrunc status=none
	fsck_gives 0 "$STORE"
	fsck_gives 4 --deep "$STORE"
	grep -q '^found: blob-bytes: ' "$T/fsck" || fail "$(cat "$T/fsck")"
	fsck_gives 4 --deep --json "$STORE"
	eq "as JSON" "$(json "$T/fsck" 'd["clean"], d["found"], d["problems"][0]["name"]')" \
		"(False, 1, 'blob-bytes')"
}

# A bad file is EIO, from the moment when that is known, and the rest stays readable; who logs the
# same bytes again heals it.
bad_file() { # OPTIONS of the mount
	local blob files
	ALLOWED_LOG='are damaged'
	start_mount "$@"
	log_some first
	files=$MNT/artifacts/m/v0/files
	cp "$files/large" "$files/small" "$T"
	blob=$(blob_of "$T/large")
	stop_mount
	printf x | dd of="$blob" bs=1 seek=150000 conv=notrunc status=none
	start_mount "$@"
	eq "nothing known" "$(json "$MNT/_status.json" 'd["damaged_blobs"]')" 0
	fsck_gives 4 --deep "$MNT"
	grep -q '^found: blob-bytes: ' "$T/fsck" || fail "$(cat "$T/fsck")"
	expect_errno EIO open-read "$files/large"
	same "$files/small" "$T/small"
	eq "status" "$(json "$MNT/_status.json" 'd["damaged_blobs"]')" 1
	eq "info" "$(json "$MNT/artifacts/m/v0/info.json" 'd["damaged"]')" \
		"{'files': 1, 'paths': ['large']}"
	grep -q "$(sha256sum <"$T/large" | cut -d' ' -f1)  large" "$MNT/artifacts/m/v0/SHA256SUMS" ||
		fail "SHA256SUMS has lost the true digest"
	fsck_gives 4 "$MNT"
	grep -q '^found: blob-damaged: ' "$T/fsck" || fail "$(cat "$T/fsck")"
	remount "$@"
	expect_errno EIO open-read "$files/large"
	new_run again
	mkdir "$OUT/m"
	cp "$T/large" "$T/small" "$OUT/m"
	log_now again m
	same "$files/large" "$T/large"
	eq "versions" "$(versions m)" v0
	eq "info" "$(json "$MNT/artifacts/m/v0/info.json" 'd.get("damaged")')" None
	wait_until grep -q '"event":"healed"' "$MNT/events.ndjson" || fail "no event"
	grep -q '"event":"damaged"' "$MNT/events.ndjson" || fail "no event of the damage"
	"$LINEAGEFS" audit -m "$MNT" >"$T/audit" || fail "$(cat "$T/audit")"
	fsck_gives 0 --deep "$MNT"
	wait_until test ! -e "$blob" || fail "the bad bytes are still there"
	stop_mount
	fsck_gives 0 --deep "$STORE"
}

test_bad_file() {
	bad_file
}

test_bad_file_without_passthrough() {
	bad_file -o passthrough=no
}

# The background finds it by itself.
test_scrub() {
	local blob
	ALLOWED_LOG='are damaged'
	start_mount -o scrub_mb=0
	log_some first
	blob=$(blob_of "$MNT/artifacts/m/v0/files/large")
	stop_mount
	printf x | dd of="$blob" bs=1 seek=150000 conv=notrunc status=none
	start_mount -o scrub_mb=0
	eq "off" "$(json "$MNT/_status.json" 'd["scrub"]["bytes_a_second"], d["scrub"]["round_started_at"]')" \
		"(0, None)"
	remount -o scrub_mb=100
	wait_until eval '[ "$(json "$MNT/_status.json" "d[\"damaged_blobs\"]")" = 1 ]' ||
		fail "the scrub has not found it"
	expect_errno EIO open-read "$MNT/artifacts/m/v0/files/large"
}

# While others log, a store is right at every moment.
test_beside_logging() {
	local i
	start_mount
	log_some first
	(
		for ((i = 0; ; i++)); do
			[ ! -e "$T/enough" ] || exit 0
			mkdir "$MNT/runs/busy-$i" "$MNT/runs/busy-$i/outputs/b"
			echo "$i" >"$MNT/runs/busy-$i/outputs/b/n"
			head -c 100000 /dev/urandom >"$MNT/runs/busy-$i/outputs/b/large"
			ln -s m:v0 "$MNT/runs/busy-$i/inputs/in"
			echo b >"$MNT/runs/busy-$i/log"
			echo finished >"$MNT/runs/busy-$i/state"
			[ $((i % 3)) != 1 ] || rmdir "$MNT/artifacts/b/v$((i - 1))"
		done
	) &
	own_pid $!
	for ((i = 0; i < 15; i++)); do
		fsck_gives 0 "$MNT" --deep
		fsck_gives 0 "$MNT" --repair
	done
	touch "$T/enough"
	wait $! || fail "logging failed"
	[ -e "$MNT/runs/busy-3" ] || fail "next to nothing was logged"
	fsck_gives 0 "$MNT" --deep
	absent "$STORE/quarantine"
	stop_mount
	fsck_gives 0 --deep "$STORE"
}

test_owner_only() {
	need_root
	share_binary
	start_mount -o allow_other
	log_some first
	got=0
	as_user "$LINEAGEFS" fsck "$MNT" >"$T/fsck" 2>&1 || got=$?
	eq "another user" "$got $(cat "$T/fsck")" \
		"8 lineagefs fsck: only root and the owner of the store may do that"
}

test_interrupted() {
	start_mount
	log_some first
	# A status of its own, whether it has begun or not.
	"$LINEAGEFS" fsck "$MNT" >"$T/fsck" 2>&1 &
	kill -INT $! 2>/dev/null || true
	got=0
	wait $! || got=$?
	case $got in 0 | 32 | 130) ;; *) fail "interrupted: $got" ;; esac
	answers || fail "the mount is gone"
}
