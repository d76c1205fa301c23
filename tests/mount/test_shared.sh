# After a draft was logged its bytes are shared with the version: small files are packed, large ones
# are one file with two names. Whatever is done to the draft, the version stays.
# shellcheck shell=bash

MUTATIONS='append pwrite otrunc creat truncate grow ftruncate mmap punch fallocate copyrange
	readwrite rename unlink'
SIZES='1 1000 65536 65537 400000'

each_mutation() { # FUNCTION
	local kind size
	for kind in $MUTATIONS; do
		for size in $SIZES; do
			# Half of a one-byte file is no hole.
			[ "$kind" != punch ] || [ "$size" != 1 ] || continue
			"$1" "$kind" "$size"
		done
	done
}

make_file() { # KIND SIZE
	head -c "$2" "$T/random" >"$OUT/d/$1.$2"
	cp "$OUT/d/$1.$2" "$T/local/$1.$2"
}

mutate_both() { # KIND SIZE
	local got
	got=$("$SYS" mutate "$1" "$OUT/d/$1.$2" || true)
	eq "$1 of $2 bytes" "$got" OK
	"$SYS" mutate "$1" "$T/local/$1.$2" >"$T/out"
	same "$T/local/$1.$2" "$OUT/d/$1.$2"
}

setup() {
	start_mount
	new_run r
	mkdir "$OUT/d" "$T/local"
	random_file "$T/random" 400000
}

test_every_mutation() {
	setup
	each_mutation make_file
	log_now r d
	cp -a "$T/local" "$T/v0"
	each_mutation mutate_both
	quiet diff -r "$T/v0" "$MNT/artifacts/d/v0/files"
	quiet diff -r "$T/local" "$OUT/d"
	check_sums "$MNT/artifacts/d/v0"
	# Again, over what is now shared with v1.
	log_now r d
	cp -a "$T/local" "$T/v1"
	each_mutation mutate_both
	quiet diff -r "$T/v0" "$MNT/artifacts/d/v0/files"
	quiet diff -r "$T/v1" "$MNT/artifacts/d/v1/files"
	remount
	quiet diff -r "$T/v0" "$MNT/artifacts/d/v0/files"
	quiet diff -r "$T/v1" "$MNT/artifacts/d/v1/files"
	quiet diff -r "$T/local" "$OUT/d"
	check_all_sums
	end_run r
	quiet diff -r "$T/local" "$MNT/artifacts/d/v2/files"
}

# The same with both the version and the draft's old bytes open and cached.
test_mutations_with_readers() {
	local kind file fd other
	setup
	for kind in $MUTATIONS; do
		make_file "$kind" 400000
		make_file "$kind" 1000
	done
	log_now r d
	cp -a "$T/local" "$T/v0"
	for file in "$OUT"/d/*; do
		exec {fd}<"$file"
		exec {other}<"$MNT/artifacts/d/v0/files/${file##*/}"
		cat "$file" >"$T/out"
		kind=${file##*/}
		mutate_both "${kind%.*}" "${kind#*.}"
		same "$T/v0/$kind" - <&"$other"
		exec {fd}<&- {other}<&-
		same "$T/v0/$kind" "$MNT/artifacts/d/v0/files/$kind"
	done
	check_all_sums
}

