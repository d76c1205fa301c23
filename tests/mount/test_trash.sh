# Versions are removed, come back and are purged; what pointed at them goes on saying where they are.
# shellcheck shell=bash

# m:v0 .. m:v<N - 1>, each with its number in text and a large file of its own, by one run.
many() { # RUN N
	local i
	new_run "$1"
	mkdir "$OUT/m"
	for ((i = 0; i < $2; i++)); do
		echo "$i" >"$OUT/m/text"
		rm -f "$OUT/m/large"
		random_file "$OUT/m/large" 100000
		log_now "$1" "m type=model"
	done
}

trash() {
	(cd "$MNT/trash" && printf '%s\n' *) | sort -V | tr '\n' ' ' | sed 's/ $//; s/^\*$//'
}

# Every link below resolves, and is as long as stat says.
links_resolve() { # DIRECTORY...
	local link
	find "$@" -type l >"$T/links"
	while read -r link; do
		[ -e "$link" ] || fail "$link -> $(readlink "$link") leads nowhere"
		eq "length of $link" "$(stat -c %s "$link")" "$(readlink "$link" | tr -d '\n' | wc -c)"
	done <"$T/links"
}

test_trash_removed_and_back() {
	start_mount
	many r 3
	local m=$MNT/artifacts/m ino
	ino=$(stat -c %i "$m/v2")
	quiet rmdir "$m/v2"
	eq "versions" "$(versions m)" "v0 v1"
	eq "latest" "$(readlink "$m/latest")" v1
	eq "trash" "$(trash)" "m:v2"
	eq "number" "$(stat -c %i "$MNT/trash/m:v2")" "$ino"
	eq "text" "$(cat "$MNT/trash/m:v2/files/text")" 2
	check_sums "$MNT/trash/m:v2"
	eq ".." "$(stat -c %i "$MNT/trash/m:v2/..")" "$(stat -c %i "$MNT/trash")"
	eq "listed .." "$(ls -ia "$MNT/trash/m:v2" | awk '$2 == ".." { print $1 }')" \
		"$(stat -c %i "$MNT/trash")"
	absent "$m/v2"
	quiet mv -T "$MNT/trash/m:v2" "$m/v2"
	eq "latest" "$(readlink "$m/latest")" v2
	eq "trash" "$(trash)" ""
	eq "number" "$(stat -c %i "$m/v2")" "$ino"
	eq ".." "$(stat -c %i "$m/v2/..")" "$(stat -c %i "$m")"
	eq "text" "$(cat "$m/v2/files/text")" 2
	# The other way in.
	quiet mv "$m/v1" "$MNT/trash/m:v1"
	eq "versions" "$(versions m)" "v0 v2"
	eq "text" "$(cat "$MNT/trash/m:v1/files/text")" 1
	remount
	eq "trash" "$(trash)" "m:v1"
	eq "text" "$(cat "$MNT/trash/m:v1/files/text")" 1
	quiet mv "$MNT/trash/m:v1" "$m/v1"
	rmdir "$m/v0" "$m/v1" "$m/v2"
	absent "$m/latest"
	eq "versions" "$(versions m)" 'v[0-9]*'
	expect_errno ENOTEMPTY rmdir "$m"
	quiet mv "$MNT/trash/m:v1" "$m/v1"
	eq "latest" "$(readlink "$m/latest")" v1
}

test_trash_again_and_again() {
	start_mount
	many r 2
	local m=$MNT/artifacts/m i
	for ((i = 0; i < 20; i++)); do
		[ $((i % 3)) = 0 ] && quiet mv "$m/v1" "$MNT/trash/m:v1" || quiet rmdir "$m/v1"
		eq "in the trash" "$(cat "$MNT/trash/m:v1/files/text")" 1
		absent "$m/v1"
		if [ $((i % 2)) = 0 ]; then
			quiet mv "$MNT/trash/m:v1" "$m/v1"
		else
			# The same bytes again.
			log_now r m
			eq "log" "$(cut -d' ' -f1,2 "$MNT/runs/r/log")" "restored: m:v1"
		fi
		eq "back" "$(cat "$m/v1/files/text")" 1
		eq "trash" "$(trash)" ""
		absent "$MNT/trash/m:v1"
	done
	check_all_sums
}

