# /types, /jobs, /tags and /digests: what is of a type, a job type, has a tag, holds some bytes.
# shellcheck shell=bash

listing() { # DIRECTORY: names and targets
	(cd "$1" && find . -mindepth 1 -printf '%f=%l ') | tr -d '\n'
}

sum() { # FILE
	sha256sum <"$1" | cut -d' ' -f1
}

make_store() {
	new_run prepare
	echo prep >"$MNT/runs/prepare/job_type"
	make_content "$OUT/raw"
	log_now prepare 'raw type=dataset tag=golden'
	end_run prepare
	new_run train
	echo train >"$MNT/runs/train/job_type"
	mkdir "$OUT/model"
	random_file "$OUT/model/weights" 200000
	cp "$OUT/model/weights" "$T/lost.ckpt"
	echo 1 >"$OUT/model/step"
	log_now train 'model type=model tag=golden tag=night'
	echo 2 >"$OUT/model/step"
	log_now train model
	cp "$T/lost.ckpt" "$OUT/backup"
	log_now train 'backup type=model'
	end_run train
	touch "$MNT/runs/train/tags/night"
}

test_listings() {
	start_mount
	make_store
	eq types "$(ls "$MNT/types" | tr '\n' ' ')" "dataset model "
	eq types/model "$(listing "$MNT/types/model")" \
		"model=../../artifacts/model backup=../../artifacts/backup "
	eq jobs "$(ls "$MNT/jobs" | tr '\n' ' ')" "prep train "
	eq jobs/train "$(listing "$MNT/jobs/train")" "train=../../runs/train "
	eq tags "$(ls "$MNT/tags" | tr '\n' ' ')" "golden night "
	eq tags/golden "$(listing "$MNT/tags/golden")" \
		"raw:v0=../../artifacts/raw/v0 model:v0=../../artifacts/model/v0 "
	eq tags/night "$(listing "$MNT/tags/night")" \
		"train=../../runs/train model:v0=../../artifacts/model/v0 "
	# All lead somewhere.
	eq "links to nothing" "$(find "$MNT/types" "$MNT/jobs" "$MNT/tags" -xtype l)" ""
	same "$MNT/tags/golden/raw:v0/files/hello" "$MNT/artifacts/raw/v0/files/hello"
	absent "$MNT/types/none" "$MNT/tags/golden/model:v1" "$MNT/tags/golden/train" \
		"$MNT/jobs/train/prepare" "$MNT/types/model/raw" "$MNT/types/.hidden"
	quiet ls -laR "$MNT/types" "$MNT/jobs" "$MNT/tags" "$MNT/digests"
	remount
	eq "after a remount" "$(listing "$MNT/tags/night")" \
		"train=../../runs/train model:v0=../../artifacts/model/v0 "
}

