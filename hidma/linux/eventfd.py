# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/eventfd.h>``: counters that a process reads and the kernel signals. A signal calls every waiter at once, as
a wake-up calls the function of each wait queue entry.
"""

from __future__ import annotations

from collections.abc import Callable

from hidma.linux.errno import EAGAIN, EBADF, EINVAL
from hidma.linux.file import FileOperations, OpenedFile, fget, fput
from hidma.linux.sched import KernelOops

ULLONG_MAX = (1 << 64) - 1


class EventfdCtx:
    """``struct eventfd_ctx``: ``count`` is what a read gets; ``waiters`` are called at every signal, ``hangups`` when the
    file is closed."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.kref = 1
        self.waiters: list[Callable[[], None]] = []
        self.hangups: list[Callable[[], None]] = []

    def read(self) -> int:
        """``read()``: the count, which is 0 afterwards; -EAGAIN when it is 0."""
        if not self.count:
            return -EAGAIN
        count, self.count = self.count, 0
        return count


class EventfdFops(FileOperations):
    """``eventfd_fops``."""

    def release(self, filep: OpenedFile) -> int:
        ctx: EventfdCtx = filep.private_data
        for hangup in list(ctx.hangups):
            hangup()
        eventfd_ctx_put(ctx)
        return 0


eventfd_fops = EventfdFops()


def eventfd_file(count: int = 0) -> OpenedFile:
    """``eventfd(count)``, not installed yet."""
    return OpenedFile(eventfd_fops, EventfdCtx(count))


def eventfd_ctx_fileget(filep: OpenedFile) -> EventfdCtx | int:
    """The context of an open file, held; -EINVAL when it is no eventfd."""
    if filep.f_op is not eventfd_fops:
        return -EINVAL
    ctx: EventfdCtx = filep.private_data
    ctx.kref += 1
    return ctx


def eventfd_ctx_fdget(fd: int) -> EventfdCtx | int:
    """The context of file ``fd`` of the calling process, held; -EBADF or -EINVAL."""
    filep = fget(fd)
    if filep is None:
        return -EBADF
    try:
        return eventfd_ctx_fileget(filep)
    finally:
        fput(filep)


def eventfd_ctx_put(ctx: EventfdCtx) -> None:
    """Let go of a context."""
    ctx.kref -= 1


def eventfd_signal(ctx: EventfdCtx | None, n: int) -> int:
    """Add ``n`` and call every waiter; returns how much was added. NULL is an Oops, as in C."""
    if ctx is None:
        raise KernelOops("Unable to handle kernel NULL pointer dereference at virtual address 00000000: eventfd_signal()")
    n = min(n, ULLONG_MAX - ctx.count)
    ctx.count += n
    for waiter in list(ctx.waiters):
        waiter()
    return n
