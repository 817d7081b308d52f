# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/uaccess.h>``: copying from and to the process that calls. A pointer of the user is an address in its address
space; 0 is NULL, and nothing is ever there.
"""

from __future__ import annotations

from hidma.linux import sched
from hidma.linux.errno import EFAULT, EINVAL
from hidma.linux.file import current_process


def area(address: int, n: int) -> memoryview | None:
    """The ``n`` bytes at ``address`` of the process that calls; None when it may not use them."""
    cpu = sched.running_cpu()
    if cpu.kernel.fault_inject.fails("copy"):
        return None
    process = current_process()
    if process is None or address <= 0:
        return None
    return process.mm.view(address, n, cpu.memory)


def copy_from_user(src: int, n: int) -> tuple[int, bytes]:
    """``n`` bytes from ``src``: (how many could not be copied, the bytes)."""
    if not n:
        return 0, b""
    view = area(src, n)
    return (n, b"") if view is None else (0, bytes(view))


def copy_to_user(dest: int, data: bytes, n: int) -> int:
    """``n`` bytes of ``data`` to ``dest``: how many could not be copied."""
    if not n:
        return 0
    view = area(dest, n)
    if view is None:
        return n
    view[:] = data[:n]
    return 0


def memdup_user(src: int, n: int) -> tuple[int, bytes]:
    """(0, a copy of ``n`` bytes at ``src``), or (-EFAULT, b'')."""
    left, data = copy_from_user(src, n)
    return (-EFAULT, b"") if left else (0, data)


def get_user_int(address: int) -> tuple[int, int]:
    """(0, the ``int`` at ``address``), or (-EFAULT, 0)."""
    left, data = copy_from_user(address, 4)
    return (-EFAULT, 0) if left else (0, int.from_bytes(data, "little", signed=True))


def strndup_user(address: int, n: int) -> tuple[int, str]:
    """(0, the text at ``address``), (-EFAULT, '') when it is not readable, or (-EINVAL, '') beyond ``n`` bytes."""
    found = b""
    while len(found) < n:
        left, byte = copy_from_user(address + len(found), 1)
        if left:
            return -EFAULT, ""
        if byte == b"\0":
            return 0, found.decode("latin-1")
        found += byte
    return -EINVAL, ""
