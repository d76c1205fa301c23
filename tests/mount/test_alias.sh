# Aliases: links in a collection that people move.
# shellcheck shell=bash

make_versions() { # COUNT
	local i
	new_run maker
	mkdir "$OUT/m"
	for ((i = 0; i < $1; i++)); do
		echo "text $i" >"$OUT/m/text"
		log_now maker m
	done
	M=$MNT/artifacts/m
}

points() { # NAME VERSION
	eq "$1" "$(readlink "$M/$1")" "$2"
	eq "what $1 has" "$(cat "$M/$1/files/text")" "text ${2#v}"
}

names() {
	ls "$M" | tr '\n' ' '
}

with_run() { # RUN COMMAND…
	env LINEAGEFS_RUN="$1" "${@:2}"
}

test_plain_tools() {
	start_mount
	make_versions 3
	quiet ln -s v1 "$M/prod"
	points prod v1
	fails ln -s v2 "$M/prod"
	points prod v1
	quiet ln -sfn v2 "$M/prod"
	points prod v2
	quiet ln -sfn v1 "$M/prod"
	points prod v1
	quiet ln -s v0 "$M/new"
	eq "listed" "$(names)" "description latest new prod type v0 v1 v2 "
	quiet mv -T "$M/new" "$M/prod"
	points prod v0
	absent "$M/new"
	quiet mv "$M/prod" "$M/stable"
	points stable v0
	absent "$M/prod"
	quiet ln -s latest "$M/now"
	points now v2
	quiet ln -sr "$M/v1" "$M/relative"
	points relative v1
	quiet ln -sfn "$M/stable" "$M/relative"
	points relative v0
	(cd "$M" && quiet ln -s m:v1 short && quiet ln -sf ../m/v2 short -T)
	points short v2
	points latest v2
	quiet rm "$M/stable" "$M/short" "$M/now"
	remount
	eq "after a remount" "$(names)" "description latest relative type v0 v1 v2 "
	points relative v0
	eq "info.json" "$(json "$M/v0/info.json" 'd["aliases"]')" "['relative']"
	eq "info.json" "$(json "$M/v2/info.json" 'd["aliases"]')" "['latest']"
	eq "graph.json" "$(json "$MNT/lineage/m:v0/graph.json" \
		'[n["aliases"] for n in d["nodes"] if n["id"] == "m:v0"]')" "[['relative']]"
}

test_what_is_refused() {
	start_mount
	make_versions 2
	quick_version other-run other text
	ln -s v0 "$M/prod"
	expect_errno ENOENT symlink v7 "$M/x"
	expect_errno ENOENT symlink nothing "$M/x"
	expect_errno EINVAL symlink ../other/v0 "$M/x"
	expect_errno EINVAL symlink other:v0 "$M/x"
	expect_errno EINVAL symlink v0/files/text "$M/x"
	expect_errno EINVAL symlink /etc/passwd "$M/x"
	expect_errno EINVAL symlink v0 "$M/v9"
	expect_errno EINVAL symlink v0 "$M/.x"
	expect_errno EINVAL symlink v0 "$M/a b"
	expect_errno EEXIST symlink v0 "$M/type"
	expect_errno EEXIST symlink v0 "$M/latest"
	expect_errno EEXIST symlink v1 "$M/v0"
	expect_errno EEXIST noreplace "$M/prod" "$M/latest"
	expect_errno EINVAL exchange "$M/prod" "$M/latest"
	expect_errno EPERM rename "$M/latest" "$M/x"
	expect_errno EPERM rename "$M/prod" "$M/latest"
	expect_errno EPERM rename "$M/prod" "$M/type"
	expect_errno EINVAL rename "$M/prod" "$M/v9"
	expect_errno EINVAL rename "$M/prod" "$MNT/artifacts/other/prod"
	expect_errno EPERM unlink "$M/latest"
	expect_errno ENOENT unlink "$M/x"
	fails ln -sfn v0 "$M/latest"
	fails ln -sfn v9 "$M/prod"
	eq "left" "$(names)" "description latest prod type v0 v1 "
	points latest v1
	points prod v0
	mkdir "$MNT/artifacts/empty"
	expect_errno ENOENT symlink v0 "$MNT/artifacts/empty/prod"
	rmdir "$MNT/artifacts/empty"
}

