# A real training job with worker processes, under lineagefs run. Needs PyTorch (Debian's
# python3-torch), which is too large to be installed for this alone.
# shellcheck shell=bash

need_torch() {
	TORCH_PYTHON=
	local python
	for python in "$PYTHON" /usr/bin/python3; do
		if "$python" -c 'import torch' 2>/dev/null; then
			TORCH_PYTHON=$python
			return
		fi
	done
	skip "needs PyTorch"
}

# Two versions of examples, and another artifact beside them that nobody is to read.
make_examples() {
	"$TORCH_PYTHON" - "$T/examples" <<-'EOF'
		import os, sys, torch
		torch.manual_seed(1)
		for version in range(2):
		    os.makedirs(f"{sys.argv[1]}/{version}")
		    for i in range(40):
		        x = torch.randn(16)
		        torch.save({"x": x, "y": (x.sum() > 0).long()}, f"{sys.argv[1]}/{version}/{i:03}.pt")
	EOF
	local i
	for i in 0 1; do
		new_run "examples-$i"
		cp -r "$T/examples/$i" "$OUT/examples"
		end_run "examples-$i"
	done
	quick_version other other text
}

test_pytorch_with_workers() {
	need_torch
	start_mount
	make_examples
	"$LINEAGEFS" run -m "$MNT" --id train --job-type train -- sh -c '
		exec "$0" "$1" "$LINEAGEFS_ARTIFACTS/examples/latest/files" "$LINEAGEFS_RUN_DIR/outputs/model"
	' "$TORCH_PYTHON" "$HERE/train.py" >"$T/out" 2>"$T/err" || fail "train.py: $(tail -n 3 "$T/err")"
	eq "state" "$(cat "$MNT/runs/train/state")" finished
	eq "inputs" "$(ls "$MNT/runs/train/inputs")" examples:v1
	eq "opens" "$(json "$MNT/runs/train/info.json" 'd["inputs"][0]["opens"]')" 80
	eq "outputs" "$(ls "$MNT/artifacts/model/v0/files" | tr '\n' ' ')" \
		"checkpoint-0.pt checkpoint-1.pt model.pt "
	eq "console" "$(grep ^epoch "$MNT/runs/train/console.log")" "$(cat "$T/out")"
	check_sums "$MNT/artifacts/model/v0"
	"$TORCH_PYTHON" -c 'import sys, torch; torch.load(sys.argv[1])' "$MNT/artifacts/model/v0/files/model.pt"
	eq "read outside" "$(ls "$MNT/artifacts/model/v0/consumers")" ""

	# The same under /artifacts, told apart by process alone.
	"$LINEAGEFS" run -m "$MNT" --id again -- "$TORCH_PYTHON" \
		"$HERE/train.py" "$MNT/artifacts/examples/v0/files" \
		"$MNT/runs/again/outputs/model" >"$T/out" 2>"$T/err" || fail "train.py: $(tail -n 3 "$T/err")"
	eq "inputs" "$(ls "$MNT/runs/again/inputs")" examples:v0
	eq "opens" "$(json "$MNT/runs/again/info.json" 'd["inputs"][0]["opens"]')" 80
	eq "consumers" "$(ls "$MNT/artifacts/other/v0/consumers")" ""
}

# A machine full of runs, a tenth of which is killed.
test_many_runs() {
	start_mount
	"$PYTHON" "$HERE/many_runs.py" "$MNT" "$LINEAGEFS" "$T" "${LINEAGEFS_TEST_RUNS:-40}" \
		"${LINEAGEFS_TEST_RUNS:-40}" >"$T/many" 2>&1 || fail "$(tail -n 2 "$T/many")"
	cat "$T/many" >&2
}
