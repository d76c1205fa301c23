# What users of W&B's artifacts do there, done here with the tools at hand: each row of the table is
# a call of its SDK or client, a command, and what comes of it: "ok", or the words for the errno that
# says why not ("to a subdirectory of itself" is what mv makes of EINVAL). Rows follow each other; a
# row's command must leave what the next ones need.
# shellcheck shell=bash

surface() {
	cat <<'TABLE'
# --- runs
init(project, name)                 | mkdir runs/prep runs/train | ok
init(job_type)                      | echo prepare > runs/prep/job_type && echo train > runs/train/job_type | ok
init(tags)                          | touch runs/prep/tags/nightly && ls runs/prep/tags/nightly | ok
init(notes)                         | echo 'first try' > runs/prep/notes && grep try runs/prep/notes | ok
init(name) again                    | mkdir runs/prep | File exists
init(name) of a bad name            | mkdir runs/a:b | Invalid argument
config.update                       | echo '{"lr": 0.1}' > runs/train/config.json && grep lr runs/train/config.json | ok
config.update of no JSON            | printf '{"lr": }\n' > runs/train/config.json | Invalid argument
config.update kept the old one      | grep 0.1 runs/train/config.json | ok
summary.update                      | echo '{"acc": 0.9}' > runs/train/summary.json && grep acc runs/train/summary.json | ok
# --- making versions
Artifact(type), add_file            | echo 1 > runs/prep/outputs/raw.csv && echo 'raw.csv type=dataset' > runs/prep/log | ok
add_dir                             | mkdir -p runs/prep/outputs/mnist/sub && echo a > runs/prep/outputs/mnist/a && echo b > runs/prep/outputs/mnist/sub/b | ok
add_file(name)                      | cp runs/prep/outputs/raw.csv runs/prep/outputs/mnist/c.csv | ok
new_file                            | echo new > runs/prep/outputs/mnist/new.txt | ok
remove(path)                        | rm runs/prep/outputs/mnist/new.txt | ok
add_reference(https)                | ln -s https://host/x.bin runs/prep/outputs/mnist/x.bin | ok
log_artifact(aliases, tags)         | echo 'mnist type=dataset alias=best tag=good' > runs/prep/log && grep 'logged: mnist:v0' runs/prep/log | ok
log_artifact of equal content       | echo mnist > runs/prep/log && grep -E '^(equal|unchanged): mnist:v0' runs/prep/log | ok
log_artifact of another type        | echo 'mnist type=model' > runs/prep/log | Invalid argument
log_artifact(aliases=["latest"])    | echo 'mnist alias=latest' > runs/prep/log | Operation not permitted
log_artifact(aliases=["v7"])        | echo 'mnist alias=v7' > runs/prep/log | Invalid argument
log_artifact of nothing             | echo nosuch > runs/prep/log | No such file or directory
log a second version                | echo more >> runs/prep/outputs/mnist/a && echo mnist > runs/prep/log && readlink artifacts/mnist/latest | ok
finish                              | echo finished > runs/prep/state && grep finished runs/prep/state | ok
log_artifact after finish           | echo mnist > runs/prep/log | Read-only file system
new_draft                           | mkdir -p runs/train/outputs/big && cp -al artifacts/mnist/v1/files/. runs/train/outputs/big/ && ls runs/train/outputs/big/sub/b | ok
new_draft, change, save             | echo changed > runs/train/outputs/big/a && echo big > runs/train/log && cat artifacts/big/v0/files/a && cd artifacts/mnist/v1/files && sha256sum -c ../SHA256SUMS | ok
# --- using versions
use_artifact("mnist:v0")            | ln -s mnist:v0 runs/train/inputs/data && readlink -f runs/train/inputs/data | ok
use_artifact("mnist:best")          | ln -s mnist:best runs/train/inputs/best && readlink runs/train/inputs/best | grep v0 | ok
use_artifact of nothing             | ln -s mnist:v9 runs/train/inputs/no | No such file or directory
use_artifact of no reference        | ln -s /etc/passwd runs/train/inputs/no | Invalid argument
download                            | rm -rf /tmp/${ID} && cp -r runs/train/inputs/data/. /tmp/${ID} && test -f /tmp/${ID}/sub/b && rm -rf /tmp/${ID} | ok
get_entry, file                     | cat artifacts/mnist/v0/files/sub/b | ok
files(), manifest                   | grep -c . artifacts/mnist/v0/SHA256SUMS | ok
verify                              | cd artifacts/mnist/v0/files && sha256sum -c ../SHA256SUMS | ok
digest, size, created_at, id        | grep -E '"digest": "sha256:' artifacts/mnist/v0/info.json && grep '"size"' artifacts/mnist/v0/info.json | ok
logged_by                           | readlink artifacts/mnist/v0/producer | grep -x '../../../runs/prep' | ok
used_by                             | ls artifacts/mnist/v0/consumers | grep -x train | ok
run.logged_artifacts                | ls runs/prep/outputs | grep -x mnist:v1 | ok
run.used_artifacts                  | ls runs/train/inputs | grep -x data | ok
change what is logged               | echo x >> artifacts/mnist/v0/files/a | Read-only file system
delete a file of a version          | rm -f artifacts/mnist/v0/files/a | Read-only file system
# --- describing
artifact.description                | echo 'hand-written digits' > artifacts/mnist/v0/description && grep -q digits artifacts/mnist/v0/description | ok
artifact.metadata                   | echo '{"rows": 2}' > artifacts/mnist/v0/metadata.json && sed -i s/2/3/ artifacts/mnist/v0/metadata.json && grep -q 3 artifacts/mnist/v0/metadata.json | ok
artifact.metadata of no JSON        | echo '{' > artifacts/mnist/v0/metadata.json; grep -q '"rows": 3' artifacts/mnist/v0/metadata.json | ok
artifact.metadata of an array       | echo '[1]' > artifacts/mnist/v0/metadata.json | Invalid argument
artifact.tags.append                | touch artifacts/mnist/v0/tags/gold && ls artifacts/mnist/v0/tags | grep -x gold | ok
artifact.tags.append of a bad name  | touch 'artifacts/mnist/v0/tags/a:b' | Invalid argument
artifact.tags.remove                | rm artifacts/mnist/v0/tags/gold | ok
artifact.tags.remove of none        | rm artifacts/mnist/v0/tags/gold | No such file or directory
collection.description              | echo 'digits, all versions' > artifacts/mnist/description && cat artifacts/mnist/description | ok
collection.change_type              | echo data > artifacts/big/type && ls types/data/big | ok
run.notes after the end             | echo 'worked' >> runs/prep/notes && grep -c . runs/prep/notes | grep -x 2 | ok
run.summary after the end           | echo '{"rows": 2}' > runs/prep/summary.json | ok
run.config after the end            | echo '{"rows": 2}' > runs/prep/config.json | Read-only file system
# --- aliases
artifact.aliases.append             | ln -s v0 artifacts/mnist/prod && readlink artifacts/mnist/prod | grep -x v0 | ok
artifact.aliases.append, taken      | ln -sT v1 artifacts/mnist/prod | File exists
an alias moves                      | ln -sfn v1 artifacts/mnist/prod && readlink artifacts/mnist/prod | grep -x v1 | ok
roll back                           | ln -sfn v0 artifacts/mnist/prod && cat artifacts/mnist/prod/files/a | ok
an alias of nothing                 | ln -s v9 artifacts/mnist/none | No such file or directory
an alias of another collection      | ln -s ../big/v0 artifacts/mnist/other | Invalid argument
an alias called v7                  | ln -s v0 artifacts/mnist/v7 | Invalid argument
latest by hand                      | ln -sfn v0 artifacts/mnist/latest | Operation not permitted
latest removed by hand              | rm artifacts/mnist/latest | Operation not permitted
an alias gets another name          | mv artifacts/mnist/best artifacts/mnist/champion && readlink artifacts/mnist/champion | ok
an alias replaces another           | ln -s v1 artifacts/mnist/next && mv -T artifacts/mnist/next artifacts/mnist/prod && readlink artifacts/mnist/prod | grep -x v1 | ok
artifact.aliases.remove             | rm artifacts/mnist/champion | ok
# --- finding
api.artifact_types                  | ls types | grep -x dataset | ok
api.artifact_collections(type)      | ls types/dataset | grep -x mnist | ok
api.artifacts(type, name)           | ls -d types/dataset/mnist/v1 | ok
api.runs(filters={"jobType"})       | ls jobs/train/train/ | grep -x outputs | ok
api.runs(filters={"tags"})          | ls tags/nightly | grep -x prep | ok
artifacts with a tag                | ls tags/good/mnist:v0/ | grep -x files | ok
where is a stray file from          | ls "digests/$(sha256sum < artifacts/mnist/v0/files/sub/b | cut -c 1-64)" | grep -x mnist:v0 | ok
where is an unknown file from       | ls "digests/$(echo unknown | sha256sum | cut -c 1-64)" | No such file or directory
lineage, up                         | ls lineage/big:v0/upstream/artifacts | grep -x mnist:v1 | ok
lineage, down                       | ls lineage/mnist:v1/downstream/artifacts | grep -x big:v0 | ok
api.artifact_exists                 | test -d artifacts/mnist/v1 && test ! -e artifacts/mnist/v7 | ok
# --- removing
artifact.delete with an alias       | rmdir artifacts/mnist/v1 | Device or resource busy
artifact.delete(delete_aliases)     | rm artifacts/mnist/prod && rmdir artifacts/mnist/v1 && readlink artifacts/mnist/latest | grep -x v0 | ok
it is in the trash                  | ls trash/mnist:v1/files/sub | grep -x b | ok
its lineage stays                   | ls lineage/big:v0/upstream/artifacts | grep -x mnist:v1 | ok
it comes back                       | mv trash/mnist:v1 artifacts/mnist/v1 && readlink artifacts/mnist/latest | grep -x v1 | ok
under another number                | rmdir artifacts/mnist/v1 && mv trash/mnist:v1 artifacts/mnist/v5 | subdirectory of itself
back again                          | mv trash/mnist:v1 artifacts/mnist/v1 | ok
run.delete of one with edges        | rmdir runs/prep | Directory not empty
run.delete                          | mkdir runs/idle && rmdir runs/idle | ok
collection.delete with versions     | rmdir artifacts/mnist | Directory not empty
collection.delete of an empty one   | mkdir artifacts/none && rmdir artifacts/none | ok
collection.name = other             | mv artifacts/big artifacts/large | Operation not permitted
artifact cache cleanup              | ${LINEAGEFS} gc . --dry-run | ok
how much would go                   | ${LINEAGEFS} du mnist:v0 mnist:v1 | ok
verify references                   | ${LINEAGEFS} verify mnist:v0 | ok
# --- history
who did what                        | grep '"alias"' events.ndjson | grep -c prod | ok
the whole history is chained        | ${LINEAGEFS} audit | ok
TABLE
}

# On one line, what the command said and how it ended.
try_row() { # COMMAND
	local rc=0
	(cd "$MNT" && set -o pipefail && eval "$1") >"$T/row" 2>&1 || rc=$?
	SAID="exit $rc: $(tail -n 2 "$T/row" | tr '\n' ' ')"
	return "$rc"
}

test_table() {
	local what command want bad=
	start_mount
	ID=${T##*/}
	export LINEAGEFS_MOUNT=$MNT
	while IFS= read -r line; do
		[ -n "${line%%#*}" ] || continue
		want=${line##*| }
		command=${line#*| }
		command=${command% | *}
		what=${line%%|*}
		if try_row "$command"; then
			[ "$want" = ok ] || bad+="$what: worked, not $want"$'\n'
		elif [ "$want" = ok ] || ! grep -qF "$want" "$T/row"; then
			bad+="$what: $SAID, not $want"$'\n'
		fi
	done < <(surface)
	[ -z "$bad" ] || { printf '%s' "$bad" >&2; fail "$(grep -c . <<<"$bad") rows: $(head -n 1 <<<"$bad")"; }
	stop_mount
}