# What somebody is in while it is removed is found again where it went.
test_trash_under_somebodys_feet() {
	start_mount
	many r 2
	local m=$MNT/artifacts/m
	local below in
	(cd "$m/v1/files" && exec sleep 600) &
	below=$!
	own_pid $!
	(cd "$m/v1" && exec sleep 600) &
	in=$!
	own_pid $!
	wait_until eval "[ \"\$(readlink /proc/$below/cwd)\" = '$m/v1/files' ]"
	wait_until eval "[ \"\$(readlink /proc/$in/cwd)\" = '$m/v1' ]"
	hold read "$m/v1/files/large"
	quiet rmdir "$m/v1"
	exists "$MNT/trash/m:v1/files/large" "$MNT/trash/m:v1/info.json"
	check_sums "$MNT/trash/m:v1"
	eq "ls" "$(ls "$MNT/trash/m:v1/files" | tr '\n' ' ')" "large text "
	quiet mv "$MNT/trash/m:v1" "$m/v1"
	eq "ls" "$(ls "$m/v1/files" | tr '\n' ' ')" "large text "
	check_sums "$m/v1"
	quiet rmdir "$m/v1"
	quiet rmdir "$MNT/trash/m:v1"
	let_go
	kill "$below" "$in"
	wait "$below" "$in" || true
}

test_trash_refuses() {
	start_mount
	many r 2
	quick_version s other text
	local m=$MNT/artifacts/m
	expect_errno ENOENT rmdir "$m/v7"
	expect_errno ENOTDIR rmdir "$m/latest"
	expect_errno 'EPERM|EROFS' rmdir "$m/v0/files"
	expect_errno EINVAL rename "$m/v0" "$MNT/trash/m:v1"
	expect_errno EINVAL rename "$m/v0" "$MNT/trash/anything"
	expect_errno EPERM rename "$m/v0" "$m/v9"
	expect_errno EINVAL rename "$m/v0" "$MNT/artifacts/other/v0"
	rmdir "$m/v0"
	expect_errno EINVAL rename "$MNT/trash/m:v0" "$m/v9"
	expect_errno EINVAL rename "$MNT/trash/m:v0" "$m/prod"
	expect_errno ENOTEMPTY rename "$MNT/trash/m:v0" "$m/v1"
	expect_errno EINVAL rename "$MNT/trash/m:v0" "$MNT/artifacts/other/v1"
	expect_errno EINVAL rename "$MNT/trash/m:v0" "$MNT/trash/x"
	expect_errno EPERM mkdir "$MNT/trash/x"
	expect_errno EPERM create "$MNT/trash/x"
	expect_errno ENOENT rmdir "$MNT/trash/m:v1"
	expect_errno ENOENT rmdir "$MNT/trash/nothing"
	expect_errno EROFS unlink "$MNT/trash/m:v0/files/text"
	eq "text" "$(cat "$MNT/trash/m:v0/files/text")" 0
	# A version that is not there is no input.
	new_run late
	expect_errno ENOENT symlink m:v0 "$MNT/runs/late/inputs/x"
	expect_errno OK symlink m:v1 "$MNT/runs/late/inputs/x"
}

test_trash_and_aliases() {
	start_mount
	many r 3
	local m=$MNT/artifacts/m
	ln -s v1 "$m/prod"
	expect_errno EBUSY rmdir "$m/v1"
	expect_errno EBUSY rename "$m/v1" "$MNT/trash/m:v1"
	expect_errno OK rmdir "$m/v2"
	expect_errno OK rmdir "$m/v0"
	eq "latest" "$(readlink "$m/latest")" v1
	expect_errno ENOENT symlink v0 "$m/best"
	expect_errno EINVAL rename "$m/prod" "$MNT/trash/m:v1"
	expect_errno ENOTDIR rmdir "$m/prod"
	eq "what names it" "$(cat "$m/prod/files/text")" 1
	rm "$m/prod"
	expect_errno OK rmdir "$m/v1"
	eq "trash" "$(trash)" "m:v0 m:v1 m:v2"
	quiet mv "$MNT/trash/m:v0" "$m/v0"
	expect_errno OK symlink v0 "$m/best"
}

