# Where a version and its files come from, as extended attributes: in the mount, and out of it with
# the tools that carry them.
# shellcheck shell=bash

make_model() {
	new_run train-1
	make_content "$OUT/model"
	log_now train-1 'model type=model'
	echo more >"$OUT/model/hello"
	end_run train-1
	V=$MNT/artifacts/model/v1
}

attribute() { # FILE NAME
	getfattr --absolute-names --only-values -n "user.lineagefs.$2" "$1" 2>/dev/null
}

names() { # FILE
	getfattr --absolute-names -d "$1" | sed -n 's/^user\.lineagefs\.\([a-z]*\)=.*/\1/p' | tr '\n' ' '
}

# What the file of a copy says; it is model:v1 of train-1.
check_copy() { # FILE
	eq "digest of ${1#"$T/"}" "$(attribute "$1" digest)" "$(sha256sum <"$1" | cut -d' ' -f1)"
	eq "producer of ${1#"$T/"}" "$(attribute "$1" producer)" train-1
	eq "type of ${1#"$T/"}" "$(attribute "$1" type)" model
	eq "version of ${1#"$T/"}" "$(attribute "$1" version)" model:v1
}

needs_xattrs() {
	need getfattr setfattr
	: >"$T/probe"
	setfattr -n user.x -v y "$T/probe" 2>/dev/null || skip "no user xattrs in $T"
}

test_values() {
	local file digest
	need getfattr
	start_mount
	make_model
	while IFS= read -r -d '' file; do
		check_copy "$file"
	done < <(find "$V/files" -type f -print0)
	digest=$(json "$V/info.json" 'd["digest"]')
	for file in "$V" "$V/files" "$MNT/view/train-1/model/v1" "$MNT/view/train-1/model/v1/files"; do
		eq "digest of $file" "sha256:$(attribute "$file" digest)" "$digest"
		eq "version of $file" "$(attribute "$file" version)" model:v1
		eq "names of $file" "$(names "$file")" "digest producer type version "
	done
	# A directory below has a digest of its own.
	eq "version of a directory" "$(attribute "$V/files/sub" version)" model:v1
	[ "$(attribute "$V/files/sub" digest)" != "${digest#sha256:}" ] || fail "one digest for two"
	eq "the other version" "$(attribute "$MNT/artifacts/model/v0/files/empty" version)" model:v0
	eq "a file of a view" "$(attribute "$MNT/view/train-1/model/v1/files/hello" producer)" train-1
	# Links have none, nor has what is beside.
	eq "a link's" "$(getfattr -h -d -m- --absolute-names "$V/files/link-to-script")" ""
	eq "info.json's" "$(getfattr -d -m- --absolute-names "$V/info.json")" ""
	eq "a run's" "$(getfattr -d -m- --absolute-names "$MNT/runs/train-1")" ""
}

test_type_comes_late() {
	need getfattr
	start_mount
	quick_version r plain text
	eq "names" "$(names "$MNT/artifacts/plain/v0/files/text")" "digest producer version "
	eq "type" "$(attribute "$MNT/artifacts/plain/v0/files/text" type || echo none)" none
	echo dataset >"$MNT/artifacts/plain/type"
	eq "names" "$(names "$MNT/artifacts/plain/v0/files/text")" "digest producer type version "
	eq "type" "$(attribute "$MNT/artifacts/plain/v0/files/text" type)" dataset
}

test_sizes() {
	start_mount
	make_model
	"$PYTHON" - "$V" <<'END' || fail "sizes"
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(f, *arg):
    ctypes.set_errno(0)
    n = f(*arg)
    return n if n >= 0 else -ctypes.get_errno()
for path in (sys.argv[1], sys.argv[1] + "/files", sys.argv[1] + "/files/sub",
             sys.argv[1] + "/files/sub/large"):
    path = path.encode()
    want = b"".join(b"user.lineagefs.%s\0" % n for n in (b"digest", b"producer", b"type", b"version"))
    big = ctypes.create_string_buffer(1000)
    assert call(libc.listxattr, path, None, 0) == len(want)
    assert call(libc.listxattr, path, big, len(want) - 1) == -errno.ERANGE
    assert call(libc.listxattr, path, big, len(want)) == len(want)
    assert big.raw[:len(want)] == want
    for name, value in ((b"producer", b"train-1"), (b"version", b"model:v1")):
        name = b"user.lineagefs." + name
        assert call(libc.getxattr, path, name, None, 0) == len(value)
        assert call(libc.getxattr, path, name, big, len(value) - 1) == -errno.ERANGE
        assert call(libc.getxattr, path, name, big, 1000) == len(value)
        assert big.raw[:len(value)] == value
    assert call(libc.getxattr, path, b"user.lineagefs.digest", None, 0) == 64
    assert call(libc.getxattr, path, b"user.lineagefs.other", big, 1000) == -errno.ENODATA
    assert call(libc.getxattr, path, b"user.digest", big, 1000) == -errno.ENODATA
END
}

