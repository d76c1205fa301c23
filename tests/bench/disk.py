"""A loop device with a filesystem that has a journal: fresh for each measurement."""
import contextlib
import os
import subprocess
import time

from harness import quiet


class Disk:
    def __init__(self, work, size):
        self.image, self.at = os.path.join(work, "disk"), os.path.join(work, "disk.d")
        self.direct, self.below = True, quiet("stat", "-f", "-c", "%T", work).strip()
        os.mkdir(self.at)
        # Written once, so that no measurement pays for room in the filesystem below.
        with open(self.image, "wb", buffering=0) as f:
            block = bytes(4 << 20)
            for _ in range(size // len(block)):
                f.write(block)
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _attach(self):
        words = ["losetup", "--find", "--show"]
        if self.direct:
            try:
                return quiet(*words, "--direct-io=on", self.image).strip()
            except RuntimeError:
                self.direct = False
        return quiet(*words, self.image).strip()

    @contextlib.contextmanager
    def fresh(self, files=None):
        """An empty filesystem, mounted; with room for so many files. The path."""
        loop = self._attach()
        try:
            # No discarding: it would take from the image what was written once.
            count = ["-N", str(files)] if files else []
            quiet("mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-O", "has_journal", *count, loop)
            quiet("mount", "-o", "noinit_itable", loop, self.at)
        finally:
            # While it is mounted, detaching waits for umount: whatever happens to us.
            quiet("losetup", "--detach", loop)
        try:
            yield self.at
        finally:
            unmount(self.at)

    def facts(self):
        kind = "direct" if self.direct else "buffered"
        return (f"ext4 with a journal on a loop device ({kind} I/O) over a file of {self.below}; made "
                "anew for each measurement, of lineagefs and of the others")


def is_mounted(path):
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == path for line in f)


def unmount(path):
    """Who has just ended may still be closing files."""
    for _ in range(200):
        done = subprocess.run(["umount", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0 or not is_mounted(path):
            return
        time.sleep(0.05)
    subprocess.run(["umount", "-l", path])
    raise RuntimeError(f"umount {path}: {done.stdout.decode().strip()}")


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3\n")
