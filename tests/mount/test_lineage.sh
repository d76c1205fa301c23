# The whole path: runs, drafts, versions, inputs, edges.
# shellcheck shell=bash

test_readme() {
	start_mount
	[ "$(wc -l <"$MNT/README")" -ge 5 ] || fail "README is short"
	grep -q runs "$MNT/README" || fail "README does not speak of runs"
	eq "README's size" "$(stat -c %s "$MNT/README")" "$(wc -c <"$MNT/README")"
	eq "the top" "$(ls "$MNT" | tr '\n' ' ')" "README _status.json artifacts digests events.ndjson jobs lineage runs tags trash types "
}

test_status() {
	start_mount
	eq "_status.json" "$(json "$MNT/_status.json" 'type(d).__name__')" dict
	eq "its size" "$(stat -c %s "$MNT/_status.json")" "$(wc -c <"$MNT/_status.json")"
}

# ingest -> prepare -> train, each as a user would write it.
make_chain() {
	new_run ingest
	mkdir "$OUT/raw"
	make_content "$OUT/raw"
	echo 'raw type=dataset' >"$MNT/runs/ingest/log"
	end_run ingest
	new_run prepare
	ln -s raw:latest "$MNT/runs/prepare/inputs/raw"
	mkdir "$OUT/tokens"
	tr -s ' ' '\n' <"$MNT/runs/prepare/inputs/raw/sub/large" >"$OUT/tokens/all"
	end_run prepare
	new_run train
	ln -s ../../../artifacts/tokens/latest "$MNT/runs/train/inputs/tokens"
	wc -l <"$MNT/runs/train/inputs/tokens/all" >"$OUT/model"
	echo 'model type=model' >"$MNT/runs/train/log"
	end_run train
}

test_whole_path() {
	start_mount
	make_content "$T/want"
	make_chain
	local dir=$MNT/artifacts/raw/v0
	eq "versions" "$(versions raw) $(versions tokens) $(versions model)" "v0 v0 v0"
	diff -r --no-dereference "$T/want" "$dir/files" >"$T/diff" 2>&1 ||
		fail "$(head -n 1 "$T/diff")"
	eq "type" "$(cat "$MNT/artifacts/raw/type")" dataset
	eq "type" "$(cat "$MNT/artifacts/model/type")" model
	eq "latest" "$(readlink "$MNT/artifacts/raw/latest")" v0
	eq "producer" "$(readlink "$dir/producer")" ../../../runs/ingest
	eq "producers" "$(ls "$dir/producers")" ingest
	eq "its target" "$(readlink "$dir/producers/ingest")" ../../../../runs/ingest
	eq "consumers" "$(ls "$dir/consumers")" prepare
	eq "its target" "$(readlink "$dir/consumers/prepare")" ../../../../runs/prepare
	eq "input" "$(readlink "$MNT/runs/prepare/inputs/raw")" ../../../artifacts/raw/v0/files
	eq "logged" "$(readlink "$MNT/runs/ingest/outputs/raw:v0")" ../../../artifacts/raw/v0/files
	eq "draft's end" "$(readlink "$MNT/runs/ingest/outputs/raw")" raw:v0
	eq "one-file draft's end" "$(readlink "$MNT/runs/train/outputs/model")" model:v0/model
	eq "the model" "$(cat "$MNT/runs/train/outputs/model")" 200000
	eq "state" "$(cat "$MNT/runs/train/state")" finished
	check_all_sums
	# From the model to the raw text, by links alone.
	cd -P "$MNT/artifacts/model/latest/producer"
	cd -P inputs/tokens/../producer/inputs/raw
	eq "the raw text" "$(cat hello)" hello
	cd "$T"
}

test_same_after_remount() {
	start_mount
	make_chain
	new_run unfinished
	mkdir "$OUT/draft"
	echo half >"$OUT/draft/f"
	ln -s model:v0 "$MNT/runs/unfinished/inputs/m"
	local expect="$T/before" got="$T/after"
	tree_as_text >"$expect"
	remount
	tree_as_text >"$got"
	diff "$expect" "$got" >"$T/diff" || fail "changed by a remount: $(sed -n 2,3p "$T/diff")"
	echo more >>"$MNT/runs/unfinished/outputs/draft/f"
	end_run unfinished
	remount
	eq "the draft" "$(cat "$MNT/artifacts/draft/v0/files/f")" "half
more"
}

