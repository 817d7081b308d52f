# SPDX-License-Identifier: GPL-2.0-only
"""A model of Broadcom's FlexRM ring manager, as far as its reset driver reaches: four rings, of which each one that is active
writes messages to the memory that its MSI registers name. Names and offsets are those of the Linux driver
``drivers/mailbox/bcm-flexrm-mailbox.c``; no data sheet is followed.
"""

from __future__ import annotations

from hidma.testing import DeviceModel, Row

RINGS = 4
RING_REGS_SIZE = 0x10000
RING_VER = 0x000
RING_VER_MAGIC = 0x76303031
RING_CONTROL = 0x034
RING_FLUSH_DONE = 0x038
RING_MSI_ADDR_LS = 0x03C
RING_MSI_ADDR_MS = 0x040
CONTROL_ACTIVE = 1 << 4
CONTROL_FLUSH = 1 << 5
EVERY_BIT = 0xFFFFFFFF


def rows(ring: int) -> tuple[Row, ...]:
    """The registers of one ring."""
    base = ring * RING_REGS_SIZE
    return (
        Row(base + RING_VER, f"RING{ring}_VER", RING_VER_MAGIC, EVERY_BIT),
        Row(base + RING_CONTROL, f"RING{ring}_CONTROL"),
        Row(base + RING_FLUSH_DONE, f"RING{ring}_FLUSH_DONE", 0, EVERY_BIT),
        Row(base + RING_MSI_ADDR_LS, f"RING{ring}_MSI_ADDR_LS"),
        Row(base + RING_MSI_ADDR_MS, f"RING{ring}_MSI_ADDR_MS"),
    )


class FlexRm(DeviceModel):
    """Four rings in one region. A stuck one never says that its flush is done, and goes on."""

    name = "flexrm"
    sizes = (RINGS * RING_REGS_SIZE,)
    registers = (tuple(row for ring in range(RINGS) for row in rows(ring)),)

    def __init__(self, stuck: bool = False) -> None:
        super().__init__(stuck)
        self.active = False

    def written(self, region: int, offset: int, value: int) -> None:
        if offset % RING_REGS_SIZE != RING_CONTROL or self.stuck and self.active:
            return
        flush = offset - RING_CONTROL + RING_FLUSH_DONE
        self.registers_of[0][flush] = 1 if value & CONTROL_FLUSH and not self.stuck else 0
        self.active = bool(value & CONTROL_ACTIVE)

    def running(self) -> bool:
        return self.active

    def target(self) -> int:
        registers = self.registers_of[0]
        return registers[RING_MSI_ADDR_MS] << 32 | registers[RING_MSI_ADDR_LS]

    def start_traffic(self, address: int) -> None:
        self.write(0, RING_MSI_ADDR_LS, address & EVERY_BIT)
        self.write(0, RING_MSI_ADDR_MS, address >> 32)
        self.write(0, RING_CONTROL, CONTROL_ACTIVE)
