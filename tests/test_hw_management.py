# SPDX-License-Identifier: GPL-2.0-only
"""The management block and the core that it manages."""

from __future__ import annotations

import pytest
from hw_rig import CFG, CHRESET_TIMEOUT, HW_VERSION, MAX_BUS, MAX_XACTIONS, MGMT, PAGES, QOS, RAM, Rig

from hidma.hw.bus import Bus
from hidma.hw.clock import Clock
from hidma.hw.core import HidmaCore
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace


def bus() -> Bus:
    return Bus(Clock(), Memory(RAM, 1 << 16), Trace())


def test_qos_is_one_register_at_both_places() -> None:
    rig = Rig(channels=4, managed=True)
    for n in range(64):
        rig.mw(QOS + 4 * n, 0x11110000 | n)
        assert rig.m(0x700 + 4 * n) == 0x11110000 | n
        rig.mw(0x700 + 4 * n, 0x22220000 | n)
        assert rig.m(QOS + 4 * n) == 0x22220000 | n
    assert rig.m(CFG) == 0


def test_share_of_a_channel_follows_its_register() -> None:
    rig = Rig(channels=2, managed=True)
    model = rig.pairs[1].model
    for place in (QOS, 0x700):
        for value, priority, weight in [
            (0, 0, 1),
            (0x8000, 1, 1),
            (0x0F00, 0, 15),
            (0xFFFFFFFF, 1, 127),
            (0x00FF, 0, 1),
        ]:
            rig.mw(place + 4, value)
            assert (model.priority, model.weight) == (priority, weight)
            assert rig.m(place + 4) == value
    assert (rig.pairs[0].model.priority, rig.pairs[0].model.weight) == (0, 1)


def test_bits_that_no_field_names_read_back() -> None:
    rig = Rig(managed=True)
    for offset in (QOS, CFG, CHRESET_TIMEOUT, MAX_BUS, MAX_XACTIONS):
        rig.mw(offset, 0xFFFFFFFF)
        assert rig.m(offset) == 0xFFFFFFFF
        rig.mw(offset, 0)
        assert rig.m(offset) == 0


def test_version_is_read_only() -> None:
    rig = Rig(managed=True)
    rig.mw(HW_VERSION, 0)
    assert rig.m(HW_VERSION) == 0x10000000
    core = HidmaCore(bus(), Smmu(bus()), management=(MGMT, 0x1000), version=0x20030000)
    assert core.management.peek(HW_VERSION) == 0x20030000


@pytest.mark.parametrize(
    ("lengths", "counts", "expected"),
    [
        (0, 0, (128, 128, 1, 1)),
        (1024 << 16 | 512, 31 << 16 | 8, (512, 1024, 8, 31)),
        (256 << 16, 7, (128, 256, 7, 1)),
        (1, 0xFFE0FFE0, (1, 128, 1, 1)),
        (0xFFFFFFFF, 0xFFFFFFFF, (65535, 65535, 31, 31)),
    ],
)
def test_zero_in_a_burst_field_counts_as_its_smallest_legal_value(
    lengths: int, counts: int, expected: tuple[int, int, int, int]
) -> None:
    rig = Rig(managed=True)
    rig.mw(MAX_BUS, lengths)
    rig.mw(MAX_XACTIONS, counts)
    engine = rig.core.engine
    assert (engine.read_len, engine.write_len, engine.read_count, engine.write_count) == expected


def test_a_core_without_a_management_node_is_set_up_already() -> None:
    rig = Rig(channels=2)
    block = rig.core.management
    assert block.peek(CFG) == 1
    assert block.peek(MAX_BUS) == 1024 << 16 | 1024
    assert block.peek(MAX_XACTIONS) == 31 << 16 | 31
    assert {block.peek(QOS + 4 * n) for n in range(64)} == {1 << 8}
    assert {block.peek(0x700 + 4 * n) for n in range(64)} == {1 << 8}
    assert block.peek(HW_VERSION) == 0x10000000
    assert rig.bus.find(MGMT) is None
    p = rig.pairs[0].up()
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    assert p.model.tre_done == 1


