# /lineage: closures as directories, the documents, and `lineagefs lineage`.
# shellcheck shell=bash

# ingest -> raw -> prepare -> tokens -> train -> two checkpoints and the model -> evaluate -> report
make_pipeline() {
	start_mount "$@"
	L=$MNT/lineage
	new_run ingest
	echo ingest >"$MNT/runs/ingest/job_type"
	echo raw >"$OUT/raw"
	log_now ingest 'raw type=dataset'
	end_run ingest
	new_run prepare
	echo prepare >"$MNT/runs/prepare/job_type"
	ln -s raw:latest "$MNT/runs/prepare/inputs/raw"
	echo tokens >"$OUT/tokens"
	log_now prepare 'tokens type=dataset'
	end_run prepare
	new_run train
	echo train >"$MNT/runs/train/job_type"
	ln -s tokens:latest "$MNT/runs/train/inputs/tokens"
	checkpoint one
	quick_version tune hints 'read late'
	ln -s hints:v0 "$MNT/runs/train/inputs/hints"
	checkpoint two
	echo model >"$OUT_TRAIN/model"
	log_now train 'model type=model'
	end_run train
	new_run evaluate
	ln -s model:v0 "$MNT/runs/evaluate/inputs/model"
	ln -s tokens:v0 "$MNT/runs/evaluate/inputs/tokens"
	echo good >"$OUT/report"
	log_now evaluate 'report type=report'
}

checkpoint() { # TEXT
	OUT_TRAIN=$MNT/runs/train/outputs
	echo "$1" >"$OUT_TRAIN/ckpt"
	log_now train 'ckpt type=model'
}

names() { # DIRECTORY: what it lists, on one line
	ls "$1" | tr '\n' ' ' | sed 's/ $//'
}

closure() { # NODE upstream|downstream WANTED ARTIFACTS, WANTED RUNS
	eq "artifacts $2 of $1" "$(names "$L/$1/$2/artifacts")" "$3"
	eq "runs $2 of $1" "$(names "$L/$1/$2/runs")" "$4"
}