test_where_a_file_comes_from() {
	local sum
	start_mount
	make_store
	# shellcheck disable=SC2010
	sum=$(sum "$T/lost.ckpt")
	eq "its versions" "$(listing "$MNT/digests/$sum")" \
		"model:v0=../../artifacts/model/v0 model:v1=../../artifacts/model/v1 backup:v0=../../artifacts/backup/v0 "
	eq "its producer" "$(readlink "$MNT/digests/$sum/model:v0/producer")" ../../../runs/train
	eq "a listing" "$(ls "$MNT/digests")" ""
	absent "$MNT/digests/$sum/raw:v0" "$MNT/digests/${sum^^}" "$MNT/digests/${sum:1}" \
		"$MNT/digests/$(sum "$0")" "$MNT/digests/x" "$MNT/digests/$sum/model:v9"
	# Every file of every version, and what a version says of itself.
	while IFS= read -r -d '' file; do
		exists "$MNT/digests/$(sum "$file")/raw:v0"
	done < <(find "$MNT/artifacts/raw/v0/files" -type f -print0)
	sum=$(json "$MNT/artifacts/model/v1/info.json" 'd["digest"]')
	eq "a version" "$(listing "$MNT/digests/${sum#sha256:}")" "model:v1=../../artifacts/model/v1 "
	# What is not logged is nowhere.
	new_run later
	echo unlogged >"$OUT/draft"
	absent "$MNT/digests/$(sum "$OUT/draft")"
	log_now later draft
	exists "$MNT/digests/$(sum "$OUT/draft")/draft:v0"
}

test_they_come_and_go() {
	start_mount
	make_store
	cd "$MNT/tags/night"
	rm "$MNT/runs/train/tags/night"
	eq tags/night "$(ls "$MNT/tags/night")" model:v0
	absent "$MNT/tags/night/train"
	touch "$MNT/runs/train/tags/new"
	eq tags "$(ls "$MNT/tags" | tr '\n' ' ')" "golden new night "
	rm "$MNT/runs/train/tags/new"
	absent "$MNT/tags/new"
	cd /
	echo weights >"$MNT/artifacts/backup/type"
	eq types "$(ls "$MNT/types" | tr '\n' ' ')" "dataset model weights "
	eq types/model "$(ls "$MNT/types/model")" model
	eq types/weights "$(listing "$MNT/types/weights")" "backup=../../artifacts/backup "
	echo model >"$MNT/artifacts/backup/type"
	absent "$MNT/types/weights"
	echo tune >"$MNT/runs/train/job_type"
	eq jobs "$(ls "$MNT/jobs" | tr '\n' ' ')" "prep tune "
}

test_numbers() {
	local path
	start_mount
	make_store
	path=$MNT/digests/$(sum "$T/lost.ckpt")
	find "$MNT" -printf '%i %p\n' >"$T/all"
	find "$path" -printf '%i %p\n' >>"$T/all"
	eq "numbers used twice" "$(cut -d' ' -f1 "$T/all" | sort | uniq -d)" ""
	grep -E " $MNT/(types|jobs|tags|digests)" "$T/all" | sort >"$T/first"
	"$PYTHON" - "$MNT/types" "$MNT/jobs" "$MNT/tags" "$path" <<'END' || fail "readdir and stat disagree"
import os, sys
def walk(top):
    with os.scandir(top) as entries:
        for entry in entries:
            st = os.lstat(entry.path)
            assert entry.inode() == st.st_ino, entry.path
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
for top in sys.argv[1:]:
    walk(top)
END
	remount
	{ find "$MNT" -printf '%i %p\n'; find "$path" -printf '%i %p\n'; } |
		grep -E " $MNT/(types|jobs|tags|digests)" | sort >"$T/second"
	same "$T/first" "$T/second"
	eq "the way up" "$(cd "$path/.." && pwd -P) $(cd "$path/../.." && pwd -P)" "$MNT/digests $MNT"
	eq "the way up" "$(cd "$MNT/tags/golden/.." && pwd -P)" "$MNT/tags"
	eq "their numbers" "$(stat -c %i "$MNT/tags/golden/.." "$path/.." | tr '\n' ' ')" \
		"$(stat -c %i "$MNT/tags" "$MNT/digests" | tr '\n' ' ')"
}

test_read_only() {
	start_mount
	make_store
	expect_errno 'EPERM|EROFS' mkdir "$MNT/tags/x"
	expect_errno 'EPERM|EROFS' mkdir "$MNT/digests/x"
	expect_errno 'EPERM|EROFS' symlink ../../artifacts/model/v1 "$MNT/tags/golden/model:v1"
	expect_errno 'EPERM|EROFS' unlink "$MNT/tags/golden/model:v0"
	expect_errno 'EPERM|EROFS' rmdir "$MNT/tags/golden"
	expect_errno 'EPERM|EROFS' rename "$MNT/types/model" "$MNT/types/x"
	expect_errno 'EPERM|EROFS' create "$MNT/types/model/x"
}

# What another user may not read is nowhere for it, and does not differ from what is not there.
test_private() {
	local sum none
	need_root
	start_mount
	new_run mine
	(umask 077 && mkdir "$OUT/secret" && echo hidden >"$OUT/secret/f")
	mkdir "$OUT/open"
	echo shown >"$OUT/open/f"
	echo both | tee "$OUT/secret/b" >"$OUT/open/b"
	log_now mine 'secret type=model tag=s tag=x'
	log_now mine 'open type=model tag=x'
	end_run mine
	echo hidden >"$T/hidden"
	echo both >"$T/both"
	sum=$(sum "$T/hidden")
	none=${sum//[0-9]/0}
	eq "mine" "$(ls "$MNT/digests/$sum")" secret:v0
	eq "mine" "$(ls "$MNT/tags/x" | tr '\n' ' ')" "open:v0 secret:v0 "
	# Twice: what root has looked up is known to the kernel.
	for _ in 1 2; do
		eq "theirs" "$(as_user ls "$MNT/tags" | tr '\n' ' ')" "x "
		eq "theirs" "$(as_user ls "$MNT/tags/x" | tr '\n' ' ')" "open:v0 "
		eq "theirs" "$(as_user ls "$MNT/digests/$(sum "$T/both")" | tr '\n' ' ')" "open:v0 "
		fails as_user ls "$MNT/digests/$sum"
		sed "s/$sum/$none/" "$T/out" >"$T/private"
		fails as_user ls "$MNT/digests/$none"
		same "$T/private" "$T/out"
		expect_errno_as_user ENOENT readlink "$MNT/digests/$sum/secret:v0"
		expect_errno_as_user ENOENT readlink "$MNT/digests/$(sum "$T/both")/secret:v0"
		expect_errno_as_user ENOENT readlink "$MNT/tags/x/secret:v0"
		expect_errno_as_user ENOENT readlink "$MNT/tags/s/secret:v0"
		eq "mine" "$(ls "$MNT/tags/s" "$MNT/digests/$sum" | grep -c secret:v0)" 2
	done
	# The collections' names are anybody's, until their owner says otherwise.
	eq "types" "$(as_user ls "$MNT/types/model" | tr '\n' ' ')" "open secret "
	chmod 700 "$MNT/artifacts/secret" "$MNT/artifacts/open"
	absent_for_user "$MNT/types/model"
	absent_for_user "$MNT/tags/x"
	eq "types" "$(ls "$MNT/types/model" | tr '\n' ' ')" "open secret "
	# A run that nobody may look into.
	chmod 700 "$MNT/runs/mine"
	echo job >"$MNT/runs/mine/job_type"
	absent_for_user "$MNT/jobs/job"
	exists "$MNT/jobs/job/mine"
}

absent_for_user() {
	as_user test ! -e "$1" || fail "should not be there for others: $1"
}

# Content that somebody else keeps private is nobody's equal, and nothing says that it is there.
test_private_content_is_no_equal() {
	need_root
	start_mount
	new_run mine
	chmod 777 "$OUT/.." 2>/dev/null || true
	(umask 077 && mkdir "$OUT/shared" && echo same >"$OUT/shared/f")
	end_run mine
	chmod 777 "$MNT/artifacts/shared"
	as_user mkdir "$MNT/runs/theirs"
	as_user sh -c 'umask 077; mkdir "$1/shared"; echo same >"$1/shared/f"' - "$MNT/runs/theirs/outputs"
	as_user sh -c 'echo shared >"$1/log"' - "$MNT/runs/theirs"
	eq "log" "$(cut -d' ' -f1,2 "$MNT/runs/theirs/log")" "logged: shared:v1"
	fails grep -E 'v0|equal' "$MNT/runs/theirs/log"
	fails grep -E 'shared:v0|"equal": true' "$MNT/runs/theirs/info.json"
	eq "producers" "$(ls "$MNT/artifacts/shared/v0/producers")" mine
	if [ -e "$MNT/events.ndjson" ]; then
		fails grep -E '"theirs".*(v0|equal)' "$MNT/events.ndjson"
	fi
	# Who may read it, is told: each its own.
	new_run again
	(umask 077 && mkdir "$OUT/shared" && echo same >"$OUT/shared/f")
	log_now again shared
	grep -q '^equal: shared:v' "$MNT/runs/again/log" || fail "$(cat "$MNT/runs/again/log")"
}

# Documents are the same for everybody: of a private version none of what is said of it.
test_private_in_documents() {
	local file
	start_mount
	new_run mine
	(umask 077 && mkdir "$OUT/secret" && echo hidden >"$OUT/secret/f")
	log_now mine 'secret type=model tag=hushtag alias=hushalias'
	echo hushtext >"$MNT/artifacts/secret/description"
	end_run mine
	new_run user
	ln -s secret:v0 "$MNT/runs/user/inputs/in"
	for file in "$MNT/lineage/graph.json" "$MNT/lineage/graph.html" "$MNT"/lineage/user/graph.* \
		"$MNT/lineage/user/openlineage.ndjson" "$MNT/lineage/mine/graph.json"; do
		if grep -E 'hushtag|hushalias|hushtext|secret' "$file"; then
			fail "${file#"$MNT/"} names what is private"
		fi
	done
}

test_many_versions_of_one_tree() {
	local i sum start
	start_mount
	new_run r
	mkdir -p "$OUT/big/sub"
	for i in $(seq 300); do
		echo "$i" >"$OUT/big/sub/file$i"
	done
	for i in $(seq 60); do
		echo "changed $i" >"$OUT/big/counter"
		log_now r big
	done
	sum=$(sum "$OUT/big/sub/file7")
	eq "versions" "$(ls "$MNT/digests/$sum" | wc -l)" 60
	quiet ls -lL "$MNT/digests/$sum"
	eq "one of them" "$(ls "$MNT/digests/$(echo "changed 33" | sum /dev/stdin)")" big:v32
}

# What was removed is not shown, nor is what is gone for good; what comes back is.
test_trash() {
	local sum
	start_mount
	make_store
	[ -d "$MNT/trash" ] || skip "no trash"
	sum=$(sum "$MNT/artifacts/raw/v0/files/hello")
	exists "$MNT/digests/$sum/raw:v0"
	rmdir "$MNT/artifacts/raw/v0"
	absent "$MNT/digests/$sum"
	eq tags/golden "$(ls "$MNT/tags/golden")" model:v0
	eq types "$(ls "$MNT/types" | tr '\n' ' ')" "dataset model "
	mv "$MNT/trash/raw:v0" "$MNT/artifacts/raw/v0"
	eq digests "$(ls "$MNT/digests/$sum")" raw:v0
	eq tags/golden "$(ls "$MNT/tags/golden" | tr '\n' ' ')" "model:v0 raw:v0 "
}
