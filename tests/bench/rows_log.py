"""What a run writes becomes a version: with the copying, and finishing alone."""
import contextlib
import os
import subprocess

from harness import OURS, row, quiet, seconds_of
from peers import Place, keep
from store import mounted

LOCAL = "local filesystem"


def copy(source, target):
    subprocess.run(["cp", "-r", source, target], check=True)


@contextlib.contextmanager
def fresh_mount(bench):
    with bench.disk.fresh() as disk, mounted(bench, os.path.join(disk, "store")) as mount:
        yield mount


def copy_and_finish(bench, source, length):
    """A fresh store: the source copied into a draft, then the run finished; seconds of each."""
    with fresh_mount(bench) as mount:
        draft = os.path.join(mount.new_run("writer"), "data")
        bench.settle(length)
        copying = seconds_of(lambda: copy(source, draft))
        finishing = seconds_of(lambda: mount.finish("writer"))
        return {"all": copying + finishing, "finish": finishing}


def copy_and_sync(bench, source, length):
    with bench.disk.fresh() as disk:
        bench.settle(length)
        copying = seconds_of(lambda: copy(source, os.path.join(disk, "data")))
        syncing = seconds_of(lambda: quiet("sync", "-f", disk))
        return {"all": copying + syncing, "finish": syncing}


@row("log-small")
def log_small(bench):
    """20,000 files of 4 KiB of random bytes, cached: `cp -r` into a draft and `finished` into `state`,
    beside `cp -r` and `sync -f`; each on a fresh disk. Finishing alone is the second part of it;
    restic and borg keep the same files, just copied to their disk, in a new repository there."""
    source, length = bench.small_source(), bench.sizes.small_directories * 1000 * 4096 * 2

    def kept(name):
        with bench.disk.fresh() as disk:
            place = Place(disk)
            bench.peers[name].need()
            bench.settle(length)
            copy(source, place.data)
            return {"finish": keep(bench, name, place)}

    taken = bench.alternate({
        OURS: lambda: copy_and_finish(bench, source, length), LOCAL: lambda: copy_and_sync(bench, source, length),
        "restic": lambda: kept("restic"), "borg": lambda: kept("borg")})
    taken["cp -r + sync"], taken["sync alone"] = taken[LOCAL], taken[LOCAL]
    taken["restic backup"], taken["borg create"] = taken["restic"], taken["borg"]
    bench.compare("cp -r of 20,000 files of 4 KiB into a draft, then finish", taken, "all",
                  "cp -r + sync", 0.5)
    what = "finish alone, 20,000 files just written"
    bench.compare(what, taken, "finish", "restic backup", 2)
    bench.compare(what, taken, "finish", "borg create", 2)
    bench.compare(what, taken, "finish", "sync alone")
    files = bench.sizes.small_directories * 1000
    bench.absolute(what, [files / t for t in taken[OURS]["finish"]], "files/s", "50,000 files/s",
                   lambda rate: rate >= 50000)


@row("log-large")
def log_large(bench):
    """One file of 1 GiB of random bytes, cached: `cp` into a draft and `finished` into `state`, beside
    `cp` and `sync -f`; each on a fresh disk. Finishing alone is the second part of it, beside `openssl
    dgst -sha256` of the cached source, and beside the second part of the other side, `sync -f`."""
    source, length = bench.large_source(), bench.sizes.large
    with open(bench.sources["large"]) as f:
        name = f.readline().rstrip("\n")

    def digest():
        return {"finish": seconds_of(lambda: quiet("openssl", "dgst", "-sha256", name))}

    taken = bench.alternate({OURS: lambda: copy_and_finish(bench, source, length),
                             LOCAL: lambda: copy_and_sync(bench, source, length), "openssl": digest})
    taken["cp + sync"], taken["sync alone"] = taken[LOCAL], taken[LOCAL]
    taken["OpenSSL's SHA-256, one core"] = taken["openssl"]
    bench.compare("log a file of 1 GiB: copy in and finish", taken, "all", "cp + sync", 0.8)
    what = "finish alone, 1 GiB just written"
    bench.compare(what, taken, "finish", "OpenSSL's SHA-256, one core", 0.9)
    bench.compare(what, taken, "finish", "sync alone")


@row("log-again")
def log_again(bench):
    """A draft of 20,000 files of 4 KiB is logged by a write to `log` (the first finish), one file is
    written anew, and the draft is logged again, in the same run; only the writes to `log` count."""
    source = bench.small_source()

    def ours():
        with fresh_mount(bench) as mount:
            draft = os.path.join(mount.new_run("writer"), "data")
            copy(source, draft)
            bench.settle()
            first = seconds_of(lambda: mount.log("writer", "data"))
            with open(os.path.join(draft, "d00000/f00000"), "w") as f:
                f.write("changed\n")
            return {"first": first, "again": seconds_of(lambda: mount.log("writer", "data"))}

    taken = bench.alternate({OURS: ours})
    taken["the first finish"] = taken[OURS]
    bench.compare("finish alone: 20,000 files, 1 changed since the last log", taken, "again",
                  "the first finish", 20, their_measure="first")


def make_runs(mount, prefix, count, writers):
    """Runs with one small file of bytes of its own each, in a collection for each writer."""
    for i in range(count):
        draft = os.path.join(mount.new_run(f"{prefix}{i}"), f"{prefix}-{i * writers // count}")
        os.mkdir(draft)
        with open(os.path.join(draft, "f"), "w") as f:
            f.write(f"{prefix} {i}\n".ljust(4096, "x"))


@row("finish-one")
def finish_one(bench):
    """2,000 runs with a draft of one file of 4 KiB each: a C program writes `finished`
    to the `state` of one after the other; four threads of it do so with a quarter of the runs each.
    Beside 2,000 times a write of 4 KiB at the end of a file of the store's directory and fdatasync, by
    one thread or by four with a file each, right after it. Goals were set against one thread."""
    count = bench.sizes.durable

    def ours():
        figures = {}
        for writers in (1, 4):
            with bench.disk.fresh() as disk, mounted(bench, os.path.join(disk, "store")) as mount:
                make_runs(mount, "warm", 4, 4)
                make_runs(mount, "run", count, writers)
                for i in range(4):
                    mount.finish(f"warm{i}")
                os.sync()
                figures[str(writers)] = bench.io("finish", mount.runs, "run", count, writers)[0]
        return figures

    def raw():
        figures = {}
        for writers in (1, 4):
            with bench.disk.fresh() as disk:
                store = os.path.join(disk, "store")
                with mounted(bench, store):
                    pass
                os.sync()
                figures[str(writers)] = bench.io("append-sync", store, count, writers)[0]
        return figures

    taken = bench.alternate({OURS: ours, LOCAL: raw})
    what = "durable finish of one small file, 2,000 times"
    one, four = "fdatasync, one writer", "fdatasync, four writers"
    taken[one] = taken[four] = taken[LOCAL]
    bench.compare(what + ", 1 run at once", taken, "1", one, 0.5)
    bench.compare(what + ", 4 runs at once", taken, "4", one, 1.0, their_measure="1")
    bench.compare(what + ", 4 runs at once", taken, "4", four)
