# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/io.h>``: the seam to registers.

``void __iomem *`` is an integer: window number and offset. Behind a window stands a block of the bus that the
kernel is bound to: the model, a scripted device, a watched page. An interrupt that an access brings about is taken
when the access returns.
"""

from __future__ import annotations

from typing import Any

import cython

from hidma.hw.block import RegisterBlock
from hidma.hw.bus import Block
from hidma.linux import sched
from hidma.linux.sched import Cpu, KernelOops, look

if cython.compiled:
    from cython.cimports.hidma.linux import io_inline as inline
else:
    from hidma.hw.cmem import words_from, words_of
    from hidma.linux.sched import LOCKUP_NS, stuck

    WINDOW_SHIFT = 20
    WINDOW_MASK = 0xFFFFF

IO_OFFSET = 0xFFFF000000000000  # in C: io_inline.pxd


class Window:
    """One mapping, or a megabyte of it: ``size`` bytes of ``block`` from byte ``start`` on, up to the end of a page.

    ``first`` is the number of the window that the mapping begins with. The first ``plain`` words of it, which are ``words``,
    are read as those of any :class:`RegisterBlock` are: ``registers`` counts it, it takes ``access_ns`` of ``clock``, and
    nothing else happens. Any write to ``registers`` is a :meth:`RegisterBlock.write_register`.
    """

    def __init__(self, block: Block, start: int, size: int, first: int) -> None:
        self.block = block
        self.start = start
        self.size = size
        self.first = first
        self.plain = 0
        self.words = words_of(memoryview(NO_WORDS))
        self.access_ns = 0
        self.registers: Any = None
        self.clock: Any = None
        self.trace: Any = None
        ordinary: Any = RegisterBlock
        own = type(block).read32 is not ordinary.read32 or type(block).write32 is not ordinary.write32
        if isinstance(block, RegisterBlock) and not own and not start & 3:
            self.plain = min(size, block.size - start) >> 2
            self.words = words_from(words_of(block.view), start >> 2)
            self.access_ns = block.access_ns
            self.registers = block
            self.clock = block.clock
            self.trace = block.trace


NO_WORDS = bytearray(4)

#: Where a mapping was.
GONE = Window(Block("nothing", 0, 0), 0, 0, -1)


def unmapped(address: int) -> int:
    """No register is mapped at ``address``."""
    if address < 4096:
        raise KernelOops(f"Unable to handle kernel NULL pointer dereference at virtual address {address:08x}")
    raise KernelOops(f"Unable to handle kernel paging request at virtual address {address:016x}")


def ioremap(phys: int, size: int) -> int:
    """Map ``size`` bytes of registers at physical ``phys``, in whole pages; 0 (NULL) when no block is there, or they reach beyond
    its first 4 GiB, for which there is no room."""
    kernel = sched.running_cpu().kernel
    block = kernel.bus.find(phys)
    if block is None or size <= 0 or phys - block.base + size > 1 << 32 or kernel.fault_inject.value(f"ioremap_{block.name}"):
        return 0
    in_page = phys & 0xFFF
    size = ((in_page + size + 0xFFF) & ~0xFFF) - in_page
    # a mapping larger than a window takes as many as it needs
    first = len(kernel.windows)
    for done in range(0, size, 1 << WINDOW_SHIFT):
        window = Window(block, phys - block.base + done, min(size - done, 1 << WINDOW_SHIFT), first)
        kernel.windows.append(window)
    address: int = IO_OFFSET + (first << WINDOW_SHIFT)
    return address


def iounmap(address: int) -> None:
    """Drop the mapping at ``address``; later accesses through it are paging requests that cannot be handled."""
    windows = sched.running_cpu().kernel.windows
    first = (address - IO_OFFSET) >> WINDOW_SHIFT
    for slot in range(max(first, 0), len(windows)):
        if windows[slot].first != first:
            break
        windows[slot] = GONE


def write_any(cpu: Cpu, window: Window, offset: int, value: int) -> int:
    """``cpu`` writes the register at byte ``offset`` of ``window``, of whatever block: it may take its time."""
    if window.registers is not None:
        window.registers.write_register(window.start + offset, value)
    else:
        window.block.write32(window.start + offset, value)
    if cpu.hardirq and cpu.clock.now - cpu.entry_time > LOCKUP_NS:
        stuck(cpu)
    return 0


def read_any(cpu: Cpu, window: Window, address: int) -> int:
    """``cpu`` reads the register at ``address``, of whatever block: it may take its time."""
    offset = address & WINDOW_MASK
    if offset >= window.size:
        unmapped(address)
    value = window.block.read32(window.start + offset)
    if cpu.hardirq and cpu.clock.now - cpu.entry_time > LOCKUP_NS:
        stuck(cpu)
    return value


if not cython.compiled:

    def window_at(address: int) -> Window:
        """The window behind ``address``."""
        slot = (address ^ IO_OFFSET) >> WINDOW_SHIFT
        if slot >= len(sched.this_cpu.windows):
            unmapped(address)
        window: Window = sched.this_cpu.windows[slot]
        return window


def readl(address: int) -> int:
    """Read the 32-bit register at ``address``."""
    if cython.compiled:
        return inline.readl(address)
    else:
        cpu = sched.this_cpu
        window = window_at(address)
        offset = address & WINDOW_MASK
        if not offset & 3 and offset >> 2 < window.plain and not window.trace.on:
            # as RegisterBlock.read32() does
            window.registers.reads += 1
            value = window.words[offset >> 2]
            window.clock.now += window.access_ns
            if window.clock.now >= window.clock.horizon:
                window.clock.sync()
        else:
            value = read_any(cpu, window, address)
        cpu.rounds_left -= 1
        if cpu.rounds_left < 0:
            look(cpu)
        return value


def writel(value: int, address: int) -> int:
    """Write the 32-bit register at ``address``."""
    if cython.compiled:
        return inline.writel(value, address)
    else:
        cpu = sched.this_cpu
        window = window_at(address)
        offset = address & WINDOW_MASK
        if offset >= window.size:
            unmapped(address)
        write_any(cpu, window, offset, value)
        cpu.rounds_left -= 1
        if cpu.rounds_left < 0:
            look(cpu)
        return 0


def readl_relaxed(address: int) -> int:
    """As :func:`readl`; the model has no ordering to relax."""
    return readl(address)


def writel_relaxed(value: int, address: int) -> int:
    """As :func:`writel`; the model has no ordering to relax."""
    return writel(value, address)


def access_odd(address: int, width: int, value: int | None = None) -> int:
    """An access of 1, 2 or 8 bytes (``readb``, ``writew``, ...): what the block makes of it; None reads."""
    cpu = sched.running_cpu()
    window = window_of(cpu, address)
    if window is None or (address & WINDOW_MASK) + width > window.size:
        unmapped(address)
        return 0
    offset = window.start + (address & WINDOW_MASK)
    if value is None:
        result: int = window.block.read_odd(offset, width)
    else:
        result = window.block.write_odd(offset, width, value)
    if cpu.npending:
        sched.interrupts(cpu)
    return result


def window_of(cpu: Cpu, address: int) -> Window | None:
    """The mapping behind ``address`` on ``cpu``, if any."""
    slot = (address - IO_OFFSET) >> WINDOW_SHIFT
    window = cpu.windows[slot] if 0 <= slot < len(cpu.windows) else GONE
    return None if window is GONE else window
