# SPDX-License-Identifier: GPL-2.0-only
"""Every recorded run of the series' own driver, event for event, in the mode that the suite runs in; test_modes.py runs this
file in the other mode."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from hidma.commands.replay import compare, load, replay
from hidma.commands.replay.layers import PLAYERS

GOLDEN = Path(__file__).parent / "data" / "golden"

#: The layers that are run. A layer joins when its player does; nothing else decides what is compared.
LAYERS = ("ll", "channel", "dbg", "mgmt", "mgmt_sys", "reset", "vfio")

#: Files that are not compared, each with its reason. Tags (oom, corrupt) are no reason.
LEFT_OUT: dict[str, str] = {}


@functools.cache
def layer_of(path: Path) -> str:
    layer: str = load(path).scenario["layer"]
    return layer


FILES = sorted(GOLDEN.glob("*.json"))
RUN = [path for path in FILES if layer_of(path) in LAYERS and path.stem not in LEFT_OUT]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_port_does_what_the_driver_did(path: Path) -> None:
    scenario = load(path)
    difference = compare(scenario, replay(scenario))
    assert difference is None, f"{path.name}: {scenario.scenario.get('doc', '')}\n{difference}"


def test_every_layer_is_run() -> None:
    assert {layer_of(path) for path in FILES} == set(LAYERS)
    assert sorted(PLAYERS) == sorted(LAYERS)
    assert set(LEFT_OUT) <= {path.stem for path in FILES}


def test_no_recorded_run_is_missing() -> None:
    counts = {layer: sum(layer_of(path) == layer for path in FILES) for layer in LAYERS}
    assert counts == {"ll": 193, "channel": 130, "dbg": 8, "mgmt": 69, "mgmt_sys": 23, "reset": 12, "vfio": 24}


def test_file_name_begins_with_its_layer() -> None:
    for path in FILES:
        scenario = load(path)
        assert path.stem in (scenario.name, scenario.scenario["name"])
        assert path.stem.startswith(scenario.scenario["layer"])
