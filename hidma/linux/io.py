# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/io.h>``: the seam to registers.

``void __iomem *`` is an integer: window number and offset. Behind a window stands a block of the bus that the
kernel is bound to: the model, a scripted device, a watched page. An interrupt that an access brings about is taken
when the access returns.
"""

from __future__ import annotations

from hidma.hw.bus import Block
from hidma.linux import sched
from hidma.linux.sched import NO_SLOT, Cpu, KernelOops, interrupts, watch

IO_OFFSET = 0xFFFF000000000000
WINDOW_SHIFT = 20
WINDOW_MASK = 0xFFFFF


class Window:
    """One mapping: ``size`` bytes of ``block`` from byte ``start`` on."""

    def __init__(self, block: Block, start: int, size: int) -> None:
        self.block = block
        self.start = start
        self.size = size


def unmapped(address: int) -> int:
    """No register is mapped at ``address``."""
    if address < 4096:
        raise KernelOops(f"Unable to handle kernel NULL pointer dereference at virtual address {address:08x}")
    raise KernelOops(f"Unable to handle kernel paging request at virtual address {address:016x}")


def ioremap(phys: int, size: int) -> int:
    """Map ``size`` bytes of registers at physical ``phys``; 0 (NULL) when no block is there or the call is made to fail."""
    kernel = sched.running_cpu().kernel
    block = kernel.bus.find(phys)
    if block is None:
        return 0
    # a mapping larger than a window takes as many as it needs
    count = max(1, (size + WINDOW_MASK) >> WINDOW_SHIFT)
    first = len(kernel.windows)
    for i in range(count):
        start = phys - block.base + (i << WINDOW_SHIFT)
        kernel.windows.append(Window(block, start, min(size - (i << WINDOW_SHIFT), 1 << WINDOW_SHIFT)))
    address: int = IO_OFFSET + (first << WINDOW_SHIFT)
    return address


def iounmap(address: int) -> None:
    """Drop the mapping at ``address``; later accesses through it are paging requests that cannot be handled."""
    windows = sched.running_cpu().kernel.windows
    slot = (address - IO_OFFSET) >> WINDOW_SHIFT
    if 0 <= slot < len(windows):
        windows[slot] = None
        for cpu in sched.running_cpu().kernel.cpus:
            cpu.window_slot = NO_SLOT


def turn_to(address: int) -> int:
    """The window behind ``address`` is the one that this CPU uses from now on."""
    cpu = sched.this_cpu
    slot = (address - IO_OFFSET) >> WINDOW_SHIFT
    if slot >= len(cpu.windows) or address < IO_OFFSET:
        unmapped(address)
    window = cpu.windows[slot]
    if window is None:
        unmapped(address)
    cpu.window_block = window.block
    cpu.window_start = window.start
    cpu.window_slot = slot
    return 0


def readl(address: int) -> int:
    """Read the 32-bit register at ``address``."""
    if (address - IO_OFFSET) >> WINDOW_SHIFT != sched.this_cpu.window_slot:
        turn_to(address)
    value = sched.this_cpu.window_block.read32(sched.this_cpu.window_start + (address & WINDOW_MASK))
    if sched.this_cpu.hardirq:
        watch()
    elif sched.this_cpu.npending:
        interrupts(sched.this_cpu)
    return value


def writel(value: int, address: int) -> int:
    """Write the 32-bit register at ``address``."""
    if (address - IO_OFFSET) >> WINDOW_SHIFT != sched.this_cpu.window_slot:
        turn_to(address)
    sched.this_cpu.window_block.write32(sched.this_cpu.window_start + (address & WINDOW_MASK), value)
    if sched.this_cpu.hardirq:
        watch()
    elif sched.this_cpu.npending:
        interrupts(sched.this_cpu)
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
    slot = (address - IO_OFFSET) >> WINDOW_SHIFT
    window = cpu.windows[slot] if 0 <= slot < len(cpu.windows) else None
    if window is None:
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
    return cpu.windows[slot] if 0 <= slot < len(cpu.windows) else None
