"""The same files kept by other programs, and read back from them."""
import os
import subprocess

from harness import OURS, row, file_list, seconds_of
from peers import Place, keep, opened
from store import mounted

KEEPERS = ("git-annex", "git", "W&B", "DVC", "MLflow")
WORDS = {"git-annex": "git-annex add", "git": "git add + commit", "W&B": "W&B: hash, staging, cache",
         "DVC": "dvc add", "MLflow": "MLflow log_artifacts"}


def log_beside(bench, source, length, what, goals):
    def ours():
        with bench.disk.fresh() as disk, mounted(bench, os.path.join(disk, "store")) as mount:
            draft = os.path.join(mount.new_run("writer"), "data")
            subprocess.run(["cp", "-r", source, draft], check=True)
            bench.settle(length)
            return {"log": seconds_of(lambda: mount.finish("writer"))}

    def theirs(name):
        bench.peers[name].need()
        with bench.disk.fresh() as disk:
            place = Place(disk)
            subprocess.run(["cp", "-r", source, place.data], check=True)
            bench.settle(length)
            return {"log": keep(bench, name, place)}

    taken = bench.alternate({OURS: ours, **{n: lambda n=n: theirs(n) for n in KEEPERS}})
    for name in KEEPERS:
        bench.compare(what, {**taken, WORDS[name]: taken[name]}, "log", WORDS[name], goals.get(name))


@row("peers-log")
def peers_log(bench):
    """Files of random bytes that lie in the program's own working directory: a draft, of which
    `finished` makes a version, or a new repository on a fresh disk. Copying them there does not count.
    Ours is durable when it returns; of the others only what they sync by themselves is. W&B: add_dir
    of an offline artifact (MD5, staging), finalize, copies into its cache; loading it does not count."""
    small, large = "log 20,000 files of 4 KiB", "log a file of 1 GiB"
    length = bench.sizes.small_directories * 1000 * 4096 * 2
    log_beside(bench, bench.small_source(), length, small, {"git-annex": 50, "git": 50, "W&B": 2})
    log_beside(bench, bench.large_source(), bench.sizes.large, large, {"git-annex": 4, "git": 4, "W&B": 3})


READERS = {"restic": 3, "borg": 3, "squashfuse": 1}


def read_beside(bench, source, what):
    """All are kept once; each round mounts and reads one after the other."""
    with bench.disk.fresh() as disk:
        store, places = os.path.join(disk, "store"), {}
        with mounted(bench, store) as mount:
            draft = os.path.join(mount.new_run("writer"), "data")
            subprocess.run(["cp", "-r", source, draft], check=True)
            mount.finish("writer")
        for name in READERS:
            places[name] = Place(os.path.join(disk, name))
            if bench.peers[name].program:
                subprocess.run(["cp", "-r", source, places[name].data], check=True)
                keep(bench, name, places[name])
        os.sync()

        def read(files, env=None):
            names = file_list(files, os.path.join(bench.work, "list"))
            return {"read": bench.io("read-all", names, env=env)[0]}

        def ours():
            with mounted(bench, store) as mount:
                env = mount.reader()
                return read(mount.files("data"), env)

        def theirs(name):
            with opened(bench, name, places[name]) as files:
                return read(files)

        taken = bench.alternate({OURS: ours, **{n: lambda n=n: theirs(n) for n in READERS}})
    for name, goal in READERS.items():
        mount = name if name == "squashfuse" else name + " mount"
        bench.compare(what, {**taken, mount: taken[name]}, "read", mount, goal)


@row("peers-read")
def peers_read(bench):
    """Each program keeps the files on one disk; then each round mounts one after the other and reads
    all of its files once by the C program of read-small (blocks of 1 MiB), the first pass of a mount
    just made. The disk is cached; listing the paths comes before and does not count."""
    read_beside(bench, bench.large_source(), "read a version of 1 GiB back")
    read_beside(bench, bench.small_source(), "read a version of 20,000 files back")
