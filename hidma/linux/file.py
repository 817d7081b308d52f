# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/file.h>`` and ``current``: the calling process with its open files, by number, and its address space.

The slice has no processes of its own. A caller that acts for a process (a hypervisor) names it for the length of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EBADF, EMFILE
from hidma.linux.mm_types import RLIM_INFINITY, MmStruct

NR_OPEN = 1024
FIRST_FD = 3


class FileOperations:
    """``struct file_operations`` of one kind of file; what a subclass leaves alone is not supported."""

    def release(self, filep: OpenedFile) -> int:
        """The last reference has gone."""
        return 0


class OpenedFile:
    """``struct file``: ``f_op`` is what it can do, ``private_data`` its driver's, ``f_count`` how many hold it."""

    def __init__(self, f_op: Any, private_data: Any) -> None:
        self.f_op = f_op
        self.private_data = private_data
        self.f_count = 1


class FilesStruct:
    """``struct files_struct``: the open files of a process."""

    def __init__(self) -> None:
        self.fds: dict[int, OpenedFile] = {}

    def install(self, filep: OpenedFile) -> int:
        """The smallest free number is ``filep`` from now on; -EMFILE when there are too many."""
        fd = FIRST_FD
        while fd in self.fds:
            fd += 1
        if fd >= NR_OPEN:
            return -EMFILE
        self.fds[fd] = filep
        return fd

    def close(self, fd: int) -> int:
        """``close(fd)``: 0 or -EBADF."""
        filep = self.fds.pop(fd, None)
        if filep is None:
            return -EBADF
        fput(filep)
        return 0


class Process:
    """A process: an address space and open files.

    :param name: what to call it
    :param rlimit_memlock: bytes that it may pin
    :param ipc_lock: whether it has CAP_IPC_LOCK, and so no limit
    """

    def __init__(self, name: str, rlimit_memlock: int = RLIM_INFINITY, ipc_lock: bool = False) -> None:
        self.name = name
        self.mm = MmStruct(rlimit_memlock, ipc_lock)
        self.files = FilesStruct()


@contextmanager
def calling_as(process: Process | None) -> Iterator[None]:
    """Inside, the running task is ``process``."""
    table = processes()
    task = sched.current()
    before = table.get(task)
    table[task] = process
    try:
        yield
    finally:
        if before is None:
            table.pop(task, None)
        else:
            table[task] = before


def processes() -> dict[Any, Any]:
    """Which task is which process, in the running kernel."""
    statics = sched.running_cpu().kernel.module("processes")
    if not hasattr(statics, "table"):
        statics.table = {}
    table: dict[Any, Any] = statics.table
    return table


def current_process() -> Process | None:
    """The process that calls; None in a kernel thread."""
    return processes().get(sched.current())


def fget(fd: int) -> OpenedFile | None:
    """The open file ``fd`` of the running process, held."""
    process = current_process()
    filep = None if process is None else process.files.fds.get(fd)
    if filep is not None:
        filep.f_count += 1
    return filep


def fput(filep: OpenedFile) -> None:
    """Let go of a file; the last one closes it."""
    filep.f_count -= 1
    if not filep.f_count:
        filep.f_op.release(filep)
