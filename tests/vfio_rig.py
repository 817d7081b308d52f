# SPDX-License-Identifier: GPL-2.0-only
"""A host with a channel given to VFIO, for the tests of what owns it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hidma
from hidma import vm
from hidma.hw.registers import (
    CTRLSTS,
    DELIVER_LINE,
    DOORBELL,
    ENABLE,
    INTCTRL,
    IRQ_EN,
    RING_HIGH,
    RING_LEN,
    RING_LOW,
    TRE_IEOB,
    TRE_MEMCPY,
)

DEVICE = "hidma.0"
SIZE = 1 << 20
IOVA = 0x4000_0000


class Owner:
    """A process that owns a device: container, group, device, and memory that the device reaches at ``IOVA``."""

    def __init__(self, machine: hidma.Machine, device: str = DEVICE, memlock: int = (1 << 64) - 1) -> None:
        self.machine = machine
        vm.assign(machine, device)
        self.hypervisor = vm.Hypervisor(machine, memlock=memlock)
        self.container = vm.Container(self.hypervisor)
        self.group = vm.Group(self.hypervisor, vm.Group.of(machine, device))
        self.group.set_container(self.container)
        self.container.set_iommu()
        self.vaddr, self.phys = self.hypervisor.mmap(SIZE)
        self.container.map_dma(IOVA, self.vaddr, SIZE)
        self.device = self.group.device(device)

    def ram(self, offset: int, count: int) -> memoryview:
        """Bytes of the memory that was mapped."""
        return self.machine.memory.slice(self.phys + offset, count)

    def copy(self, source: int, dest: int, length: int, *, wait: bool = True) -> Any:
        """Program the channel by hand to copy between two IOVAs, with its rings at the start of the memory; returns its
        hardware."""
        trca, evca = (self.device.mmap(index).block for index in (0, 1))
        index = trca.read32(0x28)
        words = (TRE_MEMCPY | TRE_IEOB | index << 8, length, source & 0xFFFFFFFF, source >> 32, dest & 0xFFFFFFFF, dest >> 32, 0, 0)
        self.ram(0, 32)[:] = b"".join(word.to_bytes(4, "little") for word in words)
        for block, ring, size in ((trca, IOVA, 0x1000), (evca, IOVA + 0x1000, 0x1000)):
            block.write32(RING_LOW, ring & 0xFFFFFFFF)
            block.write32(RING_HIGH, ring >> 32)
            block.write32(RING_LEN, size)
        evca.write32(INTCTRL, DELIVER_LINE)
        evca.write32(IRQ_EN, 0x4E03)
        evca.write32(CTRLSTS, ENABLE << 16)
        trca.write32(CTRLSTS, ENABLE << 16)
        trca.write32(DOORBELL, 32)
        if wait:
            self.machine.run(100_000)
        return self.machine.registers[trca.base]


@contextmanager
def owner(device: str = DEVICE, **boot: Any) -> Iterator[Owner]:
    """A booted host and the owner of one of its channels."""
    with hidma.boot(**boot) as machine:
        yield Owner(machine, device)
