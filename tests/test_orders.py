# SPDX-License-Identifier: GPL-2.0-only
"""Things done to a machine, and steps of recorded runs, in any order, at random: what comes out is an errno or an Oops, the
same in both modes, and never a crash, a traceback or a hang. The public face is used in random orders as well, in the mode of
the suite: there each call returns, and the ledger adds up. ``HIDMA_ORDERS=N`` tries N seeds of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hidma.machine import _mode

HERE = Path(__file__).resolve().parent
SEEDS = int(os.environ.get("HIDMA_ORDERS", "20"))
EACH = 5


def orders(first: int, interpreted: bool, program: str = "orders.py", each: int = EACH) -> str:
    """What ``each`` seeds print."""
    done = subprocess.run(
        [sys.executable, HERE / program, str(first), str(first + each - 1)], cwd=HERE.parent,
        env={**os.environ, "HIDMA_INTERPRETED": str(int(interpreted)), "PYTHONPATH": str(HERE.parent)},
        capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.returncode}, {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_any_order_ends_in_an_errno_or_an_oops(first: int) -> None:
    interpreted = orders(first, interpreted=True)
    assert interpreted.count("--- seed") == EACH
    if _mode.compiled():
        assert orders(first, interpreted=False) == interpreted


@pytest.mark.slow
def test_recorded_steps_in_any_order_end_the_same_in_both_modes_and_an_oops_speaks_of_its_row() -> None:
    seeds = 5 * SEEDS
    interpreted = orders(0, True, "scenario_orders.py", seeds)
    assert interpreted.count("--- seed") == seeds
    if _mode.compiled():
        assert orders(0, False, "scenario_orders.py", seeds) == interpreted


@pytest.mark.slow
@pytest.mark.parametrize("first", [*range(0, SEEDS, EACH), 2045])  # 2049: a callback comes before its submission has returned
def test_public_calls_in_any_order_return_and_the_ledger_adds_up(first: int) -> None:
    """Signals come at moments of real time, so an order that fails need not fail again."""
    done = subprocess.run([sys.executable, HERE / "api_orders.py", str(first), str(first + EACH - 1)], cwd=HERE.parent,
                          env={**os.environ, "PYTHONPATH": str(HERE.parent)}, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n"), f"{done.stdout[-4000:]}{done.stderr[-2000:]}"
