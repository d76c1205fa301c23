# Mounting, refusing to mount, and ending.
# shellcheck shell=bash

# A mount that must fail: exit status not 0, one plain sentence that matches, nothing mounted.
refused() { # PATTERN ARGUMENT…
	local pattern=$1 rc=0 before
	shift
	before=$(grep -cF "$T/" /proc/self/mountinfo || true)
	timeout 30 "$LINEAGEFS" mount "$@" >"$T/out" 2>&1 </dev/null || rc=$?
	[ "$rc" != 0 ] && [ "$rc" != 124 ] || fail "exit $rc of: mount $*"
	[ "$rc" -lt 128 ] || fail "died of a signal: mount $*"
	grep -qiE "$pattern" "$T/out" || fail "mount $*: says '$(head -n 2 "$T/out")', not $pattern"
	eq "mounts after 'mount $*'" "$(grep -cF "$T/" /proc/self/mountinfo || true)" "$before"
}

test_background() {
	local out pids pid
	mkdir "$MNT"
	# Substitution ends when nobody holds the pipe: a daemon that kept it would hang here.
	out=$("$LINEAGEFS" mount "$STORE" "$MNT" 2>&1)
	exists "$MNT/README" "$MNT/_status.json"
	eq "what mount says" "$out" ""
	pids=$(daemon_pids)
	[ -n "$pids" ] || fail "no daemon in the background"
	for pid in $pids; do
		own_pid "$pid"
	done
	unmount
	for pid in $pids; do
		wait_until gone "$pid" || fail "the daemon does not end"
	done
	# It has let go of the store.
	start_mount
}

test_twice_in_a_row() {
	local i
	for i in 1 2 3 4 5; do
		start_mount
		stop_mount
	done
}

test_store_in_use() {
	start_mount
	mkdir "$T/other"
	refused 'in use|busy|another' "$STORE" "$T/other" -f
	# The first is not disturbed.
	new_run r
}

test_not_a_store() {
	mkdir -p "$STORE" "$MNT"
	echo precious >"$STORE/file"
	refused 'not (a|an empty).*store|no.*store|not empty' "$STORE" "$MNT" -f
	eq "what was there" "$(ls -A "$STORE")" file
	refused 'not a dir|store' "$STORE/file" "$MNT" -f
	refused 'no such|missing|not exist|store' "$T/nowhere/below/store" "$MNT" -f
}

test_empty_directory_becomes_a_store() {
	mkdir "$STORE"
	start_mount
	exists "$STORE/lineagefs-store"
}

# Where one run's drafts were, the next one's would be slow to make.
test_drafts_are_spread_over_the_disk() {
	need chattr lsattr
	mkdir "$T/probe"
	chattr +T "$T/probe" 2>/dev/null || skip "no such flag on this filesystem"
	start_mount
	lsattr -d "$STORE/drafts" | grep -q '^[^ ]*T' || fail "$(lsattr -d "$STORE/drafts")"
}

test_newer_schema() {
	start_mount
	stop_mount
	echo 'lineagefs store 999' >"$STORE/lineagefs-store"
	refused 'newer|schema|version' "$STORE" "$MNT" -f
	echo 'nonsense' >"$STORE/lineagefs-store"
	refused 'store' "$STORE" "$MNT" -f
}

test_no_permission() {
	need_root
	mkdir -p "$MNT"
	mkdir -m 700 "$STORE"
	share_binary
	if as_user "$LINEAGEFS" mount "$STORE" "$MNT" -f >"$T/out" 2>&1; then
		fail "mounted another user's store"
	fi
	grep -qiE 'permission|denied|access' "$T/out" || fail "says '$(head -n 2 "$T/out")'"
}

test_mountpoint() {
	refused 'no such|missing|not exist' "$STORE" "$T/nowhere" -f
	echo x >"$T/file"
	refused 'not a dir' "$STORE" "$T/file" -f
	start_mount
	refused 'busy|already|in use|mounted' "$T/store2" "$MNT" -f
	exists "$MNT/README"
}

test_bad_options() {
	mkdir "$MNT"
	refused 'nosuchoption' "$STORE" "$MNT" -f -o nosuchoption
	refused 'nosuchoption' "$STORE" "$MNT" -f -o allow_other,nosuchoption=1
	refused 'threads' "$STORE" "$MNT" -f -o threads=many
	refused 'threads' "$STORE" "$MNT" -f -o threads=0
	refused 'usage|mount' "$STORE"
	refused 'usage|--nonsense|option' "$STORE" "$MNT" --nonsense
	refused 'nowhere.ini' "$STORE" "$MNT" -f -c "$T/nowhere.ini"
	absent "$STORE/kv"
}

test_read_only() {
	start_mount
	quick_version r a text
	stop_mount
	start_mount -o ro
	eq "text" "$(cat "$MNT/artifacts/a/v0/files/text")" text
	expect_errno EROFS mkdir "$MNT/runs/other"
	stop_mount
}

test_bad_ini() {
	mkdir "$MNT"
	printf '[mount]\nthreads = 4\nthis is no line\n' >"$T/bad.ini"
	refused 'bad.ini:3' "$STORE" "$MNT" -f -c "$T/bad.ini"
	printf '; comment\n[mount]\n\nnosuchkey = 1\n' >"$T/bad.ini"
	refused 'bad.ini:4.*nosuchkey|nosuchkey.*bad.ini:4' "$STORE" "$MNT" -f -c "$T/bad.ini"
	printf '[mount]\nthreads = -3\n' >"$T/bad.ini"
	refused 'bad.ini:2' "$STORE" "$MNT" -f -c "$T/bad.ini"
	printf '[elsewhere]\nthreads = 3\n' >"$T/bad.ini"
	refused 'bad.ini:[12]' "$STORE" "$MNT" -f -c "$T/bad.ini"
	# The command line does not excuse it.
	refused 'bad.ini' "$STORE" "$MNT" -f -c "$T/bad.ini" -o threads=4
}

