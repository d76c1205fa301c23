"""lineagefs mounted, and what is done with its runs."""
import contextlib
import json
import os
import subprocess
import time

from disk import is_mounted, unmount
from harness import Absent, quiet


def wait_for(ready, process, what, log=None):
    """Polls, for at most a minute, while the process lives."""
    for _ in range(30000):
        if ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.002)
    said = open(log, errors="replace").read()[-2000:] if log else ""
    raise RuntimeError(f"{what} does not mount: {said}")


@contextlib.contextmanager
def foreground(words, at, ready, log, env=None):
    """A FUSE program that stays in the foreground; unmounted and waited for in the end."""
    os.makedirs(at, exist_ok=True)
    with open(log, "ab") as out:
        process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, env=env)
    try:
        wait_for(lambda: is_mounted(at) and ready(), process, words[0], log)
        yield process
    finally:
        if is_mounted(at):
            unmount(at)
        elif process.poll() is None:
            process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


class Mount:
    def __init__(self, at, process):
        self.at, self.pid = at, process.pid
        self.runs = os.path.join(at, "runs")

    def new_run(self, name):
        """The folder of its drafts."""
        os.mkdir(os.path.join(self.runs, name))
        return os.path.join(self.runs, name, "outputs")

    def finish(self, run):
        with open(os.path.join(self.runs, run, "state"), "w") as f:
            f.write("finished\n")

    def log(self, run, name):
        with open(os.path.join(self.runs, run, "log"), "w") as f:
            f.write(name + "\n")

    def files(self, name, number=0):
        return os.path.join(self.at, "artifacts", name, f"v{number}", "files")

    def reader(self):
        """The environment of a process of a run, which does not end before we do."""
        if not os.path.exists(os.path.join(self.runs, "reader")):
            self.new_run("reader")
        with open(os.path.join(self.runs, "reader/procs"), "w") as f:
            f.write(f"{os.getpid()}\n")
        return {**os.environ, "LINEAGEFS_RUN": "reader"}

    def status(self):
        with open(os.path.join(self.at, "_status.json")) as f:
            return json.load(f)


@contextlib.contextmanager
def mounted(bench, store):
    at = os.path.join(bench.work, "mnt")
    status = os.path.join(at, "_status.json")
    words = [bench.program, "mount", store, at, "-f"]
    log = os.path.join(bench.work, "daemon.log")
    with foreground(words, at, lambda: os.path.exists(status), log) as process:
        yield Mount(at, process)


def has_view(bench):
    return "--view" in subprocess.run([bench.program, "help"], stdout=subprocess.PIPE).stdout.decode()


@contextlib.contextmanager
def view_mounted(bench, store, run):
    """A mount of its own of what the run sees; the store is mounted too. The path of its tree."""
    if not has_view(bench):
        raise Absent("not there: `lineagefs mount --view`")
    at = os.path.join(bench.work, "view")
    words = [bench.program, "mount", "--view", run, store, at, "-f"]
    with foreground(words, at, lambda: os.listdir(at), os.path.join(bench.work, "view.log")):
        yield at


def memory(pid):
    """Bytes of memory of a process: {"Rss": ..., "Pss": ...}."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        fields = [line.split() for line in f]
    return {name[:-1]: int(rest[0]) << 10 for name, *rest in fields if name in ("Rss:", "Pss:")}


def wait_unlocked(store):
    """A daemon in the background has its store until it ends, some time after umount."""
    quiet("flock", "--timeout", "120", os.path.join(store, "lock"), "true")