test_pipeline() {
	make_pipeline
	closure raw:v0 upstream "" ingest
	closure raw:v0 downstream "ckpt:v0 ckpt:v1 model:v0 report:v0 tokens:v0" "evaluate prepare train"
	closure report:v0 upstream "hints:v0 model:v0 raw:v0 tokens:v0" \
		"evaluate ingest prepare train tune"
	# What was read after a checkpoint is no ancestor of it.
	closure ckpt:v0 upstream "raw:v0 tokens:v0" "ingest prepare train"
	closure ckpt:v1 upstream "hints:v0 raw:v0 tokens:v0" "ingest prepare train tune"
	closure hints:v0 downstream "ckpt:v1 model:v0 report:v0" "evaluate train"
	closure prepare upstream raw:v0 ingest
	closure prepare downstream "ckpt:v0 ckpt:v1 model:v0 report:v0 tokens:v0" "evaluate train"
	closure evaluate downstream report:v0 ""
	eq "types" "$(names "$L/raw:v0/downstream/types")" "dataset model report"
	eq "a type" "$(names "$L/raw:v0/downstream/types/model")" "ckpt:v0 ckpt:v1 model:v0"
	# A type that is not in it.
	absent "$L/raw:v0/downstream/types/nothing" "$L/raw:v0/upstream/types/dataset"
	local m n=0
	for m in "$L/raw:v0"/downstream/types/model/*; do
		[ -s "$m/files/ckpt" ] || [ -s "$m/files/model" ] || fail "$m shows no files"
		n=$((n + 1))
	done
	eq "models" "$n" 3
	eq "a link" "$(readlink "$L/report:v0/upstream/artifacts/raw:v0")" ../../../../artifacts/raw/v0
	eq "a run's" "$(realpath "$L/report:v0/upstream/runs/train")" "$(realpath "$MNT/runs/train")"
}

# The recall list of a bad dataset.
test_many_models() {
	start_mount
	L=$MNT/lineage
	quick_version ingest raw bad
	new_run sweep
	ln -s raw:v0 "$MNT/runs/sweep/inputs/raw"
	local i m n=0
	for i in {1..1000}; do
		echo "$i" >"$OUT/m$i"
	done
	seq -f 'm%g type=model' 1000 | split -l 100 --filter='cat >"'"$MNT"'/runs/sweep/log"'
	for m in "$L"/raw:v0/downstream/types/model/*; do
		[ -e "$m" ] || fail "$m is listed and not found"
		n=$((n + 1))
	done
	eq "models" "$n" 1000
	eq "as long as" "$(ls "$L/raw:v0/downstream/artifacts" | wc -l)" 1000
}

# --- three ways in which a graph of runs and artifacts alone has a cycle ---

test_reproduced_what_it_read() {
	start_mount
	L=$MNT/lineage
	quick_version maker a same
	quick_version other b other
	closure a:v0 downstream "" ""
	new_run copier
	ln -s a:v0 "$MNT/runs/copier/inputs/a"
	ln -s b:v0 "$MNT/runs/copier/inputs/b"
	mkdir "$OUT/a"
	echo same >"$OUT/a/text"
	end_run copier
	eq "versions" "$(versions a)" v0
	closure a:v0 upstream "" maker
	closure a:v0 downstream "" copier
	closure copier upstream "a:v0 b:v0" "maker other"
	closure copier downstream "" ""
	# It was not made from what its second producer read.
	closure b:v0 downstream "" copier
	remount -o lineage_mb=0
	closure b:v0 downstream "" copier
	closure a:v0 upstream "" maker
	eq "edges" "$(json "$L/a:v0/graph.json" '[e["kind"] for e in d["edges"]]')" \
		"['logged', 'used', 'reproduced']"
}

test_revert() {
	start_mount
	L=$MNT/lineage
	local i
	quick_version r0 a zero
	for i in 1 2; do
		new_run "r$i"
		ln -s a:latest "$MNT/runs/r$i/inputs/a"
		mkdir "$OUT/a"
		[ "$i" = 1 ] && echo one >"$OUT/a/text" || echo zero >"$OUT/a/text"
		end_run "r$i"
	done
	eq "versions" "$(versions a)" "v0 v1"
	closure a:v0 upstream "" r0
	closure a:v1 upstream a:v0 "r0 r1"
	closure a:v0 downstream a:v1 "r1 r2"
	closure r2 upstream "a:v0 a:v1" "r0 r1"
}

test_policy_and_rollouts() {
	start_mount
	L=$MNT/lineage
	local i
	new_run learner
	new_run actor
	for i in 0 1 2; do
		echo "policy $i" >"$MNT/runs/learner/outputs/policy"
		log_now learner policy
		ln -s "policy:v$i" "$MNT/runs/actor/inputs/policy$i"
		echo "rollout $i" >"$MNT/runs/actor/outputs/rollout"
		log_now actor rollout
		ln -s "rollout:v$i" "$MNT/runs/learner/inputs/rollout$i"
	done
	closure policy:v0 upstream "" learner
	closure rollout:v0 upstream policy:v0 "actor learner"
	closure policy:v1 upstream "policy:v0 rollout:v0" "actor learner"
	closure rollout:v1 downstream "policy:v2 rollout:v2" "actor learner"
	quiet "$LINEAGEFS" lineage -m "$MNT" policy:v1 --up
	eq "the tree" "$(cat "$T/out")" "artifact policy:v1

upstream: 2 artifacts, 2 runs
\`-- run learner (running)
    \`-- artifact rollout:v0
        \`-- run actor (running)
            \`-- artifact policy:v0
                \`-- run learner (running) (see above)"
}

# --- the tree as a tree ---

# Every listed name is found, and every found one listed: of all names there are.
listed_is_found() { # DIRECTORY NAME…
	local dir=$1 name listed
	shift
	listed=$'\n'$(ls "$dir")$'\n'
	for name; do
		case $listed in
		*$'\n'"$name"$'\n'*) [ -e "$dir/$name" ] || fail "listed, not found: $dir/$name" ;;
		*) [ ! -e "$dir/$name" ] && [ ! -L "$dir/$name" ] || fail "found, not listed: $dir/$name" ;;
		esac
	done
	for name in $listed; do
		[[ " $* " == *" $name "* ]] || fail "who knows $dir/$name"
	done
}

test_listed_and_found() {
	make_pipeline
	local node way runs artifacts bad
	runs=$(ls "$MNT/runs")
	artifacts=$(cd "$MNT/artifacts" && for v in */v[0-9]*; do echo "${v%/*}:${v#*/}"; done)
	for node in $runs $artifacts; do
		eq "$node" "$(names "$L/$node")" "$(printf '%s\n' downstream graph.dot graph.html \
			graph.json openlineage.ndjson upstream | while read -r name; do
			[ ! -e "$L/$node/$name" ] || echo "$name"; done | tr '\n' ' ' | sed 's/ $//')"
		exists "$L/$node"/{graph.json,graph.dot,openlineage.ndjson,upstream,downstream}
		for way in upstream downstream; do
			eq "$node/$way" "$(names "$L/$node/$way")" "artifacts runs types"
			listed_is_found "$L/$node/$way/artifacts" $artifacts
			listed_is_found "$L/$node/$way/runs" $runs
			listed_is_found "$L/$node/$way/types" dataset model report
			for bad in "$L/$node/$way"/types/*; do
				[ ! -e "$bad" ] || listed_is_found "$bad" $artifacts
			done
		done
		eq "links to nothing" "$(find "$L/$node" -xtype l)" ""
		quiet find -L "$L/$node"
	done
	for bad in raw raw:v1 raw:latest nothing nothing:v0 .x raw:v00; do
		absent "$L/$bad"
	done
	expect_errno 'EPERM|EROFS' create "$L/x"
	expect_errno 'EPERM|EROFS' mkdir "$L/raw:v0/x"
	expect_errno 'EPERM|EROFS' unlink "$L/raw:v0/downstream/artifacts/tokens:v0"
	expect_errno 'EPERM|EROFS' symlink x "$L/raw:v0/upstream/artifacts/x"
	eq "inodes used twice" "$(find "$L/raw:v0" "$L/train" -printf '%i\n' | sort | uniq -d)" ""
}

# A walk over the mount finds no closure in it.
test_not_listed() {
	make_pipeline
	eq "below lineage" "$(find "$L" -mindepth 1 -printf '%P\n' | grep -v '^graph.html$')" graph.json
	eq "the whole mount" "$(find "$MNT" -path "$L/*" -printf '%P\n' | grep -vc '/graph.html$')" 1
}

everything() { # what /lineage says of every node
	local node
	for node in raw:v0 ckpt:v0 report:v0 train evaluate; do
		(cd "$L" && find "$node" -printf '%p %y %m %i %l\n' | sort)
		sed '/generated_at/d' "$L/$node/graph.json"
		cat "$L/$node/graph.dot" "$L/$node/openlineage.ndjson"
	done
	sed '/generated_at/d' "$L/graph.json"
}

test_same_after_remount() {
	make_pipeline
	everything >"$T/before"
	remount
	everything >"$T/after"
	same "$T/before" "$T/after"
	# With no memory for the graph it is the same, too.
	remount -o lineage_mb=0
	everything >"$T/after"
	same "$T/before" "$T/after"
	eq "edges in memory" "$(json "$MNT/_status.json" 'd["lineage_graph"]["edges"]')" 0
}

test_changes_show_at_once() {
	make_pipeline
	closure hints:v0 downstream "ckpt:v1 model:v0 report:v0" "evaluate train"
	new_run late
	ln -s hints:v0 "$MNT/runs/late/inputs/h"
	closure hints:v0 downstream "ckpt:v1 model:v0 report:v0" "evaluate late train"
	eq "in the document" "$(json "$L/hints:v0/graph.json" \
		'[e["roles"] for e in d["edges"] if e["to"] == "late"]')" "[['h']]"
	echo x >"$OUT/out"
	log_now late out
	closure hints:v0 downstream "ckpt:v1 model:v0 out:v0 report:v0" "evaluate late train"
	exists "$L/hints:v0/downstream/artifacts/out:v0"
	rm "$MNT/runs/late/inputs/h"
	closure hints:v0 downstream "ckpt:v1 model:v0 report:v0" "evaluate train"
	absent "$L/hints:v0/downstream/artifacts/out:v0" "$L/hints:v0/downstream/runs/late"
	closure out:v0 upstream "" late
	env LINEAGEFS_RUN=late cat "$MNT/artifacts/hints/v0/files/text" >"$T/text"
	closure hints:v0 downstream "ckpt:v1 model:v0 report:v0" "evaluate late train"
}

test_reading_while_runs_log() {
	make_pipeline
	local i writer n=0
	new_run busy
	ln -s raw:v0 "$MNT/runs/busy/inputs/raw"
	(
		for ((i = 0; i < 60; i++)); do
			echo "$i" >"$OUT/c" && echo 'c type=model' >"$MNT/runs/busy/log" || exit 1
			mkdir "$MNT/runs/b$i"
			ln -s "c:v$i" "$MNT/runs/b$i/inputs/c" || exit 1
			echo finished >"$MNT/runs/b$i/state" || exit 1
		done
	) &
	writer=$!
	own_pid "$writer"
	while alive "$writer"; do
		quiet find "$L/raw:v0" "$L/busy" -ls
		quiet json "$L/raw:v0/graph.json" '{e["from"] for e in d["edges"]} <= {n["id"] for n in d["nodes"]}'
		eq "edges between nodes" "$(cat "$T/out")" True
		quiet "$PYTHON" "$HERE/openlineage.py" "$L/raw:v0/openlineage.ndjson"
		quiet cat "$L/graph.json" "$L/busy/graph.dot"
		n=$((n + 1))
	done
	wait "$writer" || fail "logging failed: $(cat "$MNT/runs/busy/log")"
	[ "$n" -ge 2 ] || fail "read $n times only"
	eq "in the end" "$(ls "$L/raw:v0/downstream/types/model" | grep -c c:)" 60
	eq "runs" "$(ls "$L/raw:v0/downstream/runs" | grep -c '^b[0-9]')" 60
}

# --- who may see what ---

test_private_versions() {
	need_root
	make_pipeline
	new_run hidden
	ln -s model:v0 "$MNT/runs/hidden/inputs/model"
	(umask 077 && echo s >"$OUT/secret")
	log_now hidden 'secret type=secrets'
	end_run hidden
	new_run open
	ln -s secret:v0 "$MNT/runs/open/inputs/s"
	echo o >"$OUT/open"
	log_now open 'open type=report'
	closure raw:v0 downstream \
		"ckpt:v0 ckpt:v1 model:v0 open:v0 report:v0 secret:v0 tokens:v0" \
		"evaluate hidden open prepare train"
	local dir=$L/raw:v0/downstream file
	eq "as another user" "$(as_user ls "$dir/artifacts" | tr '\n' ' ')" \
		"ckpt:v0 ckpt:v1 model:v0 open:v0 report:v0 tokens:v0 "
	eq "types" "$(as_user ls "$dir/types" | tr '\n' ' ')" "dataset model report "
	expect_errno_as_user ENOENT readlink "$dir/artifacts/secret:v0"
	expect_errno_as_user ENOENT readlink "$dir/types/secrets/secret:v0"
	expect_errno_as_user EACCES open-read "$L/secret:v0/graph.json"
	exists "$L/secret:v0/graph.json" "$dir/types/secrets/secret:v0"
	for file in "$L/graph.json" "$L"/{raw:v0,open,secret:v0}/{graph.json,graph.dot,openlineage.ndjson}; do
		! grep -q secret "$file" || fail "$file tells of secret"
	done
	eq "is there all the same" "$(json "$L/open/graph.json" \
		'[n["kind"] for n in d["nodes"] if n.get("private")]')" "['artifact']"
	eq "in OpenLineage" "$(grep -c '"name":"private-' "$L/open/openlineage.ndjson")" 2
	quiet "$PYTHON" "$HERE/openlineage.py" "$L/open/openlineage.ndjson"
	fails as_user "$LINEAGEFS" lineage -m "$MNT" secret:v0
	grep -q 'secret:v0 may not be read' "$T/out" || fail "$(cat "$T/out")"
	quiet as_user "$LINEAGEFS" lineage -m "$MNT" open --up
	! grep -q secret "$T/out" || fail "the command tells of secret"
}

# --- documents ---

test_graph_json() {
	make_pipeline
	local file=$L/model:v0/graph.json
	eq "members" "$(json "$file" '[k for k in d if k != "generated_at"]')" \
		"['format', 'root', 'store', 'truncated', 'nodes', 'edges']"
	eq "format" "$(json "$file" 'd["format"], d["root"], d["truncated"]')" \
		"('lineagefs-graph-1', 'model:v0', False)"
	eq "nodes" "$(json "$file" 'sorted((n["level"], n["id"]) for n in d["nodes"])')" \
		"[(0, 'ingest'), (0, 'tune'), (1, 'hints:v0'), (1, 'raw:v0'), (2, 'prepare'), (3, 'tokens:v0'), (4, 'train'), (5, 'model:v0'), (6, 'evaluate'), (7, 'report:v0')]"
	eq "a version" "$(json "$file" '[[n[k] for k in ("kind", "name", "version", "type", "size", "files", "aliases", "state")] for n in d["nodes"] if n["id"] == "raw:v0"]')" \
		"[['artifact', 'raw', 'v0', 'dataset', 4, 1, ['latest'], 'live']]"
	eq "its digest" "$(json "$file" '[n["digest"] for n in d["nodes"] if n["id"] == "raw:v0"][0]')" \
		"$(json "$MNT/artifacts/raw/v0/info.json" 'd["digest"]')"
	eq "a run" "$(json "$file" '[[n[k] for k in ("kind", "job_type", "state", "ended_at")] for n in d["nodes"] if n["id"] == "evaluate"]')" \
		"[['run', '', 'running', None]]"
	eq "edges" "$(json "$file" '[e["from"] + " " + e["kind"] + " " + e["to"] for e in d["edges"] if "train" in e.values()]')" \
		"['tokens:v0 used train', 'hints:v0 used train', 'train logged model:v0']"
	# A draft that is read makes an edge between runs.
	echo scratch >"$MNT/runs/evaluate/outputs/scratch"
	new_run peek
	env LINEAGEFS_RUN=peek cat "$MNT/runs/evaluate/outputs/scratch" >"$T/text"
	eq "a draft" "$(json "$L/peek/graph.json" '[e["from"] + " " + e["kind"] for e in d["edges"] if e["to"] == "peek"]')" \
		"['evaluate read_draft']"
	# Of the whole store.
	eq "the root" "$(json "$L/graph.json" 'd["root"], len(d["nodes"])')" "(None, 13)"
}

test_graph_dot() {
	make_pipeline
	grep -qF '[label="dataset\nraw:v0", shape=box' "$L/raw:v0/graph.dot" || fail "no label of raw:v0"
	grep -qF '[label="train\ntrain", shape=box' "$L/raw:v0/graph.dot" || fail "no label of train"
	need dot
	quiet dot -Tsvg -o "$T/svg" "$L/raw:v0/graph.dot"
	eq "nodes" "$(grep -c 'class="node"' "$T/svg")" \
		"$(json "$L/raw:v0/graph.json" 'len(d["nodes"])')"
	eq "edges" "$(grep -c 'class="edge"' "$T/svg")" \
		"$(json "$L/raw:v0/graph.json" 'len(d["edges"])')"
	quiet dot -Tplain "$L/train/graph.dot"
	# From left to right: what is made is right of what makes it.
	awk '/raw:v0/ { a = $3 } /tokens:v0/ { b = $3 } /model:v0/ { c = $3 } END { exit !(a < b && b < c) }' \
		"$T/out" || fail "not from left to right"
}

events() { # NODE: into $T/events
	"$PYTHON" "$HERE/openlineage.py" "$L/$1/openlineage.ndjson" >"$T/events" 2>"$T/err" ||
		fail "$1: $(tail -n 1 "$T/err")"
}

event() { # RUN TYPE EXPRESSION over e
	"$PYTHON" -c 'import json, sys
for e in map(json.loads, open(sys.argv[1])):
    tags = {t["key"]: t["value"] for t in e["run"]["facets"]["tags"]["tags"]}
    if (tags["run"], e["eventType"]) == (sys.argv[2], sys.argv[3]):
        print(eval(sys.argv[4]))' "$L/raw:v0/openlineage.ndjson" "$@"
}

test_openlineage() {
	need git
	make_pipeline
	local run id
	git init -q "$T/code"
	git -C "$T/code" -c user.name=t -c user.email=t@t commit -q --allow-empty -m x
	git -C "$T/code" remote add origin git@example.org:team/code.git
	run=("$LINEAGEFS" run -m "$MNT" --job-type sweep)
	(cd "$T/code" && "${run[@]}" --id outer --tag nightly --input raw:v0 -- \
		"${run[@]}" --id inner --input raw:v0 -- sh -c 'exit 3') 2>"$T/err" && fail "it succeeded"
	new_run crashed
	ln -s raw:v0 "$MNT/runs/crashed/inputs/raw"
	end_run crashed crashed
	new_run again
	ln -s model:v0 "$MNT/runs/again/inputs/m"
	echo raw >"$OUT/raw"
	end_run again
	events raw:v0
	eq "events" "$(cat "$T/events")" "ingest START
ingest COMPLETE
prepare START
prepare COMPLETE
train START
train COMPLETE
evaluate START
outer START
inner START
inner FAIL
outer FAIL
crashed START
crashed ABORT
again START
again COMPLETE"
	events ingest
	eq "of a run" "$(sed -n 1,2p "$T/events")" "ingest START
ingest COMPLETE"
	eq "a job" "$(event train COMPLETE 'e["job"]["name"]')" train
	eq "without a type" "$(event evaluate START 'e["job"]["name"]')" evaluate
	eq "namespace" "$(event train COMPLETE '{e["job"]["namespace"]} | {d["namespace"] for d in e["inputs"] + e["outputs"]}')" \
		"{'lineagefs://$(json "$MNT/_status.json" 'd["store_id"]')'}"
	eq "inputs" "$(event train COMPLETE '[(d["name"], d["facets"]["version"]["datasetVersion"]) for d in e["inputs"]]')" \
		"[('tokens', 'v0')]"
	eq "outputs" "$(event train COMPLETE '[(d["name"], d["facets"]["version"]["datasetVersion"]) for d in e["outputs"]]')" \
		"[('ckpt', 'v0'), ('ckpt', 'v1'), ('model', 'v0')]"
	eq "of a running run" "$(event evaluate START 'len(e["inputs"]), len(e["outputs"])')" "(2, 1)"
	eq "statistics" "$(event ingest COMPLETE '[[d["outputFacets"]["outputStatistics"][k] for k in ("size", "fileCount")] for d in e["outputs"]]')" \
		"[[4, 1]]"
	eq "types" "$(event train COMPLETE '[d["facets"]["datasetType"]["datasetType"] for d in e["inputs"] + e["outputs"]]')" \
		"['FILE', 'MODEL', 'MODEL', 'MODEL']"
	eq "digest" "$(event ingest COMPLETE 'e["outputs"][0]["facets"]["tags"]["tags"][0]["value"]')" \
		"$(json "$MNT/artifacts/raw/v0/info.json" 'd["digest"]')"
	eq "reproduced" "$(event again COMPLETE '[t["key"] for t in e["outputs"][0]["facets"]["tags"]["tags"]]')" \
		"['digest', 'reproduced']"
	eq "an error" "$(event inner FAIL 'e["run"]["facets"]["errorMessage"]["message"]')" "exit code 3"
	eq "a tag" "$(event outer START '"nightly" in tags')" True
	eq "code" "$(event outer START '[e["job"]["facets"]["sourceCodeLocation"][k] for k in ("url", "repoUrl", "version")]')" \
		"['ssh://git@example.org/team/code.git', 'git@example.org:team/code.git', '$(git -C "$T/code" rev-parse HEAD)']"
	eq "no code" "$(event train START '"sourceCodeLocation" in e["job"]["facets"]')" False
	eq "parent" "$(event inner FAIL 'e["run"]["facets"]["parent"]["run"]["runId"], e["run"]["facets"]["parent"]["job"]["name"]')" \
		"$(event outer START 'e["run"]["runId"], "sweep"')"
	id=$(event train START 'e["run"]["runId"]')
	remount
	eq "after a remount" "$(event train COMPLETE 'e["run"]["runId"]')" "$id"
}

test_truncated() {
	start_mount -o lineage_nodes=100,document_nodes=100
	L=$MNT/lineage
	local i dir
	quick_version ingest raw raw
	new_run sweep
	ln -s raw:v0 "$MNT/runs/sweep/inputs/raw"
	for i in {1..150}; do
		echo "$i" >"$OUT/m$i"
	done
	end_run sweep
	dir=$L/raw:v0/downstream
	eq "listed" "$(ls "$dir/artifacts" | wc -l)" 100
	eq "the last" "$(ls -U "$dir/artifacts" | tail -n 1)" TRUNCATED
	eq "says" "$(cat "$dir/artifacts/TRUNCATED")" \
		"There is more: this directory shows 100 nodes (option lineage_nodes)."
	eq "its size" "$(stat -c %s "$dir/artifacts/TRUNCATED")" "$(wc -c <"$dir/artifacts/TRUNCATED")"
	exists "$dir/runs/TRUNCATED"
	absent "$L/raw:v0/upstream/artifacts/TRUNCATED"
	eq "graph.json" "$(json "$L/raw:v0/graph.json" 'd["truncated"], len(d["nodes"])')" \
		"('cut at 100 nodes (option document_nodes)', 100)"
	eq "of the store" "$(json "$L/graph.json" 'd["truncated"], len(d["nodes"])')" \
		"('cut at 100 nodes (option document_nodes)', 100)"
	eq "graph.dot" "$(head -n 1 "$L/raw:v0/graph.dot")" \
		"// TRUNCATED: cut at 100 nodes (option document_nodes)"
	events raw:v0
	eq "openlineage" "$(head -n 1 "$T/events")" \
		"- TRUNCATED: cut at 100 nodes (option document_nodes)"
	quiet "$LINEAGEFS" lineage -m "$MNT" raw:v0
	eq "the command" "$(head -n 1 "$T/out")" "TRUNCATED: cut at 100 nodes (option document_nodes)"
	remount
	absent "$dir/artifacts/TRUNCATED"
	eq "listed" "$(ls "$dir/artifacts" | wc -l)" 150
	eq "graph.json" "$(json "$L/raw:v0/graph.json" 'd["truncated"], len(d["nodes"])')" "(False, 153)"
}

# --- lineagefs lineage ---

lineage() { # ARGUMENT…: into $T/out
	quiet "$LINEAGEFS" lineage -m "$MNT" "$@"
}

test_command_tree() {
	make_pipeline
	lineage report
	eq "the tree" "$(cat "$T/out")" "report report:v0 (latest)

upstream: 4 artifacts, 5 runs
\`-- run evaluate (running)
    |-- model model:v0 (latest)
    |   \`-- train train
    |       |-- dataset tokens:v0 (latest)
    |       |   \`-- prepare prepare
    |       |       \`-- dataset raw:v0 (latest)
    |       |           \`-- ingest ingest
    |       \`-- artifact hints:v0 (latest)
    |           \`-- run tune
    \`-- dataset tokens:v0 (latest) (see above)

downstream: nothing"
	# What was read after a checkpoint is not below it.
	lineage ckpt:v0 --up
	! grep -q hints "$T/out" || fail "hints:v0 is no ancestor of ckpt:v0"
	lineage hints:v0 --down
	eq "downstream" "$(cat "$T/out")" "artifact hints:v0 (latest)

downstream: 3 artifacts, 2 runs
\`-- train train
    |-- model ckpt:v1 (latest)
    \`-- model model:v0 (latest)
        \`-- run evaluate (running)
            \`-- report report:v0 (latest)"
	lineage raw:v0 --down --depth 1
	eq "one step" "$(cat "$T/out")" "dataset raw:v0 (latest)

downstream: 1 artifact, 1 run
\`-- prepare prepare
    \`-- dataset tokens:v0 (latest)"
	lineage raw --type report --down
	eq "of a type" "$(cat "$T/out")" "dataset raw:v0 (latest)

downstream: 1 artifact of type report, 4 others passed over
\`-- report report:v0 (latest), 1 other between"
	lineage train --up --depth 1
	eq "of a run" "$(cat "$T/out")" "train train

upstream: 2 artifacts, 0 runs
|-- dataset tokens:v0 (latest)
\`-- artifact hints:v0 (latest)"
	LC_ALL=C.UTF-8 lineage tokens:v0 --up
	eq "with lines" "$(sed -n 4,5p "$T/out")" "└── prepare prepare
    └── dataset raw:v0 (latest)"
	end_run evaluate failed
	lineage report:latest --up
	grep -q 'run evaluate (failed)' "$T/out" || fail "it has failed: $(cat "$T/out")"
}

test_command_names() {
	make_pipeline
	local name
	for name in tokens tokens:latest tokens:v0 artifacts/tokens/v0 "$MNT/artifacts/tokens/latest/files"; do
		lineage "$name"
		eq "$name" "$(head -n 1 "$T/out")" "dataset tokens:v0 (latest)"
	done
	# A run goes before an artifact of its name.
	quick_version tokens x y
	lineage tokens
	eq "a run" "$(head -n 1 "$T/out")" "run tokens"
	LINEAGEFS_MOUNT=$MNT quiet "$LINEAGEFS" lineage raw
	eq "by the environment" "$(head -n 1 "$T/out")" "dataset raw:v0 (latest)"
}

test_command_json() {
	make_pipeline
	lineage model:v0 --json
	eq "all of it" "$(json "$T/out" '[n["id"] for n in d["nodes"]], d["edges"]')" \
		"$(json "$L/model:v0/graph.json" '[n["id"] for n in d["nodes"]], d["edges"]')"
	lineage model:v0 --json --up
	eq "upstream" "$(json "$T/out" 'sorted(n["id"] for n in d["nodes"]), d["root"]')" \
		"(['hints:v0', 'ingest', 'model:v0', 'prepare', 'raw:v0', 'tokens:v0', 'train', 'tune'], 'model:v0')"
	eq "edges" "$(json "$T/out" 'len(d["edges"])')" 7
	lineage model:v0 --json --up --depth 1
	eq "one step" "$(json "$T/out" 'sorted(n["id"] for n in d["nodes"])')" \
		"['hints:v0', 'model:v0', 'tokens:v0', 'train']"
	lineage report:v0 --json --up --type dataset
	eq "of a type" "$(json "$T/out" 'sorted(n["id"] for n in d["nodes"]), [tuple(e.values()) for e in d["edges"]]')" \
		"(['raw:v0', 'report:v0', 'tokens:v0'], [('tokens:v0', 'report:v0', 'between', 0), ('raw:v0', 'tokens:v0', 'between', 0), ('tokens:v0', 'report:v0', 'between', 1)])"
}

refused() { # STATUS TEXT ARGUMENT…
	local rc=0 want=$1 text=$2
	shift 2
	"$LINEAGEFS" lineage -m "$MNT" "$@" >"$T/out" 2>"$T/err" || rc=$?
	eq "exit of lineage $*" "$rc" "$want"
	[ ! -s "$T/out" ] || fail "lineage $* prints $(head -n 1 "$T/out")"
	grep -qF -- "lineagefs lineage: $text" "$T/err" || fail "lineage $*: $(cat "$T/err")"
}

test_command_errors() {
	make_pipeline
	mkdir "$MNT/artifacts/empty"
	refused 1 "there is neither a run nor an artifact nothing" nothing
	refused 1 "there is no nothing:v0" nothing:v0
	refused 1 "there is no raw:v7" raw:v7
	refused 1 "there is no artifact nothing" nothing:latest
	refused 1 "artifact raw has neither a version nor an alias prod" raw:prod
	refused 1 "artifact empty has no version yet" empty
	refused 2 "'a b' can name neither" "a b"
	refused 2 "'..' can name neither" ..
	refused 2 "'../runs' names no version" ../runs
	refused 2 "of which artifact or run?"
	refused 2 "one artifact or run at a time" raw tokens
	refused 2 "--up and --down exclude each other" raw --up --down
	refused 2 "--json and --tree exclude each other" raw --json --tree
	refused 2 "--depth takes a number" raw --depth 0
	refused 2 "--depth takes a number" raw --depth x
	refused 2 "--depth takes a number" raw --depth 99999999999999999999
	refused 2 "--depth needs an argument" raw --depth
	refused 2 "'a b' cannot be a type" raw --type 'a b'
	refused 2 "no such option: --colour" raw --colour
	fails "$LINEAGEFS" lineage -m "$T" raw
	grep -q 'not where lineagefs is mounted' "$T/out" || fail "$(cat "$T/out")"
	"$LINEAGEFS" help >"$T/out"
	grep -q 'lineagefs lineage' "$T/out" || fail "help does not know it"
	"$LINEAGEFS" lineage --help >"$T/out"
	grep -q -- --depth "$T/out" || fail "its own help is short"
	if "$LINEAGEFS" lineage -m "$MNT" raw >/dev/full 2>"$T/err"; then
		fail "a full disk is no error"
	fi
}

on_terminal() { # COMMAND…: what it prints on a terminal
	"$PYTHON" -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))' "$@" </dev/null | tr -d '\r'
}

test_command_on_a_terminal() {
	make_pipeline
	local esc=$'\033' link
	link="$esc]8;;file://$(uname -n)$MNT/artifacts/raw/v0$esc\\"
	TERM=xterm on_terminal "$LINEAGEFS" lineage -m "$MNT" raw >"$T/out"
	grep -qF "$link$esc[34mraw:v0$esc[0m$esc]8;;$esc\\" "$T/out" || fail "$(cat -v "$T/out")"
	grep -qF "$esc]8;;file://$(uname -n)$MNT/runs/ingest$esc\\" "$T/out" || fail "no link of a run"
	TERM=xterm NO_COLOR=1 on_terminal "$LINEAGEFS" lineage -m "$MNT" raw >"$T/out"
	grep -qF "${link}raw:v0$esc]8;;$esc\\" "$T/out" || fail "$(cat -v "$T/out")"
	! grep -qF "$esc[" "$T/out" || fail "colours: $(cat -v "$T/out")"
	TERM=dumb on_terminal "$LINEAGEFS" lineage -m "$MNT" raw >"$T/out"
	! grep -qF "$esc" "$T/out" || fail "escapes: $(cat -v "$T/out")"
	TERM=xterm quiet "$LINEAGEFS" lineage -m "$MNT" raw
	! grep -qF "$esc" "$T/out" || fail "escapes in a file"
}

# A chain longer than anybody reads as a tree goes on below, and leaves nothing out.
test_command_long_chain() {
	start_mount
	local i
	new_run r0
	echo 0 >"$OUT/a"
	end_run r0
	for i in {1..40}; do
		new_run "r$i"
		ln -s a:latest "$MNT/runs/r$i/inputs/a"
		echo "$i" >"$OUT/a"
		end_run "r$i"
	done
	lineage a:v40 --up
	for i in {0..39}; do
		eq "a:v$i" "$(grep -c "\`-- artifact a:v$i\$\|\`-- artifact a:v$i (goes on below)" "$T/out")" 1
	done
	grep -q '^upstream, further on from artifact a:v' "$T/out" || fail "$(tail -n 3 "$T/out")"
	eq "as wide as" "$(awk 'length > 150' "$T/out")" ""
	lineage a:v40 --up --json
	eq "JSON" "$(json "$T/out" 'len(d["nodes"])')" 82
}