def test_a_channel_that_is_added_later_has_what_the_registers_say() -> None:
    rig = Rig(managed=True)
    core = HidmaCore(rig.bus, rig.smmu, name="late", channels=2, management=(MGMT + 0x20000, 4096))
    core.management.write32(CHRESET_TIMEOUT, 12)
    core.management.write32(QOS + 4, 0x8000 | 7 << 8)
    core.management.write32(CFG, 1)
    channel = core.add_channel(1, PAGES + 0x40000, PAGES + 0x41000, Line(7, "late"), rig.smmu.stream(9))
    assert (channel.reset_limit, channel.priority, channel.weight, channel.runs) == (12, 1, 7, 1)


def test_a_core_that_does_not_run_is_not_stopped_again() -> None:
    rig = Rig(managed=True)
    p = rig.pairs[0].up()
    for value in (0, 2):
        rig.mw(CFG, value)
        assert p.states == (1, 1)
    rig.mw(CFG, 1)
    rig.mw(CFG, 2)
    assert p.states == (4, 4)


def test_a_managed_core_does_nothing_before_it_runs() -> None:
    rig = Rig(managed=True)
    p = rig.pairs[0].up()
    p.copy(p.data, p.data + 64, 64)
    p.ring()
    assert p.model.tre_fetched == 0
    rig.mw(CFG, 3)
    assert p.model.tre_done == 1


def test_a_watched_page_is_taken_over_at_once() -> None:
    page = bytearray(4096)
    machine = bus()
    core = HidmaCore(machine, Smmu(machine), channels=2, management=(MGMT, 4096), management_buffer=page)
    model = core.add_channel(1, PAGES, PAGES + 0x1000, Line(1, "one"), core.smmu.stream(1))
    words = memoryview(page).cast("I")
    words[(QOS + 4) >> 2] = 0x8700
    words[CFG >> 2] = 1
    words[HW_VERSION >> 2] = 0
    words[MAX_BUS >> 2] = 256 << 16 | 512
    core.management.refresh()
    assert (model.priority, model.weight, model.runs) == (1, 7, 1)
    assert core.engine.read_len == 512
    assert core.management.read32(HW_VERSION) == 0x10000000


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": 0}, "hidma: a core has 1 to 64 channels, not 0: QOS_64 would lie on CFG"),
        ({"channels": 65}, "hidma: a core has 1 to 64 channels, not 65: QOS_64 would lie on CFG"),
        ({"management": (MGMT, 2048)}, "hidma: the management block needs 4096 bytes, not 2048"),
        ({"access_ns": 0}, "hidma: a register access takes at least 1 ns, not 0"),
    ],
)
def test_a_core_that_cannot_be_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        HidmaCore(bus(), Smmu(bus()), **options)  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_a_channel_that_cannot_be_is_refused_and_leaves_nothing_behind() -> None:
    machine = bus()
    core = HidmaCore(machine, Smmu(machine), channels=2, management=(MGMT, 4096))
    stream, line = core.smmu.stream(0), Line(0, "zero")
    core.add_channel(0, PAGES, PAGES + 0x1000, line, stream)
    blocks = list(machine.blocks)
    for arguments, text in [
        ((2, PAGES + 0x4000, PAGES + 0x5000), "hidma: there is no channel 2 in a core of 2"),
        ((0, PAGES + 0x4000, PAGES + 0x5000), "hidma: channel 0 is there already"),
        ((1, MGMT, PAGES + 0x5000), f"hidma.chan1.trca at 0x{MGMT:x} overlaps hidma.mgmt at 0x{MGMT:x}"),
        ((1, PAGES + 0x4000, PAGES + 0x4800), "hidma.chan1.evca at 0xf9904800 overlaps hidma.chan1.trca at 0xf9904000"),
        ((1, PAGES + 0x4000, PAGES + 0x5000, 2048), "hidma: a channel needs pages of 4096 bytes, not 2048"),
    ]:
        with pytest.raises(ValueError) as caught:
            core.add_channel(*arguments[:3], line, stream, *arguments[3:])  # type: ignore[arg-type]
        assert str(caught.value) == text
        assert machine.blocks == blocks
