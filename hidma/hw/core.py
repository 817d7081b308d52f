# SPDX-License-Identifier: GPL-2.0-only
"""A HIDMA core: management block, engine, arbiter and channels, put together and placed on a bus.

    core = HidmaCore(bus, smmu, channels=6, management=(0xF9984000, 0x15000))
    channel = core.add_channel(0, 0xF9984000 + 0x50000, 0xF9984000 + 0xB0000, Line(389, "chan0"), smmu.stream(0))

From then on the clock drives it; a CPU reads and writes registers through ``bus.find(address)``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

from hidma.hw.arbiter import Arbiter
from hidma.hw.block import ACCESS_NS
from hidma.hw.bus import Bus
from hidma.hw.channel import Channel
from hidma.hw.engine import Engine, Timing
from hidma.hw.faults import FaultPlan, parse
from hidma.hw.line import Line
from hidma.hw.management import ManagementBlock
from hidma.hw.registers import MAX_CHANNELS, PAGE, VERSION_1_0
from hidma.hw.smmu import Smmu, Stream

Buffer = memoryview | bytearray | mmap.mmap


class HidmaCore:
    """One core.

    :param bus: RAM, clock, trace; its blocks are placed there
    :param smmu: it has the streams of the channels
    :param name: its name in messages and traces; blocks and channels are named after it (``hidma.chan0.trca``)
    :param channels: how many channels it has, 1..64
    :param management: physical address and bytes of the management block, None when the board has none: then the core
        is set up already
    :param timing: what its work costs
    :param instant: let the work cost nothing (register accesses and resets take their time all the same)
    :param access_ns: what a register access costs, ns
    :param version: HW_VERSION, u32
    :param management_buffer: memory for the management block's registers, in place of fresh one
    :raises ValueError: when a number is out of its range or a block overlaps another
    """

    def __init__(self, bus: Bus, smmu: Smmu, name: str = "hidma", channels: int = 6,
                 management: tuple[int, int] | None = None, timing: Timing | None = None, instant: bool = False,
                 access_ns: int = ACCESS_NS, version: int = VERSION_1_0,
                 management_buffer: Buffer | None = None) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise ValueError(
                f"{name}: a core has 1 to {MAX_CHANNELS} channels, not {channels}: QOS_{MAX_CHANNELS} would lie on CFG"
            )
        if access_ns < 1:
            raise ValueError(f"{name}: a register access takes at least 1 ns, not {access_ns}")
        self.bus = bus
        self.smmu = smmu
        self.name = name
        self.size = channels
        self.access_ns = access_ns
        self.engine = Engine(bus, timing or Timing(), 1 if instant else 0)
        self.arbiter = Arbiter(bus, self.engine)
        base, size = management or (0, PAGE)
        if size < PAGE:
            raise ValueError(f"{name}: the management block needs {PAGE} bytes, not {size}")
        self.management = ManagementBlock(f"{name}.mgmt", bus, self.arbiter, base, size, version, management_buffer)
        self.management.access_ns = access_ns
        self.channels: dict[int, Channel] = {}
        if management is None:
            self.management.set_up()
        else:
            bus.add(self.management)

    def add_channel(self, index: int, trca_base: int, evca_base: int, line: Line, stream: Stream, trca_size: int = PAGE,
                    evca_size: int = PAGE, trca_buffer: Buffer | None = None,
                    evca_buffer: Buffer | None = None) -> Channel:
        """Channel ``index`` of the core, with its two pages of registers on the bus.

        :param trca_base: physical address of the transfer channel's page, u64
        :param evca_base: the same of the event channel's
        :param line: its interrupt line; the receiver sets ``line.sink``
        :param stream: translates its bus addresses
        :param trca_size: bytes of the page; at least 4096
        :param trca_buffer: memory for the registers, in place of fresh one
        :raises ValueError: when the index is taken or out of range, or a page overlaps another block
        """
        if not 0 <= index < self.size:
            raise ValueError(f"{self.name}: there is no channel {index} in a core of {self.size}")
        if index in self.channels:
            raise ValueError(f"{self.name}: channel {index} is there already")
        for size in (trca_size, evca_size):
            if size < PAGE:
                raise ValueError(f"{self.name}: a channel needs pages of {PAGE} bytes, not {size}")
        channel = Channel(f"{self.name}.chan{index}", index, self.bus, self.arbiter, line, stream, trca_base, evca_base,
                          trca_size, evca_size, trca_buffer, evca_buffer)
        self.bus.add(channel.trca)
        try:
            self.bus.add(channel.evca)
        except ValueError:
            self.bus.blocks.remove(channel.trca)
            raise
        channel.trca.access_ns = self.access_ns
        channel.evca.access_ns = self.access_ns
        self.channels[index] = channel
        self.management.adopt(channel)
        return channel

    def set_timing(self, timing: Timing | None = None, instant: bool = False) -> None:
        """Change what the work costs, from the next step on."""
        self.engine.set_timing(timing or self.engine.timing, 1 if instant else 0)

    def inject(self, faults: str | FaultPlan) -> FaultPlan:
        """Attach a fault plan, or the text of one, to all channels that it is for.

        :raises ValueError: one sentence, when the text is wrong or names a channel that is not there
        """
        plan = parse(faults) if isinstance(faults, str) else faults
        plan.attach(self.channels.values())
        return plan

    def heal(self, plan: FaultPlan, channels: Iterable[Channel] | None = None) -> None:
        """Undo :meth:`inject` (what has happened stays)."""
        plan.detach(self.channels.values() if channels is None else channels)
