# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/printk.h>`` and the ``dev_err()`` family of ``<linux/device.h>``: the kernel log.

Texts come ready formatted (C's format strings become f-strings that give the same text). ``%p`` of a kernel pointer
is printed by :func:`ptr`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hidma.linux import sched

KERN_EMERG = 0
KERN_ERR = 3
KERN_WARNING = 4
KERN_NOTICE = 5
KERN_INFO = 6
KERN_DEBUG = 7

_NAMES = {KERN_EMERG: "emerg", KERN_ERR: "err", KERN_WARNING: "warn", KERN_NOTICE: "notice", KERN_INFO: "info",
          KERN_DEBUG: "dbg"}


@dataclass(frozen=True)
class LogLine:
    """One message of the kernel log: virtual ns, level 0..7, text, facility (0: the kernel); each line of the text is
    stamped."""

    time: int
    level: int
    text: str
    facility: int = 0

    def __str__(self) -> str:
        seconds, rest = divmod(self.time, 1_000_000_000)
        stamp = f"[{seconds:5d}.{rest // 1000:06d}] "
        return "\n".join(stamp + line for line in self.text.split("\n"))


def dev_printk(level: int, dev: Any, text: str) -> None:
    """One line of ``dev``: driver name, device name, text."""
    cpu = sched.running_cpu()
    kernel = cpu.kernel
    text = text[:-1] if text.endswith("\n") else text
    if kernel.trace.on:
        kernel.trace.emit(("log", _NAMES[level], text))
    if level != KERN_DEBUG or kernel.debug:
        driver = dev.driver.name if dev.driver is not None else (dev.bus.name if dev.bus is not None else "")
        kernel.printk(level, f"{driver} {dev.name}: {text}")
    if cpu.hardirq:
        sched.watch_line(cpu, text)


def dev_err(dev: Any, text: str) -> None:
    """An error of ``dev``."""
    dev_printk(KERN_ERR, dev, text)


def dev_warn(dev: Any, text: str) -> None:
    """A warning of ``dev``."""
    dev_printk(KERN_WARNING, dev, text)


def dev_info(dev: Any, text: str) -> None:
    """A message of ``dev``."""
    dev_printk(KERN_INFO, dev, text)


def dev_dbg(dev: Any, text: str) -> None:
    """A debug message of ``dev``: seen in traces, in dmesg only when the kernel was booted with debug."""
    dev_printk(KERN_DEBUG, dev, text)


def printk(level: int, text: str) -> None:
    """One line of the kernel log."""
    sched.running_cpu().kernel.printk(level, text)


def pr_level(level: int, text: str) -> None:
    """One line without a device."""
    cpu = sched.running_cpu()
    kernel = cpu.kernel
    text = text[:-1] if text.endswith("\n") else text
    if kernel.trace.on:
        kernel.trace.emit(("log", _NAMES[level], text))
    kernel.printk(level, text)
    if cpu.hardirq:
        sched.watch_line(cpu, text)


def pr_err(text: str) -> None:
    """An error."""
    pr_level(KERN_ERR, text)


def pr_warn(text: str) -> None:
    """A warning."""
    pr_level(KERN_WARNING, text)


def pr_info(text: str) -> None:
    """A message."""
    pr_level(KERN_INFO, text)


def s32(value: int) -> int:
    """A u32 as ``%d`` prints it."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def ptr(pointer: Any, field: str = "") -> str:
    """A kernel pointer as ``%p`` prints it: an address, or the address that an object (or a field of it) would have.

    Objects of ours have no address; each gets one when it is first asked for, in order, so that it is the same in
    every run.
    """
    kernel = sched.running_cpu().kernel
    if kernel.hide_pointers:
        return "<ptr>"
    if pointer is None or pointer == 0:
        return f"{'(null)':>16}"
    address = pointer if isinstance(pointer, int) else kernel.address_of(pointer, field)
    return f"{address:016x}"


def pa(address: int) -> str:
    """A physical address as ``%pa`` prints it."""
    return f"0x{address:016x}"