test_sealed() {
	local file
	start_mount
	make_model
	for file in "$V" "$V/files" "$V/files/hello" "$V/files/sub"; do
		expect_errno EROFS setxattr "$file" user.lineagefs.type
		expect_errno EROFS setxattr "$file" user.other
	done
	expect_errno 'EPERM|EROFS' setxattr "$MNT/runs/train-1" user.lineagefs.type
	expect_errno 'EPERM|EROFS' setxattr "$MNT/artifacts/model" user.lineagefs.type
}

test_cp() {
	needs_xattrs
	start_mount
	make_model
	quiet cp -r --preserve=xattr "$V/files" "$T/copy"
	check_copy "$T/copy/hello"
	check_copy "$T/copy/sub/large"
	eq "a directory's version" "$(attribute "$T/copy/sub" version)" model:v1
	# And back into a draft, where they say nothing.
	new_run again
	quiet cp -r --preserve=xattr "$T/copy" "$OUT/model"
	quiet cp -a "$V/files/sub" "$OUT/straight"
	eq "in a draft" "$(getfattr -R -d -m- --absolute-names "$OUT/model" "$OUT/straight")" ""
	end_run again
	eq "equal" "$(grep -c '^equal: model:v1 ' "$MNT/runs/again/log")" 1
	check_copy "$V/files/hello"
}

test_tar() {
	needs_xattrs
	start_mount
	make_model
	quiet tar --xattrs '--xattrs-include=user.*' -C "$V/files" -cf "$T/a.tar" .
	mkdir "$T/copy"
	quiet tar --xattrs '--xattrs-include=user.*' -C "$T/copy" -xf "$T/a.tar"
	check_copy "$T/copy/hello"
	check_copy "$T/copy/at-the-pack-size"
	new_run again
	mkdir "$OUT/model"
	quiet tar --xattrs '--xattrs-include=user.*' -C "$OUT/model" -xf "$T/a.tar"
	eq "in a draft" "$(getfattr -R -d -m- --absolute-names "$OUT/model")" ""
	end_run again
	eq "equal" "$(grep -c '^equal: model:v1 ' "$MNT/runs/again/log")" 1
}

test_rsync() {
	need rsync
	needs_xattrs
	start_mount
	make_model
	quiet rsync -aX "$V/files/" "$T/copy/"
	check_copy "$T/copy/hello"
	check_copy "$T/copy/sub/large"
	quiet rsync -aXi "$V/files/" "$T/copy/"
	eq "what a second rsync sends" "$(cat "$T/out")" ""
	new_run again
	quiet rsync -aX "$T/copy/" "$OUT/model/"
	quiet rsync -aX "$T/copy/" "$OUT/model/"
	eq "in a draft" "$(getfattr -R -d -m- --absolute-names "$OUT/model")" ""
	end_run again
	eq "equal" "$(grep -c '^equal: model:v1 ' "$MNT/runs/again/log")" 1
}

# A draft's own attributes are kept beside; what it takes and drops does not count as a change.
test_draft() {
	need getfattr setfattr
	start_mount
	new_run r
	mkdir "$OUT/d"
	echo text >"$OUT/d/f"
	for file in "$OUT/d" "$OUT/d/f"; do
		quiet setfattr -n user.lineagefs.version -v model:v9 "$file"
		quiet setfattr -n user.colour -v red "$file"
		eq "names of $file" "$(getfattr -d --absolute-names "$file" | grep -c =)" 1
		fails getfattr -n user.lineagefs.version "$file"
	done
	log_now r d
	quiet setfattr -n user.lineagefs.version -v model:v9 "$OUT/d/f"
	# The file of the version is the draft's, and its marks are nobody's business.
	head -c 100000 /dev/urandom >"$OUT/d/large"
	log_now r d
	eq "names" "$(names "$MNT/artifacts/d/v1/files/large")" "digest producer version "
	eq "names in the draft" "$(getfattr -d -m- --absolute-names "$OUT/d/large")" ""
	end_run r
}

# Nothing that a version's modes do not show anyway.
test_private() {
	local file
	need_root
	need getfattr
	start_mount
	new_run r
	(umask 077 && mkdir "$OUT/secret" && echo text >"$OUT/secret/f")
	end_run r
	chmod 755 "$MNT/artifacts/secret"
	file=$MNT/artifacts/secret/v0
	fails as_user getfattr --absolute-names -n user.lineagefs.producer "$file"
	fails as_user getfattr --absolute-names -n user.lineagefs.digest "$file/files"
	fails as_user getfattr --absolute-names -n user.lineagefs.digest "$file/files/f"
	eq "root's" "$(attribute "$file/files/f" producer)" r
}
