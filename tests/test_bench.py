# SPDX-License-Identifier: GPL-2.0-only
"""The bench: the shape of what it prints, on runs too short to mean anything. It never judges a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from hidma import firmware
from hidma.commands.bench.cli import board

KEYS = {"layer", "bytes", "batch", "channels", "descriptors_per_s", "ratio"}


def test_json_is_a_list_of_rows_for_every_layer() -> None:
    if shutil.which("cc") is None:
        pytest.skip("the floor is C and there is no compiler here: apt-get install gcc libc6-dev")
    command = [sys.executable, "-m", "hidma.commands.bench.cli", "--json", "--scale", "0.0005"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert all(set(row) >= KEYS for row in rows)
    assert {row["layer"] for row in rows} == {"ring", "path", "batch", "copy"}
    wanted = {(layer, size, batch) for layer in ("ring", "path", "batch") for size in (64, 4096, 65536) for batch in (1, 16, 64)}
    assert wanted <= {(row["layer"], row["bytes"], row["batch"]) for row in rows}
    assert {1, 6, 64} <= {row["channels"] for row in rows}
    assert all(row["descriptors_per_s"] > 0 and row["ratio"] > 0 for row in rows)


@pytest.mark.parametrize(("channels", "desc_count"), [(1, 64), (64, 16), (6, 16384)])
def test_boards_of_the_bench_describe_what_was_asked_for(channels: int, desc_count: int) -> None:
    described = firmware.describe(firmware.parse(board(channels, desc_count)))
    assert len(described.channels) == channels
    assert {c.desc_count for c in described.channels} == {desc_count}