# What a process of a run saw behind an alias it has until the bytes go.
test_trash_keeps_what_is_pinned() {
	start_mount
	many r 2
	local m=$MNT/artifacts/m
	ln -s v1 "$m/prod"
	new_run p
	eq "prod" "$(LINEAGEFS_RUN=p cat "$m/prod/files/text")" 1
	ln -sfn v0 "$m/prod"
	rmdir "$m/v1"
	eq "for the run" "$(LINEAGEFS_RUN=p readlink "$m/prod")" ../../trash/m:v1
	eq "for the run" "$(LINEAGEFS_RUN=p cat "$m/prod/files/text")" 1
	eq "for others" "$(readlink "$m/prod")" v0
	rmdir "$MNT/trash/m:v1"
	fails env LINEAGEFS_RUN=p cat "$m/prod/files/text"
	eq "for others" "$(cat "$m/prod/files/text")" 0
}

test_trash_in_the_audit_log() {
	start_mount
	many r 2
	rmdir "$MNT/artifacts/m/v1"
	log_now r m
	mv "$MNT/artifacts/m/v1" "$MNT/trash/m:v1"
	rmdir "$MNT/artifacts/m/v0"
	rmdir "$MNT/trash/m:v0"
	mv "$MNT/trash/m:v1" "$MNT/artifacts/m/v1"
	eq "events" "$("$PYTHON" -c 'import json, sys
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e["event"] in ("removed", "restored", "purged", "alias", "logged_equal"):
        print(e["event"], e.get("artifact"), e.get("from"), e.get("to"), e.get("run"), end="; ")' \
		"$MNT/events.ndjson")" "removed m:v1 None None None; alias m:v0 v1 v0 None; \
restored m:v1 None None r; alias m:v1 v0 v1 r; logged_equal m:v1 None None r; \
removed m:v1 None None None; alias m:v0 v1 v0 None; \
removed m:v0 None None None; alias m:v0 v0 None None; purged m:v0 None None None; \
restored m:v1 None None None; alias m:v1 None v1 None; "
	eq "digest" "$(grep -F '"event":"purged"' "$MNT/events.ndjson" | grep -c sha256:)" 1
}

test_trash_times() {
	start_mount
	many r 2
	local now before
	before=$(date +%s)
	quiet rmdir "$MNT/artifacts/m/v0"
	now=$(date +%s)
	for what in %Y %Z; do
		eq "$what" "$(stat -c "$what" "$MNT/trash/m:v0" |
			awk -v a="$before" -v b="$now" '{ print ($1 >= a && $1 <= b) }')" 1
	done
	eq "older than a day" "$(find "$MNT/trash" -mindepth 1 -maxdepth 1 -mtime +1)" ""
	eq "newer" "$(find "$MNT/trash" -mindepth 1 -maxdepth 1 -mmin -10)" "$MNT/trash/m:v0"
	eq "state" "$(json "$MNT/trash/m:v0/info.json" 'd["state"], "removed_at" in d')" \
		"('removed', True)"
	eq "state" "$(json "$MNT/artifacts/m/v1/info.json" 'd["state"], "removed_at" in d')" \
		"('live', False)"
}

# make -> raw -> train -> model, and the model is used.
chain() {
	new_run make
	mkdir "$OUT/raw"
	echo raw >"$OUT/raw/f"
	end_run make
	new_run train
	ln -s raw:v0 "$MNT/runs/train/inputs/data"
	mkdir "$OUT/model"
	echo model >"$OUT/model/f"
	log_now train 'model type=model'
	end_run train
	new_run use
	ln -s model:v0 "$MNT/runs/use/inputs/m"
	LINEAGEFS_RUN=use cat "$MNT/artifacts/raw/v0/files/f" >"$T/out"
}

