# SPDX-License-Identifier: GPL-2.0-only
"""DMA masks, coherent memory, streaming mappings, and the allocator of pages behind them."""

from __future__ import annotations

import random

import pytest
from linux_rig import RAM, RAM_SIZE, Rig

from hidma.hw.memory import Memory
from hidma.linux.device import Device
from hidma.linux.dma_mapping import (
    DMA_BIT_MASK,
    DMA_TO_DEVICE,
    PageAllocator,
    dma_alloc_coherent,
    dma_free_coherent,
    dma_map_single,
    dma_mapping_error,
    dma_set_mask_and_coherent,
    dma_unmap_single,
    dmam_alloc_coherent,
)
from hidma.linux.errno import EIO
from hidma.linux.mm import PAGE_OFFSET, PAGE_SIZE

PAGES = RAM_SIZE // PAGE_SIZE - 1  # the first one is never given out


def device(bits: int = 64) -> Device:
    dev = Device("x")
    dev.dma_mask = dev.coherent_dma_mask = DMA_BIT_MASK(bits)
    return dev


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_pieces_never_overlap_and_everything_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    pages = PageAllocator(Memory(RAM, RAM_SIZE))
    start = list(pages.free)
    held: dict[int, int] = {}
    for _ in range(600):
        if held and rng.random() < 0.45:
            address = rng.choice(sorted(held))
            pages.release(address)
            del held[address]
            continue
        size = rng.choice((1, 100, 4096, 4097, 20000, 70000))
        align = rng.choice((4096, 4096, 16384, 65536))
        limit = rng.choice(((1 << 64) - 1, RAM + RAM_SIZE // 2 - 1))
        got = pages.alloc(size, limit, align)
        if got is None:
            continue
        whole = (size + 4095) // 4096 * 4096
        assert got % align == 0 and got >= RAM + PAGE_SIZE and got + whole - 1 <= min(limit, RAM + RAM_SIZE - 1)
        for address, length in held.items():
            assert got + whole <= address or address + length <= got, f"seed {seed}"
        held[got] = whole
    for address in held:
        pages.release(address)
    assert pages.free == start
    assert pages.used == {}


def test_all_of_it_can_be_had_and_no_more() -> None:
    pages = PageAllocator(Memory(RAM, RAM_SIZE))
    assert pages.alloc(PAGES * PAGE_SIZE + 1) is None
    whole = pages.alloc(PAGES * PAGE_SIZE)
    assert whole == RAM + PAGE_SIZE
    assert pages.alloc(1) is None
    pages.release(whole)
    each = [pages.alloc(1) for _ in range(PAGES)]
    assert None not in each
    assert pages.alloc(1) is None


def test_neighbours_join_whatever_the_order_they_come_back_in() -> None:
    pages = PageAllocator(Memory(RAM, RAM_SIZE))
    a, b, c = (pages.alloc(4096) for _ in range(3))
    rest = pages.alloc((PAGES - 3) * PAGE_SIZE)
    assert rest is not None and a is not None and b is not None and c is not None
    pages.release(a)
    pages.release(c)
    assert pages.alloc(8192) is None
    pages.release(b)
    assert pages.alloc(3 * 4096) == a


def test_neighbours_join_behind_a_hole_that_has_none() -> None:
    pages = PageAllocator(Memory(RAM, RAM_SIZE))
    pieces = [pages.alloc(4096) for _ in range(4)]
    rest = pages.alloc((PAGES - 4) * PAGE_SIZE)
    assert rest is not None
    for index in (0, 2, 3):
        address = pieces[index]
        assert address is not None
        pages.release(address)
    assert pages.alloc(8192) == pieces[2]


def test_what_is_free_cannot_be_freed() -> None:
    pages = PageAllocator(Memory(RAM, RAM_SIZE))
    address = pages.alloc(4096)
    assert address is not None
    pages.release(address)
    for wrong in (address, RAM, 0):
        with pytest.raises(ValueError, match="no memory is in use at address"):
            pages.release(wrong)


# --- masks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "rc"), [(64, 0), (40, 0), (32, 0), (31, -EIO), (16, -EIO)])
def test_a_mask_must_reach_the_ram(rig: Rig, bits: int, rc: int) -> None:
    dev = device(24)
    assert dma_set_mask_and_coherent(dev, DMA_BIT_MASK(bits)) == rc
    wanted = DMA_BIT_MASK(24 if rc else bits)
    assert (dev.dma_mask, dev.coherent_dma_mask) == (wanted, wanted)


def test_a_device_without_a_mask_cannot_set_one(rig: Rig) -> None:
    assert dma_set_mask_and_coherent(Device("x"), DMA_BIT_MASK(64)) == -EIO


def test_setting_a_mask_can_be_made_to_fail_and_is_traced(rig: Rig) -> None:
    events = rig.record()
    rig.kernel.fault_inject.values["dma_set_mask_64"] = -EIO
    dev = device(24)
    assert dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)) == -EIO
    assert dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32)) == 0
    assert [e for e in events if e[0] == "dma_mask"] == [("dma_mask", 64, -EIO), ("dma_mask", 32, 0)]


