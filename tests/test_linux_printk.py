# SPDX-License-Identifier: GPL-2.0-only
"""The kernel log as dmesg prints it, and how pointers are printed."""

from __future__ import annotations

import pytest
from linux_rig import Rig

from hidma.linux.delay import udelay
from hidma.linux.device import BusType, Device, DeviceDriver
from hidma.linux.printk import KERN_NOTICE, dev_dbg, dev_err, dev_info, dev_printk, dev_warn, pa, printk, ptr, s32


@pytest.mark.parametrize(("us", "stamp"), [
    (0, "[    0.000000]"), (1, "[    0.000001]"), (1_500_000, "[    1.500000]"), (12_345_678_901, "[12345.678901]"),
    (123_456_000_000, "[123456.000000]"),
])
def test_a_line_bears_its_time(rig: Rig, us: int, stamp: str) -> None:
    rig.clock.tick(us * 1000)
    printk(6, "text")
    assert rig.kernel.dmesg() == f"{stamp} text\n"


def test_each_line_of_a_message_bears_the_time(rig: Rig) -> None:
    udelay(5)
    printk(6, "one\ntwo")
    assert rig.kernel.dmesg() == "[    0.000005] one\n[    0.000005] two\n"


def test_messages_of_a_device_name_driver_and_device(rig: Rig) -> None:
    dev = Device("QCOM8061:00")
    dev_warn(dev, "nobody's\n")
    dev.bus = BusType(rig.kernel, "platform", lambda d, v: True, lambda d: 0, lambda d: 0)
    dev_info(dev, "the bus's\n")
    dev.driver = DeviceDriver("hidma")
    dev_err(dev, "the driver's")
    dev_err(None, "of NULL")
    assert rig.log() == [" QCOM8061:00: nobody's", "platform QCOM8061:00: the bus's", "hidma QCOM8061:00: the driver's",
                         "(NULL device *): of NULL"]
    assert [line.level for line in rig.kernel.log] == [4, 6, 3, 3]


def test_one_newline_at_the_end_is_no_part_of_the_message(rig: Rig) -> None:
    dev = Device("d")
    dev_err(dev, "a\n")
    dev_err(dev, "b")
    dev_err(dev, "c\n\n")
    assert [line.text for line in rig.kernel.log] == [" d: a", " d: b", " d: c\n"]


def test_debug_messages_are_logged_only_by_a_kernel_that_debugs(rig: Rig) -> None:
    dev_dbg(Device("d"), "hidden")
    assert rig.log() == []
    rig.kernel.debug = True
    dev_dbg(Device("d"), "shown")
    assert rig.log() == [" d: shown"]


def test_every_level_may_be_used(rig: Rig) -> None:
    for level in range(8):
        rig.kernel.debug = True
        printk(level, "p")
        if level not in (1, 2):
            dev_printk(level, Device("d"), "d")
    assert KERN_NOTICE in {line.level for line in rig.kernel.log}


def test_log_events_are_traced_with_their_level_by_name(rig: Rig) -> None:
    events = rig.record()
    dev_err(Device("d"), "bad\n")
    dev_dbg(Device("d"), "detail\n")
    assert [e for e in events if e[0] == "log"] == [("log", "err", "bad"), ("log", "dbg", "detail")]


def test_pointers_are_the_same_in_every_run(linux_rig) -> None:  # type: ignore[no-untyped-def]
    def run() -> list[str]:
        linux_rig()
        things = [object() for _ in range(5)]
        return [ptr(thing) for thing in things] + [ptr(things[2]), ptr(things[3], "field")]

    first = run()
    _spoil = [object() for _ in range(100)]
    assert run() == first
    assert first[2] == first[5]
    assert len(set(first)) == 6
    assert all(len(p) == 16 and int(p, 16) >> 63 for p in first)


def test_pointers_print_as_in_4_5(rig: Rig) -> None:
    assert ptr(0xFFFF800000001000) == "ffff800000001000"
    assert ptr(None) == "          (null)"
    assert ptr(0) == "          (null)"
    rig.kernel.hide_pointers = True
    assert ptr(rig) == "<ptr>"
    assert pa(0xF9984000) == "0x00000000f9984000"


def test_unsigned_numbers_print_as_signed_ones_where_c_says_so() -> None:
    assert [s32(v) for v in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, -1, 1 << 32)] == [
        0, 0x7FFFFFFF, -0x80000000, -1, -1, 0]


def test_a_warning_may_be_given_once(rig: Rig) -> None:
    for _ in range(3):
        rig.kernel.warn("once", once=True)
        rig.kernel.warn("always")
    assert rig.log() == ["WARNING: once", "WARNING: always", "WARNING: always", "WARNING: always"]
