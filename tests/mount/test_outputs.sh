# The names in outputs/.
# shellcheck shell=bash

# Scratch may be anything; a draft is a directory or a file, wherever it came from.
test_scratch_that_is_no_draft() {
	local name
	start_mount
	new_run r
	ln -s /etc/passwd "$OUT/.link"
	mkfifo "$OUT/.pipe"
	mkdir "$OUT/.directory" "$OUT/draft"
	echo text >"$OUT/.file"
	expect_errno EPERM symlink /etc/passwd "$OUT/link"
	for name in link pipe; do
		expect_errno EPERM rename "$OUT/.$name" "$OUT/$name"
		expect_errno EPERM noreplace "$OUT/.$name" "$OUT/$name"
		expect_errno EPERM exchange "$OUT/.$name" "$OUT/draft"
		expect_errno EPERM exchange "$OUT/draft" "$OUT/.$name"
		expect_errno OK rename "$OUT/.$name" "$OUT/.other-$name"
	done
	expect_errno OK exchange "$OUT/.directory" "$OUT/draft"
	expect_errno OK rename "$OUT/.file" "$OUT/file"
	end_run r
	eq "artifacts" "$(ls "$MNT/artifacts" | tr '\n' ' ')" "draft file "
}
