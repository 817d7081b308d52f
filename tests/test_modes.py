# SPDX-License-Identifier: GPL-2.0-only
"""The other mode: a suite that runs compiled is run once more interpreted (what does not depend on the mode left out)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
# these start processes of their own, in the mode that they want, or do not run the port at all
INDEPENDENT = (
    "test_modes.py", "test_packaging.py", "test_docs.py", "test_mount.py", "test_firmware.py", "test_firmware_acpi.py",
    "test_floors.py", "test_bench.py", "test_reset_cli.py", "test_qemu.py",
)


@pytest.mark.slow
def test_the_suite_passes_interpreted_as_well() -> None:
    if not _mode.compiled():
        pytest.skip(f"this run is interpreted itself: {_mode.why()}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests",
         *(f"--ignore=tests/{name}" for name in INDEPENDENT)],
        cwd=ROOT, env={**os.environ, "HIDMA_INTERPRETED": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
