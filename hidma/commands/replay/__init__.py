# SPDX-License-Identifier: GPL-2.0-only
"""Replaying recorded scenarios of the series' own driver against the port (``tools/replay``).

A scenario drives one layer of the port on a scripted device; what happens is a list of events, which is compared
with the recorded one. It is not a simulator: nothing is completed unless the scenario says so.
"""

from hidma.commands.replay.layers import replay
from hidma.commands.replay.runner import Mismatch, Scenario, compare, load

__all__ = ["Mismatch", "Scenario", "compare", "load", "replay"]
