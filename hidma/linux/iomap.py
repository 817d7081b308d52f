# SPDX-License-Identifier: GPL-2.0-only
"""``<asm-generic/iomap.h>`` and the rest of ``<asm/io.h>``: accesses of 8, 16, 32 and 64 bits, and mappings that say what
they do. ``readl()`` and ``writel()`` are ``io``'s."""

from __future__ import annotations

from hidma.linux import io, sched


def ioremap_nocache(phys: int, size: int) -> int:
    """As :func:`hidma.linux.io.ioremap`: 0 (NULL) when it fails."""
    kernel = sched.running_cpu().kernel
    block = kernel.bus.find(phys)
    name = None if block is None else block.name
    address = io.ioremap(phys, size)
    if kernel.trace.on:
        kernel.trace.emit(("ioremap", name, 1 if address else 0))
    return address


def iounmap(address: int) -> None:
    """Drop a mapping; NULL is passed over."""
    cpu = sched.running_cpu()
    window = io.window_of(cpu, address) if address else None
    if cpu.kernel.trace.on:
        cpu.kernel.trace.emit(("iounmap", None if window is None else window.block.name))
    if address:
        io.iounmap(address)


def ioread32(address: int) -> int:
    """Read 32 bits."""
    return io.readl(address)


def ioread16(address: int) -> int:
    """Read 16 bits."""
    return io.access_odd(address, 2)


def ioread8(address: int) -> int:
    """Read 8 bits."""
    return io.access_odd(address, 1)


def iowrite32(value: int, address: int) -> None:
    """Write 32 bits."""
    io.writel(value & 0xFFFFFFFF, address)


def iowrite16(value: int, address: int) -> None:
    """Write 16 bits."""
    io.access_odd(address, 2, value & 0xFFFF)


def iowrite8(value: int, address: int) -> None:
    """Write 8 bits."""
    io.access_odd(address, 1, value & 0xFF)


def readb(address: int) -> int:
    """Read the 8 bits at ``address``."""
    return io.access_odd(address, 1)


def readw(address: int) -> int:
    """Read the 16 bits at ``address``."""
    return io.access_odd(address, 2)


def readq(address: int) -> int:
    """Read the 64 bits at ``address``."""
    return io.access_odd(address, 8)


def writeb(value: int, address: int) -> None:
    """Write the 8 bits at ``address``."""
    io.access_odd(address, 1, value & 0xFF)


def writew(value: int, address: int) -> None:
    """Write the 16 bits at ``address``."""
    io.access_odd(address, 2, value & 0xFFFF)


def writeq(value: int, address: int) -> None:
    """Write the 64 bits at ``address``."""
    io.access_odd(address, 8, value & 0xFFFFFFFFFFFFFFFF)
