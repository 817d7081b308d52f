# SPDX-License-Identifier: GPL-2.0-only
"""The kit of hidma on the ported driver, and what is special about it."""

from __future__ import annotations

import flexrm_reset
from flexrm_reset.model import RINGS, FlexRm

from hidma.linux.errno import ETIMEDOUT
from hidma.testing import Bench, ResetPluginTests


class TestKit(ResetPluginTests):
    plugin = flexrm_reset


def test_each_ring_that_is_stuck_is_a_warning_of_the_device() -> None:
    with Bench(FlexRm(stuck=True)) as bench:
        assert bench.call(flexrm_reset.vfio_platform_bcmflexrm_reset) == -ETIMEDOUT
        assert [line.partition(": ")[2] for line in bench.log] == [
            f"FlexRM ring{ring} shutdown error -110" for ring in range(RINGS)]
