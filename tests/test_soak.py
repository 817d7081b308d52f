# SPDX-License-Identifier: GPL-2.0-only
"""Endurance: 64 channels with 10,000 descriptors each, all of them queued at once, timing on. It fits into 1 GiB, every copy
arrives, and a second run gives the same trace to the byte. ``HIDMA_SOAK=N`` runs it with N descriptors for each channel.
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
DESCRIPTORS = int(os.environ.get("HIDMA_SOAK", "10000" if _mode.compiled() else "100"))
GIB = 1 << 30

# A process of its own, whose memory is nobody else's.
RUN = """if True:
    import hashlib, json, random, resource, sys, time
    from array import array
    import hidma
    from hidma.commands.bench.cli import board

    channels, count, size = int(sys.argv[1]), int(sys.argv[2]), 64
    digest, events = hashlib.sha256(), 0

    def sink(event):
        global events
        events += 1
        digest.update(repr(event).encode())

    began = time.monotonic()
    with hidma.boot(board(channels, count), trace=sink) as machine:
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


def soak() -> dict[str, Any]:
    """One run in a process of its own."""
    done = subprocess.run([sys.executable, "-c", RUN, str(CHANNELS), str(DESCRIPTORS)], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    print(figures)
    return figures


@pytest.mark.slow
def test_64_channels_fit_into_1_gib_and_a_second_run_is_the_same() -> None:
    first, second = soak(), soak()
    assert first["ledger"] == {"pending": 0, "completed": CHANNELS * DESCRIPTORS, "failed": 0, "terminated": 0}
    assert first["peak"] < GIB
    for figure in ("trace", "events", "virtual_ns", "ledger"):
        assert first[figure] == second[figure], figure