test_trash_links() {
	start_mount
	chain
	links_resolve "$MNT/artifacts" "$MNT/runs" "$MNT/lineage/model:v0" "$MNT/lineage/raw:v0"
	rmdir "$MNT/artifacts/raw/v0" "$MNT/artifacts/model/v0"
	links_resolve "$MNT/trash" "$MNT/runs" "$MNT/lineage/model:v0" "$MNT/lineage/raw:v0"
	eq "producer" "$(readlink "$MNT/trash/raw:v0/producer")" ../../runs/make
	eq "consumer" "$(readlink "$MNT/trash/raw:v0/consumers/train")" ../../../runs/train
	eq "input" "$(readlink "$MNT/runs/train/inputs/data")" ../../../trash/raw:v0/files
	eq "observed" "$(cat "$MNT/runs/use/inputs/raw:v0/f")" raw
	eq "output" "$(cat "$MNT/runs/train/outputs/model/f")" model
	eq "upstream" "$(cat "$MNT/lineage/model:v0/upstream/artifacts/raw:v0/files/f")" raw
	eq "walking on" "$(cd -P "$MNT/runs/train/inputs/data/../producer" && cat state)" finished
	# Nothing lists them between the two, which would tell their lengths.
	local at link
	for at in trash/raw:v0 artifacts/raw/v0; do
		for link in "$MNT/$at/producer" "$MNT/$at"/{producers/make,consumers/train} \
			"$MNT"/runs/{train/inputs/data,use/inputs/raw:v0,make/outputs/raw:v0}; do
			eq "length of $link" "$(stat -c %s "$link")" "$(readlink "$link" | tr -d '\n' | wc -c)"
		done
		[ "$at" != trash/raw:v0 ] || quiet mv "$MNT/trash/raw:v0" "$MNT/artifacts/raw/v0"
	done
	links_resolve "$MNT/trash" "$MNT/artifacts" "$MNT/runs" "$MNT/lineage/model:v0"
	eq "producer" "$(readlink "$MNT/artifacts/raw/v0/producer")" ../../../runs/make
	quiet find -L "$MNT/trash/model:v0/files" "$MNT/runs/train/inputs"
	remount
	links_resolve "$MNT/trash" "$MNT/artifacts" "$MNT/runs" "$MNT/lineage/model:v0"
}

test_trash_purged() {
	start_mount
	chain
	rmdir "$MNT/artifacts/raw/v0" "$MNT/trash/raw:v0"
	absent "$MNT/trash/raw:v0" "$MNT/artifacts/raw/v0"
	eq "input" "$(readlink "$MNT/runs/train/inputs/data")" ../../../artifacts/raw/v0/files
	eq "upstream" "$(readlink "$MNT/lineage/model:v0/upstream/artifacts/raw:v0")" ../../../raw:v0
	links_resolve "$MNT/lineage/model:v0" "$MNT/lineage/raw:v0"
	exists "$MNT/lineage/raw:v0/downstream/types/model/model:v0"
	eq "downstream" "$(ls "$MNT/lineage/raw:v0/downstream/artifacts")" model:v0
	for graph in "$MNT/lineage/model:v0/graph.json" "$MNT/lineage/graph.json"; do
		eq "states" "$(json "$graph" \
			'sorted((n["id"], n["state"]) for n in d["nodes"] if n["kind"] == "artifact")')" \
			"[('model:v0', 'live'), ('raw:v0', 'purged')]"
	done
	eq "dashed" "$(grep -c dashed "$MNT/lineage/model:v0/graph.dot")" 1
	"$LINEAGEFS" lineage -m "$MNT" model:v0 >"$T/out"
	grep -q 'raw:v0 (purged)' "$T/out" || fail "lineage does not say purged: $(cat "$T/out")"
	expect_errno ENOTEMPTY rmdir "$MNT/runs/make"
	eq "what is left" "$(ls "$MNT/artifacts/raw")" "description
type"
	# The number is not used again.
	new_run again
	mkdir "$OUT/raw"
	echo raw >"$OUT/raw/f"
	end_run again
	eq "versions" "$(versions raw)" v1
	remount
	eq "upstream" "$(readlink "$MNT/lineage/model:v0/upstream/artifacts/raw:v0")" ../../../raw:v0
}