# Each is one rename; at any moment the name leads to one of them.
test_two_at_once() {
	start_mount
	make_versions 3
	ln -s v0 "$M/prod"
	local i pids=()
	for i in 1 2; do
		(for ((n = 0; n < 100; n++)); do
			ln -sfn "v$i" "$M/prod" || exit 1
		done) >"$T/loop.$i" 2>&1 &
		pids+=($!)
		own_pid $!
	done
	for ((i = 0; i < 200; i++)); do
		cat "$M/prod/files/text" >/dev/null || fail "prod was gone"
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "ln -sfn: $(head -n 1 "$T"/loop.*)"
	done
	eq "left" "$(names)" "description latest prod type v0 v1 v2 "
	case $(readlink "$M/prod") in
	v1 | v2) ;;
	*) fail "prod is $(readlink "$M/prod")" ;;
	esac
}

# What looks like ln's own temporary name, but was asked for.
test_names_like_temporary_ones() {
	start_mount
	make_versions 2
	quiet ln -s v0 "$M/Customer"
	"$PYTHON" -c 'import os, sys; os.symlink("v0", sys.argv[1] + "/Cu" + "ABC123")' "$M"
	remount
	points Customer v0
	points CuABC123 v0
	quiet ln -sfn v1 "$M/Customer"
	points Customer v1
	eq "left" "$(names)" "CuABC123 Customer description latest type v0 v1 "
}

test_in_a_run() {
	start_mount
	make_versions 2
	ln -s v0 "$M/prod"
	new_run r
	eq "listed in the view before" "$(ls "$MNT/view/r/m" | tr '\n' ' ')" "latest prod v0 v1 "
	eq "at first" "$(with_run r readlink "$M/prod")" v0
	ln -sfn v1 "$M/prod"
	eq "outside" "$(readlink "$M/prod")" v1
	eq "in the run" "$(with_run r readlink "$M/prod")" v0
	eq "in its view" "$(readlink "$MNT/view/r/m/prod")" v0
	eq "read in its view" "$(cat "$MNT/view/r/m/prod/files/text")" "text 0"
	ln -s v1 "$M/other"
	eq "listed in the view" "$(ls "$MNT/view/r/m" | tr '\n' ' ')" "latest other prod v0 v1 "
	expect_errno EROFS symlink v0 "$MNT/view/r/m/x"
	ln -s m:prod "$MNT/runs/r/inputs/declared"
	eq "declared" "$(readlink "$MNT/runs/r/inputs/declared")" ../../../artifacts/m/v0/files
	# What the run saw is what it promotes.
	with_run r ln -s prod "$M/promoted"
	points promoted v0
	eq "shared numbers" "$(find "$MNT/view/r" "$MNT/artifacts" -printf '%i\n' | sort | uniq -d)" ""
	rm "$M/prod"
	absent "$MNT/view/r/m/prod"
	mv "$M/other" "$M/renamed"
	eq "after a rename" "$(readlink "$MNT/view/r/m/renamed")" v1
	absent "$MNT/view/r/m/other"
}

# What a run saw behind an alias is what it gets when it is run again.
test_rerun_pins_it() {
	start_mount
	make_versions 2
	ln -s v0 "$M/prod"
	cd "$T"
	"$LINEAGEFS" run -m "$MNT" --id first --input data=m:prod -- \
		sh -c 'cat "$LINEAGEFS_ARTIFACTS/m/prod/files/text"' >"$T/first" 2>"$T/err" ||
		fail "$(cat "$T/err")"
	eq "first" "$(cat "$T/first")" "text 0"
	ln -sfn v1 "$M/prod"
	grep -q 'data=m:prod:v0' "$MNT/runs/first/rerun.sh" ||
		fail "rerun.sh: $(grep input "$MNT/runs/first/rerun.sh")"
	mkdir "$T/bin"
	ln -s "$LINEAGEFS" "$T/bin/lineagefs"
	PATH=$T/bin:$PATH LINEAGEFS_MOUNT=$MNT "$MNT/runs/first/rerun.sh" >"$T/again" \
		2>"$T/err" || fail "$(cat "$T/err")"
	eq "again" "$(cat "$T/again")" "text 0"
	eq "prod" "$(readlink "$M/prod")" v1
	"$LINEAGEFS" lineage -m "$MNT" m:prod >"$T/tree"
	grep -q 'm:v1' "$T/tree" || fail "lineage of m:prod: $(cat "$T/tree")"
}

