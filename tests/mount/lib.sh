# lib.sh - what a mount test uses. Sourced by `run --one` before the test file, never by hand.
#
# A test is a function test_xxx of a test_*.sh file. It runs in a process of its own, under `set
# -e`, with these set: T (its empty folder, anybody may read it), STORE, MNT, LOG (paths in T, the
# store and the mountpoint not made yet), LINEAGEFS (the binary), SYS and POSIX (sys.c and posix.c
# built), PYTHON, HERE (the folder of the tests). What it starts it must name to own_pid; the runner ends that and unmounts what is
# below T. shellcheck shell=bash

MNT=${T:?}/mnt
STORE=$T/store
LOG=$T/daemon.log
DAEMON=
# Lines of the daemon's log that a test provokes on purpose, as an extended regular expression.
ALLOWED_LOG=
NOBODY=65534

# --- saying what is wrong ---

# The first reason is the one that is shown; later ones are consequences.
reason() {
	[ -e "$T/reason" ] || printf '%s' "$*" | tr '\n' ' ' | cut -c 1-400 >"$T/reason"
	printf 'reason: %s\n' "$*" >&2
}

fail() {
	reason "$*"
	exit 1
}

skip() {
	printf '%s\n' "$*" >"$T/skip"
	exit 77
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

# --- asking ---

eq() { # WHAT GOT WANT
	[ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

same() { # FILE FILE
	cmp "$1" "$2" >"$T/cmp" 2>&1 || fail "$(cat "$T/cmp")"
}

exists() {
	local path
	for path; do
		[ -e "$path" ] || fail "missing: $path"
	done
}

absent() {
	local path
	for path; do
		[ ! -e "$path" ] && [ ! -L "$path" ] || fail "should not exist: $path"
	done
}

# Runs a command that must succeed and say nothing on standard error; its output goes to $T/out.
quiet() {
	local rc=0
	"$@" >"$T/out" 2>"$T/err" || rc=$?
	[ "$rc" = 0 ] || fail "exit $rc of: $*: $(head -n 3 "$T/err")"
	[ ! -s "$T/err" ] || fail "$*: $(head -n 3 "$T/err")"
}

# Runs a command that must fail; its output and errors go to $T/out.
fails() {
	if "$@" >"$T/out" 2>&1; then
		fail "did not fail: $*"
	fi
}

# As another user than root; needs root.
as_user() {
	setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups -- env HOME="$T" "$@"
}

# The binary where another user may run it: a clone in /root is not.
share_binary() {
	[ "$LINEAGEFS" = "$T/lineagefs" ] || install -m 755 "$LINEAGEFS" "$T/lineagefs"
	LINEAGEFS=$T/lineagefs
}

# Runs a function of the test's file in a mount namespace of its own, in which anybody may open
# /dev/fuse; needs root.
with_open_fuse() { # FUNCTION
	local rc=0
	mknod -m 666 "$T/fuse" c 10 229 || skip "no device nodes here"
	unshare -m sh -c 'mount --bind "$1" /dev/fuse && shift && exec "$@"' - "$T/fuse" \
		"$here/run" --one "${BASH_SOURCE[1]}" "$1" "$T" || rc=$?
	[ "$rc" = 0 ] || exit "$rc"
}

# expect_errno NAME[|NAME…] OP ARGUMENT… : OP is one of sys.c; OK is the name of success.
expect_errno() {
	local want=$1 got
	shift
	# Others than root meet the mode bits of what is sealed before they meet us.
	[ "$(id -u)" = 0 ] || want=${want/EROFS/EROFS|EACCES}
	got=$("${AS[@]}" "$SYS" "$@" || true)
	[[ "|$want|" == *"|$got|"* ]] || fail "$*: $got, not $want"
}

expect_errno_as_user() {
	local AS=(as_user)
	expect_errno "$@"
}
AS=()

json() { # FILE EXPRESSION over d
	"$PYTHON" -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}

# wait_until COMMAND… : polls for at most 20 s.
wait_until() {
	local i
	for ((i = 0; i < 1000; i++)); do
		if "$@"; then
			return 0
		fi
		sleep 0.02
	done
	return 1
}

# --- processes ---

start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) }
	set -- $stat
	printf '%s\n' "${20}"
}

# Remembers a process with its start time, so that nobody else's is ever ended in its place.
own_pid() {
	printf '%s %s\n' "$1" "$(start_time "$1" || echo gone)" >>"$T/pids"
}

alive() {
	local state
	state=$(cut -d')' -f2 "/proc/$1/stat" 2>/dev/null) || return 1
	[ "${state:1:1}" != Z ]
}

gone() {
	! alive "$1"
}

# Holds a file open: see `sys hold`. Sets HOLDER to the process that holds it.
hold() { # MODE FILE
	local ready
	ready=$(mktemp -u "$T/ready.XXXXXX")
	"$SYS" hold "$1" "$2" "$ready" >&2 &
	own_pid $!
	wait_until test -e "$ready" || fail "cannot hold $2 ($1)"
	HOLDER=$(cat "$ready")
	HOLDER_READY=$ready
	own_pid "$HOLDER"
}

# Returns when the kernel has closed what the holder had open.
let_go() {
	kill "$HOLDER"
	wait_until gone "$HOLDER" || fail "holder $HOLDER does not end"
	wait "$HOLDER" 2>/dev/null || true
}

# Makes the holder write one byte now.
poke() {
	rm -f "$HOLDER_READY.poked"
	kill -USR1 "$HOLDER"
	wait_until eval "[ -e '$HOLDER_READY.poked' ] || gone $HOLDER"
}

# --- the mount ---

