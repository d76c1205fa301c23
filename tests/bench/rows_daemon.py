"""What the daemon itself takes: memory, and time to start."""
import os
import subprocess

from disk import drop_caches, unmount
from harness import row, seconds_of
from store import memory, mounted, wait_unlocked


@row("daemon-memory")
def daemon_memory(bench):
    """A version of 1,000,000 small files in 1,000 directories (make_files.c); a daemon just started;
    `find` over all of it, then the daemon's resident memory (Rss of smaps_rollup; Pss counts what it
    shares with others in part)."""
    directories = bench.sizes.huge_directories
    taken = {"Rss": [], "Pss": []}
    with bench.disk.fresh(files=directories * 1000 + 50000) as disk:
        store = os.path.join(disk, "store")
        subprocess.run([os.path.join(bench.helpers, "make_files"), store, str(directories), "1000"],
                       check=True)
        for _ in range(bench.rounds):
            with mounted(bench, store) as mount:
                found = subprocess.run(["find", mount.files("files"), "-type", "f"],
                                       stdout=subprocess.PIPE, check=True).stdout
                assert found.count(b"\n") == directories * 1000
                for name, amount in memory(mount.pid).items():
                    taken[name].append(amount / (1 << 20))
    what = "daemon memory after find over a version of 1,000,000 files"
    bench.absolute(what, taken["Rss"], "MiB", "under 64 MiB", lambda mib: mib < 64, "bytes: Rss")
    bench.absolute(what, taken["Pss"], "MiB", "", None, "bytes: Pss")


@row("mount")
def mount_time(bench):
    """A store with 1,000 versions and 10,000,000 edges (make_graph.c: 1,000 runs log one each, and use
    some; 10,000 runs use every one): `lineagefs mount STORE MOUNTPOINT`, which returns when the mount
    answers. Caches are dropped before (`cold`), or not (`cached`)."""
    at = os.path.join(bench.work, "mnt")
    os.makedirs(at, exist_ok=True)
    taken = {"cold": [], "cached": []}
    with bench.disk.fresh() as disk:
        store = os.path.join(disk, "store")
        versions = 1000
        subprocess.run([os.path.join(bench.helpers, "make_graph"), store, str(versions), "0",
                        str(versions), str(bench.sizes.readers)], stdout=subprocess.DEVNULL, check=True)
        words = [bench.program, "mount", store, at, "-o",
                 "log_file=" + os.path.join(bench.work, "daemon.log")]
        for _ in range(bench.rounds):
            for how in taken:
                if how == "cold":
                    drop_caches()
                taken[how].append(seconds_of(lambda: subprocess.run(words, check=True)))
                unmount(at)
                wait_unlocked(store)
    what = "mount of a store with 10,000,000 edges and 1,000 versions"
    for how, seconds in taken.items():
        bench.absolute(f"{what}, {how}", seconds, "s", "under 1 s", lambda s: s < 1, "seconds")