# The bytes go, and no others.
test_trash_gives_bytes_back() {
	start_mount
	new_run r
	mkdir "$OUT/m"
	random_file "$OUT/m/same" 300000
	random_file "$OUT/m/large" 20000000
	log_now r m
	rm "$OUT/m/large"
	log_now r m
	end_run r
	measure_store
	local before=$BYTES
	rmdir "$MNT/artifacts/m/v0"
	rmdir "$MNT/trash/m:v0"
	freed() { [ "$(find "$STORE/blobs" -type f -size +10M | wc -l)" = 0 ]; }
	wait_until freed || fail "the bytes do not go"
	measure_store
	[ $((before - BYTES)) -gt 19000000 ] || fail "only $((before - BYTES)) bytes went"
	check_sums "$MNT/artifacts/m/v1"
}

# Who has a file open reads it to its end.
test_trash_open_files() {
	start_mount
	many r 1
	local files=$MNT/artifacts/m/v0/files
	cp -r "$files" "$T/copy"
	exec 5<"$files/large" 6<"$files/text"
	(cd "$files" && exec sleep 600) &
	own_pid $!
	local in=$!
	wait_until eval "[ \"\$(readlink /proc/$in/cwd)\" = '$files' ]"
	rmdir "$MNT/artifacts/m/v0"
	rmdir "$MNT/trash/m:v0"
	rm -r "$OUT/m"
	wait_until eval '[ "$(find "$STORE/blobs" -type f | wc -l)" = 0 ]' || fail "the bytes do not go"
	cmp - "$T/copy/large" <&5 || fail "an open large file is not what it was"
	cmp - "$T/copy/text" <&6 || fail "an open small file is not what it was"
	exec 5<&- 6<&-
	# What is reached by an open directory is gone.
	fails cat "/proc/$in/cwd/text"
	fails ls "/proc/$in/cwd/"
	kill "$in"
	wait "$in" || true
}

test_trash_days() {
	start_mount
	many r 2
	rmdir "$MNT/artifacts/m/v0"
	remount
	eq "trash" "$(trash)" "m:v0"
	remount -o trash_days=0
	wait_until eval '[ -z "$(trash)" ]' || fail "the trash is not emptied"
	eq "states" "$(json "$MNT/lineage/graph.json" \
		'sorted(n["state"] for n in d["nodes"] if n["kind"] == "artifact")')" "['live', 'purged']"
	rmdir "$MNT/artifacts/m/v1"
	wait_until eval '[ -z "$(trash)" ]' || fail "the trash is not emptied"
	wait_until eval '[ "$(find "$STORE/blobs" -type f | wc -l)" = 0 ]' || fail "the bytes do not go"
}

test_trash_in_views() {
	start_mount
	many r 2
	new_run looker
	new_run other
	local view=$MNT/view/looker/m
	eq "through the view" "$(cat "$view/latest/files/text")" 1
	rmdir "$MNT/artifacts/m/v1"
	eq "listed" "$(ls "$view" | tr '\n' ' ')" "latest v0 "
	# The run has it until its bytes go.
	eq "latest" "$(readlink "$view/latest")" v1
	eq "text" "$(cat "$view/latest/files/text")" 1
	remount
	eq "text" "$(cat "$view/latest/files/text")" 1
	eq "for its processes" "$(LINEAGEFS_RUN=looker cat "$MNT/artifacts/m/latest/files/text")" 1
	eq "for others" "$(readlink "$MNT/view/other/m/latest")" v0
	absent "$MNT/view/other/m/v1"
	rmdir "$MNT/trash/m:v1"
	fails cat "$view/v1/files/text"
	fails cat "$view/latest/files/text"
	eq "other" "$(cat "$MNT/view/other/m/latest/files/text")" 0
}

