# The tools that people browse and copy with, over a mount with a bit of everything.
# shellcheck shell=bash

make_tree() {
	make_content "$T/want"
	new_run ingest
	cp -a "$T/want" "$OUT/raw"
	echo 'raw type=dataset' >"$MNT/runs/ingest/log"
	echo changed >"$OUT/raw/hello"
	end_run ingest
	new_run train
	ln -s raw:v0 "$MNT/runs/train/inputs/raw"
	ln -s raw:v1 "$MNT/runs/train/inputs/raw-too"
	mkdir "$OUT/model"
	wc "$MNT/runs/train/inputs/raw/sub/large" >"$OUT/model/counts"
	end_run train
	new_run running
	cp -a "$T/want" "$OUT/draft"
	echo one >"$OUT/single"
	log_now running draft
	mkdir "$MNT/artifacts/planned"
	new_run failed
	echo half >"$OUT/half"
	end_run failed failed
}

test_find() {
	start_mount
	make_tree
	quiet find "$MNT" -ls
	quiet find "$MNT" -type f -size +0 -exec grep -c '' {} +
	# Two listings agree.
	quiet find "$MNT" -printf '%p %i\n'
	sort "$T/out" >"$T/first"
	quiet find "$MNT" -printf '%p %i\n'
	sort "$T/out" | diff "$T/first" - >"$T/diff" || fail "$(head -n 2 "$T/diff")"
}

test_find_follows_links() {
	start_mount
	make_tree
	quiet timeout 60 find -L "$MNT" -type f
	quiet timeout 60 find -L "$MNT/artifacts/model/latest/" -type f -exec cat {} +
	grep -q /producer/inputs/raw/sub/large <(find -L "$MNT/artifacts/model" -type f) ||
		fail "find -L does not reach the inputs from a version"
}

test_ls() {
	start_mount
	make_tree
	quiet ls -lR "$MNT"
	quiet ls -laiRF "$MNT"
	quiet ls -lRL "$MNT/runs"
}

test_du() {
	start_mount
	make_tree
	quiet du -a "$MNT"
	quiet du -sh --apparent-size "$MNT"
	quiet df "$MNT"
	quiet stat -f "$MNT"
}

test_inodes() {
	start_mount
	make_tree
	# No two paths share a number, but for names of one file in a draft.
	quiet find "$MNT" -printf '%i\n'
	eq "numbers used twice" "$(sort "$T/out" | uniq -d | head -n 3)" ""
	# readdir and stat agree.
	"$PYTHON" - "$MNT" <<'END' || fail "readdir and stat disagree"
import os, sys
def walk(top):
    with os.scandir(top) as entries:
        for entry in entries:
            st = os.lstat(entry.path)
            assert entry.inode() == st.st_ino, entry.path
            assert entry.is_dir(follow_symlinks=False) == os.path.isdir(entry.path) or \
                entry.is_symlink(), entry.path
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
walk(sys.argv[1])
END
}

test_sizes() {
	start_mount
	make_tree
	find "$MNT" -type f -not -name _status.json -print0 | while IFS= read -r -d '' file; do
		eq "size of $file" "$(stat -c %s "$file")" "$(wc -c <"$file")"
	done
}

test_tar() {
	start_mount
	make_tree
	mkdir "$T/copy"
	quiet tar -C "$MNT" -cf "$T/all.tar" .
	quiet tar -C "$T/copy" -xf "$T/all.tar"
	compare_all
}

compare_all() {
	quiet diff -r --no-dereference -x _status.json "$MNT" "$T/copy"
}

test_cp_archive() {
	start_mount
	make_tree
	quiet cp -a "$MNT" "$T/copy"
	compare_all
	eq "mtime" "$(stat -c %y "$T/copy/artifacts/raw/v0/files/hello")" \
		"$(stat -c %y "$T/want/hello")"
	[ -x "$T/copy/artifacts/raw/v0/files/sub/script" ] || fail "no execute bit"
	# The copy is made of links that resolve, like the original.
	eq "links to nothing" "$(find "$T/copy" -xtype l | head -n 1)" ""
}

test_rsync() {
	need rsync
	start_mount
	make_tree
	quiet rsync -aH "$MNT/" "$T/copy/"
	compare_all
	quiet rsync -ai --exclude _status.json "$MNT/" "$T/copy/"
	eq "what a second rsync sends" "$(cat "$T/out")" ""
}

test_cp_inputs() {
	start_mount
	make_tree
	quiet cp -rL "$MNT/runs/train/inputs" "$T/inputs"
	quiet diff -r "$T/want" "$T/inputs/raw"
	eq "inputs" "$(ls "$T/inputs" | tr '\n' ' ')" "raw raw-too "
	eq "the other version" "$(cat "$T/inputs/raw-too/hello")" changed
}

# Of directories all but the size, which is the filesystem's own.
list_content() { # DIRECTORY
	(cd "$1" && find . -type d -printf '%p %y %T@\n' -o -printf '%p %y %s %T@ %l\n' | sort)
}

test_content_is_kept() {
	start_mount
	make_tree
	quiet diff -r --no-dereference "$T/want" "$MNT/artifacts/raw/v0/files"
	quiet diff -r --no-dereference "$T/want" "$MNT/artifacts/draft/v0/files"
	list_content "$T/want" >"$T/list.want"
	list_content "$MNT/artifacts/raw/v0/files" >"$T/list.got"
	diff "$T/list.want" "$T/list.got" >"$T/diff" || fail "times or sizes: $(head -n 3 "$T/diff")"
	eq "executables" "$(cd "$MNT/artifacts/raw/v0/files" && find . -type f -perm -100)" ./sub/script
	eq "running it" "$("$MNT/artifacts/raw/v0/files/link-to-script")" ran
	check_all_sums
}

test_remount_keeps_it_all() {
	start_mount
	make_tree
	quiet cp -a "$MNT" "$T/copy"
	remount
	compare_all
	quiet find "$MNT" -ls
}

# A listing in steps, while entries come and go.
test_listing_while_changing() {
	local i
	start_mount
	for i in $(seq 300); do
		mkdir "$MNT/artifacts/a$i"
	done
	"$PYTHON" - "$MNT/artifacts" <<'END' || fail "a listing lost names"
import os, sys
top = sys.argv[1]
seen = set()
with os.scandir(top) as entries:
    for n, entry in enumerate(entries):
        assert entry.name not in seen, entry.name
        seen.add(entry.name)
        if n == 10:
            for i in range(250, 260):
                os.rmdir(f"{top}/a{i}")
want = {f"a{i}" for i in range(1, 301)} - {f"a{i}" for i in range(250, 260)}
assert want <= seen, want - seen
END
	eq "left" "$(ls "$MNT/artifacts" | wc -l)" 290
}
