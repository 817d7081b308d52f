# SPDX-License-Identifier: GPL-2.0-only
"""What a guest in another process shares with its host: memory that both map, the page with the host's time, and how the two
talk when it is not about hardware: one line of JSON for each word. It stands for no C file.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import signal
from typing import Any

from hidma.linux.errno import EOPNOTSUPP

MAP_FIXED = 0x10
PR_SET_PDEATHSIG = 1
TIME = 0
LOOKS = 1
LONGEST = 64 << 20
"""Bytes of a word between guest and host."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


class Pages:
    """Memory of this process that another one gets: ``fd`` is its file for as long as it is shared.

    The bytes stay where they are here: whoever has their address notices nothing.

    :param view: whole pages of a mapping of this process, writable
    :param name: what to call the file
    :raises OSError: EOPNOTSUPP (they are no whole pages here), ENOMEM
    """

    def __init__(self, view: memoryview, name: str) -> None:
        self.view = view
        self.fd = -1
        first = ctypes.c_char.from_buffer(view)
        self.address = ctypes.addressof(first)
        del first
        if (self.address | len(view)) % mmap.PAGESIZE:
            raise OSError(EOPNOTSUPP, f"{name} has {len(view)} bytes at 0x{self.address:x}, which are no whole pages of "
                                      f"{mmap.PAGESIZE} bytes here: it cannot be shared with another process")
        fd = -1
        try:
            fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, len(view))
            # whoever made it shorter would end this process with a SIGBUS
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._replace(mmap.MAP_SHARED, fd, bytes(view))
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            raise OSError(error.errno, f"no shared memory of {len(view)} bytes for {name}: {error.strerror}") from None
        self.fd = fd

    def _replace(self, flags: int, fd: int, data: bytes) -> None:
        """Put other pages in the place of those that are there, with ``data`` in them."""
        where = _libc.mmap(self.address, len(self.view), mmap.PROT_READ | mmap.PROT_WRITE, flags | MAP_FIXED, fd, 0)
        if where != self.address:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.view[: len(data)] = data

    def close(self, keep: bool = True) -> None:
        """They are this process's own again; what the other one still maps is not them.

        :param keep: whether the bytes stay; they are 0 otherwise
        """
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        try:
            self._replace(mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, bytes(self.view) if keep else b"")
        finally:
            os.close(fd)


class TimePage:
    """The host's time and how often it has looked at the pages; only the host writes it.

    :ivar fd: what the other process gets: it can be mapped to read, not to write
    """

    def __init__(self) -> None:
        fd = os.memfd_create("hidma-time", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            self.page = mmap.mmap(fd, mmap.PAGESIZE)
            self.words = memoryview(self.page).cast("Q")
            self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the file back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.words.release()
            self.page.close()


def die_with(parent: int) -> None:
    """This process ends when the thread that started it does, or now if it has."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Words:
    """Words in a stream of bytes, a line of JSON each."""

    def __init__(self) -> None:
        self.unread = bytearray()

    def feed(self, data: bytes) -> None:
        """What has come."""
        self.unread += data

    def next(self) -> Any:
        """The next word that is whole; None without one.

        :raises ValueError: it is no JSON, or has no end
        """
        line, found, rest = self.unread.partition(b"\n")
        if len(line) > LONGEST:
            raise ValueError(f"a word of more than {LONGEST} bytes")
        if not found:
            return None
        self.unread = rest
        return json.loads(line)

    @staticmethod
    def pack(word: Any) -> bytes:
        """``word`` as it is sent."""
        return json.dumps(word).encode() + b"\n"
