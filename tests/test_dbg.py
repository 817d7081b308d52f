# SPDX-License-Identifier: GPL-2.0-only
"""The debugfs files of a channel: what the recorded runs leave out."""

from __future__ import annotations

from typing import Any

from hidma.commands.replay import replay
from hidma.commands.replay.runner import Scenario

STATS = "QCOM8061:00/chan0/stats"


def texts(*steps: list[Any]) -> list[str]:
    """The files that ``steps`` read after a probe."""
    scenario = {"layer": "dbg", "coherent": [1 << 31, 1 << 32], "properties": {"desc-count": 4},
                "steps": [["probe"], ["alloc"], *steps]}
    return [event[2] for event in replay(Scenario("dbg", scenario, None, None)) if event[0] == "text"]


def test_addresses_have_64_bits() -> None:
    (text,) = texts(["prep", "a", "0x123456789abc", "0xfedcba987654", 77, 3], ["debugfs", STATS])
    assert "src=0x0000fedcba987654\ndest=0x0000123456789abc\nlength = 0x4d\n" in text


def test_each_descriptor_stands_in_the_list_of_its_state() -> None:
    (text,) = texts(["prep", "a", 1, 2, 3, 3], ["prep", "b", 4, 5, 6, 3], ["submit", "b"], ["issue"], ["debugfs", STATS])
    prepared, _, active = text.partition("active\n")
    active, _, completed = active.partition("completed\n")
    assert ("length = 0x3\n" in prepared, "length = 0x6\n" in prepared) == (True, False)
    assert ("length = 0x3\n" in active, "length = 0x6\n" in active) == (False, True)
    assert completed.startswith("------Device -----\n")


def test_number_behind_the_last_descriptor_is_refused() -> None:
    # one descriptor more than asked for: 0 to 4
    for number, lines in ((4, 1), (5, 0)):
        (text,) = texts(["prep", "a", 1, 2, 3, 3], ["corrupt_tre", "a", number], ["debugfs", STATS])
        assert text.count(f"------Channel {number} -----") == lines


def test_offsets_and_sizes_of_both_rings_are_told_apart() -> None:
    (text,) = texts(["prep", "a", 1, 2, 3, 3], ["submit", "a"], ["debugfs", STATS])
    lines = dict(line.replace(" = ", "=").split("=", 1) for line in text.splitlines() if "=" in line)
    # five TREs of 32 bytes, five EVREs of 16
    assert (lines["tre_ring_size"], lines["evre_ring_size"], lines["tre_write_offset"]) == ("0xa0", "0x50", "0x20")
    assert (lines["pending_tre_count"], lines["nr_tres"]) == ("1", "0x5")
