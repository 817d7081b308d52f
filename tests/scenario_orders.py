# SPDX-License-Identifier: GPL-2.0-only
"""Steps of recorded runs in random orders: ``python scenario_orders.py FIRST LAST`` prints for each seed a digest of its events
and how it ended.

A scenario begins as one of the recorded runs does and goes on with steps of all runs of its layer, with other numbers here and
there; a step that cannot be done where it stands is passed over. A run ends with its last step or with an Oops. Anything else is
a fault of ours.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

from hidma.commands.replay.device import ScenarioError
from hidma.commands.replay.layers import PLAYERS

GOLDEN = Path(__file__).resolve().parent / "data" / "golden"
LAYERS = {"ll": "ll_more_*", "channel": "channel_more_*", "mgmt_sys": "mgmt_sys_more_*", "vfio": "vfio_*"}
NUMBERS = (0, 1, 2, 15, 16, 31, 32, 33, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
#: What lets the interrupt handler spin for ever without the time that an access takes.
ACCESS_NS = 1000


@cache
def recorded(layer: str) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """The scenarios of a layer, and all their steps."""
    scenarios = [json.loads(path.read_text())["scenario"] for path in sorted(GOLDEN.glob(f"{LAYERS[layer]}.json"))]
    return scenarios, [step for scenario in scenarios for step in scenario["steps"]]


def changed(step: list[Any], dice: random.Random) -> list[Any]:
    """A copy of a step, now and then with another number in it."""
    step = copy.deepcopy(step)
    places = [place for place, value in enumerate(step) if isinstance(value, int) and not isinstance(value, bool)]
    if places and dice.random() < 0.1:
        step[dice.choice(places)] = dice.choice(NUMBERS)
    return step


def scenario_of(seed: int) -> dict[str, Any]:
    """The scenario of a seed."""
    dice = random.Random(seed)
    layer = dice.choice(list(LAYERS))
    scenarios, steps = recorded(layer)
    scenario = copy.deepcopy(dice.choice(scenarios))
    keep = dice.randint(1, max(1, len(scenario["steps"]) // 2))
    scenario["steps"] = scenario["steps"][:keep] + [changed(dice.choice(steps), dice) for _ in range(dice.randint(5, 60))]
    scenario.setdefault("device", {}).setdefault("access_ns", ACCESS_NS)
    return scenario


def outcome(seed: int) -> str:
    """What comes of a seed, in a line."""
    scenario = scenario_of(seed)
    layer = scenario["layer"]
    player = PLAYERS[layer](scenario)
    refused = 0
    play_step = player.run_step

    def run_step(step: Any) -> None:
        nonlocal refused
        try:
            play_step(step)
        except ScenarioError:  # of a TRE that was not requested here, for instance
            refused += 1

    player.run_step = run_step  # type: ignore[method-assign]
    player.play()
    end = f"end, {refused} steps refused"
    events = json.dumps(player.events)
    dead = player.kernel.dead
    if dead is not None:
        end = f"{dead.message}, row {dead.row}"
        named = [line.text for line in player.kernel.log if "docs/quirks" in line.text]
        assert named, f"seed {seed}: an Oops that says nothing about its row: {player.kernel.dmesg()}"
    player.kernel.close()
    return f"--- seed {seed}: {layer}, {len(player.events)} events, {hashlib.sha256(events.encode()).hexdigest()[:16]}, {end}"


def main() -> int:
    for seed in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        print(outcome(seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