# --- coherent memory ------------------------------------------------------------------------------------------------


def test_cpu_and_device_see_the_same_bytes(rig: Rig) -> None:
    vaddr, handle = dma_alloc_coherent(device(), 5000)
    assert vaddr - PAGE_OFFSET == handle - RAM
    assert handle % PAGE_SIZE == 0
    other = dma_alloc_coherent(device(), 1)[1]
    assert other >= handle + 8192 or other + 4096 <= handle
    dma_free_coherent(device(), 5000, vaddr, handle)
    assert dma_alloc_coherent(device(), 5000)[1] == handle


def test_coherent_memory_lies_below_the_mask(rig: Rig) -> None:
    narrow = device()
    narrow.coherent_dma_mask = RAM + 4 * PAGE_SIZE - 1
    got = [dma_alloc_coherent(narrow, 4096) for _ in range(4)]
    assert [handle for _, handle in got[:3]] == [RAM + PAGE_SIZE * i for i in (1, 2, 3)]
    assert got[3] == (0, 0)
    assert dma_alloc_coherent(device(), 4096)[0] != 0


def test_a_device_that_said_nothing_gets_memory_below_4_gib(rig: Rig) -> None:
    dev = Device("x")
    assert dma_alloc_coherent(dev, 4096)[1] < 1 << 32


def test_no_memory_is_no_memory(rig: Rig) -> None:
    assert dma_alloc_coherent(device(), RAM_SIZE) == (0, 0)


def test_freeing_what_was_never_given_out_is_complained_about(rig: Rig) -> None:
    dma_free_coherent(device(), 4096, PAGE_OFFSET + 0x5000, RAM + 0x5000)
    assert rig.log() == ["WARNING: dma_free_coherent: no memory is in use at address 0x80005000: it was freed already, "
                         "or never given out"]


def test_managed_coherent_memory_goes_with_its_device(rig: Rig) -> None:
    dev = device()
    first = dmam_alloc_coherent(dev, 4096, 0)
    assert dmam_alloc_coherent(dev, RAM_SIZE, 0) == (0, 0)
    dev.devres.release_all()
    assert dma_alloc_coherent(device(), 4096) == first
    assert rig.log() == []


# --- streaming ------------------------------------------------------------------------------------------------------


def test_a_mapping_gives_the_bus_address(rig: Rig) -> None:
    dev = device(32)
    handle = dma_map_single(dev, PAGE_OFFSET + 0x1234, 100, DMA_TO_DEVICE)
    assert handle == RAM + 0x1234
    assert not dma_mapping_error(dev, handle)
    dma_unmap_single(dev, handle, 100, DMA_TO_DEVICE)


@pytest.mark.parametrize(("vaddr", "size"), [
    (PAGE_OFFSET + RAM_SIZE - 50, 100), (PAGE_OFFSET - 4096, 10), (PAGE_OFFSET + RAM_SIZE, 1)])
def test_a_mapping_outside_ram_fails(rig: Rig, vaddr: int, size: int) -> None:
    dev = device()
    assert dma_mapping_error(dev, dma_map_single(dev, vaddr, size, DMA_TO_DEVICE))


def test_a_mapping_that_the_device_cannot_reach_fails(rig: Rig) -> None:
    dev = device()
    dev.dma_mask = RAM + 0x1FFF
    assert not dma_mapping_error(dev, dma_map_single(dev, PAGE_OFFSET + 0x1F00, 0x100, DMA_TO_DEVICE))
    assert dma_mapping_error(dev, dma_map_single(dev, PAGE_OFFSET + 0x1F00, 0x101, DMA_TO_DEVICE))