test_trash_of_other_users() {
	need_root
	start_mount
	chmod 1777 "$T"
	as_user mkdir "$MNT/runs/theirs"
	as_user mkdir "$MNT/runs/theirs/outputs/t"
	as_user sh -c "echo 0 >'$MNT/runs/theirs/outputs/t/f' && echo t >'$MNT/runs/theirs/log'"
	as_user sh -c "echo 1 >'$MNT/runs/theirs/outputs/t/f' && echo t >'$MNT/runs/theirs/log'"
	many mine 2
	# Not theirs.
	expect_errno_as_user EACCES rmdir "$MNT/artifacts/m/v0"
	expect_errno_as_user EACCES rename "$MNT/artifacts/m/v0" "$MNT/trash/m:v0"
	rmdir "$MNT/artifacts/m/v0"
	as_user cat "$MNT/trash/m:v0/files/text" >"$T/out"
	expect_errno_as_user EACCES rmdir "$MNT/trash/m:v0"
	expect_errno_as_user EACCES rename "$MNT/trash/m:v0" "$MNT/artifacts/m/v0"
	# Theirs.
	expect_errno_as_user OK rmdir "$MNT/artifacts/t/v0"
	eq "seen by root" "$(trash)" "m:v0 t:v0"
	expect_errno_as_user OK rename "$MNT/trash/t:v0" "$MNT/artifacts/t/v0"
	expect_errno_as_user OK rename "$MNT/artifacts/t/v0" "$MNT/trash/t:v0"
	expect_errno_as_user OK rmdir "$MNT/trash/t:v0"
	eq "trash" "$(trash)" "m:v0"
	# Who may not read it does not see it.
	mkdir -m 700 "$MNT/runs/mine/outputs/secret"
	echo s >"$MNT/runs/mine/outputs/secret/f"
	log_now mine secret
	rmdir "$MNT/artifacts/secret/v0"
	eq "theirs" "$(as_user ls "$MNT/trash")" m:v0
	eq "mine" "$(trash)" "m:v0 secret:v0"
	expect_errno_as_user ENOENT open-read "$MNT/trash/secret:v0/files/f"
	expect_errno_as_user ENOENT rmdir "$MNT/trash/secret:v0"
}

# A collection of several: what only its owner may read goes by rmdir, and its owner brings it back.
test_trash_of_a_group() {
	need_root
	start_mount
	quick_version mine m text
	chmod 777 "$MNT/artifacts/m"
	as_user mkdir "$MNT/runs/theirs"
	as_user sh -c "umask 077 && echo 1 >'$MNT/runs/theirs/outputs/m' && echo m >'$MNT/runs/theirs/log'"
	expect_errno_as_user OK rename "$MNT/artifacts/m/v0" "$MNT/trash/m:v0"
	expect_errno_as_user OK rename "$MNT/trash/m:v0" "$MNT/artifacts/m/v0"
	rmdir "$MNT/artifacts/m/v1"
	eq "seen" "$(as_user ls "$MNT/trash")" m:v1
	expect_errno_as_user OK rename "$MNT/trash/m:v1" "$MNT/artifacts/m/v1"
	expect_errno_as_user OK rmdir "$MNT/artifacts/m/v1"
	expect_errno_as_user OK rmdir "$MNT/artifacts/m/v0"
	expect_errno_as_user OK rmdir "$MNT/trash/m:v0"
	eq "trash" "$(trash)" m:v1
}

# The same bytes are logged while their version is removed: it is there in the end, whole.
test_trash_race() {
	start_mount
	many r 1
	local m=$MNT/artifacts/m i turns=${LINEAGEFS_TEST_LOOPS:-200} n
	(trap '' TERM; while [ ! -e "$T/enough" ]; do
		rmdir "$m/v0" 2>/dev/null || true
	done) &
	own_pid $!
	for ((i = 0; i < turns; i++)); do
		log_now r m
		cat "$m/v0/files/text" "$MNT/trash/m:v0/files/text" >>"$T/read" 2>/dev/null || true
	done
	touch "$T/enough"
	wait "$!"
	log_now r m
	eq "versions" "$(versions m)" v0
	eq "trash" "$(trash)" ""
	eq "what was read" "$(sort -u "$T/read")" 0
	check_sums "$m/v0"
	n=$(grep -c . "$T/read")
	[ "$n" -gt 0 ] || fail "nothing was read"
}

