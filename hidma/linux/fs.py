# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/fs.h>``: the files of a running kernel, as a process sees them: /sys, /sys/kernel/debug, /proc.

Nothing is stored here: every directory is made from the state of the kernel when somebody looks. Errors are negative
errnos, as a system call would return them. There are no processes: who asks is root or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hidma.linux.errno import EACCES, EAGAIN, EBADF, EINVAL, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENODEV, ENOENT, ENOTDIR
from hidma.linux.sysfs import PAGE_SIZE

O_RDONLY = 0
O_WRONLY = 1
O_RDWR = 2
O_ACCMODE = 3
O_CREAT = 0o100
O_TRUNC = 0o1000
S_IFDIR = 0o040000
S_IFREG = 0o100000
S_IFLNK = 0o120000
LINKS_MAX = 40
NAME_MAX = 255


class Inode:
    """One thing in the tree: ``mode`` holds type and permission bits, ``size`` is what stat() says."""

    mode = 0
    size = 0


class Dir(Inode):
    """A directory whose entries are asked for when somebody looks."""

    def __init__(self, entries: Callable[[], Mapping[str, Inode]], mode: int = 0o755) -> None:
        self.entries = entries
        self.mode = S_IFDIR | mode


class Link(Inode):
    """A symbolic link. Its size is 0, as in sysfs."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.mode = S_IFLNK | 0o777


class File(Inode):
    """A regular file.

    ``show`` gives the text, or a negative errno; ``store`` takes what one write() brings, and returns how much it took, or a
    negative errno.
    """

    def __init__(self, mode: int, show: Callable[[], bytes | int] | None, store: Callable[[bytes], int] | None = None,
                 size: int = PAGE_SIZE) -> None:
        self.mode = S_IFREG | mode
        self.show = show
        self.store = store
        self.size = size
        self.strict = True  # kernfs: not even root opens it for what its mode has no bit for
        self.waits = False  # whether a read that is -EAGAIN waits, unless it was opened with O_NONBLOCK
        self.opened: Callable[[File, int], OpenFile] = OpenFile
        self.alive: Callable[[], bool] = lambda: True


class OpenFile:
    """A file that somebody holds open: position, and the text as it was when reading began."""

    def __init__(self, file: File, flags: int) -> None:
        self.file = file
        self.flags = flags
        self.position = 0
        self.text: bytes | None = None

    def read(self, count: int, offset: int | None = None) -> bytes | int:
        """Up to ``count`` bytes from ``offset`` (the position without one). A read from 0 asks for the text anew."""
        if self.flags & O_ACCMODE == O_WRONLY:
            return -EBADF
        at = self.position if offset is None else offset
        if not self.file.alive():
            return -ENODEV
        if self.text is None or at == 0:
            if self.file.show is None:
                return -EIO
            text = self.file.show()
            if isinstance(text, int):
                return text
            self.text = text
        part = self.text[at : at + count]
        if offset is None:
            self.position += len(part)
        return part

    def write(self, data: bytes) -> int:
        """Write ``data`` (a page of it at most): how much was taken, or a negative errno."""
        if self.flags & O_ACCMODE == O_RDONLY:
            return -EBADF
        if not self.file.alive():
            return -ENODEV
        if self.file.store is None:
            return -EIO if self.file.strict else -EINVAL
        if not data:
            return 0
        return self.file.store(data[:PAGE_SIZE])


class Vfs:
    """The tree of one kernel.

    :param root: its root directory
    """

    def __init__(self, root: Dir) -> None:
        self.root = root

    def lookup(self, path: str, follow: bool = True, root: bool = True) -> tuple[int, str, Inode | None]:
        """(0, path without links, inode), or (negative errno, '', None).

        :param path: absolute
        :param follow: whether a link at the end is followed; a slash behind it asks for it too
        :param root: whether root asks: others search only the directories whose mode lets them
        """
        if not path.startswith("/"):
            return -ENOENT, "", None
        todo = [p for p in path.split("/") if p]
        trail: list[tuple[str, Inode]] = []
        node: Inode = self.root
        links = 0
        while todo:
            name = todo.pop(0)
            if len(name) > NAME_MAX:
                return -ENAMETOOLONG, "", None
            if not isinstance(node, Dir):
                return -ENOTDIR, "", None
            if not self.allowed(node, 1, root):
                return -EACCES, "", None
            if name == ".":
                continue
            if name == "..":
                if trail:
                    trail.pop()
                node = trail[-1][1] if trail else self.root
                continue
            found = node.entries().get(name)
            if found is None:
                return -ENOENT, "", None
            if isinstance(found, Link) and (todo or follow or path.endswith("/")):
                links += 1
                if links > LINKS_MAX:
                    return -ELOOP, "", None
                todo = [p for p in found.target.split("/") if p] + todo
                if found.target.startswith("/"):
                    trail, node = [], self.root
                continue
            trail.append((name, found))
            node = found
        if path.endswith("/") and not isinstance(node, Dir):
            return -ENOTDIR, "", None
        return 0, "/" + "/".join(name for name, _ in trail), node

    def allowed(self, node: Inode, want: int, root: bool) -> bool:
        """Whether ``want`` (4 read, 2 write, 1 search) is allowed; everything belongs to root."""
        if root:
            return want != 1 or isinstance(node, Dir)
        return node.mode & 7 & want == want

    def listdir(self, path: str, root: bool = True) -> list[str] | int:
        """Names in a directory, in the order of the tree; a negative errno when it cannot be listed."""
        rc, _, node = self.lookup(path, root=root)
        if rc:
            return rc
        if not isinstance(node, Dir):
            return -ENOTDIR
        if not self.allowed(node, 4, root):
            return -EACCES
        return list(node.entries())

    def open(self, path: str, flags: int = O_RDONLY, root: bool = True) -> OpenFile | int:
        """Open a file: an :class:`OpenFile`, or a negative errno. Files cannot be made: -EACCES for root, as in sysfs."""
        rc, _, node = self.lookup(path, root=root)
        if rc == -ENOENT and flags & O_CREAT:
            above, _, _name = path.rstrip("/").rpartition("/")
            return -EACCES if self.lookup(above or "/", root=root)[0] == 0 else -ENOENT
        if rc:
            return rc
        if isinstance(node, Dir):
            return -EISDIR
        assert isinstance(node, File)
        read = flags & O_ACCMODE in (O_RDONLY, O_RDWR)
        write = flags & O_ACCMODE in (O_WRONLY, O_RDWR)
        for wanted, bit, have in ((read, 4, node.show), (write, 2, node.store)):
            if not wanted:
                continue
            if not self.allowed(node, bit, root):
                return -EACCES
            if node.strict and (not node.mode & (bit * 0o111) or have is None):
                return -EACCES
        return node.opened(node, flags)

    def read(self, path: str, root: bool = True) -> bytes | int:
        """The whole text of a file, or a negative errno."""
        file = self.open(path, O_RDONLY, root)
        if isinstance(file, int):
            return file
        text = b""
        while True:
            part = file.read(1 << 20)
            if part == -EAGAIN and file.file.waits:
                return text
            if isinstance(part, int):
                return part
            if not part:
                return text
            text += part

    def write(self, path: str, data: bytes, root: bool = True) -> int:
        """Write ``data`` in as many write() calls as it takes: its length, or the first negative errno."""
        file = self.open(path, O_WRONLY, root)
        if isinstance(file, int):
            return file
        done = 0
        while done < len(data):
            rc = file.write(data[done:])
            if rc < 0:
                return rc
            if rc == 0:
                return -EIO
            done += rc
        return done

    def readlink(self, path: str, root: bool = True) -> str | int:
        """Where a link points; -EINVAL when it is none."""
        rc, _, node = self.lookup(path, follow=False, root=root)
        if rc:
            return rc
        return node.target if isinstance(node, Link) else -EINVAL


def text_file(text: Callable[[], str], mode: int = 0o444, size: int = 0) -> File:
    """A file of /proc or debugfs that is only read."""
    file = File(mode, lambda: text().encode(), None, size)
    file.strict = False
    return file