is_mounted() {
	awk -v dir="$1" '$5 == dir { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# Asks for what the kernel does not keep: a dead mount still knows its README.
answers() {
	is_mounted "$MNT" && cat "$MNT/_status.json" >/dev/null 2>&1
}

# Mounts $STORE at $MNT and returns when it answers; 1 when the daemon ended before that.
try_mount() { # [OPTION…]
	mkdir -p "$MNT"
	# A shell makes what it starts in the background deaf to SIGINT.
	env --default-signal=INT,QUIT "$LINEAGEFS" mount "$STORE" "$MNT" -f "$@" \
		</dev/null >>"$LOG" 2>&1 &
	DAEMON=$!
	own_pid "$DAEMON"
	if wait_until eval "answers || gone $DAEMON" && answers; then
		return 0
	fi
	wait "$DAEMON" || true
	return 1
}

start_mount() {
	try_mount "$@" || fail "does not mount: $(tail -n 3 "$LOG")"
}

# Daemons of this mountpoint that went to the background, by their command line.
daemon_pids() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		if tr '\0' '\n' <"$file" 2>/dev/null | grep -qxF "$MNT"; then
			file=${file#/proc/}
			printf '%s\n' "${file%/cmdline}"
		fi
	done 2>/dev/null
}

unmount() {
	if [ "$(id -u)" = 0 ]; then
		umount "$MNT"
	else
		fusermount3 -u "$MNT"
	fi
}

# The daemon must end by itself, with exit 0 and nothing to complain about in its log.
daemon_ends() {
	local rc=0
	wait_until gone "$DAEMON" || fail "the daemon does not end"
	wait "$DAEMON" || rc=$?
	DAEMON=
	[ "$rc" = 0 ] || fail "the daemon's exit is $rc: $(tail -n 3 "$LOG")"
	log_is_quiet
}

log_is_quiet() {
	local bad
	bad=$(grep -E '^(lineagefs:|[0-9-]+T[0-9:.]+Z) (error|warning): |Sanitizer|runtime error|ssertion' \
		"$LOG" || true)
	if [ -n "$ALLOWED_LOG" ]; then
		bad=$(printf '%s\n' "$bad" | grep -vE "$ALLOWED_LOG" || true)
	fi
	[ -z "$bad" ] || fail "the daemon's log: $(head -n 2 <<<"$bad")"
}

stop_mount() {
	# A process that has just ended may still be being torn down.
	wait_until unmount 2>"$T/umount.err" || fail "umount: $(tail -n 1 "$T/umount.err")"
	daemon_ends
}

remount() {
	stop_mount
	start_mount "$@"
}

# Kills the daemon at this instant and clears its mount away; what was left over is not its fault.
kill9_daemon() {
	kill -9 "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
	umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
}

# --- lineagefs in words ---

new_run() { # RUN
	mkdir "$MNT/runs/$1"
	OUT=$MNT/runs/$1/outputs
}

log_now() { # RUN TEXT
	printf '%s\n' "$2" >"$MNT/runs/$1/log" ||
		fail "log $1 '$2': $(cat "$MNT/runs/$1/log")"
}

end_run() { # RUN [STATE]
	printf '%s\n' "${2:-finished}" >"$MNT/runs/$1/state" ||
		fail "state of $1: $(cat "$MNT/runs/$1/log")"
}

# One run that logs one directory artifact with one file.
quick_version() { # RUN NAME TEXT
	new_run "$1"
	mkdir "$OUT/$2"
	printf '%s\n' "$3" >"$OUT/$2/text"
	end_run "$1"
}

versions() { # NAME: its versions in order, on one line
	(cd "$MNT/artifacts/$1" && printf '%s\n' v[0-9]*) | sort -V | tr '\n' ' ' | sed 's/ $//'
}

check_sums() { # VERSION DIRECTORY…
	local version
	for version; do
		if [ ! -s "$version/SHA256SUMS" ]; then
			eq "files without a sum" "$(find "$version/files" -type f | head -n 1)" ""
			continue
		fi
		(cd "$version/files" && sha256sum --quiet --strict -c ../SHA256SUMS) >"$T/sums" 2>&1 ||
			fail "${version#"$MNT/"}: $(head -n 2 "$T/sums")"
	done
}

check_all_sums() {
	local sums
	for sums in "$MNT"/artifacts/*/v*/SHA256SUMS; do
		[ ! -e "$sums" ] || check_sums "${sums%/SHA256SUMS}"
	done
}

# Sets BYTES to what the store takes on disk, between two mounts: while it is open, its write-ahead
# log takes up to 70 MiB ahead of need, and files come and go under du.
measure_store() {
	stop_mount
	sync -f "$STORE"
	BYTES=$(du -s -B1 "$STORE" | cut -f1)
	start_mount
}

random_file() { # FILE BYTES
	head -c "$2" /dev/urandom >"$1"
}

# A small project's worth of files, of every sort that a version keeps.
make_content() { # DIRECTORY
	mkdir -p "$1/sub/deeper/still deeper" "$1/empty-dir"
	printf 'hello\n' >"$1/hello"
	: >"$1/empty"
	printf '#!/bin/sh\necho ran\n' >"$1/sub/script"
	chmod 755 "$1/sub/script"
	head -c 65536 /dev/zero | tr '\0' a >"$1/at-the-pack-size"
	head -c 65537 /dev/zero | tr '\0' b >"$1/over-the-pack-size"
	seq 200000 >"$1/sub/large"
	printf 'x' >"$1/sub/deeper/still deeper/odd "$'\n''\"'"name é"
	ln -s sub/script "$1/link-to-script"
	ln -s ../hello "$1/sub/link-up"
	touch -d '2001-02-03 04:05:06.789' "$1/hello"
	touch -d '2011-12-13 14:15:16.171' "$1/sub/large"
	touch -d '1999-01-01 00:00:00' "$1/sub/deeper"
}
