# SPDX-License-Identifier: GPL-2.0-only
"""Endurance: 64 channels with 10,000 descriptors each, all of them queued at once, timing on. It fits into 1 GiB and every copy
arrives; with 500 descriptors each, a second run gives the same trace to the byte. ``HIDMA_SOAK=N`` runs both with N descriptors
for each channel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hidma.machine import _mode

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = 64
MANY, TRACED = (10_000, 500) if _mode.compiled() else (100, 20)
if "HIDMA_SOAK" in os.environ:
    MANY = TRACED = int(os.environ["HIDMA_SOAK"])
GIB = 1 << 30

# A process of its own, so that its memory is only what the run takes. The trace costs more than the copies.
RUN = """if True:
    import hashlib, json, random, resource, sys, time
    from array import array
    import hidma
    from hidma.commands.bench.cli import board

    channels, count, traced, size = *map(int, sys.argv[1:]), 64
    digest, events = hashlib.sha256(), 0

    def sink(event):
        global events
        events += 1
        digest.update(repr(event).encode())

    began = time.monotonic()
    with hidma.boot(board(channels, count), trace=sink if traced else None) as machine:
        dice = random.Random(1)
        queued = []
        for number in range(channels):
            chan = machine.dma.request_channel()
            src, dest = machine.alloc(count * size), machine.alloc(count * size)
            src.fill(dice.randbytes(count * size))
            dest.fill(bytes(count * size))
            order = list(range(count))
            dice.shuffle(order)
            dests = array("Q", [dest.address + i * size for i in order])
            srcs = array("Q", [src.address + i * size for i in order])
            queued.append((chan, src, dest, chan.memcpy_batch(dests, srcs, array("Q", [size]) * count)))
        for chan, src, dest, batch in queued:
            batch.wait()
            assert src.view == dest.view, chan.name
        ledger = dict(machine.ledger)
        digest.update(machine.dmesg().encode())
        virtual = machine.now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ledger": ledger, "trace": digest.hexdigest(), "events": events, "peak": peak, "virtual_ns": virtual,
                      "seconds": round(time.monotonic() - began, 1)}))
"""


def soak(descriptors: int, traced: bool) -> dict[str, Any]:
    """One run in a process of its own."""
    arguments = map(str, (CHANNELS, descriptors, int(traced)))
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    print(figures)
    assert figures["ledger"] == {"pending": 0, "completed": CHANNELS * descriptors, "failed": 0, "terminated": 0}
    return figures


@pytest.mark.slow
def test_64_channels_fit_into_1_gib() -> None:
    assert soak(MANY, traced=False)["peak"] < GIB


@pytest.mark.slow
def test_a_second_run_is_the_same() -> None:
    first, second = soak(TRACED, traced=True), soak(TRACED, traced=True)
    assert first["events"] > 10 * CHANNELS * TRACED
    for figure in ("trace", "events", "virtual_ns", "ledger"):
        assert first[figure] == second[figure], figure
