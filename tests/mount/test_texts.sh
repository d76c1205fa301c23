# Texts that people write: with the tools that they use, which make files beside them and rename
# those over them, and with what is refused.
# shellcheck shell=bash

WAYS="vim_backup vim_no_backup emacs nano replace remove_first slow_mapping"

edit_as() { # WAY FILE TEXT
	"$PYTHON" "$HERE/editors.py" "$@"
}

# The names in the directory of a text that should not be there.
left_over() { # FILE
	ls -A "${1%/*}" | grep -E '~$|^\.|#|4913|tmp|sed|part|other' || true
}

texts() { # all texts of a.. of the run r
	echo "$MNT"/artifacts/a/{description,v0/description,v0/metadata.json} \
		"$MNT"/runs/r/{notes,summary.json}
}

is_json() {
	[[ $1 = *.json ]]
}

setup() {
	start_mount
	quick_version r a text
	A=$MNT/artifacts/a
	V=$A/v0
	R=$MNT/runs/r
}

test_what_they_are() {
	local name
	setup
	eq "listing" "$(ls "$V" | tr '\n' ' ')" "SHA256SUMS consumers description files info.json \
metadata.json producer producers tags "
	eq "description" "$(cat "$V/description")" ""
	eq "metadata" "$(cat "$V/metadata.json")" "{}"
	eq "summary" "$(cat "$R/summary.json")" "{}"
	eq "notes" "$(cat "$R/notes")" ""
	echo 'the best so far' >"$V/description"
	echo '{"acc": 0.93}' >"$V/metadata.json"
	printf 'line one\nline two\n' >"$R/notes"
	echo '{"loss": 0.1}' >"$R/summary.json"
	remount
	eq "description" "$(cat "$V/description")" "the best so far"
	eq "description in info.json" "$(json "$V/info.json" 'd["description"], d["metadata"]["acc"]')" \
		"('the best so far', 0.93)"
	eq "notes in info.json" "$(json "$R/info.json" 'd["notes"], d["summary"], d["config"]')" \
		"('line one\nline two\n', {'loss': 0.1}, {})"
	for name in "$V/description" "$V/metadata.json" "$R/notes" "$R/summary.json"; do
		eq "size of $name" "$(stat -c %s "$name")" "$(wc -c <"$name")"
		touch "$name"
	done
	# The version itself is what it was.
	check_all_sums
}

test_limits() {
	setup
	head -c 65536 /dev/zero | tr '\0' x >just
	head -c 65537 /dev/zero | tr '\0' x >over
	for name in "$A/description" "$V/description" "$R/notes"; do
		quiet cp just "$name"
		same just <(head -c 65536 "$name")
		fails cp over "$name"
		cp over "$name.new"
		expect_errno EFBIG rename "$name.new" "$name"
		rm "$name.new"
		same just <(head -c 65536 "$name")
	done
	expect_errno EINVAL write "$A/type" 'no name'
	printf 'a\0b' >nul
	fails cp nul "$V/description"
	"$PYTHON" -c 'import json
json.dump({"k": "x" * (1048576 - 9)}, open("just.json", "w"))
json.dump({"k": "x" * (1048576 - 8)}, open("over.json", "w"))'
	eq "size" "$(stat -c %s just.json)" 1048576
	for name in "$V/metadata.json" "$R/summary.json"; do
		quiet cp just.json "$name"
		same just.json "$name"
		fails cp over.json "$name"
		cp over.json "$name.new"
		expect_errno EFBIG rename "$name.new" "$name"
		rm "$name.new"
		same just.json "$name"
	done
	remount
	same just.json "$V/metadata.json"
}

