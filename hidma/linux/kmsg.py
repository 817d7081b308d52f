# SPDX-License-Identifier: GPL-2.0-only
"""The kernel log as files: ``/dev/kmsg`` (``kernel/printk/printk.c``) and ``/proc/kmsg`` (``fs/proc/kmsg.c``), and what
``syslog(2)`` keeps: the console level, and where ``dmesg -C`` has cleared the log.

Nothing here waits: a read beyond the last record is -EAGAIN, and the caller decides whether to try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hidma.linux import sched
from hidma.linux.errno import EAGAIN, EINVAL, EPIPE
from hidma.linux.fs import O_ACCMODE, O_WRONLY, File, OpenFile
from hidma.linux.kstrtox import kstrtouint
from hidma.linux.printk import KERN_WARNING, LogLine

LOG_USER = 1
LOG_LINE_MAX = 1024 - 32
LEVELS = (7, 4, 1, 7)
"""Console level, level of messages without one, lowest console level, default console level: /proc/sys/kernel/printk."""


def syslog(kernel: Any) -> SimpleNamespace:
    """What printk.c keeps at file scope: ``clear_seq``, ``syslog_seq``, ``console_printk``."""
    state: SimpleNamespace = kernel.module("printk")
    if not hasattr(state, "clear_seq"):
        state.clear_seq = state.syslog_seq = 0
        state.console_printk = list(LEVELS)
    return state


def escape(text: str) -> str:
    """Text as /dev/kmsg shows it: bytes that do not print, and backslashes, as ``\\xNN``."""
    return "".join(c if " " <= c <= "~" and c != "\\" else f"\\x{ord(c):02x}" for c in text)


def record(seq: int, line: LogLine) -> bytes:
    """One record of /dev/kmsg: priority, sequence number, microseconds, flags; then the text."""
    head = f"{line.facility << 3 | line.level},{seq},{line.time // 1000},-;"
    return (head + escape(line.text) + "\n").encode("latin-1", "replace")


def syslog_line(line: LogLine) -> bytes:
    """One message as /proc/kmsg and ``dmesg -r`` show it, each line with its priority and time."""
    prefix = f"<{line.facility << 3 | line.level}>"
    return "".join(f"{prefix}{part}\n" for part in str(line).split("\n")).encode("latin-1", "replace")


class OpenKmsg(OpenFile):
    """``struct devkmsg_user``: a reader of /dev/kmsg has its own position in the log."""

    def __init__(self, file: File, flags: int) -> None:
        super().__init__(file, flags)
        self.seq = sched.running_cpu().kernel.log.first

    def read(self, count: int, offset: int | None = None) -> bytes | int:
        """One record; -EAGAIN when there is none, -EINVAL when ``count`` is too small for it, -EPIPE when it was dropped
        meanwhile: the next call reads the oldest one."""
        if self.flags & O_ACCMODE == O_WRONLY:
            return super().read(count, offset)
        log = sched.running_cpu().kernel.log
        if self.seq >= len(log):
            return -EAGAIN
        if self.seq < log.first:
            self.seq = log.first
            return -EPIPE
        self.seq += 1
        text = record(self.seq - 1, log[self.seq - 1])
        return text if len(text) <= count else -EINVAL


class OpenProcKmsg(OpenFile):
    """A reader of /proc/kmsg: what one has read no other reads again."""

    def read(self, count: int, offset: int | None = None) -> bytes | int:
        """Whole messages, up to ``count`` bytes; -EAGAIN when there is none."""
        kernel = sched.running_cpu().kernel
        state = syslog(kernel)
        text = b""
        state.syslog_seq = max(state.syslog_seq, kernel.log.first)
        while state.syslog_seq < len(kernel.log):
            line = syslog_line(kernel.log[state.syslog_seq])
            if text and len(text) + len(line) > count:
                break
            text += line
            state.syslog_seq += 1
        return text[:count] if text else -EAGAIN


def devkmsg_write(data: bytes) -> int:
    """A line into the log: ``<priority>text``, or text alone, which becomes a warning of user space. The facility of the
    kernel is not given to user space."""
    if len(data) > LOG_LINE_MAX:
        return -EINVAL
    kernel = sched.running_cpu().kernel
    level, facility = KERN_WARNING, LOG_USER
    text = data.decode("latin-1")
    found = re.match(r"<(\d+)>", text)
    if found is not None:
        priority = int(found[1]) & 0xFFFFFFFF
        level, facility = priority & 7, priority >> 3 or LOG_USER
        text = text[found.end() :]
    kernel.printk(level, text.split("\0")[0].removesuffix("\n"), facility)
    return len(data)


class KmsgFile(File):
    """A file whose readers wait for the next message."""

    def __init__(self, mode: int, reader: type[OpenFile], store: Callable[[bytes], int] | None = None) -> None:
        super().__init__(mode, lambda: b"", store, 0)
        self.strict = False
        self.waits = True
        self.opened = reader


def printk_show(kernel: Any) -> str:
    """/proc/sys/kernel/printk."""
    return "\t".join(map(str, syslog(kernel).console_printk)) + "\n"


def printk_store(kernel: Any, data: bytes) -> int:
    """Set as many of the four levels as are written: -EINVAL when one is no number."""
    levels = syslog(kernel).console_printk
    for number, word in enumerate(data.split()[: len(levels)]):
        rc, value = kstrtouint(word, 10)
        if rc:
            return -EINVAL
        levels[number] = value
    return len(data)
