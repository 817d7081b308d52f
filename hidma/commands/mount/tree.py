# SPDX-License-Identifier: GPL-2.0-only
"""What FUSE asks, answered by the kernel of the machine. It stands for no C file. Nothing is cached: each request goes to the
kernel. An error is an OSError.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from hidma.commands.mount.server import Server
from hidma.linux.base import mount_root
from hidma.linux.fs import Dir, File, Inode, Link, OpenFile

LOOK_FOR_INTERRUPT = 0.2  # seconds between two looks whether who reads has been interrupted


def fail(number: int) -> OSError:
    """An errno."""
    return OSError(number, os.strerror(number))


class Tree:
    """The requests of a mount.

    :param server: the machine's
    :param own: whether the files belong to the user who mounts, who is the machine's root then
    :param context: (uid, gid, pid) of who asks
    :param interrupted: whether the request that this thread answers was interrupted
    :param extra: what the root directory has beside the machine's
    :param proc: what /proc has beside the machine's
    """

    def __init__(self, server: Server, own: bool, context: Callable[[], tuple[int, int, int]],
                 interrupted: Callable[[], bool] = lambda: False, extra: Mapping[str, Inode] | None = None,
                 proc: Callable[[], Mapping[str, Inode]] = dict) -> None:
        self.server = server
        self.owner = (os.getuid(), os.getgid()) if own else (0, 0)
        self.context = context
        self.interrupted = interrupted
        self.files: dict[int, OpenFile] = {}
        self.next_file = 1
        self.mounted_at = time.time_ns()
        with server.machine.running() as kernel:
            self.vfs = mount_root(kernel)
        machine = self.vfs.root.entries

        def entries() -> dict[str, Inode]:
            found = {**machine(), **(extra or {})}
            ours = found["proc"]
            assert isinstance(ours, Dir)
            found["proc"] = Dir(lambda: {**proc(), **ours.entries()}, 0o555)
            return found

        self.vfs.root = Dir(entries)

    def operations(self) -> dict[str, Callable[..., Any]]:
        """The requests by name; each is answered in the machine's thread."""

        def asked(method: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args: self.server.submit(method, *args)

        names = ("getattr", "readdir", "readlink", "write", "truncate", "release", "utimens", "create", "statfs")
        refused = ("chmod", "chown", "mkdir", "rmdir", "unlink", "rename", "link", "symlink", "mknod")
        found = {name: asked(getattr(self, name)) for name in names}
        found |= dict.fromkeys(refused, self.refuse)
        found["open"] = lambda path, info: self.server.submit(self.open, path, info, self.is_root())
        found["read"] = self.read
        return found

    def is_root(self) -> bool:
        """Whether the process that asks is root in the machine."""
        return bool(self.context()[0] == self.owner[0])

    def node(self, path: str) -> Inode:
        """What is at ``path``; the kernel of this computer has followed links and checked the modes of directories."""
        found: list[Any] = [None]

        def find() -> int:
            rc, _, found[0] = self.vfs.lookup(path, follow=False)
            return rc

        self.server.call(find)
        node: Inode = found[0]
        return node

    # --- requests -------------------------------------------------------------------------------------------------

    def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
        node: Inode = self.files[fh.fh].file if fh is not None and fh.fh in self.files else self.node(path)
        links = 1
        if isinstance(node, Dir):
            links = 2 + sum(isinstance(entry, Dir) for entry in self.server.call(node.entries).values())
        return {"st_mode": node.mode, "st_nlink": links, "st_size": node.size, "st_uid": self.owner[0],
                "st_gid": self.owner[1], "st_atime": self.mounted_at, "st_mtime": self.mounted_at,
                "st_ctime": self.mounted_at, "st_blksize": 4096}

    def readdir(self, path: str, fh: Any) -> list[Any]:
        node = self.node(path)
        if not isinstance(node, Dir):
            raise fail(errno.ENOTDIR)
        entries = self.server.call(node.entries)
        return [".", "..", *((name, {"st_mode": entry.mode}, 0) for name, entry in entries.items())]

    def readlink(self, path: str) -> str:
        node = self.node(path)
        if not isinstance(node, Link):
            raise fail(errno.EINVAL)
        return node.target

    def open(self, path: str, info: Any, root: bool) -> int:
        file = self.server.call(self.vfs.open, path, info.flags, root)
        assert isinstance(file, OpenFile)
        info.fh = self.next_file
        # reads and writes go to the file as they are made: sizes of 4096, or 0, say nothing of what can be read
        info.direct_io = 1
        self.files[self.next_file] = file
        self.next_file += 1
        return 0

    def read(self, path: str, size: int, offset: int, info: Any) -> bytes:
        """``read()``; of a file of the log it waits, in its own thread, until there is a message."""
        file = self.files[info.fh]
        while True:
            try:
                text: bytes = self.server.submit(self.server.call, file.read, size, offset)
                return text
            except OSError as error:
                if error.errno != errno.EAGAIN or not file.file.waits or info.flags & os.O_NONBLOCK:
                    raise
            self.server.wait_for_message(LOOK_FOR_INTERRUPT)
            if self.interrupted():
                raise fail(errno.EINTR)

    def write(self, path: str, data: bytes, offset: int, info: Any) -> int:
        """``write()``: the bytes of one call reach the file together."""
        taken: int = self.server.call(self.files[info.fh].write, data)
        return taken

    def truncate(self, path: str, length: int, fh: Any = None) -> int:
        """``truncate()``, and what O_TRUNC leads to: files of this kind have nothing to cut off."""
        if not isinstance(self.node(path), File):
            raise fail(errno.EISDIR)
        return 0

    def release(self, path: str, info: Any) -> int:
        """The last ``close()``."""
        self.files.pop(info.fh, None)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        return 0

    def create(self, path: str, mode: int, info: Any = None) -> int:
        raise fail(errno.EACCES)

    def refuse(self, *_: Any) -> int:
        """Nothing is made, renamed or removed by hand in these trees."""
        raise fail(errno.EPERM)

    def statfs(self, path: str) -> dict[str, int]:
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}