test_shell_tools() {
	local name
	setup
	for name in $(texts); do
		if is_json "$name"; then
			continue
		fi
		expect_errno EPERM chmod "$name" 600
		echo one >"$name"
		echo two >>"$name"
		eq ">> $name" "$(cat "$name")" $'one\ntwo'
		echo three | tee -a "$name" >tee.out
		quiet sed -i 's/two/2/' "$name"
		eq "sed -i $name" "$(cat "$name")" $'one\n2\nthree'
		quiet sed -i.bak s/one/1/ "$name"
		eq "sed -i.bak $name" "$(head -n 1 "$name" "$name.bak" | grep -v '^=' | tr -d '\n')" 1one
		rm "$name.bak"
		echo whole >new
		quiet cp new "$name"
		eq "cp" "$(cat "$name")" whole
		quiet install -m 644 new "$name"
		(umask 077 && echo private >new && quiet mv -f new "$name")
		eq "mv" "$(cat "$name")" private
		quiet chmod 644 "$name"
		echo whole >new
		quiet dd if=new of="$name" status=none
		echo more >>new
		quiet rsync -a new "$name"
		same new "$name"
		quiet perl -pi -e 's/whole/part/' "$name"
		eq "perl -pi" "$(cat "$name")" $'part\nmore'
		: >"$name"
		eq "empty" "$(cat "$name")" ""
		echo again >"$name"
		truncate -s 3 "$name"
		eq "truncated" "$(cat "$name")" aga
		eq "left over" "$(left_over "$name")" ""
	done
	echo model >"$A/type"
	quiet sed -i s/model/dataset/ "$A/type"
	eq "type" "$(cat "$A/type")" dataset
	fails sed -i 's/dataset/no name/' "$A/type"
	eq "type" "$(cat "$A/type")" dataset
	rm -f "$A"/sed*
}

test_json_tools() {
	local name
	need jq sponge
	setup
	for name in "$V/metadata.json" "$R/summary.json"; do
		echo '{"a": 1}' >"$name"
		jq '.b = 2' "$name" | quiet sponge "$name"
		eq "sponge $name" "$(jq -c . "$name")" '{"a":1,"b":2}'
		(cd "${name%/*}" && jq '.c = 3' "${name##*/}" >tmp && mv tmp "${name##*/}")
		eq "tmp and mv $name" "$(jq -c . "$name")" '{"a":1,"b":2,"c":3}'
		jq -n '{d: 4}' >new.json
		quiet mv -f new.json "$name"
		eq "mv across filesystems" "$(jq -c . "$name")" '{"d":4}'
		quiet perl -pi -e 's/4/9/' "$name"
		quiet sed -i 's/9/5/' "$name"
		eq "sed -i $name" "$(jq -c . "$name")" '{"d":5}'
		quiet "$PYTHON" -c 'import json, sys
d = json.load(open(sys.argv[1]))
d["e"] = [1, 2]
json.dump(d, open(sys.argv[1], "w"), indent=1)' "$name"
		eq "json.dump $name" "$(jq -c . "$name")" '{"d":5,"e":[1,2]}'
		eq "left over" "$(left_over "$name")" ""
	done
	remount
	eq "after a remount" "$(jq -c . "$V/metadata.json")" '{"d":5,"e":[1,2]}'
}

test_editors() {
	local name way n=0 text
	setup
	for name in $(texts); do
		for way in $WAYS; do
			n=$((n + 1))
			text="edit $n"
			if is_json "$name"; then text="{\"n\": $n}"; fi
			quiet edit_as "$way" "$name" "$text"
			eq "$way of $name" "$(cat "$name")" "$text"
			if [[ $way = *backup || $way = emacs ]] && [ -e "$name~" ]; then
				rm "$name~"
			fi
			eq "left over by $way" "$(left_over "$name")" ""
		done
	done
	remount
	eq "notes" "$(cat "$R/notes")" "edit $((n - 7))"
	check_all_sums
}

test_vim() {
	local vim name arguments
	vim=$(command -v vim.tiny || command -v vim || true)
	[ -n "$vim" ] || skip "needs vim"
	setup
	for name in $(texts); do
		for arguments in 'set nobackup' 'set backup' 'set backup backupcopy=no' \
			'set backupcopy=yes' 'set nowritebackup'; do
			if is_json "$name"; then echo '{"a": 1}' >"$name"; else echo 1 >"$name"; fi
			TERM=dumb "$vim" -u NONE -i NONE -es -c 'set directory=. backupdir=.' \
				-c "$arguments" -c '%s/1/2/' -c 'wq' "$name" </dev/null >vim.out 2>&1 ||
				fail "$arguments: vim: $(tail -n 2 vim.out)"
			grep -q 2 "$name" || fail "$arguments: $name is $(cat "$name")"
			rm -f "$name~"
			eq "left over: $arguments" "$(left_over "$name")" ""
		done
	done
}

