# SPDX-License-Identifier: GPL-2.0-only
"""Trigger types, and interrupts that stay disabled when they are requested; accesses of all widths; the module loader."""

from __future__ import annotations

import pytest
from linux_rig import REGS, Rig

from hidma.linux import irq
from hidma.linux.errno import EINVAL, ENOENT
from hidma.linux.interrupt import enable_irq
from hidma.linux.iomap import (
    ioread8,
    ioread16,
    ioread32,
    ioremap_nocache,
    iounmap,
    iowrite8,
    iowrite16,
    iowrite32,
)
from hidma.linux.kmod import request_module, set_modprobe
from hidma.linux.sched import KernelOops


def test_line_is_level_triggered(rig: Rig) -> None:
    rig.line(5)
    rig.kernel.gic.wire(6, None)
    assert irq.irq_get_trigger_type(5) & irq.IRQ_TYPE_LEVEL_MASK
    assert irq.irq_get_trigger_type(6) == irq.irq_get_trigger_type(7) == irq.IRQ_TYPE_NONE


def test_interrupt_with_noautoen_waits_to_be_enabled(rig: Rig) -> None:
    line = rig.line(5)
    line.set(1)
    seen: list[int] = []

    def handler(number: int, dev: object) -> int:
        seen.append(number)
        line.set(0)
        return 1

    irq.irq_set_status_flags(5, irq.IRQ_NOAUTOEN)
    assert irq.request_irq(5, handler, 0, "late", seen) == 0
    assert seen == []
    enable_irq(5)
    assert seen == [5]
    assert irq.request_irq(9, handler, 0, "none", seen) == -EINVAL


def test_interrupt_without_it_is_enabled_at_once(rig: Rig) -> None:
    line = rig.line(5)
    line.set(1)
    seen: list[int] = []
    assert irq.request_irq(5, lambda number, dev: seen.append(number) or line.set(0) or 1, 0, "now", seen) == 0
    assert seen == [5]


def test_mapping_says_what_it_does(rig: Rig) -> None:
    events = rig.record()
    base = ioremap_nocache(REGS, 0x1000)
    iowrite32(0x11223344, base)
    assert ioread32(base) == 0x11223344
    assert (ioread16(base), ioread8(base)) == (0xFFFF, 0xFF)  # the rig's registers answer 32 bits only
    iowrite16(1, base)
    iowrite8(1, base)
    iounmap(base)
    with pytest.raises(KernelOops):
        ioread32(base)
    iounmap(0)
    rig.kernel.fault_inject.values["ioremap_regs"] = -12
    assert ioremap_nocache(REGS, 0x1000) == 0
    assert ioremap_nocache(0x5000_0000, 0x1000) == 0
    assert [event for event in events if event[0] in ("ioremap", "iounmap")] == [
        ("ioremap", "regs", 1), ("iounmap", "regs"), ("iounmap", None), ("ioremap", "regs", 0), ("ioremap", None, 0)]


def test_module_is_asked_for_by_name(rig: Rig) -> None:
    events = rig.record()
    assert request_module("some:alias") == -ENOENT
    asked: list[str] = []

    def modprobe(name: str) -> int:
        asked.append(name)
        return -5

    set_modprobe(modprobe)
    assert request_module("some:alias") == -5
    assert asked == ["some:alias"]
    assert ("request_module", "some:alias") in events
