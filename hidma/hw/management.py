# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""The management block: shares of the channels, burst limits, the run bit, the reset limit and the version.

Every core has one. On a board without a management node it is not on the bus, and is set up as a hypervisor would leave
it.
"""

from __future__ import annotations

import mmap

import cython

from hidma.hw.arbiter import Arbiter
from hidma.hw.block import RegisterBlock
from hidma.hw.bus import Bus
from hidma.hw.channel import Channel
from hidma.hw.registers import MANAGEMENT

if not cython.compiled:
    from hidma.hw.registers import (
        CFG,
        CHRESET_TIMEOUT,
        HOOK_BUS,
        HOOK_CORE,
        HOOK_LIMIT,
        HOOK_QOS,
        HW_VERSION,
        MAX_BUS_REQ_LEN,
        MAX_CHANNELS,
        MAX_XACTIONS,
        PAGE,
        QOS_N,
        QOS_N_ALIAS,
        VERSION_1_0,
    )


class ManagementBlock(RegisterBlock):
    """The management block of a core.

    :param arbiter: gives the channels that it manages their turns
    :param base: physical address, u64
    :param size: bytes, at least 4096
    :param version: HW_VERSION, u32
    """

    def __init__(self, name: str, bus: Bus, arbiter: Arbiter, base: int = 0, size: int = PAGE,
                 version: int = VERSION_1_0, buffer: memoryview | bytearray | mmap.mmap | None = None) -> None:
        RegisterBlock.__init__(self, name, bus, base, size, MANAGEMENT, buffer)
        self.arbiter = arbiter
        self.version = version
        self.channels: list[Channel] = []
        self.runs = 0
        self.w[HW_VERSION >> 2] = version
        self.bus_limits()

    def set_up(self) -> int:
        """Set the core up as a guest finds it: running, bursts of 1024, 31 transactions, weights 1."""
        w = self.w
        for number in range(MAX_CHANNELS):
            w[(QOS_N >> 2) + number] = 0x100
            w[(QOS_N_ALIAS >> 2) + number] = 0x100
        w[MAX_BUS_REQ_LEN >> 2] = 1024 << 16 | 1024
        w[MAX_XACTIONS >> 2] = 31 << 16 | 31
        w[CFG >> 2] = 1
        return self.refresh()

    def adopt(self, channel: Channel) -> None:
        """Manage ``channel``, a channel of this core, from now on."""
        self.channels.append(channel)
        channel.runs = self.runs
        self.limit(channel)
        self.share(channel)

    def wrote(self, code: int, offset: int, value: int) -> None:
        if code == HOOK_QOS:
            self.wrote_qos(offset, value)
        elif code == HOOK_BUS:
            self.bus_limits()
        elif code == HOOK_LIMIT:
            for channel in self.channels:
                self.limit(channel)
        elif code == HOOK_CORE:
            self.run()

    def wrote_qos(self, offset: int, value: int) -> None:
        """A QOS_N was written at one of its offsets: store it at both, and apply it to its channel."""
        number = (offset - QOS_N) >> 2 if offset < CFG else (offset - QOS_N_ALIAS) >> 2
        self.w[(QOS_N >> 2) + number] = value
        self.w[(QOS_N_ALIAS >> 2) + number] = value
        for channel in self.channels:
            if channel.index == number:
                self.share(channel)

    def refresh(self) -> int:
        """Apply all registers: a shared page may have been written since."""
        self.w[HW_VERSION >> 2] = self.version
        self.bus_limits()
        for channel in self.channels:
            self.limit(channel)
            self.share(channel)
        return self.run()

    def share(self, channel: Channel) -> None:
        """Apply priority and weight to ``channel``."""
        word = self.w[(QOS_N >> 2) + channel.index]
        self.arbiter.set_share(channel, (word >> 15) & 1, (word >> 8) & 0x7F)

    def limit(self, channel: Channel) -> None:
        """Apply to ``channel`` the number of cycles that a reset may take."""
        channel.reset_limit = self.w[CHRESET_TIMEOUT >> 2] & 0xFFFFF

    def bus_limits(self) -> None:
        """Apply length and number of bursts."""
        lengths = self.w[MAX_BUS_REQ_LEN >> 2]
        counts = self.w[MAX_XACTIONS >> 2]
        self.arbiter.engine.set_bus(lengths & 0xFFFF, lengths >> 16, counts & 0x1F, (counts >> 16) & 0x1F)

    def run(self) -> int:
        """Apply the run bit: when it is cleared, enabled channels become STOPPED."""
        runs = self.w[CFG >> 2] & 1
        was = self.runs
        self.runs = runs
        for channel in self.channels:
            channel.runs = runs
            if was and not runs:
                channel.stop()
            else:
                channel.update()
        return 0
