# SPDX-License-Identifier: GPL-2.0-only
"""A model of acme,scatter-2.0. It drains for 300 microseconds after it was told to stop, and writes until then."""

from __future__ import annotations

from hidma.testing import DeviceModel, Row

CONTROL, STATUS, TARGET = 0x00, 0x04, 0x08
IRQ_STATUS, IRQ_ENABLE = 0x00, 0x04
CONTROL_RUN, CONTROL_RESET = 0x1, 0x2
STATUS_DRAINED = 0x1
DRAIN_NS = 300_000


class ScatterEngine(DeviceModel):
    """One engine: control and interrupt registers, a page each."""

    name = "scatter"
    sizes = (0x1000, 0x1000)
    registers = (
        (
            Row(CONTROL, "CONTROL"),
            Row(STATUS, "STATUS", reset=STATUS_DRAINED, read_only=0xFFFFFFFF),
            Row(TARGET, "TARGET"),
        ),
        (
            Row(IRQ_STATUS, "IRQ_STATUS", clear=0x1),
            Row(IRQ_ENABLE, "IRQ_ENABLE"),
        ),
    )

    def __init__(self, stuck: bool = False) -> None:
        super().__init__(stuck)
        self.drained_at = 0

    def read(self, region: int, offset: int) -> int:
        if region == 0 and offset == STATUS:
            return 0 if self.running() else STATUS_DRAINED
        return super().read(region, offset)

    def written(self, region: int, offset: int, value: int) -> None:
        if region == 0 and offset == CONTROL:
            if value & CONTROL_RESET and not self.stuck:
                self.reset()
                self.drained_at = 0
            elif not value & CONTROL_RUN and not self.drained_at:
                self.drained_at = self.bus.clock.now + DRAIN_NS

    def running(self) -> bool:
        if self.registers_of[0][CONTROL] & CONTROL_RUN:
            return True
        return bool(self.drained_at) and (self.stuck or self.bus.clock.now < self.drained_at)

    def target(self) -> int:
        return self.registers_of[0][TARGET]

    def interrupts(self) -> bool:
        return bool(self.registers_of[1][IRQ_STATUS] & self.registers_of[1][IRQ_ENABLE])

    def happened(self) -> None:
        self.registers_of[1][IRQ_STATUS] |= 1

    def start_traffic(self, address: int) -> None:
        self.write(0, TARGET, address)
        self.write(1, IRQ_ENABLE, 1)
        self.write(0, CONTROL, CONTROL_RUN)
        self.drained_at = 0