# A version mapped by a reader does not change under it.
test_mapped_version() {
	setup
	make_file pwrite 400000
	log_now r d
	"$PYTHON" - "$MNT/artifacts/d/v0/files/pwrite.400000" "$OUT/d/pwrite.400000" <<'END' ||
import mmap, sys
version = open(sys.argv[1], "rb")
seen = mmap.mmap(version.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
before = bytes(seen)
with open(sys.argv[2], "r+b") as draft:
    draft.write(b"X" * 1000)
    draft.seek(200000)
    draft.write(b"Y" * 1000)
with open(sys.argv[2], "r+b") as draft:
    there = mmap.mmap(draft.fileno(), 0)
    assert there[:1000] == b"X" * 1000 and there[200000:201000] == b"Y" * 1000
    there[300000:300004] = b"mmap"
assert bytes(seen) == before
assert open(sys.argv[1], "rb").read() == before
END
		fail "a mapped version changed, or its draft did not"
	check_all_sums
}

test_hard_linked_names() {
	local size
	setup
	for size in 1000 65536 65537 400000; do
		head -c "$size" "$T/random" >"$OUT/d/a.$size"
		ln "$OUT/d/a.$size" "$OUT/d/b.$size"
	done
	log_now r d
	for size in 1000 65536 65537 400000; do
		eq "links of a.$size" "$(stat -c %h "$OUT/d/a.$size")" 2
		eq "links of b.$size" "$(stat -c %h "$OUT/d/b.$size")" 2
		eq "numbers" "$(stat -c %i "$OUT/d/a.$size")" "$(stat -c %i "$OUT/d/b.$size")"
		echo tail >>"$OUT/d/a.$size"
		same "$OUT/d/a.$size" "$OUT/d/b.$size"
		eq "size of b" "$(stat -c %s "$OUT/d/b.$size")" $((size + 5))
		"$SYS" mutate mmap "$OUT/d/b.$size" >"$T/out"
		same "$OUT/d/a.$size" "$OUT/d/b.$size"
		eq "links of a.$size" "$(stat -c %h "$OUT/d/a.$size")" 2
		ln "$OUT/d/b.$size" "$OUT/d/c.$size"
		echo tail >>"$OUT/d/c.$size"
		same "$OUT/d/a.$size" "$OUT/d/c.$size"
		eq "links of c.$size" "$(stat -c %h "$OUT/d/c.$size")" 3
	done
	check_all_sums
	remount
	for size in 1000 400000; do
		eq "links of a.$size" "$(stat -c %h "$OUT/d/a.$size")" 3
		same "$OUT/d/a.$size" "$OUT/d/c.$size"
	done
	end_run r
	check_all_sums
}

# Names and attributes of a draft are its own, too.
test_attributes() {
	local size
	setup
	for size in 1000 400000; do
		head -c "$size" "$T/random" >"$OUT/d/f.$size"
		touch -d '2005-05-05 05:05:05.5' "$OUT/d/f.$size"
	done
	log_now r d
	for size in 1000 400000; do
		chmod 700 "$OUT/d/f.$size"
		touch -d '2006-06-06 06:06:06.6' "$OUT/d/f.$size"
		if command -v setfattr >/dev/null; then
			quiet setfattr -n user.colour -v red "$OUT/d/f.$size"
		fi
		eq "mode" "$(stat -c %a "$OUT/d/f.$size")" 700
		eq "mtime" "$(stat -c %y "$OUT/d/f.$size" | cut -c1-21)" "2006-06-06 06:06:06.6"
		eq "links" "$(stat -c %h "$OUT/d/f.$size")" 1
		eq "mtime of the version" \
			"$(stat -c %y "$MNT/artifacts/d/v0/files/f.$size" | cut -c1-21)" \
			"2005-05-05 05:05:05.5"
		[ ! -x "$MNT/artifacts/d/v0/files/f.$size" ] || fail "v0 became executable"
	done
	log_now r d
	eq "versions" "$(versions d)" "v0 v1"
	[ -x "$MNT/artifacts/d/v1/files/f.400000" ] || fail "v1 is not executable"
	[ ! -x "$MNT/artifacts/d/v0/files/f.400000" ] || fail "v0 became executable"
	[ ! -x "$MNT/artifacts/d/v0/files/f.1000" ] || fail "v0 became executable"
}

# Two artifacts of the same bytes, one draft of them written on.
test_same_bytes_elsewhere() {
	local name
	setup
	mkdir "$OUT/e"
	cp "$T/random" "$OUT/d/one"
	cp "$T/random" "$OUT/d/two"
	cp "$T/random" "$OUT/e/three"
	log_now r d
	log_now r e
	"$SYS" mutate pwrite "$OUT/d/one" >"$T/out"
	for name in d/two e/three; do
		same "$T/random" "$OUT/$name"
	done
	"$SYS" mutate mmap "$OUT/e/three" >"$T/out"
	same "$T/random" "$OUT/d/two"
	same "$T/random" "$MNT/artifacts/e/v0/files/three"
	check_all_sums
	end_run r
	check_all_sums
}

test_copy_from_a_version() {
	setup
	quick_version other src text
	OUT=$MNT/runs/r/outputs
	cp "$T/random" "$OUT/d/f"
	log_now r d
	cp --reflink=auto "$MNT/artifacts/d/v0/files/f" "$OUT/d/copy"
	chmod u+w "$OUT/d/copy"
	echo tail >>"$OUT/d/copy"
	cp -a "$MNT/artifacts/d/v0/files" "$OUT/d/whole"
	chmod -R u+w "$OUT/d/whole"
	echo tail >>"$OUT/d/whole/f"
	same "$T/random" "$OUT/d/f"
	check_all_sums
	end_run r
	check_all_sums
}

# A copy without extended attributes has lost the marks of shared files.
test_copy_without_xattrs() {
	need rsync
	setup
	random_file "$OUT/d/appended" 100000
	random_file "$OUT/d/overwritten" 100000
	random_file "$OUT/d/truncated" 100000
	log_now r d
	cp -r "$MNT/artifacts/d/v0/files" "$T/want"
	stop_mount
	quiet rsync -aH "$STORE/" "$T/copy/"
	STORE=$T/copy
	start_mount
	echo tail >>"$OUT/d/appended"
	printf x | dd of="$OUT/d/overwritten" conv=notrunc status=none
	echo new >"$OUT/d/truncated"
	quiet diff -r "$T/want" "$MNT/artifacts/d/v0/files"
	check_all_sums
	log_now r d
	eq "versions" "$(versions d)" "v0 v1"
	remount
	quiet diff -r "$T/want" "$MNT/artifacts/d/v0/files"
	check_all_sums
}

# The link of a blob is no name, and a mark that was left over is no link.
test_last_names_of_marked_files() {
	setup
	"$PYTHON" - "$MNT/runs/r" "$STORE" <<'END' 2>"$T/err" || fail "$(tail -n 1 "$T/err")"
import glob, os, sys
run, store = sys.argv[1:]
draft = run + "/outputs/d/"
def put(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, text)
    os.close(fd)
def links(fd):
    return os.fstat(fd).st_nlink
for logged in True, False:
    put(draft + "a", b"a" * 100000)
    if logged:
        put(run + "/log", b"d\n")
    else:
        (below,) = glob.glob(store + "/drafts/**/d/a", recursive=True)
        os.setxattr(below, "user.lineagefs.shared", bytes(40))
    os.link(draft + "a", draft + "b")
    fd = os.open(draft + "a", os.O_RDONLY)
    assert links(fd) == 2, (logged, links(fd))
    os.unlink(draft + "a")
    assert links(fd) == 1, (logged, links(fd))
    with open(draft + "b", "rb") as f:
        assert f.read() == b"a" * 100000
    put(draft + "c", b"c")
    os.rename(draft + "c", draft + "b")
    assert links(fd) == 0, (logged, links(fd))
    assert os.pread(fd, 5, 0) == b"aaaaa"
    os.close(fd)
    os.unlink(draft + "b")
END
	check_all_sums
}
