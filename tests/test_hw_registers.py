# SPDX-License-Identifier: GPL-2.0-only
"""The rows of registers, the blocks that are made from them, and the reference that is made from the same rows."""

from __future__ import annotations

import re

import pytest
from hw_rig import CTRLSTS, MGMT, PAGES, QOS, RAM, RING_LEN, Rig

from hidma.hw import registers
from hidma.hw.block import RegisterBlock, tables
from hidma.hw.bus import Bus
from hidma.hw.clock import Clock
from hidma.hw.memory import Memory
from hidma.hw.registers import EVCA, MANAGEMENT, TRCA, Cause, Command, Field, Register, State, find, name_of, reference
from hidma.hw.trace import Trace


def block(rows: tuple[Register, ...], size: int = 64) -> RegisterBlock:
    bus = Bus(Clock(), Memory(RAM, 4096), Trace())
    made = RegisterBlock("toy", bus, 0x1000, size, rows)
    bus.add(made)
    return made


TOY = (
    Register("PLAIN", 0, "storage with a name", reset=7),
    Register("FIXED", 4, "read-only", reset=0x1234, read_only=0xFFFFFFFF),
    Register("MIXED", 8, "half of it read-only", reset=0xAAAA5555, read_only=0xFFFF0000),
    Register("MANY", 16, "four in a row, twice", reset=9, count=4, alias=32),
)