# And while it is purged: the bytes of what was reported logged are there.
test_trash_race_purge() {
	start_mount
	many r 1
	local m=$MNT/artifacts/m i turns=${LINEAGEFS_TEST_LOOPS:-200}
	(trap '' TERM; while [ ! -e "$T/enough" ]; do
		for v in "$m"/v* "$MNT"/trash/*; do rmdir "$v" || true; done
	done 2>/dev/null; true) &
	own_pid $!
	for ((i = 0; i < turns; i++)); do
		log_now r m
	done
	touch "$T/enough"
	wait "$!"
	log_now r m
	eq "live" "$(cd "$m" && ls -d v* | wc -l)" 1
	check_all_sums
	rmdir "$m"/v*
	rmdir "$MNT"/trash/*
	rm -r "$OUT/m"
	wait_until eval '[ "$(find "$STORE/blobs" -type f | wc -l)" = 0 ]' || fail "the bytes do not go"
}

test_trash_killed() {
	local turn i left turns=$((${LINEAGEFS_TEST_LOOPS:-300} / 30))
	start_mount
	many r 60
	end_run r
	for ((turn = 0; turn < turns; turn++)); do
		(trap '' TERM; for v in $(versions m); do
			rmdir "$MNT/artifacts/m/$v" && echo "$v" >>"$T/removed"
			[ $((RANDOM % 3)) != 0 ] || rmdir "$MNT/trash/m:$v"
			[ $((RANDOM % 3)) != 0 ] || mv "$MNT/trash/m:$v" "$MNT/artifacts/m/$v"
		done 2>/dev/null; true) &
		own_pid $!
		sleep "0.0$((RANDOM % 90 + 10))"
		kill9_daemon
		wait "$!" || true
		start_mount
		check_all_sums
		for v in "$MNT"/trash/*; do
			[ ! -e "$v" ] || check_sums "$v"
		done
		left=$(versions m)
		[ "${left##* }" = "$(readlink "$MNT/artifacts/m/latest" || echo 'v[0-9]*')" ] ||
			fail "latest is $(readlink "$MNT/artifacts/m/latest") of $left"
	done
	rmdir "$MNT"/artifacts/m/v* "$MNT"/trash/m:v* 2>/dev/null || true
	rmdir "$MNT"/trash/m:v* 2>/dev/null || true
	eq "trash" "$(trash)" ""
	wait_until eval '[ "$(find "$STORE/blobs" -type f | wc -l)" = 0 ]' || fail "the bytes do not go"
}

# Who could not reach a version in its collection does not in the trash.
test_trash_of_a_closed_collection() {
	need_root
	start_mount
	quick_version r secret text
	quick_version s public text
	chmod 700 "$MNT/artifacts/secret"
	fails as_user cat "$MNT/artifacts/secret/v0/files/text"
	rmdir "$MNT/artifacts/secret/v0" "$MNT/artifacts/public/v0"
	eq "what a user sees" "$(as_user ls "$MNT/trash")" public:v0
	fails as_user cat "$MNT/trash/secret:v0/files/text"
	fails as_user stat "$MNT/trash/secret:v0"
	eq "what root reads" "$(cat "$MNT/trash/secret:v0/files/text")" text
	# Also by a directory that is open, or was reached by another.
	(cd "$MNT/trash/secret:v0" && fails as_user cat files/text)
	eq "what a user reads" "$(as_user cat "$MNT/trash/public:v0/files/text")" text
	mv "$MNT/trash/secret:v0" "$MNT/artifacts/secret/v0"
	eq "back" "$(cat "$MNT/artifacts/secret/v0/files/text")" text
	stop_mount
}
