"""The programs beside which we are measured: where they are, and how each is told to work in a folder.
They run without a network, where that can be arranged."""
import contextlib
import os
import re
import resource
import shutil
import subprocess

import store
from harness import HERE, TOP, Absent, quiet, seconds_of

VENV = os.path.join(TOP, "build/bench-venv/bin")
EXAMPLES = "/usr/share/doc/libfuse3-dev/examples"


class Peer:
    def __init__(self, name, program, *version, missing="not installed"):
        self.name, self.missing = name, missing
        self.program = shutil.which(program, path=VENV + ":" + os.environ["PATH"])
        self.version = self._ask(version) if self.program else None
        if version and not self.version:
            self.program = None

    def _ask(self, version):
        if not version:
            return ""
        done = subprocess.run([self.program, *version], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        found = re.search(r"\d+\.[\w.]+", done.stdout.decode(errors="replace"))
        return found.group(0) if found else None

    def text(self):
        return f"{self.name} {self.version}".strip() if self.program else \
            f"{self.name}: {self.missing}"

    def need(self):
        if not self.program:
            raise Absent(self.missing)
        return self.program


def find_peers(work):
    """By the name that the table has."""
    found = [
        Peer("git", "git", "--version"),
        Peer("git-annex", "git-annex", "version"),
        Peer("DVC", "dvc", "--version"),
        Peer("W&B", "wandb", "--version"),
        Peer("MLflow", "mlflow", "--version"),
        Peer("restic", "restic", "version"),
        Peer("borg", "borg", "--version"),
        Peer("squashfuse", "squashfuse_ll" if shutil.which("squashfuse_ll") else "squashfuse",
             "--help"),
        passthrough_ll(work),
    ]
    return {peer.name: peer for peer in found}


def passthrough_ll(work):
    """libfuse's example, built from the source that its package has where no program is found."""
    source, built = os.path.join(EXAMPLES, "passthrough_ll.c"), os.path.join(work, "passthrough_ll")
    if not shutil.which("passthrough_ll") and os.path.exists(source):
        flags = quiet("pkg-config", "--cflags", "--libs", "fuse3").split()
        quiet("cc", "-O2", "-D_GNU_SOURCE", "-o", built, source, *flags, "-lpthread")
    return Peer("passthrough_ll", built if os.path.exists(built) else "passthrough_ll", "--version")


_offline = None


def offline():
    """How a command is kept from the network."""
    global _offline
    if _offline is None:
        words = ["unshare", "--net"]
        done = subprocess.run([*words, "true"], stderr=subprocess.DEVNULL)
        _offline = words if done.returncode == 0 else []
    return _offline


def environment(folder):
    """One that keeps all that a program writes for itself in a folder."""
    home = os.path.join(folder, "home")
    os.makedirs(home, exist_ok=True)
    identity = {f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}
    return {
        "PATH": VENV + ":" + os.environ["PATH"], "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8",
        **identity, "GIT_CONFIG_NOSYSTEM": "1",
        "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": os.path.join(home, "restic"),
        "BORG_BASE_DIR": os.path.join(home, "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": os.path.join(home, "dvc"),
        "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false",
        "WANDB_DIR": home, "WANDB_CACHE_DIR": os.path.join(home, "cache"),
        "WANDB_DATA_DIR": os.path.join(home, "data"),
        "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


class Place:
    """A folder in which a program works: `data` has the files, as a user would have them."""
    def __init__(self, folder):
        self.folder, self.data = folder, os.path.join(folder, "data")
        self.env = environment(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def do(self, *words):
        return quiet(*offline(), *words, cwd=self.folder, env=self.env)

    def time(self, *words):
        return seconds_of(lambda: self.do(*words))

    def script(self, name):
        """A Python script of ours, by the interpreter that has the peer; it prints seconds."""
        said = self.do(os.path.join(VENV, "python"), os.path.join(HERE, name), "data")
        return float(said.split()[-1])


# What keeps the files of place.data, as each program does it by itself. Seconds.

def keep_git(place):
    place.do("git", "init", "-q", ".")
    place.do("sh", "-c", "echo home >.git/info/exclude")
    return place.time("sh", "-c", "git add data && git commit -qm kept")


def keep_annex(place):
    place.do("git", "init", "-q", ".")
    place.do("git", "annex", "init", "-q", "bench")
    return place.time("git", "annex", "add", "-q", "data")


def keep_dvc(place):
    place.do("dvc", "init", "-q", "--no-scm")
    return place.time("dvc", "add", "-q", "data")


def keep_restic(place):
    place.do("restic", "init", "-q", "-r", "repository")
    return place.time("restic", "backup", "-q", "-r", "repository", "data")


def keep_borg(place):
    place.do("borg", "init", "-e", "none", "repository")
    return place.time("borg", "create", "repository::a", "data")


def keep_squashfs(place):
    return place.time("mksquashfs", "data", "image", "-quiet", "-no-progress")


def keep_wandb(place):
    return place.script("peer_wandb.py")


def keep_mlflow(place):
    return place.script("peer_mlflow.py")


KEEPERS = {"git-annex": keep_annex, "git": keep_git, "W&B": keep_wandb, "DVC": keep_dvc,
           "MLflow": keep_mlflow, "restic": keep_restic, "borg": keep_borg,
           "squashfuse": keep_squashfs}


def keep(bench, name, place):
    bench.peers[name].need()
    return KEEPERS[name](place)


# How what was kept is read back. Each gives the path of the files in its mount.

@contextlib.contextmanager
def opened(bench, name, place):
    program, at = bench.peers[name].need(), place.path("mnt")
    words, inside = {
        "restic": (["restic", "mount", "-q", "-r", "repository", at], "snapshots/latest/data"),
        "borg": (["borg", "mount", "-f", "repository::a", at], "data"),
        "squashfuse": ([program, "-f", "image", at], "."),
    }[name]
    files = os.path.join(at, inside)
    here = os.getcwd()
    os.chdir(place.folder)
    try:
        with store.foreground(offline() + words, at, lambda: os.path.isdir(files), place.path("log"),
                              env=place.env):
            yield files
    finally:
        os.chdir(here)


@contextlib.contextmanager
def passed_through(bench, folder, at, files=1):
    """The folder, of so many files, through libfuse's example, with all that it can cache."""
    program, most = bench.peers["passthrough_ll"].need(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < files + 1000:  # it has each open that the kernel knows of
        raise Absent(f"keeps all open; {most} may be")
    words = ["prlimit", f"--nofile={most}", program, "-f", "-o", f"source={folder}",
             "-o", "cache=always", at]
    with store.foreground(words, at, lambda: os.listdir(at), os.path.join(bench.work, "ll.log")):
        yield at