test_bad_json_leaves_the_old() {
	local name way
	setup
	for name in "$V/metadata.json" "$R/summary.json"; do
		echo '{"old": 1}' >"$name"
		expect_errno EINVAL write "$name" $'{\n "lr" x}'
		expect_errno EINVAL write "$name" '[1]'
		expect_errno EINVAL write "$name" '{"cut": '
		fails sed -i 's/1}/1/' "$name"
		fails edit_as replace "$name" $'{"a": 1\n x}'
		eq "$name" "$(cat "$name")" '{"old": 1}'
		# What was to replace it is still there, to be mended.
		(cd "${name%/*}" && echo '{"new" 1}' >tmp)
		expect_errno EINVAL rename "${name%/*}/tmp" "$name"
		eq "$name" "$(cat "$name")" '{"old": 1}'
		sed -i 's/" /": /' "${name%/*}/tmp"
		quiet mv "${name%/*}/tmp" "$name"
		eq "$name" "$(cat "$name")" '{"new": 1}'
		: >"${name%/*}/tmp"
		expect_errno EINVAL rename "${name%/*}/tmp" "$name"
		eq "$name" "$(cat "$name")" '{"new": 1}'
	done
	grep -q "^error: EINVAL: summary.json: line 1, column " "$R/log" ||
		fail "log: $(cat "$R/log")"
	grep -q 'refused: a:v0: line 2, column 7: .* at metadata.json of a version .* by uid ' "$LOG" ||
		fail "the daemon's log: $(grep refused "$LOG" | tail -n 3)"
}

test_hidden_until_made_anew() {
	local name
	setup
	for name in $(texts); do
		if is_json "$name"; then echo '{"a": 1}' >"$name"; else echo 1 >"$name"; fi
		cp "$name" was
		mv "$name" "$name~"
		absent "$name"
		expect_errno ENOENT unlink "$name"
		same was "$name~"
		eq "listed" "$(ls "${name%/*}" | grep -c "^${name##*/}\$" || true)" 0
		# Back again.
		quiet mv "$name~" "$name"
		same was "$name"
		absent "$name~"
		mv "$name" "$name~"
	done
	# Content is kept, whatever becomes of a backup.
	remount
	for name in $(texts); do
		absent "$name~"
		grep -q 1 "$name" || fail "$name is lost"
		rm "$name"
		absent "$name"
		fails cat "$name"
		touch "$name"
		if is_json "$name"; then
			eq "$name" "$(cat "$name")" "{}"
		else
			eq "$name" "$(cat "$name")" ""
		fi
	done
	log_is_quiet
}

test_names_and_bounds() {
	local i
	setup
	# Between themselves, as on any filesystem; not elsewhere.
	echo 1 >"$V/one"
	echo 2 >"$R/two"
	expect_errno EEXIST create "$V/one"
	expect_errno EEXIST noreplace "$V/one" "$R/two"
	quiet mv "$V/one" "$R/two"
	eq "two" "$(cat "$R/two")" 1
	expect_errno EXDEV rename "$R/two" "$R/outputs/two"
	expect_errno EXDEV rename "$R/two" "$T/two"
	quiet chmod 640 "$R/two"
	eq "mode" "$(stat -c %a "$R/two")" 640
	quiet touch -d '2001-02-03 04:05:06' "$R/two"
	eq "time" "$(stat -c %y "$R/two" | cut -c 1-19)" "2001-02-03 04:05:06"
	expect_errno EOPNOTSUPP setxattr "$R/two" user.x
	rm "$R/two"
	expect_errno EINVAL create "$A/v7"
	mkdir "$MNT/artifacts/empty"
	expect_errno EINVAL create "$MNT/artifacts/empty/latest"
	# What is always there and no text.
	echo x >"$R/x"
	echo x >"$V/x"
	expect_errno EPERM rename "$R/x" "$R/info.json"
	expect_errno EPERM rename "$R/state" "$R/y"
	expect_errno EPERM unlink "$R/state"
	expect_errno EROFS rename "$V/x" "$V/SHA256SUMS"
	expect_errno EROFS rename "$V/info.json" "$V/y"
	expect_errno 'EROFS' unlink "$V/SHA256SUMS"
	expect_errno EISDIR rename "$V/x" "$V/files"
	expect_errno EROFS mkdir "$V/y"
	expect_errno EROFS symlink x "$V/y"
	rm "$R/x" "$V/x"
	# Of a run that has finished the parameters stay.
	expect_errno EROFS rename "$R/config.json" "$R/y"
	expect_errno EROFS unlink "$R/config.json"
	echo '{}' >"$R/tmp"
	expect_errno EROFS rename "$R/tmp" "$R/config.json"
	rm "$R/tmp"
	# So much, and no more, until some of it goes.
	head -c 4194304 /dev/zero >large
	cp large "$R/large"
	echo x >more
	fails dd if=more of="$R/large" oflag=append conv=notrunc status=none
	rm "$R/large"
	for ((i = 0; i < 16; i++)); do
		cp large "$R/l$i"
	done
	fails cp large "$R/l16"
	rm "$R"/l[0-9]*
	for ((i = 0; i < 1000; i++)); do
		: >"$R/n$i"
	done
	expect_errno ENOSPC create "$R/n1000"
	eq "files" "$(ls "$R" | grep -c '^n[0-9]')" 1000
	rm "$R"/n[0-9]*
	quiet sed -i '1i x' "$R/notes"
	cp more "$R/stays"
	stop_mount
	grep -q '1 files in memory beside texts go with the mount' "$LOG" || fail "no word of it"
	start_mount
	absent "$R/stays"
}