test_log_gives_names() {
	start_mount
	make_versions 1
	new_run r
	mkdir "$OUT/m"
	echo 'text 1' >"$OUT/m/text"
	log_now r 'm type=model alias=best alias=x tag=good'
	points best v1
	points x v1
	eq "names" "$(json "$M/v1/info.json" 'd["aliases"], d["tags"]')" \
		"(['latest', 'best', 'x'], ['good'])"
	echo 'text 0' >"$OUT/m/text"
	log_now r 'm alias=best tag=good tag=old'
	points best v0
	eq "of the equal one" "$(json "$M/v0/info.json" 'd["aliases"], d["tags"]')" \
		"(['best'], ['good', 'old'])"
	echo 'text 2' >"$OUT/m/text"
	expect_errno EPERM write "$MNT/runs/r/log" $'m alias=latest\n'
	expect_errno EINVAL write "$MNT/runs/r/log" $'m alias=v5\n'
	expect_errno EINVAL write "$MNT/runs/r/log" $'m tag=.x\n'
	eq "log" "$(cat "$MNT/runs/r/log")" "error: m: EINVAL: no tag can be called .x"
	eq "logged" "$(versions m)" "v0 v1"
}

test_whose_they_are() {
	need_root
	start_mount -o 'protected_aliases=prod stable'
	make_versions 2
	ln -s v0 "$M/prod"
	expect_errno_as_user EACCES symlink v0 "$M/x"
	expect_errno_as_user EACCES unlink "$M/prod"
	chmod 777 "$M"
	as_user ln -s v0 "$M/x"
	as_user ln -sfn v1 "$M/x"
	points x v1
	expect_errno_as_user EPERM symlink v0 "$M/stable"
	expect_errno_as_user EPERM unlink "$M/prod"
	expect_errno_as_user EPERM rename "$M/prod" "$M/y"
	expect_errno_as_user EPERM rename "$M/x" "$M/prod"
	grep -q "refused: rename 'x' with 'prod' at .*: EPERM: a protected alias" "$LOG" ||
		fail "the log does not say why: $(tail -n 1 "$LOG")"
	fails as_user ln -sfn v1 "$M/prod"
	points prod v0
	chmod 777 "$MNT/runs/maker" "$MNT/runs/maker/outputs/m"
	expect_errno_as_user EPERM write "$MNT/runs/maker/log" $'m alias=prod\n'
	ln -sfn v1 "$M/prod"
	points prod v1
	eq "left" "$(names)" "description latest prod type v0 v1 x "
}

# In inputs of a run too, what ln makes for a moment is no input.
test_replaced_inputs() {
	start_mount
	make_versions 3
	new_run r
	ln -s m:v0 "$MNT/runs/r/inputs/data"
	quiet ln -sfn m:v1 "$MNT/runs/r/inputs/data"
	quiet ln -sfn ../../../artifacts/m/v2/files "$MNT/runs/r/inputs/data"
	eq "input" "$(readlink "$MNT/runs/r/inputs/data")" ../../../artifacts/m/v2/files
	eq "inputs" "$(ls "$MNT/runs/r/inputs")" data
	fails ln -sfn m:v9 "$MNT/runs/r/inputs/data"
	eq "consumers" "$(ls "$M"/v*/consumers | tr '\n' ' ')" \
		"$M/v0/consumers:  $M/v1/consumers:  $M/v2/consumers: r "
	remount
	eq "input" "$(readlink "$MNT/runs/r/inputs/data")" ../../../artifacts/m/v2/files
}
