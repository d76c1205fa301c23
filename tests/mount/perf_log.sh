#!/bin/bash
# perf_log.sh BINARY - how long logging takes next to plain copying on the same local filesystem.
# 20,000 files of 4 KiB: `cp -r` and sync, against `cp -r` into a draft and `echo finished`.
# One file of 1 GiB: cp, sha256sum and sync, against cp into a draft and `echo finished`.
# Rounds alternate; medians of three. No test: it prints ratios and judges nothing.
#
#   LINEAGEFS_PERF_DIR      where to work (a fresh folder below ${TMPDIR:-/tmp})
#   LINEAGEFS_PERF_ROUNDS   3
set -euo pipefail
umask 022
export LC_ALL=C

if [ $# != 1 ]; then
	echo "usage: $0 BINARY" >&2
	exit 2
fi
LINEAGEFS=$(realpath -e "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rounds=${LINEAGEFS_PERF_ROUNDS:-3}
T=$(mktemp -d "${LINEAGEFS_PERF_DIR:-${TMPDIR:-/tmp}}/lineagefs-perf.XXXXXX")
# shellcheck source=lib.sh
. "$here/lib.sh"

finish() {
	local rc=$?
	trap - EXIT
	cd /
	if is_mounted "$MNT"; then
		unmount || umount -l "$MNT" || fusermount3 -uz "$MNT" || true
	fi
	[ -z "$DAEMON" ] || wait "$DAEMON" || true
	rm -rf --one-file-system "$T"
	exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT TERM

seconds() { # COMMAND… : prints what it took
	local start=${EPOCHREALTIME/./}
	"$@" >/dev/null
	awk -v us=$((${EPOCHREALTIME/./} - start)) 'BEGIN { printf "%.3f\n", us / 1e6 }'
}

median() {
	sort -n | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'
}

local_small() {
	cp -r "$T/small" "$T/copy"
	sync -f "$T"
}

# The commands are all inside the clock, also the mkdir that starts the run.
draft_small() {
	mkdir "$MNT/runs/small$1"
	cp -r "$T/small" "$MNT/runs/small$1/outputs/small$1"
	echo finished >"$MNT/runs/small$1/state"
}

local_large() {
	cp "$T/large" "$T/copy"
	sha256sum "$T/copy"
	sync -f "$T"
}

draft_large() {
	mkdir "$MNT/runs/large$1"
	mkdir "$MNT/runs/large$1/outputs/large$1"
	cp "$T/large" "$MNT/runs/large$1/outputs/large$1/f"
	echo finished >"$MNT/runs/large$1/state"
}

# New bytes every round: equal ones would be stored already.
make_small() {
	rm -rf "$T/small"
	mkdir "$T/small"
	(cd "$T/small" && head -c $((20000 * 4096)) /dev/urandom | split -b 4096 -a 4 -)
	sync -f "$T"
}

make_large() {
	head -c $((1 << 30)) /dev/urandom >"$T/large"
	sync -f "$T"
}

compare() { # KIND TEXT AIM
	local i a b
	: >"$T/times.local"
	: >"$T/times.draft"
	for ((i = 0; i < rounds; i++)); do
		"make_$1"
		cat "$T"/"$1"/* >/dev/null 2>&1 || cat "$T/$1" >/dev/null
		seconds "local_$1" >>"$T/times.local"
		rm -rf "$T/copy"
		sync -f "$T"
		seconds "draft_$1" "$i" >>"$T/times.draft"
		sync -f "$T"
	done
	a=$(median <"$T/times.local")
	b=$(median <"$T/times.draft")
	awk -v a="$a" -v b="$b" -v what="$2" -v aim="$3" 'BEGIN {
		printf "%-42s local %7.3f s  lineagefs %7.3f s  ratio %.2f (aim %s)\n", what, a, b, b / a, aim }'
	echo "    local: $(tr '\n' ' ' <"$T/times.local")  lineagefs: $(tr '\n' ' ' <"$T/times.draft")"
}

start_mount
echo "$T on $(df --output=fstype "$T" | tail -n 1), $(nproc) cores, Linux $(uname -r)"
compare small "20,000 files of 4 KiB, cp -r + sync" 2.0
compare large "1 GiB, cp + sha256sum + sync" 1.2
stop_mount