test_aliases_and_files_beside() {
	setup
	ln -s v0 "$A/prod" 2>/dev/null || skip "no aliases yet"
	echo x >"$A/tmp"
	expect_errno EINVAL rename "$A/tmp" "$A/prod"
	expect_errno EINVAL rename "$A/prod" "$A/tmp"
	eq "alias" "$(readlink "$A/prod")" v0
	expect_errno EEXIST symlink v0 "$A/tmp"
	mv "$A/description" "$A/tmp"
	expect_errno EEXIST symlink v0 "$A/description"
	expect_errno 'EPERM|EINVAL' rename "$A/prod" "$A/description"
	rm "$A/tmp"
	eq "listing" "$(ls "$A" | tr '\n' ' ')" "latest prod type v0 "
}

test_tags() {
	setup
	quiet touch "$V/tags/good" "$V/tags/a=1"
	expect_errno EINVAL create "$V/tags/.x"
	expect_errno EINVAL append "$V/tags/good" x
	eq "tags" "$(ls "$V/tags" | tr '\n' ' ')" "a=1 good "
	remount
	rm "$V/tags/a=1"
	expect_errno ENOENT unlink "$V/tags/a=1"
	eq "tags in info.json" "$(json "$V/info.json" 'd["tags"]')" "['good']"
}

# Who may write in the collection may write there; who may not read a version does not get there.
test_who_may() {
	need_root
	setup
	expect_errno_as_user EACCES write "$V/description" x
	expect_errno_as_user EACCES create "$V/tmp"
	expect_errno_as_user EACCES create "$V/tags/x"
	expect_errno_as_user EACCES unlink "$V/description"
	ls -l "$V" >/dev/null
	chmod 775 "$A"
	chgrp "$NOBODY" "$A"
	eq "mode" "$(stat -c '%a %g' "$V")" "775 $NOBODY"
	as_user "$PYTHON" "$HERE/editors.py" replace "$V/metadata.json" '{"by": "other"}'
	as_user "$PYTHON" "$HERE/editors.py" replace "$V/description" 'theirs'
	as_user touch "$V/tags/theirs"
	as_user sed -i s/theirs/ours/ "$V/description"
	eq "description" "$(cat "$V/description")" ours
	chmod 755 "$A"
	expect_errno_as_user EACCES create "$V/tmp"
	expect_errno_as_user EACCES unlink "$V/tags/theirs"
	# A private version, in a collection that anybody may write in.
	new_run s
	mkdir -m 700 "$OUT/secret"
	echo x >"$OUT/secret/f"
	end_run s
	chmod 777 "$MNT/artifacts/secret"
	echo hidden >"$MNT/artifacts/secret/v0/description"
	expect_errno_as_user EACCES open-read "$MNT/artifacts/secret/v0/description"
	expect_errno_as_user EACCES create "$MNT/artifacts/secret/v0/tmp"
	as_user ls "$MNT/artifacts/secret" >/dev/null
	fails as_user ls "$MNT/artifacts/secret/v0"
	# What others make beside a text is theirs.
	chmod 777 "$A"
	as_user sh -c 'umask 077 && echo x >"$1"' - "$V/tmp"
	eq "owner" "$(stat -c '%u %a' "$V/tmp")" "$NOBODY 600"
	expect_errno_as_user OK open-read "$V/tmp"
}

# Who keeps a text open to append to it, as a job does with its notes, undoes nobody's edit.
test_texts_are_appended_to_by_two() {
	start_mount
	new_run r
	cd "$MNT/runs/r"
	exec 3>>notes
	printf 'one\n' >&3
	echo two >>notes
	printf three >&3
	printf ' and more\n' >&3
	eq notes "$(cat notes)" $'one\ntwo\nthree and more'
	sed -i s/two/2/ notes
	echo four >&3
	eq notes "$(cat notes)" $'one\n2\nthree and more\nfour'
	exec 3>&-
	cd "$T"
	stop_mount
}
