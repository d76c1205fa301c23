"""What programs do to a file that they edit, call by call.

usage: editors.py WAY FILE TEXT
"""

import errno
import os
import sys
import tempfile


def fd_write(fd, text):
    while text:
        text = text[os.write(fd, text):]


def vim_backup(path, text):
    """'backup' with 'backupcopy=auto': a try whether files can be made here, a rename, a new file."""
    directory, name = os.path.split(path)
    swap = os.path.join(directory, "." + name + ".swp")
    fd = os.open(swap, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    fd_write(fd, b"b0VIM 9.0".ljust(4096, b"\0"))
    os.lseek(fd, 8192, os.SEEK_SET)
    fd_write(fd, b"tp".ljust(4096, b"\0"))
    os.fsync(fd)
    before = os.stat(path)
    probe = os.path.join(directory, "4913")
    try:
        os.lstat(probe)
        raise SystemExit("4913 is there")
    except FileNotFoundError:
        pass
    made = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW, 0o100644)
    os.fchown(made, before.st_uid, before.st_gid)
    assert os.fstat(made).st_uid == before.st_uid
    os.close(made)
    os.unlink(probe)
    os.rename(path, path + "~")
    new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o664)
    fd_write(new, text)
    os.fsync(new)
    os.fchown(new, before.st_uid, before.st_gid)
    os.close(new)
    os.chmod(path, before.st_mode & 0o7777)
    os.stat(path)
    os.close(fd)
    os.unlink(swap)


def vim_no_backup(path, text):
    vim_backup(path, text)
    os.unlink(path + "~")


def emacs(path, text):
    """A rename to name~, and a new file; its lock is a symbolic link, which it can do without."""
    directory, name = os.path.split(path)
    try:
        os.symlink("me@host.1:2", os.path.join(directory, ".#" + name))
        os.unlink(os.path.join(directory, ".#" + name))
    except OSError as e:
        assert e.errno in (errno.EPERM, errno.EROFS, errno.EINVAL), e
    auto = os.path.join(directory, "#" + name + "#")
    with open(auto, "xb") as f:
        f.write(text)
    os.rename(path, path + "~")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    fd_write(fd, text)
    os.fsync(fd)
    os.close(fd)
    os.unlink(auto)


def nano(path, text):
    """A lock beside, the file itself truncated and written."""
    directory, name = os.path.split(path)
    lock = os.path.join(directory, "." + name + ".swp")
    fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    fd_write(fd, b"b0nano".ljust(1024, b"\0"))
    os.close(fd)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    fd_write(fd, text)
    os.fsync(fd)
    os.close(fd)
    os.unlink(lock)


def replace(path, text):
    """tempfile beside, os.replace: what most libraries do to write atomically."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.chmod(f.name, 0o644)
    os.utime(f.name, (1, 2))
    assert os.stat(f.name).st_mtime == 2
    try:
        os.replace(f.name, path)
    except OSError:
        os.unlink(f.name)
        raise
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


def remove_first(path, text):
    """mv from another filesystem."""
    os.unlink(path)
    assert not os.path.lexists(path)
    assert os.path.basename(path) not in os.listdir(os.path.dirname(path))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fd_write(fd, text)
    os.close(fd)


def slow_mapping(path, text):
    """A file beside that is filled at random places, shortened, and read back before its rename."""
    beside = path + ".part"
    fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.pwrite(fd, text[3:], 3)
    os.pwrite(fd, text[:3], 0)
    os.pwrite(fd, b"more", len(text))
    os.ftruncate(fd, len(text))
    assert os.pread(fd, 1 << 20, 0) == text
    os.rename(beside, path + ".other")
    assert os.fstat(fd).st_nlink == 1
    os.rename(path + ".other", path)
    assert os.fstat(fd).st_nlink == 0
    assert os.pread(fd, 1 << 20, 0) == text
    os.close(fd)


if __name__ == "__main__":
    globals()[sys.argv[1]](os.path.abspath(sys.argv[2]), sys.argv[3].encode())
