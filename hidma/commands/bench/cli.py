# SPDX-License-Identifier: GPL-2.0-only
"""``tools/bench``: descriptors per second of the ring core and of the whole dmaengine path, and copy bandwidth, each as a
ratio to a C floor of the same work that is compiled and run in the same run (``floor.c``: ring writes, copy, event
write, reap, and no driver). Instant timing, one CPU, one thread; the same engine and checks as ever, only the lock
checker is off. A ratio is the median over pairs of runs, so that a noisy machine does less harm.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

import hidma
from hidma import firmware
from hidma.commands.bench.core import Ring
from hidma.commands.main import main
from hidma.commands.output import Scratch
from hidma.linux.dmaengine import dma_async_issue_pending, dmaengine_prep_dma_memcpy, dmaengine_submit
from hidma.machine import _mode
from hidma.machine.boot import Machine
from hidma.machine.ledger import FLAGS

PAIRS = 5
FOOTPRINT = 1 << 20


@dataclass(frozen=True)
class Row:
    """One measurement: ``ratio`` is our time per descriptor over the floor's; for ``copy`` our bandwidth over memcpy's."""

    layer: str
    bytes: int
    batch: int
    channels: int
    descriptors_per_s: float
    ratio: float
    ring: int = 64


class Floor:
    """The C floor, compiled for this run."""

    def __init__(self) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise click.ClickException("the floor is C and there is no compiler here: apt-get install gcc libc6-dev")
        with Scratch() as place:
            out = Path(place) / "floor.so"
            source = Path(__file__).with_name("floor.c")
            done = subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", out, source], capture_output=True, text=True)
            if done.returncode:
                raise click.ClickException(f"the floor does not compile: {done.stderr.strip().splitlines()[-1]}")
            self.lib = ctypes.CDLL(str(out))
        self.lib.floor_run.restype = ctypes.c_int64
        self.lib.floor_copy.restype = ctypes.c_int64
        self.buffers = [mmap.mmap(-1, 32 << 20) for _ in range(2)]
        self.dest, self.src = (ctypes.addressof(ctypes.c_char.from_buffer(b)) for b in self.buffers)
        ctypes.memset(self.src, 0x5A, 32 << 20)
        ctypes.memset(self.dest, 0, 32 << 20)
        self.rings = mmap.mmap(-1, 8 << 20)
        self.ring = ctypes.addressof(ctypes.c_char.from_buffer(self.rings))

    def run(self, length: int, batch: int, rounds: int, slots: int, entries: int = 65) -> float:
        """Nanoseconds for each descriptor."""
        u64, i64, u32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
        ns = self.lib.floor_run(u64(self.ring), u64(self.ring + (4 << 20)), u32(entries), u64(self.ring + (7 << 20)),
                                u64(self.dest), u64(self.src), u32(length), u32(batch), i64(rounds), u32(slots))
        assert ns >= 0
        return float(ns) / (rounds * batch)

    def copy(self, length: int, count: int, slots: int) -> float:
        """Nanoseconds for each copy by memcpy."""
        ns = self.lib.floor_copy(ctypes.c_void_p(self.dest), ctypes.c_void_p(self.src), ctypes.c_uint32(length),
                                 ctypes.c_int64(count), ctypes.c_uint32(slots))
        return float(ns) / count


def board(channels: int, desc_count: int) -> bytes:
    """The bundled host with another number of channels and descriptors."""
    tree = firmware.load("host")
    management = next(n for n in tree.walk() if "qcom,hidma-mgmt-1.0" in n.compatible)
    model = management.children[0]
    stream = model.cells("iommus")
    management.children.clear()
    management.properties["dma-channels"] = firmware.u32(channels)
    for i in range(channels):
        trca = 0x5C000000 + i * 0x2000
        child = management.add(f"hidma@{trca:x}", dict(model.properties))
        child.properties["reg"] = firmware.u64(trca, 0x1000, trca + 0x1000, 0x1000)
        child.properties["interrupts"] = firmware.u32(0, 400 + i, 4)
        child.properties["iommus"] = firmware.u32(stream[0], 24 + i)
        child.properties["desc-count"] = firmware.u32(desc_count)
    return firmware.dump(tree)


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter_ns()
    work()
    return float(time.perf_counter_ns() - start)


class Bench:
    """All rows."""

    def __init__(self, scale: float, say: Callable[[str], None]) -> None:
        self.scale = scale
        self.say = say
        self.floor = Floor()
        self.rows: list[Row] = []

    def machine(self, channels: int = 6, desc_count: int = 64) -> Machine:
        """A machine for measuring: instant, one CPU, the lock checker off."""
        machine = hidma.boot(board(channels, desc_count), instant=True, cpus=1)
        for cpu in machine.kernel.cpus:
            cpu.lockdep = 0
        return machine

    def rounds(self, length: int, batch: int) -> int:
        """So many batches that a run takes some hundredths of a second."""
        per = 60 + length * 0.1 + 1500 / batch
        return max(2, int(self.scale * 3e7 / (per * batch)))

    def pair(self, layer: str, length: int, batch: int, channels: int, ours: Callable[[int], float],
             ring: int = 64, slots: int = 64) -> None:
        """Measure one row: pairs of the floor and ``ours`` (ns for a descriptor, given a number of rounds)."""
        rounds = self.rounds(length, batch)
        ratios, times = [], []
        for _ in range(PAIRS):
            floor = self.floor.run(length, batch, rounds, slots, ring + 1)
            mine = ours(rounds)
            ratios.append(mine / floor)
            times.append(mine)
        self.rows.append(Row(layer, length, batch, channels, 1e9 / statistics.median(times), statistics.median(ratios), ring))
        self.say(f"{layer} {length} B, {batch} per doorbell, {channels} channels")

    def ring(self, length: int, batch: int, channels: int = 6, desc_count: int = 64) -> None:
        """The ring core: TRE push, engine, EVRE, interrupt handler, tasklet."""
        with self.machine(channels, desc_count) as machine, machine.running() as kernel:
            device = next(d for d in kernel.buses["platform"].devices if d.name == "hidma.0")
            ring = Ring(device.driver_data.lldev, desc_count)
            slots = min(desc_count, max(batch, FOOTPRINT // length))
            dest, src = (machine.alloc(slots * length).address for _ in range(2))

            def ours(rounds: int) -> float:
                ns = timed(lambda: ring.run(dest, src, length, batch, rounds, slots))
                assert ring.completed == rounds * batch, (ring.completed, rounds * batch)
                return ns / (rounds * batch)

            self.pair("ring", length, batch, channels, ours, desc_count, slots)

    def path(self, length: int, batch: int) -> None:
        """The whole dmaengine path, with a callback in Python for each descriptor."""
        with self.machine() as machine, machine.dma.request_channel() as channel, machine.running():
            slots = min(64, max(batch, FOOTPRINT // length))
            dest, src = (machine.alloc(slots * length).address for _ in range(2))
            chan = channel._chan
            done = 0

            def callback(_: Any) -> None:
                nonlocal done
                done += 1

            def work(rounds: int) -> None:
                at = 0
                for _ in range(rounds):
                    for k in range(batch):
                        offset = ((at + k) % slots) * length
                        tx = dmaengine_prep_dma_memcpy(chan, dest + offset, src + offset, length, FLAGS)
                        assert tx is not None
                        tx.callback = callback
                        dmaengine_submit(tx)
                    dma_async_issue_pending(chan)
                    at += batch

            def ours(rounds: int) -> float:
                nonlocal done
                done = 0
                ns = timed(lambda: work(rounds))
                assert done == rounds * batch, (done, rounds * batch)
                return ns / (rounds * batch)

            self.pair("path", length, batch, 6, ours, 64, slots)

    def batch(self, length: int, batch: int) -> None:
        """``memcpy_batch`` on arrays, one completion."""
        from array import array

        with self.machine() as machine, machine.dma.request_channel() as channel:
            slots = min(64, max(batch, FOOTPRINT // length))
            dest, src = (machine.alloc(slots * length).address for _ in range(2))
            pieces = 4096 // batch * batch if batch > 1 else 1024
            dests = array("Q", [dest + (i % slots) * length for i in range(pieces)])
            srcs = array("Q", [src + (i % slots) * length for i in range(pieces)])
            lengths = array("Q", [length] * pieces)
            if batch == 64:
                calls = [(dests, srcs, lengths)]
            else:
                calls = [(dests[i : i + batch], srcs[i : i + batch], lengths[i : i + batch]) for i in range(0, pieces, batch)]

            def work(rounds: int) -> None:
                for _ in range(rounds):
                    for one in calls:
                        channel.memcpy_batch(*one).wait()

            def ours(rounds: int) -> float:
                times = max(1, rounds * batch // pieces)
                return timed(lambda: work(times)) / (times * pieces)

            self.pair("batch", length, batch, 6, ours, 64, slots)

    def copy(self, length: int) -> None:
        """Bandwidth of the copies against memcpy."""
        with self.machine() as machine, machine.running() as kernel:
            device = next(d for d in kernel.buses["platform"].devices if d.name == "hidma.0")
            ring = Ring(device.driver_data.lldev, 64)
            batch = slots = 64
            dest, src = (machine.alloc(slots * length).address for _ in range(2))
            rounds = max(2, int(self.scale * 60000 * 4096 / length / batch))
            ratios, times = [], []
            for _ in range(2 * PAIRS):
                floor = self.floor.copy(length, rounds * batch, slots)
                mine = timed(lambda: ring.run(dest, src, length, batch, rounds, slots)) / (rounds * batch)
                ratios.append(floor / mine)
                times.append(mine)
            self.rows.append(Row("copy", length, batch, 6, 1e9 / statistics.median(times), statistics.median(ratios)))
            self.say(f"copy {length} B")

    def all(self, sizes: tuple[int, ...] = (64, 4096, 65536), batches: tuple[int, ...] = (1, 16, 64)) -> list[Row]:
        for length in sizes:
            for batch in batches:
                self.ring(length, batch)
                self.path(length, batch)
                self.batch(length, batch)
        for length in sizes[1:] or sizes:
            self.copy(length)
        for channels in (1, 64):
            self.ring(64, 64, channels)
        for desc_count in (1024, 16384):
            self.ring(64, 64, 6, desc_count)
        return self.rows


def table(rows: list[Row]) -> list[str]:
    lines = ["layer   bytes  per doorbell  channels   ring  descriptors/s   ns each   ratio"]
    lines += [f"{r.layer:<6} {r.bytes:>6} {r.batch:>13} {r.channels:>9} {r.ring:>6} {r.descriptors_per_s:>14,.0f} "
              f"{1e9 / r.descriptors_per_s:>9.1f} {r.ratio:>7.2f}" for r in rows]
    lines.append("ratio: our time for a descriptor over the C floor's in this run; for copy our bandwidth over memcpy's")
    return lines


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of rows.")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(0.0001, 100), help="How long each run is.")
def command(as_json: bool, scale: float) -> None:
    """Measure descriptors per second against a C floor compiled and run beside it."""
    if not _mode.compiled():
        click.echo(f"hidma: the figures are of interpreted code: {_mode.why()}", err=True)
        scale = min(scale, 0.02)

    def say(text: str) -> None:
        click.echo(f"bench: {text}", err=True)

    rows = Bench(scale, say).all()
    if as_json:
        click.echo(json.dumps([asdict(r) for r in rows]))
    else:
        click.echo("\n".join(table(rows)))


if __name__ == "__main__":
    sys.exit(main(command=command, name="bench"))
