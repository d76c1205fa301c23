"""One large file: read in order and at random, through read and a mapping; written."""
import contextlib
import os

from disk import drop_caches
from harness import Absent, OURS, row
from peers import passed_through
from store import mounted

LOCAL, PASSED = "local filesystem", "passthrough_ll"


@contextlib.contextmanager
def read_sides(bench, length):
    """The same bytes as a file of a version, as a local file of the same disk and through
    passthrough_ll; all read once, by ascending reads, since their pages came."""
    with bench.disk.fresh() as disk:
        store, folder = os.path.join(disk, "store"), os.path.join(disk, "local")
        os.mkdir(folder)
        bench.io("write", os.path.join(folder, "f"), length, 1 << 20)
        with mounted(bench, store) as mount:
            os.mkdir(os.path.join(mount.new_run("made"), "large"))
            bench.io("write", os.path.join(mount.runs, "made/outputs/large/f"), length, 1 << 20)
            mount.finish("made")
        drop_caches()
        with mounted(bench, store) as mount, contextlib.ExitStack() as stack:
            env = mount.reader()
            files = {OURS: os.path.join(mount.files("large"), "f"), LOCAL: os.path.join(folder, "f")}
            with contextlib.suppress(Absent):
                at = stack.enter_context(passed_through(bench, folder, os.path.join(bench.work, "ll")))
                files[PASSED] = os.path.join(at, "f")
            for path in files.values():
                bench.io("read", path, 1 << 20)
            yield files, env


def compare_reads(bench, length, commands, goal):
    """commands: what -> words for io, with None in place of the path"""
    with read_sides(bench, length) as (files, env):
        def side(name):
            if name not in files:
                raise Absent(bench.peers[name].missing)
            return {what: bench.io(*(files[name] if w is None else w for w in words), env=env)[0]
                    for what, words in commands.items()}
        names = (OURS, LOCAL, PASSED)
        taken = bench.alternate({name: lambda n=name: side(n) for name in names}, times=5)
    for what in commands:
        bench.compare(what, taken, what, LOCAL, goal)
        bench.compare(what, taken, what, PASSED)


@row("read-sequential")
def read_sequential(bench):
    """A file of a version of 2 GiB by read() of 1 MiB, and of 1 GiB through a mapping of which every
    byte is used, by a process of a run; beside a file of the same bytes on the store's disk. Both were
    read once before, so all is in the page cache. Opening counts."""
    compare_reads(bench, bench.sizes.sequential,
                  {"read 2 GiB, cached, 1 MiB blocks": ("read", None, 1 << 20)}, 0.97)
    compare_reads(bench, bench.sizes.large, {"mmap of 1 GiB, cached": ("map", None)}, 0.97)


@row("read-random")
def read_random(bench):
    """400,000 random pages of 4 KiB of a file of 1 GiB, the same in every round: pread(), and a mapping
    made anew each time. Otherwise as above."""
    n = bench.sizes.random
    compare_reads(bench, bench.sizes.large,
                  {"4 KiB random pread, cached": ("random", None, n),
                   "4 KiB random reads of a mapping, cached": ("random-map", None, n)}, 0.95)


@row("write-sequential")
def write_sequential(bench):
    """A new file of 2 GiB by write() of 1 MiB: into a draft, into a directory of a disk of its own, and
    there through passthrough_ll. `written` ends at close(2), `synced` at the end of an fsync after it."""
    def write(path):
        bench.settle(bench.sizes.sequential)
        written, synced = bench.io("write", path, bench.sizes.sequential, 1 << 20)
        return {"written": written, "synced": synced}

    def ours():
        with bench.disk.fresh() as disk, mounted(bench, os.path.join(disk, "store")) as mount:
            os.mkdir(os.path.join(mount.new_run("writer"), "large"))
            return write(os.path.join(mount.runs, "writer/outputs/large/f"))

    def local():
        with bench.disk.fresh() as disk:
            return write(os.path.join(disk, "f"))

    def passed():
        with bench.disk.fresh() as disk:
            os.mkdir(os.path.join(disk, "d"))
            with passed_through(bench, disk, os.path.join(bench.work, "ll")) as at:
                return write(os.path.join(at, "d/f"))

    taken = bench.alternate({OURS: ours, LOCAL: local, PASSED: passed})
    what = "write 2 GiB to a draft, 1 MiB blocks"
    bench.compare(what, taken, "written", LOCAL, 0.95)
    bench.compare(what, taken, "written", PASSED)
    bench.compare(what + ", and fsync", taken, "synced", LOCAL)
