# SPDX-License-Identifier: GPL-2.0-only
"""The management driver and its files on a scripted device: limits, and bits of registers that are not its own."""

from __future__ import annotations

from typing import Any

import pytest

from hidma.commands.replay import replay
from hidma.commands.replay.runner import Scenario

GOOD = {"dma-channels": 2, "channel-reset-timeout-cycles": 1280, "max-write-burst-bytes": 1024, "max-read-burst-bytes": 512,
        "max-write-transactions": 31, "max-read-transactions": 7}
EINVAL = -22


def events(*steps: list[Any], regs: dict[str, int] | None = None, **properties: int) -> list[Any]:
    """What happens after a probe on registers that begin as ``regs``."""
    given = GOOD | {name.replace("_", "-"): value for name, value in properties.items()}
    scenario = {"layer": "mgmt_sys", "device": {"regs": {"mgmt": regs or {}}}, "properties": given, "steps": [["probe"], *steps]}
    return replay(Scenario("mgmt", scenario, None, None))


def results(found: list[Any], kind: str) -> list[Any]:
    """What each call of ``kind`` returned."""
    return [event[2:] for event in found if event[0] == "ret" and event[1] == kind]


def last_writes(found: list[Any]) -> dict[int, int]:
    """The last value written to each register."""
    return {event[2]: event[3] for event in found if event[0] == "w"}


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("max_write_request", (128, 256, 512, 1024), (0, 64, 127, 129, 384, 2048, 1 << 31)),
    ("max_read_request", (128, 256, 512, 1024), (0, 64, 127, 129, 384, 2048, 1 << 31)),
    ("max_wr_xactions", (0, 31), (32, 1 << 31)),
    ("max_rd_xactions", (0, 31), (32, 1 << 31)),
    ("chanops/chan1/priority", (0, 1), (2, 1 << 31)),
    ("chanops/chan1/weight", (1, 15), (16, 1 << 31)),
])
def test_limits_of_the_parameters(name: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    for value in good:
        found = events(["store", name, str(value)], ["show", name])
        assert results(found, "store")[0][0] == len(str(value)), value
        assert str(value) in str(results(found, "show")[0]), value
    before = results(events(["show", name]), "show")
    for value in bad:
        found = events(["store", name, str(value)], ["show", name])
        assert results(found, "store")[0][0] == EINVAL, value
        assert results(found, "show") == before, value


@pytest.mark.parametrize(("name", "message"), [
    ("dma-channels", "number of channels missing"),
    ("channel-reset-timeout-cycles", "channel reset timeout missing"),
    ("max-write-burst-bytes", "max-write-burst-bytes missing"),
    ("max-read-burst-bytes", "max-read-burst-bytes missing"),
    ("max-write-transactions", "max-write-transactions missing"),
    ("max-read-transactions", "max-read-transactions missing"),
])
def test_missing_property_ends_the_probe(name: str, message: str) -> None:
    given = {key: value for key, value in GOOD.items() if key != name}
    found = replay(Scenario("mgmt", {"layer": "mgmt", "properties": given, "steps": [["probe"]]}, None, None))
    assert found[-1] == ["ret", "probe", EINVAL]
    assert ["log", "err", message] in found
    assert [event[1] for event in found if event[0] == "pm"][-2:] == ["put_sync_suspend", "disable"]


def test_bits_of_others_are_kept() -> None:
    everything = dict.fromkeys((str(offset) for offset in (0x300, 0x304, 0x400, 0x41C, 0x420, 0x418)), 0xFFFFFFFF)
    found = events(["store", "chanops/chan0/priority", "0"], ["store", "chanops/chan0/weight", "5"], regs=everything)
    assert last_writes(found) == {
        0x300: 0xFFFF05FF,  # priority 0, weight 5
        0x304: 0xFFFF01FF,
        0x400: 0xFFFFFFFF,
        0x418: 0xFFF00500,
        0x41C: 0x04000200,
        0x420: 0xFFFFFFFF & ~(0x1F << 16) & ~0x1F | 31 << 16 | 7,
    }


def test_start_keeps_what_the_configuration_register_has() -> None:
    assert last_writes(events(regs={str(0x400): 0xA0}))[0x400] == 0xA1


def test_timeout_is_cut_to_its_20_bits() -> None:
    assert last_writes(events(channel_reset_timeout_cycles=0xFFABCDEF))[0x418] == 0xBCDEF


@pytest.mark.parametrize(("version", "major", "minor"), [(0xF0AF1234, 15, 15), (0x5A3C0000, 5, 12), (0x10000FFF, 1, 0)])
def test_version_has_two_fields_of_four_bits(version: int, major: int, minor: int) -> None:
    found = events(["show", "hw_version_major"], ["show", "hw_version_minor"], regs={str(0x424): version})
    assert [int(str(shown[-1]).strip()) for shown in results(found, "show")] == [major, minor]
