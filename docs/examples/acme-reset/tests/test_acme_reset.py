# SPDX-License-Identifier: GPL-2.0-only
"""The kit of hidma on this plugin, and what is special about it."""

from __future__ import annotations

import acme_reset
from acme_reset import acme_reset_reset
from acme_reset.model import DRAIN_NS, ScatterEngine

from hidma.linux.errno import ETIMEDOUT
from hidma.testing import Bench, ResetPluginTests


class TestKit(ResetPluginTests):
    plugin = acme_reset


def test_engine_drains_before_it_is_reset() -> None:
    with Bench(ScatterEngine()) as bench:
        bench.start_traffic()
        begun = bench.clock.now
        assert bench.call(acme_reset_reset) == 0
        assert bench.clock.now - begun >= DRAIN_NS
        assert bench.log == []


def test_engine_that_does_not_drain_is_reset_all_the_same_and_told() -> None:
    with Bench(ScatterEngine(stuck=True)) as bench:
        bench.start_traffic()
        assert bench.call(acme_reset_reset) == -ETIMEDOUT
        assert bench.log == ["acme_reset: the engine does not drain, resetting it all the same"]
