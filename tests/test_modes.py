# SPDX-License-Identifier: GPL-2.0-only
"""The other mode: a run of the compiled modules runs the tests of the port, the kernel slice, the hardware model and the
machine once more interpreted, in several processes side by side.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SLOW

from hidma.machine import _mode

TESTS = Path(__file__).resolve().parent
PARTS = 6
# These run no compiled module, or reach the compiled modules through the public face only, or start processes of both modes.
INDEPENDENT = {
    "abi", "abi_check", "assign", "bench", "cli", "conditions", "declarations", "docs", "firmware", "firmware_acpi",
    "firmware_guest", "floors", "fuzz", "inventory", "modes", "mount", "orders", "packaging", "portmap", "qemu", "qos",
    "reset_cli", "shell", "sidebyside", "soak", "step", "stock_cython", "sysfs_input", "testing", "tools", "tour", "trace",
}
DEPENDENT = sorted((path for path in TESTS.glob("test_*.py") if path.stem.removeprefix("test_") not in INDEPENDENT),
                   key=lambda path: -path.stat().st_size)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_suite_passes_interpreted_as_well(part: int) -> None:
    if not _mode.compiled():
        pytest.skip(f"this run is interpreted itself: {_mode.why()}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-m",
         "not both_modes" if SLOW else "not both_modes and not slow", *DEPENDENT[part::PARTS]],
        cwd=TESTS.parent, env={**os.environ, "HIDMA_INTERPRETED": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
