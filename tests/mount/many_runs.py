"""many_runs.py MOUNTPOINT LINEAGEFS FOLDER COUNT PARALLEL

COUNT runs under `lineagefs run`, PARALLEL at a time: each reads 20 of 40 versions, by process and through its
view, and logs three artifacts. A tenth is killed at a random step, half of those with their wrapper. Then
every edge that was reported must be there from both sides, none that was not, and every state be right.
"""
import collections
import json
import os
import random
import subprocess
import sys
import time

MNT, LINEAGEFS, FOLDER = sys.argv[1:4]
COUNT, PARALLEL = int(sys.argv[4]), int(sys.argv[5])
VERSIONS, READS, LOGS = 40, 20, 3

# What a run does. It reports each step after it was done.
JOB = """
import os, sys
mnt, run, reads, kill_at, report = sys.argv[1:]
reads, kill_at, report = reads.split(","), int(kill_at), open(report, "w", buffering=1)
run_dir, view = os.environ["LINEAGEFS_RUN_DIR"], os.environ["LINEAGEFS_ARTIFACTS"]
steps = 0
def step():
    global steps
    if steps == kill_at:
        os.kill(os.getpid(), 9)
    steps += 1
for k, name in enumerate(reads):
    step()
    path = f"{mnt}/artifacts/{name}/v0/files/data" if k % 2 else f"{view}/{name}/latest/files/data"
    if k % 5 == 4:
        os.system(f"cat {path} >/dev/null")
    else:
        open(path).read()
    report.write(f"read {name}\\n")
for k in range(LOGS):
    step()
    name = f"out{k}-{run}"
    os.mkdir(f"{run_dir}/outputs/{name}")
    with open(f"{run_dir}/outputs/{name}/f", "w") as f:
        f.write(f"{run} {k}\\n")
    with open(f"{run_dir}/log", "w") as f:
        f.write(f"{name}\\n")
    report.write(f"log {name}\\n")
step()
""".replace("LOGS", str(LOGS))


class Run:
    def __init__(self, name, rng):
        self.name = name
        self.dir = f"{MNT}/runs/{name}"
        self.report = f"{FOLDER}/report-{name}"
        self.reads = rng.sample([f"in{i}" for i in range(VERSIONS)], READS)
        fate = rng.random()
        self.kill_at = rng.randrange(READS + LOGS + 1) if fate < 0.1 else -1
        self.kill_wrapper = fate < 0.05
        self.process = None

    def start(self):
        own_end = -1 if self.kill_wrapper else self.kill_at
        job = [sys.executable, f"{FOLDER}/job.py", MNT, self.name, ",".join(self.reads), str(own_end), self.report]
        self.process = subprocess.Popen([LINEAGEFS, "run", "-m", MNT, "--id", self.name, "--"] + job,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def done(self):
        if not os.path.exists(self.report):
            return []
        return [line.split() for line in open(self.report)]

    def kill_if_due(self):
        # The job makes its report when it begins: before that there may be no run.
        if not self.kill_wrapper or not os.path.exists(self.report) or len(self.done()) < self.kill_at:
            return
        pid = self.process.pid
        try:
            children = open(f"/proc/{pid}/task/{pid}/children").read().split()
        except FileNotFoundError:
            return
        self.process.kill()
        for child in children:
            try:
                os.kill(int(child), 9)
            except ProcessLookupError:
                pass

    def state(self):
        return open(f"{self.dir}/state").read().strip()

    def wanted_state(self):
        if self.kill_wrapper and self.process.returncode == -9:
            return "crashed"
        return "failed" if self.kill_at >= 0 and not self.kill_wrapper else "finished"

    def names(self, side):
        info = json.load(open(f"{self.dir}/info.json"))
        return {i["artifact"].split(":")[0] for i in info[side]}

    def check(self):
        deadline = time.time() + 30
        while self.state() != self.wanted_state() and time.time() < deadline:
            time.sleep(0.05)
        # Whoever is killed may have done one step that it did not report.
        more = 1 if self.kill_at >= 0 else 0
        wrong = []
        for side, word in (("inputs", "read"), ("outputs", "log")):
            reported = {name for what, name in self.done() if what == word}
            found = self.names(side)
            if not reported <= found or len(found - reported) > more:
                wrong.append(f"{side}: {sorted(reported ^ found)}")
        if self.state() != self.wanted_state():
            wrong.append(f"state {self.state()}, not {self.wanted_state()}")
        for text in wrong:
            print(f"{self.name} (killed at {self.kill_at}): {text}: {self.process.stderr.read()[-300:]}")
        return len(wrong)


def main():
    rng = random.Random(7)
    for i in range(VERSIONS):
        run = f"{MNT}/runs/make-{i}"
        os.makedirs(f"{run}/outputs/in{i}")
        open(f"{run}/outputs/in{i}/data", "w").write(f"data {i}\n")
        open(f"{run}/state", "w").write("finished\n")
    open(f"{FOLDER}/job.py", "w").write(JOB)
    runs = [Run(f"r{n}", rng) for n in range(COUNT)]
    waiting, active = list(runs), []
    while waiting or active:
        while waiting and len(active) < PARALLEL:
            active.append(waiting.pop())
            active[-1].start()
        for run in active:
            run.kill_if_due()
        active = [run for run in active if run.process.poll() is None]
        time.sleep(0.005)
    wrong = sum(run.check() for run in runs)
    readers = {f"in{i}": set() for i in range(VERSIONS)}
    for run in runs:
        for name in run.names("inputs"):
            readers[name].add(run.name)
    for name, names in readers.items():
        if set(os.listdir(f"{MNT}/artifacts/{name}/v0/consumers")) != names:
            print(f"consumers of {name} are not its readers")
            wrong += 1
    print(dict(collections.Counter(run.state() for run in runs)), "wrong:", wrong)
    sys.exit(wrong != 0)


main()
