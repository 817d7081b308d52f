# SPDX-License-Identifier: GPL-2.0-only
"""The kernel log as files: /dev/kmsg, /proc/kmsg, and the levels of the console."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest

import hidma
from hidma.linux.errno import EAGAIN, EBADF, EINVAL, EPIPE
from hidma.linux.fs import O_RDONLY, O_WRONLY, OpenFile

LEVELS = "/proc/sys/kernel/printk"


def opened(machine: hidma.Machine, path: str, flags: int = O_RDONLY) -> OpenFile:
    with machine.running():
        file = machine.sysfs._vfs.open(path, flags)
    assert isinstance(file, OpenFile)
    return file


def test_dev_kmsg_gives_one_record_for_each_read(machine: hidma.Machine) -> None:
    file = opened(machine, "/dev/kmsg")
    with machine.running() as kernel:
        for seq, line in enumerate(kernel.log):
            text = file.read(8192)
            assert isinstance(text, bytes)
            assert text == f"{line.level},{seq},{line.time // 1000},-;{line.text}\n".encode()
        assert file.read(8192) == -EAGAIN
        kernel.printk(6, "a\\b\tc\nd")
        assert isinstance(last := file.read(8192), bytes) and last.endswith(b";a\\x5cb\\x09c\\x0ad\n")


def test_dev_kmsg_needs_room_for_a_whole_record(machine: hidma.Machine) -> None:
    file = opened(machine, "/dev/kmsg")
    with machine.running():
        assert file.read(10) == -EINVAL
        assert isinstance(second := file.read(8192), bytes) and b",1," in second
        assert opened(machine, "/dev/kmsg", O_WRONLY).read(8192) == -EBADF


@pytest.mark.parametrize(("text", "level", "facility", "logged"), [
    (b"marker: second run\n", 4, 1, "marker: second run"),
    (b"<3>bad\n", 3, 1, "bad"),
    (b"<30>of a daemon", 6, 3, "of a daemon"),
    (b"<x>text", 4, 1, "<x>text"),
    (b"\n", 4, 1, ""),
])
def test_line_written_to_dev_kmsg_is_in_the_log(text: bytes, level: int, facility: int, logged: str,
                                                machine: hidma.Machine) -> None:
    file = opened(machine, "/dev/kmsg", O_WRONLY)
    with machine.running() as kernel:
        assert file.write(text) == len(text)
        line = kernel.log[-1]
    assert (line.level, line.facility, line.text) == (level, facility, logged)
    assert re.fullmatch(rf"\[ +\d+\.\d{{6}}\] {re.escape(logged)}", machine.dmesg().splitlines()[-1])


def test_line_of_more_than_992_bytes_is_refused(machine: hidma.Machine) -> None:
    file = opened(machine, "/dev/kmsg", O_WRONLY)
    with machine.running() as kernel:
        said = len(kernel.log)
        assert file.write(b"x" * 993) == -EINVAL
        assert len(kernel.log) == said
        assert file.write(b"x" * 992) == 992


def test_proc_kmsg_is_read_once(machine: hidma.Machine) -> None:
    first, second = opened(machine, "/proc/kmsg"), opened(machine, "/proc/kmsg")
    with machine.running() as kernel:
        text = first.read(1 << 20)
        assert isinstance(text, bytes)
        assert text.decode() == "".join(f"<{line.level}>{line}\n" for line in kernel.log)
        assert second.read(4096) == -EAGAIN
        kernel.printk(6, "more")
        assert isinstance(more := second.read(4096), bytes) and more.endswith(b"] more\n")


def test_console_levels_are_set_as_far_as_they_are_written(machine: hidma.Machine) -> None:
    assert machine.sysfs[LEVELS] == "7\t4\t1\t7\n"
    machine.sysfs[LEVELS] = "8 5\n"
    assert machine.sysfs[LEVELS] == "8\t5\t1\t7\n"
    with pytest.raises(OSError) as error:
        machine.sysfs[LEVELS] = "loud"
    assert error.value.errno == EINVAL


def test_command_line_is_that_of_the_firmware(machine: hidma.Machine) -> None:
    assert machine.sysfs["/proc/cmdline"] == "\n"
    assert machine.sysfs["/proc/device-tree/model"] == machine.sysfs["/sys/firmware/devicetree/base/model"]


def test_the_log_is_a_ring() -> None:
    with hidma.boot(log_buf_len=1 << 12) as machine:
        assert machine.kernel.log.size == 1 << 12
        first = machine.dmesg().splitlines()[0]
        for number in range(100):
            with machine.running() as kernel:
                kernel.printk(6, f"message {number:04} " + "x" * 47)
        log = machine.kernel.log
        assert first.startswith("** ") is False
        assert log[-1].text.startswith("message 0099")
        # a record has a header of 16 bytes and 60 of text
        assert len(log) - log.first == 4096 // 76
        assert machine.dmesg().splitlines()[0] == f"** {log.first} printk messages dropped **"
        with pytest.raises(IndexError, match="was dropped"):
            log[log.first - 1]
        assert [line.text for line in log[len(log) - 2 :]] == [line.text for line in list(log)[-2:]]


@pytest.mark.parametrize("size", [0, -1, True, "1M", 1 << 40])
def test_size_of_the_log_is_a_number_of_bytes(size: Any) -> None:
    with pytest.raises(OSError, match="log_buf_len"), contextlib.closing(hidma.boot(log_buf_len=size)):
        pass


def test_readers_of_the_log_are_told_of_what_was_dropped() -> None:
    with hidma.boot(log_buf_len=1 << 12) as machine:
        file, proc = opened(machine, "/dev/kmsg"), opened(machine, "/proc/kmsg")
        with machine.running() as kernel:
            for number in range(100):
                kernel.printk(6, f"message {number:04} " + "x" * 47)
            first = kernel.log.first
            assert file.read(8192) == -EPIPE
            assert isinstance(record := file.read(8192), bytes) and record.startswith(f"6,{first},".encode())
            assert isinstance(text := proc.read(1 << 20), bytes) and len(text.splitlines()) == len(kernel.log) - first
        file = opened(machine, "/dev/kmsg")
        with machine.running():
            assert isinstance(record := file.read(8192), bytes) and record.startswith(f"6,{first},".encode())


def test_a_message_too_large_for_the_log_is_cut() -> None:
    with hidma.boot(log_buf_len=1 << 12) as machine, machine.running() as kernel:
        kernel.printk(6, "\N{GREEK SMALL LETTER ALPHA}" * 5000)
        text = kernel.log[-1].text
    assert text.endswith("<truncated>")
    assert 1024 - 20 <= len(text.encode()) + 16 <= 1024
