# SPDX-License-Identifier: GPL-2.0-only
"""Polling a register: the deadline is taken first, one last read decides, a sleep takes its upper limit."""

from __future__ import annotations

import pytest
from linux_rig import Rig, now

from hidma.linux.errno import ETIMEDOUT
from hidma.linux.iopoll import readl_poll_timeout, readl_poll_timeout_atomic


def counted(rig: Rig, value_at: int = 1 << 30) -> list[int]:
    """Times of the reads; from read number ``value_at`` on the register holds 1."""
    reads: list[int] = []

    def read() -> None:
        reads.append(now())
        rig.regs.values[0x20] = 1 if len(reads) >= value_at else 0

    rig.regs.on_read[0x20] = read
    return reads


def test_a_condition_that_holds_at_once_costs_one_read(rig: Rig) -> None:
    reads = counted(rig, 1)
    assert readl_poll_timeout(rig.base + 0x20, lambda v: v == 1, 1000, 10000) == (0, 1)
    assert len(reads) == 1
    assert now() == 100


@pytest.mark.parametrize(("number", "rc"), [(12, 0), (13, 0), (14, -ETIMEDOUT)])
def test_without_access_time_thirteen_reads_are_made_and_the_last_one_decides(rig: Rig, number: int, rc: int) -> None:
    rig.regs.cost = 0
    reads = counted(rig, number)
    assert readl_poll_timeout(rig.base + 0x20, lambda v: v == 1, 1000, 10000)[0] == rc
    assert len(reads) == min(number, 13)
    # ten milliseconds are not over when they have just passed
    assert reads[:12] == [1_000_000 * i for i in range(12)][: len(reads[:12])]
    if number >= 13:
        assert now() == 11_000_000


def test_the_value_of_the_last_read_is_returned(rig: Rig) -> None:
    rig.regs.values[0x24] = 77
    rc, value = readl_poll_timeout(rig.base + 0x24, lambda v: v == 1, 1000, 2000)
    assert (rc, value) == (-ETIMEDOUT, 77)


def test_no_time_out_waits_for_ever(rig: Rig) -> None:
    reads = counted(rig, 200)
    assert readl_poll_timeout(rig.base + 0x20, lambda v: v == 1, 1000, 0) == (0, 1)
    assert len(reads) == 200


def test_no_sleep_reads_again_at_once(rig: Rig) -> None:
    reads = counted(rig, 5)
    assert readl_poll_timeout(rig.base + 0x20, lambda v: v == 1, 0, 1000)[0] == 0
    assert reads == [0, 100, 200, 300, 400]


def test_atomic_context_spins_between_the_reads(rig: Rig) -> None:
    reads = counted(rig, 3)
    assert readl_poll_timeout_atomic(rig.base + 0x20, lambda v: v == 1, 10, 1000) == (0, 1)
    assert reads == [0, 10_100, 20_200]
    reads = counted(rig)
    begin = now()
    assert readl_poll_timeout_atomic(rig.base + 0x20, lambda v: v == 1, 10, 1000) == (-ETIMEDOUT, 0)
    assert len(reads) > 90 and 1_000_000 < now() - begin < 1_030_000
