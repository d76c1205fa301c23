# Bytes exist once.
# shellcheck shell=bash

MIB=$((1 << 20))

grew_by() { # WHAT FROM MIB : within 16 MiB
	local grown
	measure_store
	grown=$((BYTES - $2))
	[ "$grown" -le $((($3 + 16) * MIB)) ] && [ "$grown" -ge $((($3 - 16) * MIB)) ] ||
		fail "$1: the store grew by $((grown / MIB)) MiB, not $3"
}

test_large_file_once() {
	local before
	start_mount
	measure_store
	before=$BYTES
	random_file "$T/large" $((256 * MIB))
	new_run one
	mkdir "$OUT/a"
	cp "$T/large" "$OUT/a/large"
	log_now one a
	grew_by "logged, its draft there still" "$before" 256
	log_now one a
	end_run one
	grew_by "ended" "$before" 256
	new_run two
	mkdir "$OUT/a"
	cp "$T/large" "$OUT/a/large"
	end_run two
	grew_by "logged again" "$before" 256
	new_run three
	mkdir "$OUT/b"
	cp "$T/large" "$OUT/b/other-name"
	log_now three b
	end_run three
	grew_by "logged under another name" "$before" 256
	eq "versions" "$(versions a) $(versions b)" "v0 v0"
	check_all_sums
}

test_one_changed_file_of_many() {
	local before i
	start_mount
	new_run r
	mkdir "$OUT/d"
	for i in 1 2 3 4; do
		random_file "$OUT/d/f$i" $((32 * MIB))
	done
	log_now r d
	measure_store
	before=$BYTES
	random_file "$OUT/d/f1" $((32 * MIB))
	log_now r d
	grew_by "one of four files changed" "$before" 32
	end_run r
	grew_by "ended" "$before" 32
}

test_small_files_once() {
	local before
	start_mount
	mkdir "$T/small"
	(cd "$T/small" && head -c $((40 * MIB)) /dev/urandom | split -b 8000 -a 4 -)
	measure_store
	before=$BYTES
	new_run one
	cp -r "$T/small" "$OUT/a"
	end_run one
	new_run two
	cp -r "$T/small" "$OUT/b"
	end_run two
	grew_by "40 MiB in small files, twice" "$before" 40
	quiet diff -r "$T/small" "$MNT/artifacts/a/v0/files"
	quiet diff -r "$T/small" "$MNT/artifacts/b/v0/files"
}

# A draft that goes without being logged leaves nothing.
test_removed_drafts() {
	local before
	start_mount
	new_run r
	measure_store
	before=$BYTES
	mkdir "$OUT/d"
	random_file "$OUT/d/f" $((64 * MIB))
	rm -r "$OUT/d"
	mkdir "$OUT/.scratch"
	random_file "$OUT/.scratch/f" $((64 * MIB))
	end_run r
	grew_by "after scratch and a removed draft" "$before" 0
}
