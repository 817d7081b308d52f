# SPDX-License-Identifier: GPL-2.0-only
"""Register windows, memory regions and RAM as the kernel addresses them; what lies outside is an Oops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from linux_rig import RAM, RAM_SIZE, REGS, Regs, Rig, now

from hidma.linux import io, sched
from hidma.linux.device import Device
from hidma.linux.errno import EBUSY, EINVAL, ENOMEM
from hidma.linux.ioport import (
    IORESOURCE_IRQ,
    IORESOURCE_MEM,
    IS_ERR,
    Resource,
    devm_ioremap_resource,
    release_mem_region,
    request_mem_region,
    resource_size,
)
from hidma.linux.mm import PAGE_OFFSET, load_u32, memset
from hidma.linux.sched import KernelOops

# --- windows --------------------------------------------------------------------------------------------------------


def test_a_window_reaches_the_block_behind_it(rig: Rig) -> None:
    half = io.ioremap(REGS + 0x800, 0x100)
    io.writel(0x12345678, half + 4)
    assert rig.regs.values == {0x804: 0x12345678}
    assert io.readl(rig.base + 0x804) == 0x12345678
    assert io.readl_relaxed(half + 4) == 0x12345678
    io.writel_relaxed(7, rig.base)
    assert rig.regs.values[0] == 7
    assert now() == 400


def test_nothing_is_mapped_where_no_block_is(rig: Rig) -> None:
    assert io.ioremap(0x5000_0000, 0x1000) == 0
    assert io.ioremap(REGS, 0) == 0


@pytest.mark.parametrize("access", [io.readl, lambda a: io.writel(1, a), lambda a: io.access_odd(a, 2)])
@pytest.mark.parametrize(("address", "text"), [
    (0, "NULL pointer dereference at virtual address 00000000"), (0x28, "virtual address 00000028"),
    (0x1000, "paging request at virtual address 0000000000001000"),
    (0xFFFF_FF00_0000_0000, "paging request at virtual address ffffff0000000000")])
def test_an_access_to_no_window_is_an_oops(rig: Rig, access: Callable[[int], Any], address: int, text: str) -> None:
    with pytest.raises(KernelOops, match=text):
        access(address)


@pytest.mark.parametrize("access", [io.readl, lambda a: io.writel(1, a), lambda a: io.access_odd(a, 2)])
def test_a_mapping_ends_with_its_last_page(rig: Rig, access: Callable[[int], Any]) -> None:
    rig.bus.add(Regs(rig.clock, 0x2000_0000, 0x4000))
    base = io.ioremap(0x2000_0800, 0x900)  # up to 0x1100: two pages
    access(base)
    access(base + 0x17FC)
    with pytest.raises(KernelOops, match="paging request"):
        access(base + 0x1800)
    access(rig.base + 0xFFC)
    with pytest.raises(KernelOops, match="paging request"):
        access(rig.base + 0x1000)
    access(rig.base)


def test_a_mapping_of_megabytes_is_one_piece(rig: Rig) -> None:
    big = Regs(rig.clock, 0x4000_0000, 0x28_0000)
    rig.bus.add(big)
    base = io.ioremap(0x4000_0000, 0x28_0000)
    other = io.ioremap(REGS, 0x1000)
    for offset in (0, 0xF_FFFC, 0x10_0000, 0x27_FFFC):
        io.writel(offset + 1, base + offset)
        assert big.values[offset] == offset + 1
    with pytest.raises(KernelOops):
        io.readl(base + 0x28_0000)
    io.iounmap(base)
    for offset in (0, 0x10_0000, 0x20_0000):
        with pytest.raises(KernelOops):
            io.readl(base + offset)
    io.readl(other)


def test_what_was_unmapped_is_gone_though_it_was_used_last(rig: Rig) -> None:
    io.readl(rig.base)
    io.iounmap(rig.base)
    with pytest.raises(KernelOops, match="paging request"):
        io.readl(rig.base)
    io.iounmap(0)  # of NULL: nothing
    io.iounmap(rig.base)
    assert io.readl(io.ioremap(REGS, 0x1000)) == 0


def test_windows_belong_to_one_kernel(rig: Rig) -> None:
    guest = rig.boot("guest")
    guest.enter()
    with pytest.raises(KernelOops):
        io.readl(rig.base)


def test_odd_accesses_are_the_blocks_business(rig: Rig) -> None:
    seen = []

    class Odd(Regs):
        def read_odd(self, offset: int, width: int) -> int:
            seen.append(("r", offset, width))
            return 0x1234

        def write_odd(self, offset: int, width: int, value: int) -> int:
            seen.append(("w", offset, width, value))
            return 0

    rig.bus.add(Odd(rig.clock, 0x2000_0000))
    base = io.ioremap(0x2000_0000, 0x1000)
    assert io.access_odd(base + 2, 2) == 0x1234
    io.access_odd(base + 1, 1, 0xFF)
    assert seen == [("r", 2, 2), ("w", 1, 1, 0xFF)]
    assert io.access_odd(rig.base, 8) == (1 << 64) - 1  # refused


# --- regions --------------------------------------------------------------------------------------------------------


def test_regions_are_claimed_once(rig: Rig) -> None:
    assert request_mem_region(0x1000, 0x1000, "a")
    for start, size in ((0x1000, 0x1000), (0x1FFF, 1), (0x0, 0x1001), (0x800, 0x2000)):
        assert not request_mem_region(start, size, "b")
    assert request_mem_region(0x2000, 1, "b")
    release_mem_region(0x1000, 0x800)  # not what was claimed
    assert not request_mem_region(0x1000, 0x1000, "a")
    release_mem_region(0x1000, 0x1000)
    assert request_mem_region(0x1000, 0x1000, "a")


def test_a_managed_mapping_goes_with_its_device(rig: Rig) -> None:
    dev = Device("x")
    res = Resource(REGS, REGS + 0xFFF, IORESOURCE_MEM)
    assert resource_size(res) == 0x1000
    base = devm_ioremap_resource(dev, res)
    assert not IS_ERR(base)
    assert io.readl(base) == 0
    assert rig.kernel.mem_regions == [(REGS, REGS + 0xFFF, "x")]
    assert devm_ioremap_resource(Device("y"), res) == -EBUSY
    assert rig.log() == [" y: can't request region for resource [mem 0x10000000-0x10000fff]"]
    dev.devres.release_all()
    assert rig.kernel.mem_regions == []
    with pytest.raises(KernelOops):
        io.readl(base)
    assert not IS_ERR(devm_ioremap_resource(Device("y"), res))


@pytest.mark.parametrize(("res", "rc", "text"), [
    (None, -EINVAL, "invalid resource"), (Resource(5, 5, IORESOURCE_IRQ), -EINVAL, "invalid resource"),
    (Resource(0x5000_0000, 0x5000_0FFF, IORESOURCE_MEM), -ENOMEM,
     "ioremap failed for resource [mem 0x50000000-0x50000fff]")])
def test_a_resource_that_cannot_be_mapped_gives_an_error_pointer(rig: Rig, res: Resource | None, rc: int,
                                                                 text: str) -> None:
    dev = Device("x")
    assert devm_ioremap_resource(dev, res) == rc
    assert IS_ERR(rc)
    assert rig.log() == [f" x: {text}"]
    dev.devres.release_all()
    assert rig.kernel.mem_regions == []


def test_a_mapping_can_be_made_to_fail(rig: Rig) -> None:
    rig.kernel.fault_inject.values["ioremap_regs"] = -ENOMEM
    assert devm_ioremap_resource(Device("x"), Resource(REGS, REGS + 3, IORESOURCE_MEM)) == -ENOMEM


# --- RAM ------------------------------------------------------------------------------------------------------------


def test_ram_is_mapped_linearly(rig: Rig) -> None:
    rig.memory.write32(RAM + 0x100, 0xCAFE)
    rig.memory.write32(RAM + RAM_SIZE - 4, 0xBEEF)
    assert load_u32(PAGE_OFFSET + 0xF8, 2) == 0xCAFE
    assert load_u32(PAGE_OFFSET, RAM_SIZE // 4 - 1) == 0xBEEF


@pytest.mark.parametrize(("ptr", "index"), [
    (PAGE_OFFSET + RAM_SIZE, 0), (PAGE_OFFSET - 4, 0), (PAGE_OFFSET - 8, 1), (0, 0), (PAGE_OFFSET, RAM_SIZE // 4),
    (0xFFFF_FFFF_FFFF_FFFC, 0), (PAGE_OFFSET, 0xFFFFFFFF)])
def test_a_word_outside_ram_is_an_oops(rig: Rig, ptr: int, index: int) -> None:
    with pytest.raises(KernelOops, match=f"paging request at virtual address {ptr + 4 * index:016x}"):
        load_u32(ptr, index)


def test_memory_is_filled(rig: Rig) -> None:
    memset(PAGE_OFFSET + 16, 0xAB, 8)
    assert bytes(rig.memory.slice(RAM + 15, 10)) == b"\0" + b"\xab" * 8 + b"\0"
    memset(PAGE_OFFSET, 0x1FF, 1)
    assert rig.memory.slice(RAM, 1)[0] == 0xFF
    for dest, size in ((PAGE_OFFSET + RAM_SIZE - 4, 8), (PAGE_OFFSET - 4, 8), (0, 1)):
        with pytest.raises(KernelOops, match="paging request"):
            memset(dest, 0, size)


def test_a_guest_has_ram_of_its_own(rig: Rig) -> None:
    from hidma.hw.bus import Bus
    from hidma.hw.memory import Memory
    from hidma.linux.kernel import Kernel

    guest_bus = Bus(rig.clock, Memory(0x4000_0000, 1 << 16), rig.trace)
    guest = Kernel("guest", guest_bus)
    rig.kernels.append(guest)
    rig.memory.write32(RAM, 1)
    guest_bus.memory.write32(0x4000_0000, 2)
    guest.enter()
    assert load_u32(PAGE_OFFSET, 0) == 2
    rig.kernel.enter()
    assert load_u32(PAGE_OFFSET, 0) == 1
    assert sched.running_cpu().kernel is rig.kernel
