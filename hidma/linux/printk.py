# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/printk.h>`` and the ``dev_err()`` family of ``<linux/device.h>``: the kernel log.

Texts come ready formatted (C's format strings become f-strings that give the same text). ``%p`` of a kernel pointer
is printed by :func:`ptr`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

from hidma.linux import sched

KERN_EMERG = 0
KERN_ERR = 3
KERN_WARNING = 4
KERN_NOTICE = 5
KERN_INFO = 6
KERN_DEBUG = 7

LOG_BUF_LEN = 1 << 17  # CONFIG_LOG_BUF_SHIFT is 17 unless a configuration says otherwise
LOG_HEADER = 16
MAX_LOG_TAKE_PART = 4
TRUNC_MSG = "<truncated>"

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


class LogBuf(Sequence[LogLine]):
    """``log_buf`` of kernel/printk/printk.c: a ring of ``size`` bytes, in which a new message takes the place of the oldest ones.

    An index is the message's sequence number, counted from the first message ever, so that ``log[said:]`` are the messages since
    ``said = len(log)`` as far as they are still there. ``log.first`` is the number of the oldest one (``log_first_seq``), which
    is also how many were dropped, and ``len(log)`` that of the next one (``log_next_seq``).

    :param size: bytes, ``log_buf_len``; a message takes its text and a ``struct printk_log`` of 16 bytes, in multiples of 4
    """

    def __init__(self, size: int = LOG_BUF_LEN) -> None:
        self.size = size
        self.first = 0
        self.used = 0
        self.lines: deque[tuple[LogLine, int]] = deque()

    def append(self, line: LogLine) -> None:
        """``log_store()``: a text that would take more than a quarter of the ring is cut (``truncate_msg()``)."""
        text = line.text.encode("utf-8", "replace")
        most = self.size // MAX_LOG_TAKE_PART
        if len(text) + LOG_HEADER > most:
            line = LogLine(line.time, line.level, text[: most - LOG_HEADER - len(TRUNC_MSG)].decode("utf-8", "ignore") + TRUNC_MSG,
                           line.facility)
            text = line.text.encode("utf-8", "replace")
        size = LOG_HEADER + len(text) + 3 & ~3
        while self.used + size > self.size:
            self.used -= self.lines.popleft()[1]
            self.first += 1
        self.lines.append((line, size))
        self.used += size

    def dropped(self, since: int = 0) -> list[str]:
        """How many messages from number ``since`` on were dropped, as a line in the words of console_unlock(); none if none was."""
        return [f"** {self.first - since} printk messages dropped **"] if self.first > since else []

    def __len__(self) -> int:
        return self.first + len(self.lines)

    def __iter__(self) -> Iterator[LogLine]:
        return (line for line, _ in self.lines)

    def __reversed__(self) -> Iterator[LogLine]:
        return (line for line, _ in reversed(self.lines))

    @overload
    def __getitem__(self, index: int) -> LogLine: ...

    @overload
    def __getitem__(self, index: slice) -> list[LogLine]: ...

    def __getitem__(self, index: int | slice) -> LogLine | list[LogLine]:
        if isinstance(index, slice):
            numbers = range(len(self))[index]
            return [line for line, _ in islice(self.lines, max(numbers.start - self.first, 0), max(numbers.stop - self.first, 0))]
        number = range(len(self))[index]
        if number < self.first:
            raise IndexError(f"message {number} was dropped from the log, which begins with {self.first}")
        return self.lines[number - self.first][0]


def dev_printk(level: int, dev: Any, text: str) -> None:
    """One line of ``dev``: driver name, device name, text; NULL is said to be that, as ``__dev_printk()`` does."""
    cpu = sched.running_cpu()
    kernel = cpu.kernel
    text = text[:-1] if text.endswith("\n") else text
    if kernel.trace.on:
        kernel.trace.emit(("log", _NAMES[level], text))
    if level != KERN_DEBUG or kernel.debug:
        if dev is None:
            kernel.printk(level, f"(NULL device *): {text}")
        else:
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