def test_behaviour_comes_from_the_rows() -> None:
    b = block(TOY)
    assert [b.read32(offset) for offset in (0, 4, 8, 12, 16, 28, 32, 44, 60)] == [
        7,
        0x1234,
        0xAAAA5555,
        0,
        9,
        9,
        9,
        9,
        0,
    ]
    for offset in range(0, 64, 4):
        b.write32(offset, 0xFFFFFFFF)
    assert (b.read32(0), b.read32(4), b.read32(8), b.read32(12)) == (0xFFFFFFFF, 0x1234, 0xAAAAFFFF, 0xFFFFFFFF)
    assert b.writes_ignored == 2  # FIXED, and the upper half of MIXED
    assert (b.reads, b.writes) == (13, 16)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ((Register("A", 64, ""),), "register A at 0x40 does not fit a block of 64 bytes"),
        ((Register("A", 2, ""),), "register A at 0x2 does not fit a block of 64 bytes"),
        ((Register("A", 56, "", count=3),), "register A at 0x40 does not fit a block of 64 bytes"),
        ((Register("A", 8, ""), Register("B", 4, "", count=2)), "registers B and A are both at 0x8"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: tuple[Register, ...], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        block(rows)
    assert str(caught.value) == text


def test_a_block_needs_a_sound_place() -> None:
    bus = Bus(Clock(), Memory(RAM, 4096), Trace())
    with pytest.raises(ValueError, match="multiples of 4, not 0x1002 and 64"):
        RegisterBlock("toy", bus, 0x1002, 64, ())
    for size in (0, (1 << 30) + 4):
        with pytest.raises(ValueError, match=f"multiples of 4, not 0x1000 and {size}"):
            RegisterBlock("toy", bus, 0x1000, size, ())
    with pytest.raises(ValueError, match="toy: 32 bytes of buffer do not hold 64 bytes of registers"):
        RegisterBlock("toy", bus, 0x1000, 64, (), bytearray(32))
    with pytest.raises(ValueError, match="toy: 63 bytes of buffer do not hold 64 bytes of registers"):
        RegisterBlock("toy", bus, 0x1000, 64, (), bytearray(63))


def test_registers_may_lie_in_memory_that_somebody_else_sees() -> None:
    page = bytearray(4096)
    b = RegisterBlock("toy", Bus(Clock(), Memory(RAM, 4096), Trace()), 0, 4096, TOY, page)
    b.write32(0, 0x01020304)
    assert page[:8] == bytes([4, 3, 2, 1, 0x34, 0x12, 0, 0])
    page[12:16] = b"\x78\x56\x34\x12"
    assert b.read32(12) == 0x12345678


def test_tables_are_shared_between_blocks_of_a_kind() -> None:
    assert tables(TRCA, 4096) is tables(TRCA, 4096)


@pytest.mark.parametrize("width", [1, 2, 8])
def test_an_access_of_another_width_is_a_bus_error(width: int) -> None:
    rig = Rig()
    target = rig.bus.find(PAGES)
    assert target is not None
    before = rig.clock.now
    assert target.read_odd(RING_LEN, width) == (1 << 8 * width) - 1
    target.write_odd(RING_LEN, width, 0)
    assert target.read32(RING_LEN) == 0
    assert rig.clock.now == before + 300
    assert (target.reads, target.writes) == (2, 1)
    read, write = rig.bus.faults.records
    assert (read.initiator, read.what, read.address, read.width, read.where) == (
        "cpu",
        "read",
        PAGES + RING_LEN,
        width,
        "hidma.chan0.trca",
    )
    assert (write.what, write.address, write.width) == ("write", PAGES + RING_LEN, width)


@pytest.mark.parametrize("offset", [1, 2, 3, 0x11, 4096, 4100, 0x8000_0000, 0xFFFF_FFFC])
def test_an_access_of_another_alignment_or_outside_is_a_bus_error(offset: int) -> None:
    rig = Rig()
    target = rig.pairs[0].model.trca
    target.initiator = "guest"
    assert target.read32(offset) == 0xFFFFFFFF
    target.write32(offset, 0x55555555)
    assert [str(fault) for fault in rig.bus.faults.records] == [
        f"0 ns: guest: read at 0x{PAGES + offset:x} (4 bytes), hidma.chan0.trca",
        f"100 ns: guest: write at 0x{PAGES + offset:x} (4 bytes), hidma.chan0.trca",
    ]
    assert bytes(target.view[:64]) == bytes(64)
    assert target.read32(CTRLSTS) == 0


def test_offsets_that_no_table_names_are_plain_storage() -> None:
    rig = Rig(managed=True)
    named = {
        PAGES: {row.offset for row in TRCA},
        PAGES + 0x1000: {row.offset for row in EVCA},
        MGMT: {
            start + 4 * i
            for row in MANAGEMENT
            for start in (row.offset, row.alias)
            if start >= 0
            for i in range(row.count)
        },
    }
    for base, taken in named.items():
        free = [offset for offset in range(0, 4096, 4) if offset not in taken]
        for offset in free:
            rig.write(base + offset, 0xA0000000 | offset)
        assert [rig.read(base + offset) for offset in free] == [0xA0000000 | offset for offset in free]
    assert rig.pairs[0].states == (0, 0)


def test_power_on_values() -> None:
    rig = Rig(channels=3, managed=True)
    for p in rig.pairs:
        assert [p.t(offset) for offset in range(0, 4096, 4) if offset != 0x28] == [0] * 1023
        assert p.t(0x28) == p.index
        assert [p.e(offset) for offset in range(0, 4096, 4)] == [0] * 1024
    assert [rig.m(offset) for offset in range(0, 0x15000, 4) if offset != 0x424] == [0] * (0x15000 // 4 - 1)
    assert rig.m(0x424) == 0x10000000


def test_fields_and_names() -> None:
    field = Field("state", 15, 8, "")
    assert (field.mask, field.bits, field.of(0x123456)) == (0xFF00, "[15:8]", 0x34)
    assert Field("run", 0, 0, "").bits == "[0]"
    assert TRCA[0].decode(0x00090500) == {"command": 9, "state": 5}
    assert name_of(TRCA, 0x10) == "RING_LEN"
    assert name_of(MANAGEMENT, QOS + 12) == name_of(MANAGEMENT, 0x70C) == "QOS_3"
    assert name_of(EVCA, 0x28) == "0x028"
    found = find(MANAGEMENT, 0x7FC)
    assert found is not None and (found[0].name, found[1]) == ("QOS_N", 63)
    assert find(TRCA, 0x11) is None


def test_enums_say_what_the_constants_say() -> None:
    assert [(c.name, c.value) for c in Command] == [(name, value) for value, name, _ in registers.COMMANDS]
    assert [(s.name, s.value) for s in State] == [(name, value) for value, name, _ in registers.STATES]
    causes = {field.name: field.mask for row in EVCA if row.name == "IRQ_STAT" for field in row.fields}
    assert causes == {name: int(flag) for name, flag in Cause.__members__.items()}


def test_the_reference_names_every_row_and_field() -> None:
    text = reference()
    for _, title, rows in registers.BLOCKS:
        assert title in text
        for row in rows:
            assert f"``{row.name}``" in text
            assert f"``0x{row.offset:03X}``" in text
            for field in row.fields:
                assert f"``{field.bits}``" in text
                assert f"``{field.name}``: {field.description}" in text
    for value, name, meaning in registers.COMMANDS + registers.STATES:
        assert f"   * - {value}\n     - ``{name}``\n     - {meaning}" in text
    assert "``0x300`` + 4n, ``0x700`` + 4n" in text
    # each line of a table has as many cells as its header
    for table in text.split(".. list-table::")[1:]:
        counts = [chunk.count("\n     - ") + 1 for chunk in re.split(r"\n   \* - ", table.split("\n\n\n")[0])[1:]]
        assert len(set(counts)) == 1


def test_the_reference_is_valid_restructuredtext() -> None:
    core = pytest.importorskip("docutils.core")
    tree = core.publish_doctree(
        "Title\n=====\n\n" + reference(),
        settings_overrides={"halt_level": 2, "report_level": 2, "_disable_config": True},
    )
    assert "CHRESET_TIMEOUT" in tree.astext()