# Every path with its kind, inode, mode, size, mtime, target and content.
tree_as_text() {
	(
		cd "$MNT"
		# The fixed things of the top, the documents of the whole store and the directories of
		# the indexes are as old as the mount.
		find . -mindepth 2 ! -path './lineage/graph.*' ! -regex './\(types\|jobs\|tags\)/[^/]*' \
			-printf '%p %y %i %m %U %s %T@ %l\n' | sort
		find . -name _status.json -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
	)
}

test_absolute_and_deep_inputs() {
	start_mount
	make_chain
	new_run r
	cd "$MNT/runs/r/inputs"
	ln -s "$MNT/artifacts/raw/latest" absolute
	ln -s ../../../artifacts/raw/v0/files/sub sub
	ln -s ../../../artifacts/raw/latest/files/sub/script file
	ln -s tokens:v0 short
	eq "absolute" "$(readlink absolute)" ../../../artifacts/raw/v0/files
	eq "sub" "$(readlink sub)" ../../../artifacts/raw/v0/files/sub
	eq "file" "$(readlink file)" ../../../artifacts/raw/v0/files/sub/script
	eq "run through the link" "$(./file)" ran
	exists sub/large short/all absolute/hello
	eq "one edge" "$(ls "$MNT/artifacts/raw/v0/consumers" | tr '\n' ' ')" "prepare r "
	cd "$T"
}

test_bad_inputs() {
	start_mount
	make_chain
	new_run r
	cd "$MNT/runs/r/inputs"
	expect_errno ENOENT symlink nothing:latest x
	expect_errno ENOENT symlink raw:v99 x
	expect_errno ENOENT symlink raw:nosuchalias x
	expect_errno ENOENT symlink ../../../artifacts/nothing/v0 x
	expect_errno ENOENT symlink ../../../artifacts/raw/v0/files/nothing x
	expect_errno EINVAL symlink garbage x
	expect_errno EINVAL symlink /etc/passwd x
	expect_errno EINVAL symlink ../outputs x
	expect_errno EINVAL symlink raw: x
	expect_errno EINVAL symlink :v0 x
	expect_errno EINVAL symlink raw:v0 'a b'
	expect_errno EINVAL symlink raw:v0 _x
	expect_errno 'EPERM|EINVAL|EROFS' create x
	expect_errno 'EPERM|EINVAL|EROFS' mkdir x
	eq "inputs" "$(ls -A .)" ""
	expect_errno OK symlink raw:v0 x
	expect_errno EEXIST symlink raw:v0 x
	cd "$T"
}

test_alias_is_pinned_at_declaration() {
	start_mount
	quick_version one data first
	new_run reader
	ln -s data:latest "$MNT/runs/reader/inputs/data"
	quick_version two data second
	eq "latest" "$(readlink "$MNT/artifacts/data/latest")" v1
	eq "input" "$(readlink "$MNT/runs/reader/inputs/data")" ../../../artifacts/data/v0/files
	eq "its text" "$(cat "$MNT/runs/reader/inputs/data/text")" first
	remount
	eq "input" "$(readlink "$MNT/runs/reader/inputs/data")" ../../../artifacts/data/v0/files
}

