# What must not change does not, and says EROFS.
# shellcheck shell=bash

make_version() {
	new_run r
	make_content "$OUT/a"
	echo one >"$OUT/single"
	end_run r
	FILES=$MNT/artifacts/a/v0/files
	(cd "$FILES" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$T/sums.before"
}

still_the_same() {
	(cd "$FILES" && find . -type f -print0 | sort -z | xargs -0 sha256sum) |
		diff "$T/sums.before" - >"$T/diff" || fail "changed: $(head -n 2 "$T/diff")"
}

test_files() {
	local file
	start_mount
	make_version
	for file in hello at-the-pack-size over-the-pack-size sub/large; do
		expect_errno EROFS open-write "$FILES/$file"
		expect_errno EROFS write "$FILES/$file" x
		expect_errno EROFS append "$FILES/$file" x
		expect_errno EROFS truncate "$FILES/$file" 0
		expect_errno EROFS unlink "$FILES/$file"
		expect_errno EROFS chmod "$FILES/$file" 666
		expect_errno EROFS utime "$FILES/$file"
		expect_errno EROFS rename "$FILES/$file" "$FILES/new"
		expect_errno 'EROFS|EXDEV' rename "$FILES/$file" "$T/new"
		expect_errno EROFS link "$FILES/$file" "$FILES/new"
		expect_errno EROFS setxattr "$FILES/$file" user.x
	done
	if [ "$(id -u)" = 0 ]; then
		expect_errno EROFS chown "$FILES/hello" 1
	fi
	still_the_same
}

test_directories() {
	start_mount
	make_version
	expect_errno EROFS create "$FILES/new"
	expect_errno 'EROFS|EOPNOTSUPP' tmpfile "$FILES"
	expect_errno EROFS mkdir "$FILES/new"
	expect_errno EROFS symlink x "$FILES/new"
	expect_errno EROFS rmdir "$FILES/empty-dir"
	expect_errno EROFS rename "$FILES/sub" "$FILES/new"
	expect_errno EROFS rename "$FILES/hello" "$FILES/empty"
	expect_errno EROFS exchange "$FILES/hello" "$FILES/empty"
	expect_errno EROFS chmod "$FILES" 777
	expect_errno EROFS chmod "$FILES/sub" 777
	expect_errno EROFS utime "$FILES/sub"
	expect_errno EROFS unlink "$FILES/link-to-script"
	expect_errno EROFS utime "$FILES/link-to-script"
	expect_errno EROFS create "$FILES/sub/deeper/new"
	still_the_same
}

test_into_a_version_from_a_draft() {
	start_mount
	make_version
	new_run s
	mkdir "$OUT/b"
	echo x >"$OUT/b/f"
	expect_errno 'EROFS|EXDEV' rename "$OUT/b/f" "$FILES/new"
	expect_errno 'EROFS|EXDEV' link "$OUT/b/f" "$FILES/new"
	expect_errno 'EROFS|EXDEV' rename "$FILES/hello" "$OUT/b/hello"
	expect_errno EROFS write "$OUT/../../r/outputs/a:v0/hello" x
	expect_errno EROFS write "$OUT/../../r/outputs/a/hello" x
	expect_errno EROFS write "$MNT/runs/r/outputs/single" x
	still_the_same
}

test_fixed_names() {
	local path sealed='EROFS|EPERM|EACCES'
	start_mount
	make_version
	new_run s
	for path in README _status.json artifacts/a/v0/info.json artifacts/a/v0/SHA256SUMS \
		runs/r/info.json; do
		expect_errno "$sealed" write "$MNT/$path" x
		expect_errno "$sealed" truncate "$MNT/$path" 0
		expect_errno "$sealed" unlink "$MNT/$path"
		expect_errno "$sealed" rename "$MNT/$path" "$MNT/new"
		expect_errno "$sealed" chmod "$MNT/$path" 666
	done
	for path in artifacts runs runs/s/inputs runs/s/outputs artifacts/a/v0/files \
		artifacts/a/v0/producers artifacts/a/v0/consumers; do
		expect_errno "$sealed|EBUSY|ENOTEMPTY" rmdir "$MNT/$path"
		expect_errno "$sealed|EBUSY" rename "$MNT/$path" "$MNT/new"
	done
	for path in artifacts/a/latest artifacts/a/v0/producer artifacts/a/v0/producers/r \
		runs/s/state runs/s/log runs/s/console.log runs/r/outputs/a:v0; do
		expect_errno "$sealed" unlink "$MNT/$path"
	done
	for path in new artifacts/new artifacts/a/v7 artifacts/a/v0/producers/new \
		artifacts/a/v0/consumers/new runs/new; do
		expect_errno "$sealed|EINVAL" create "$MNT/$path"
	done
	for path in new artifacts/a/v7 artifacts/a/v0/new artifacts/a/v0/producers/new runs/s/new; do
		expect_errno "$sealed|EINVAL" mkdir "$MNT/$path"
	done
	expect_errno "$sealed|EINVAL" symlink v0 "$MNT/artifacts/a/v9"
	eq "latest" "$(readlink "$MNT/artifacts/a/latest")" v0
	eq "top" "$(ls "$MNT" | tr '\n' ' ')" "README _status.json artifacts digests events.ndjson jobs lineage runs tags trash types "
	still_the_same
	check_all_sums
}

test_as_another_user() {
	need_root
	start_mount
	make_version
	expect_errno_as_user 'EROFS|EACCES' write "$FILES/hello" x
	expect_errno_as_user 'EROFS|EACCES' unlink "$FILES/hello"
	expect_errno_as_user 'EROFS|EACCES' create "$FILES/new"
	expect_errno_as_user 'EROFS|EACCES|EPERM' chmod "$FILES/hello" 777
	still_the_same
}

# An append-only descriptor of a version, mapped writable, is refused too.
test_no_writable_mapping() {
	start_mount
	make_version
	"$PYTHON" - "$FILES/sub/large" <<'END' || fail "mapped a version writable"
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
try:
    mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
except PermissionError:
    sys.exit(0)
sys.exit(1)
END
	still_the_same
}
