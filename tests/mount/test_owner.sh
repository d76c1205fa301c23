# Who may do what.
# shellcheck shell=bash

test_run_belongs_to_its_maker() {
	need_root
	start_mount
	new_run mine
	as_user mkdir "$MNT/runs/theirs"
	eq "owner" "$(stat -c %u "$MNT/runs/theirs")" "$NOBODY"
	expect_errno_as_user EACCES mkdir "$MNT/runs/mine/outputs/x"
	expect_errno_as_user EACCES write "$MNT/runs/mine/state" $'failed\n'
	expect_errno_as_user EACCES write "$MNT/runs/mine/log" $'x\n'
	expect_errno_as_user 'EACCES|ENOENT' symlink x:v0 "$MNT/runs/mine/inputs/x"
	expect_errno_as_user OK mkdir "$MNT/runs/theirs/outputs/x"
	eq "draft's owner" "$(stat -c %u "$MNT/runs/theirs/outputs/x")" "$NOBODY"
	expect_errno_as_user OK create "$MNT/runs/theirs/outputs/x/f"
	eq "file's owner" "$(stat -c %u "$MNT/runs/theirs/outputs/x/f")" "$NOBODY"
	expect_errno_as_user OK write "$MNT/runs/theirs/state" $'finished\n'
	eq "collection's owner" "$(stat -c %u "$MNT/artifacts/x")" "$NOBODY"
	eq "state" "$(cat "$MNT/runs/mine/state")" running
}

test_collection_belongs_to_its_first_logger() {
	need_root
	start_mount
	quick_version first model text
	as_user mkdir "$MNT/runs/theirs"
	# At once, not at the end of a long run.
	expect_errno_as_user EACCES mkdir "$MNT/runs/theirs/outputs/model"
	expect_errno_as_user EACCES create "$MNT/runs/theirs/outputs/model"
	expect_errno_as_user OK mkdir "$MNT/runs/theirs/outputs/.new"
	expect_errno_as_user EACCES rename "$MNT/runs/theirs/outputs/.new" \
		"$MNT/runs/theirs/outputs/model"
	expect_errno_as_user EACCES write "$MNT/artifacts/model/description" x
	expect_errno_as_user EACCES write "$MNT/artifacts/model/type" x
	chmod 777 "$MNT/artifacts/model"
	expect_errno_as_user OK mkdir "$MNT/runs/theirs/outputs/model"
	expect_errno_as_user OK create "$MNT/runs/theirs/outputs/model/f"
	expect_errno_as_user OK write "$MNT/runs/theirs/state" $'finished\n'
	eq "versions" "$(versions model)" "v0 v1"
	eq "mode" "$(stat -c %a "$MNT/artifacts/model")" 777
	remount
	eq "mode" "$(stat -c %a "$MNT/artifacts/model")" 777
}

test_private_version() {
	need_root
	start_mount
	new_run r
	mkdir -m 700 "$OUT/secret"
	echo secret >"$OUT/secret/f"
	mkdir -m 755 "$OUT/open"
	echo open >"$OUT/open/f"
	(umask 077 && echo secret >"$OUT/one")
	end_run r
	expect_errno_as_user EACCES open-read "$MNT/artifacts/secret/v0/files/f"
	expect_errno_as_user OK open-read "$MNT/artifacts/open/v0/files/f"
	expect_errno_as_user EACCES open-read "$MNT/artifacts/one/v0/files/one"
	eq "as root" "$(cat "$MNT/artifacts/secret/v0/files/f")" secret
}

test_set_id_and_devices() {
	start_mount
	new_run r
	mkdir "$OUT/a"
	echo x >"$OUT/a/f"
	expect_errno EPERM chmod "$OUT/a/f" 4755
	expect_errno EPERM chmod "$OUT/a/f" 2755
	expect_errno EPERM mkchar "$OUT/a/null"
	expect_errno EPERM mkblock "$OUT/a/block"
	eq "mode" "$(stat -c %a "$OUT/a/f")" 644
	eq "names" "$(ls -A "$OUT/a")" f
	expect_errno OK chmod "$OUT/a/f" 755
}

test_links_across_drafts() {
	start_mount
	new_run r
	mkdir "$OUT/a" "$OUT/b"
	echo x >"$OUT/a/f"
	expect_errno EXDEV link "$OUT/a/f" "$OUT/b/f"
	expect_errno 'EXDEV|EINVAL|EPERM' link "$OUT/a/f" "$OUT/c"
	new_run s
	mkdir "$OUT/a"
	expect_errno EXDEV link "$MNT/runs/r/outputs/a/f" "$OUT/a/f"
	mv "$MNT/runs/r/outputs/a/f" "$OUT/a/moved"
	eq "moved" "$(cat "$OUT/a/moved")" x
}

# Who may not enter a collection does not learn what is in it by declaring inputs.
test_inputs_of_what_is_closed() {
	local inputs target
	need_root
	start_mount
	mkdir -m 700 "$MNT/artifacts/closed"
	quick_version r1 closed text
	new_run r2
	mkdir -m 700 "$OUT/secret"
	echo text >"$OUT/secret/there"
	end_run r2
	as_user mkdir "$MNT/runs/theirs"
	inputs=$MNT/runs/theirs/inputs
	for target in closed:v0 closed:v9 closed:latest closed:v0/text closed:v0/nothing \
		secret:v0 secret:v0/there secret:v0/nothing; do
		case $target in
		*/*) target=../../../artifacts/${target%%:*}/v0/files/${target##*/} ;;
		esac
		expect_errno_as_user EACCES symlink "$target" "$inputs/x"
	done
	eq "consumers" "$(ls "$MNT/artifacts/closed/v0/consumers")" ""
	chmod 711 "$MNT/artifacts/closed"
	expect_errno_as_user OK symlink closed:v0 "$inputs/x"
	expect_errno_as_user ENOENT symlink closed:v9 "$inputs/y"
}