test_info_of_version() {
	start_mount
	make_chain
	local file=$MNT/artifacts/raw/v0/info.json sum
	eq "keys that lack" "$(json "$file" \
		'sorted({"name","version","type","digest","size","files","created_at","run"} - set(d))')" "[]"
	eq "name" "$(json "$file" 'd["name"]')" raw
	eq "version" "$(json "$file" 'str(d["version"]).lstrip("v")')" 0
	eq "type" "$(json "$file" 'd["type"]')" dataset
	eq "run" "$(json "$file" 'd["run"]')" ingest
	eq "files" "$(json "$file" 'd["files"]')" \
		"$(find "$MNT/artifacts/raw/v0/files" -type f -printf . | wc -c)"
	sum=$(find "$MNT/artifacts/raw/v0/files" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
	eq "size" "$(json "$file" 'd["size"]')" "$sum"
	eq "digest" "$(json "$file" 'len(d["digest"].removeprefix("sha256:"))')" 64
	eq "size in stat" "$(stat -c %s "$file")" "$(wc -c <"$file")"
}

test_info_of_run() {
	start_mount
	make_chain
	local file=$MNT/runs/prepare/info.json
	eq "keys that lack" "$(json "$file" \
		'sorted({"id","state","user","host","created_at","inputs","outputs"} - set(d))')" "[]"
	eq "id" "$(json "$file" 'd["id"]')" prepare
	eq "state" "$(json "$file" 'd["state"]')" finished
	eq "inputs" "$(json "$file" '"raw" in json.dumps(d["inputs"])')" True
	eq "outputs" "$(json "$file" '"tokens" in json.dumps(d["outputs"])')" True
	[[ $(json "$file" 'str(d["user"])') =~ ^($(id -un)|$(id -u))$ ]] || fail "user is wrong"
}

test_type_and_description() {
	start_mount
	mkdir "$MNT/artifacts/planned"
	echo dataset >"$MNT/artifacts/planned/type"
	echo 'What it is for.' >"$MNT/artifacts/planned/description"
	eq "type" "$(cat "$MNT/artifacts/planned/type")" dataset
	eq "description" "$(cat "$MNT/artifacts/planned/description")" 'What it is for.'
	eq "size" "$(stat -c %s "$MNT/artifacts/planned/description")" 16
	seq 4000 >"$T/long"
	cat "$T/long" >"$MNT/artifacts/planned/description"
	same "$T/long" "$MNT/artifacts/planned/description"
	expect_errno EINVAL write "$MNT/artifacts/planned/type" 'no such type name!'
	eq "type" "$(cat "$MNT/artifacts/planned/type")" dataset
	quick_version r planned x
	eq "versions" "$(versions planned)" v0
	remount
	eq "type" "$(cat "$MNT/artifacts/planned/type")" dataset
	mkdir "$MNT/artifacts/empty"
	rmdir "$MNT/artifacts/empty"
	absent "$MNT/artifacts/empty"
	expect_errno 'ENOTEMPTY|EBUSY|EPERM|EROFS' rmdir "$MNT/artifacts/planned"
}

test_bad_names() {
	local name long128 long129
	start_mount
	long128=$(printf 'n%.0s' {1..128})
	long129=n$long128
	new_run r
	for name in 'a b' _x 'é' 'a:b' 'a*' "$long129" $'a\nb'; do
		expect_errno EINVAL mkdir "$MNT/artifacts/$name"
		expect_errno EINVAL mkdir "$MNT/runs/$name"
		expect_errno EINVAL mkdir "$OUT/$name"
		expect_errno EINVAL create "$OUT/$name"
	done
	expect_errno EINVAL mkdir "$MNT/artifacts/.x"
	expect_errno EINVAL mkdir "$MNT/runs/.x"
	eq "artifacts" "$(ls -A "$MNT/artifacts")" ""
	eq "runs" "$(ls -A "$MNT/runs")" r
	eq "outputs" "$(ls -A "$OUT")" ""
	expect_errno OK mkdir "$MNT/artifacts/$long128"
	expect_errno OK mkdir "$MNT/runs/$long128"
	expect_errno OK mkdir "$OUT/A-z_0.9=+,@"
	expect_errno EEXIST mkdir "$MNT/runs/r"
	expect_errno EEXIST mkdir "$MNT/artifacts/$long128"
	expect_errno 'ENAMETOOLONG|EINVAL' mkdir "$MNT/runs/$long128$long128"
}

# Links resolve wherever the mount is seen.
test_bind_mount() {
	need_root
	start_mount
	make_chain
	mkdir "$T/bound"
	mount --bind "$MNT" "$T/bound"
	eq "through inputs" "$(cat "$T/bound/runs/prepare/inputs/raw/hello")" hello
	eq "through the end" "$(cat "$T/bound/runs/train/outputs/model")" 200000
	eq "upwards" "$(realpath "$T/bound/runs/train/inputs/tokens/../producer")" \
		"$T/bound/runs/prepare"
	find "$T/bound" -type l -not -path '*/files/*' -print0 | while IFS= read -r -d '' link; do
		case $(realpath -e "$link") in
		"$T/bound"/*) ;;
		*) fail "does not stay in the mount: $link" ;;
		esac
	done
	umount "$T/bound"
}

test_every_link_resolves() {
	local bad
	start_mount
	make_chain
	[ "$(find "$MNT" -type l | wc -l)" -ge 15 ] || fail "find sees too few links"
	bad=$(find "$MNT" -xtype l | head -n 1)
	eq "links to nothing" "$bad" ""
	bad=$(find "$MNT" -type l -lname '/*' | head -n 1)
	eq "absolute links" "$bad" ""
}