test_good_ini() {
	printf '# a comment\n[mount]\nthreads = 3\ncache_mb=16\nlog_level = info\n' >"$T/good.ini"
	start_mount -c "$T/good.ini" -o threads=2
	quick_version r a text
	stop_mount
	# The command line wins.
	start_mount -c "$T/good.ini" -o log_file="$T/elsewhere.log"
	stop_mount
	start_mount -o rw,nosuid,nodev,noatime
}

test_umount() {
	start_mount
	new_run r
	stop_mount
	! is_mounted "$MNT" || fail "still mounted"
	eq "what is left at the mountpoint" "$(ls -A "$MNT")" ""
}

test_fusermount() {
	start_mount
	new_run r
	fusermount3 -u "$MNT"
	daemon_ends
}

test_sigterm() {
	start_mount
	new_run r
	kill -TERM "$DAEMON"
	daemon_ends
	! is_mounted "$MNT" || fail "still mounted"
	start_mount
	exists "$MNT/runs/r"
}

test_sigint() {
	start_mount
	new_run r
	kill -INT "$DAEMON"
	daemon_ends
	! is_mounted "$MNT" || fail "still mounted"
	start_mount
	exists "$MNT/runs/r"
}

test_sighup_of_a_closed_terminal() {
	start_mount
	new_run r
	kill -HUP "$DAEMON"
	# Either it goes on or it ends cleanly.
	if wait_until eval "gone $DAEMON || [ -e $MNT/runs/r ]" && alive "$DAEMON"; then
		return 0
	fi
	daemon_ends
}

# A busy mount refuses umount and works on.
test_umount_busy() {
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo x >"$OUT/d/f"
	hold write "$OUT/d/f"
	fails unmount
	exists "$OUT/d/f"
	let_go
	end_run r
}

test_relative_paths() {
	mkdir "$MNT"
	cd "$T"
	env --default-signal=INT "$LINEAGEFS" mount store mnt -f </dev/null >>"$LOG" 2>&1 &
	DAEMON=$!
	own_pid "$DAEMON"
	wait_until answers || fail "does not mount"
	quick_version r a text
	exists "$STORE/kv"
	stop_mount
}

test_as_ordinary_user() {
	need_root
	need unshare
	[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-user-id"
	with_open_fuse mount_as_ordinary_user
}

mount_as_ordinary_user() {
	share_binary
	mkdir "$T/user"
	chown "$NOBODY" "$T/user"
	STORE=$T/user/store
	MNT=$T/user/mnt
	as_user mkdir "$MNT"
	setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups -- \
		"$LINEAGEFS" mount "$STORE" "$MNT" -f </dev/null >>"$LOG" 2>&1 &
	DAEMON=$!
	own_pid "$DAEMON"
	wait_until eval "is_mounted '$MNT' || gone $DAEMON"
	is_mounted "$MNT" || fail "does not mount: $(tail -n 2 "$LOG")"
	as_user bash -euc 'cd "$1"; mkdir runs/r; echo text >runs/r/outputs/a
		head -c 100000 /dev/zero >runs/r/outputs/b; chmod 444 runs/r/outputs/b
		echo finished >runs/r/state; cat artifacts/a/v0/files/a' - "$MNT" >"$T/out" 2>&1 ||
		fail "as an ordinary user: $(tail -n 1 "$T/out")"
	eq "what it reads back" "$(cat "$T/out")" text
	as_user fusermount3 -u "$MNT"
	daemon_ends
}

test_help() {
	quiet "$LINEAGEFS" --help
	grep -q mount "$T/out" || fail "--help does not name mount"
	fails "$LINEAGEFS" nosuchcommand
	fails "$LINEAGEFS"
}

# Nothing of the daemon's gets the number of a standard stream, to be lost when those are let go.
test_started_with_closed_streams() {
	local pid
	mkdir -p "$MNT" "$T/second"
	"$LINEAGEFS" mount "$STORE" "$MNT" -o log_file="$LOG" <&- >&- 2>&- ||
		fail "does not mount: $(tail -n 3 "$LOG")"
	pid=$(daemon_pids)
	own_pid "$pid"
	eq "streams" "$(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | uniq)" \
		/dev/null
	fails "$LINEAGEFS" mount "$STORE" "$T/second" -f
	quick_version r d text
	unmount
	wait_until gone "$pid" || fail "the daemon does not end"
	grep -q 'is unmounted' "$LOG" || fail "the log was lost"
	start_mount
	eq "content" "$(cat "$MNT/artifacts/d/v0/files/text")" text
}

# A lazily unmounted daemon lives as long as somebody uses it; what is mounted there by then is not
# its to unmount.
test_end_of_a_mount_that_was_replaced() {
	local first second
	need_root
	start_mount
	quick_version r d text
	first=$DAEMON
	hold read "$MNT/artifacts/d/v0/files/text"
	umount -l "$MNT"
	STORE=$T/other
	start_mount
	new_run here
	second=$DAEMON
	kill -TERM "$first"
	DAEMON=$first
	daemon_ends
	DAEMON=$second
	answers || fail "the other mount is gone"
	exists "$MNT/runs/here"
}
