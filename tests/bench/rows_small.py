"""A tree of 100,000 files of 4 KiB: read whole, and walked."""
import contextlib
import os
import subprocess

from disk import drop_caches
from harness import OURS, file_list, row, seconds_of
from peers import passed_through
from store import mounted, view_mounted

LOCAL, PASSED, VIEW = "local filesystem", "passthrough_ll", "view"


@contextlib.contextmanager
def many_files(bench):
    """A disk with 100,000 files, locally (the path) and as the version many:v0 of a store (the path)."""
    source = bench.many_source()
    with bench.disk.fresh() as disk:
        store, folder = os.path.join(disk, "store"), os.path.join(disk, "local")
        subprocess.run(["cp", "-r", source, folder], check=True)
        with mounted(bench, store) as mount:
            outputs = mount.new_run("made")
            subprocess.run(["cp", "-r", source, os.path.join(outputs, "many")], check=True)
            mount.finish("made")
        os.sync()
        yield folder, store


def all_passed_through(bench, folder):
    return passed_through(bench, folder, os.path.join(bench.work, "ll"),
                          bench.sizes.directories * 1000)


@row("read-small")
def read_small(bench):
    """Every file of a version of 100,000 files of 4 KiB, in order of its path, is opened, read and
    closed by one thread of a C program, a process of a run, which knows the paths beforehand. `First
    pass`: of a daemon just started, the store's disk cached; `later`: the pass after it. Beside the
    same files on the store's disk, cached. `Cold`: caches dropped, then mounted anew."""
    def read(folder, env=None):
        """By a list of the paths; none is looked up to make it."""
        paths = os.path.join(bench.work, "paths")
        with open(paths, "w") as f:
            f.writelines(os.path.join(folder, name) for name in names)
        return bench.io("read-all", paths, env=env)[0]

    def twice(folder, env=None):
        return {"first": read(folder, env), "later": read(folder, env)}

    with many_files(bench) as (folder, store):
        with open(file_list(folder, os.path.join(bench.work, "names"))) as f:
            names = [os.path.relpath(line, folder) for line in f]

        @contextlib.contextmanager
        def ours():
            with mounted(bench, store) as mount:
                yield mount.files("many"), mount.reader()

        @contextlib.contextmanager
        def view():
            with mounted(bench, store) as mount:
                mount.reader()
                with view_mounted(bench, store, "reader") as at:
                    yield os.path.join(at, "many/v0/files"), None

        @contextlib.contextmanager
        def passed():
            with all_passed_through(bench, folder) as at:
                yield at, None

        def warm(place):
            with place() as (files, env):
                return twice(files, env)

        def cold(place):
            drop_caches()
            with place() as (files, env):
                return {"cold": read(files, env)}

        @contextlib.contextmanager
        def local():
            yield folder, None

        places = {OURS: ours, LOCAL: local, VIEW: view, PASSED: passed}
        read(folder)
        taken = bench.alternate({name: lambda p=p: warm(p) for name, p in places.items()})
        colds = bench.alternate({name: lambda p=p: cold(p) for name, p in places.items()})
    taken[f"{LOCAL}, cached"], colds[f"{LOCAL}, cold"] = taken[LOCAL], colds[LOCAL]
    read_small_lines(bench, taken, colds)


def read_small_lines(bench, taken, colds):
    cached, cold = f"{LOCAL}, cached", f"{LOCAL}, cold"
    # Of the local side the pass after the first, which had the caches of the round before to itself.
    for ours, what, goals in (
            (OURS, "read 100,000 files of 4 KiB", (0.35, 0.6, None)),
            (VIEW, "the same through a view mounted for small files", (0.8, 1.0, 2))):
        bench.compare(what + ", first pass", taken, "first", cached, goals[0], "later", ours)
        bench.compare(what + ", later", taken, "later", cached, goals[1], "later", ours)
        bench.compare(what + ", cold disk", colds, "cold", cold, goals[2], ours=ours)
    for when in ("first", "later"):
        bench.compare(f"read 100,000 files of 4 KiB, {when} pass", taken, when, PASSED)


WALKS = {"find": ["find"], "ls -lR": ["ls", "-lR"]}


@row("walk")
def walk(bench):
    """`find` and `ls -lR` of a version of 100,000 files into /dev/null, each on a daemon just started
    (`first pass`) and once more (`later`); beside the same on local files, cached."""
    def timed(words, folder):
        return seconds_of(lambda: subprocess.run([*words, folder], stdout=subprocess.DEVNULL,
                                                 check=True))

    def twice(place):
        figures = {}
        for name, words in WALKS.items():
            with place() as folder:
                figures[name + ", first pass"] = timed(words, folder)
                figures[name + ", later"] = timed(words, folder)
        return figures

    with many_files(bench) as (local_folder, store):
        @contextlib.contextmanager
        def ours():
            with mounted(bench, store) as mount:
                yield mount.files("many")

        def local():
            figures = {}
            for name, words in WALKS.items():
                figures[name + ", first pass"] = figures[name + ", later"] = \
                    timed(words, local_folder)
            return figures

        for words in WALKS.values():
            timed(words, local_folder)
        taken = bench.alternate({
            OURS: lambda: twice(ours), LOCAL: local,
            PASSED: lambda: twice(lambda: all_passed_through(bench, local_folder))})
    cached = f"{LOCAL}, cached"
    taken[cached] = taken[LOCAL]
    for name in WALKS:
        for when, goal in (("first pass", 0.4), ("later", 1.0)):
            measure = f"{name}, {when}"
            bench.compare(f"{name} of 100,000 files, {when}", taken, measure, cached, goal)
            bench.compare(f"{name} of 100,000 files, {when}", taken, measure, PASSED)
