# SPDX-License-Identifier: GPL-2.0-only
"""``hidma qos``: priority and weight at work. Channels are kept saturated from the kernel's CPUs while sysfs writes change
their shares; bandwidth per channel over time is measured at the hardware and drawn.

A channel is kept saturated as a driver would do it: each completed copy submits the next one from its callback. A few
descriptors stay free, since V14 frees a descriptor only after its callback (row 17).
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import hidma
from hidma.commands.options import time_of
from hidma.commands.output import write_file
from hidma.hw.channel import Channel
from hidma.hw.clock import Event
from hidma.linux import sched
from hidma.linux.base import mount_root
from hidma.linux.dmaengine import (
    DMA_MEMCPY,
    DmaChan,
    dma_async_issue_pending,
    dma_request_channel,
    dmaengine_prep_dma_memcpy,
    dmaengine_submit,
)
from hidma.linux.errno import errname
from hidma.linux.kthread import kthread_run
from hidma.machine.boot import Machine

SPARE = 2
SETTING = re.compile(r"t=(\S+[nums]+)\s+chan(\d+)\s+(weight|priority)\s+(\S+)")
MEASUREMENTS = 100_000
LABEL = 130  # as wide as the label of a write may be, in the units of the drawing
COLOURS = ("#0b5c8a", "#c25a00", "#2e7d32", "#8e24aa", "#b71c1c", "#5d4037", "#00838f", "#9e9d24")


class QosError(ValueError):
    """A setting or a channel that cannot be used; the message is one sentence."""


def duration(text: str) -> int:
    """Nanoseconds of ``2ms``, ``500us``.

    :raises QosError: when it is no time
    """
    found = time_of(text)
    if not found or text.isdigit():
        raise QosError(f"{text!r} is no time; write 500us, 2ms or 1s")
    return found


@dataclass(frozen=True)
class Setting:
    """One sysfs write: at ``time`` ns, ``value`` to ``what`` of channel ``channel``."""

    time: int
    channel: int
    what: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Read ``t=2ms chan0 weight 15``.

        :raises QosError: when it is written otherwise
        """
        found = SETTING.fullmatch(text.strip())
        time = None if found is None else time_of(found[1])
        if found is None or time is None:
            raise QosError(f'{text!r} is no setting; write for example "t=2ms chan0 weight 15" or "t=4ms chan1 priority 1"')
        return cls(time, int(found[2]), found[3], found[4])


@dataclass
class Result:
    """What was measured: ``times`` are the ends of the intervals (ns since the start), ``moved`` bytes by channel and interval."""

    channels: list[int]
    interval: int
    times: list[int] = field(default_factory=list)
    moved: dict[int, list[int]] = field(default_factory=dict)
    settings: list[tuple[Setting, str]] = field(default_factory=list)

    def share(self, channel: int, start: int, end: int) -> float:
        """Share of ``channel`` of all bytes moved between two moments."""
        rows = [i for i, t in enumerate(self.times) if start < t <= end]
        total = sum(self.moved[c][i] for c in self.channels for i in rows)
        return sum(self.moved[channel][i] for i in rows) / total if total else 0.0

    def phases(self) -> list[tuple[int, int]]:
        """Start and end of the times between two changes."""
        marks = sorted({0, *(s.time for s, _ in self.settings), self.times[-1]})
        return list(zip(marks, marks[1:], strict=False))


class Meter(Event):
    """Reads the bytes that the hardware has moved, at times given beforehand; it needs no CPU."""

    def __init__(self, hw: dict[int, Channel], result: Result, start: int, ticks: list[int]) -> None:
        Event.__init__(self)
        self.hw = hw
        self.result = result
        self.start = start
        self.ticks = ticks
        self.clock = next(iter(hw.values())).clock
        self.before = {c: hw[c].bytes_moved for c in result.channels}
        self.clock.schedule(self, start + ticks[0])

    def fire(self) -> int:
        tick = self.ticks.pop(0)
        self.result.times.append(tick)
        for c in self.result.channels:
            now = self.hw[c].bytes_moved
            self.result.moved[c].append(now - self.before[c])
            self.before[c] = now
        if self.ticks:
            self.clock.schedule(self, self.start + self.ticks[0])
        return 0


class Saturator:
    """Keeps one channel busy: ``depth`` copies of ``length`` bytes in flight."""

    def __init__(self, machine: Machine, chan: DmaChan, length: int) -> None:
        self.chan = chan
        self.length = length
        self.src = machine.alloc(length).address
        self.dest = machine.alloc(length).address
        self.depth = chan.container.dmadev.nr_descriptors - SPARE
        self.stopped = False

    def submit(self) -> bool:
        tx = dmaengine_prep_dma_memcpy(self.chan, self.dest, self.src, self.length, 3)
        if tx is None:
            return False
        tx.callback = self.again
        tx.callback_param = None
        return dmaengine_submit(tx) > 0

    def again(self, _: Any) -> None:
        if not self.stopped and self.submit():
            dma_async_issue_pending(self.chan)

    def start(self, _: Any) -> int:
        """The thread that fills the ring."""
        for _i in range(self.depth):
            if not self.submit():
                return -12
        dma_async_issue_pending(self.chan)
        return 0


def measure(machine: Machine, channels: list[int], total: int, interval: int, settings: list[Setting],
            length: int = 1 << 20) -> Result:
    """Saturate ``channels`` for ``total`` ns and write ``settings`` when their time comes.

    :param machine: a machine with a management device
    :param channels: indexes in the core (what ``chid`` says)
    :param total: ns of virtual time
    :param interval: ns between two measurements
    :param settings: what to write
    :param length: bytes of a copy
    :raises QosError: a channel that is not there or busy, a time after the end
    """
    if total / interval > MEASUREMENTS:
        raise QosError(f"{total / 1e6:g}ms are {total // interval} intervals of {interval / 1e6:g}ms; "
                       f"{MEASUREMENTS} can be measured")
    hw = machine.cores[0].channels
    for setting in settings:
        if setting.time >= total:
            raise QosError(f"t={setting.time / 1e6:g}ms is not before the end, {total / 1e6:g}ms")
    for index in [*channels, *(s.channel for s in settings)]:
        if index not in hw:
            raise QosError(f"there is no channel {index}; there are {', '.join(str(i) for i in sorted(hw))}")
    result = Result(channels, interval, moved={c: [] for c in channels})
    with machine.running() as kernel:
        if not any(d.name.endswith("hidma-mgmt") or d.name.startswith("QCOM8060") for d in kernel.buses["platform"].devices):
            raise QosError("this board has no management device: weight and priority are set by the host")
        vfs = mount_root(kernel)
        busy = []
        for index in channels:
            chan = dma_request_channel(1 << DMA_MEMCPY, lambda c, _, i=index: c.container.dmadev.chidx == i)  # type: ignore[misc]
            if chan is None:
                raise QosError(f"channel {index} is in use or has no driver")
            busy.append(Saturator(machine, chan, length))
        for saturator in busy:
            kthread_run(saturator.start, None, f"qos/{saturator.chan.name}")
        start = machine.now
        todo = sorted(settings, key=lambda s: s.time)
        ticks = sorted({*range(interval, total + 1, interval), total, *(s.time for s in todo if s.time)})
        Meter(hw, result, start, ticks)
        for setting in todo:
            sched.schedule_timeout(max(0, start + setting.time - machine.now))
            result.settings.append((setting, write(vfs, setting)))
        sched.schedule_timeout(start + total + 1 - machine.now)
        for saturator in busy:
            saturator.stopped = True
    return result


def write(vfs: Any, setting: Setting) -> str:
    """Do one sysfs write; 'ok' or the errno that came back."""
    for device in vfs.listdir("/sys/bus/platform/drivers/hidma-mgmt"):
        path = f"/sys/bus/platform/drivers/hidma-mgmt/{device}/chanops/chan{setting.channel}/{setting.what}"
        if vfs.lookup(path)[0] == 0:
            rc = vfs.write(path, f"{setting.value}\n".encode())
            return "ok" if rc > 0 else errname(rc)
    return "ENOENT"


def svg(result: Result, width: int = 900, height: int = 420) -> str:
    """Bandwidth by channel over time, the writes marked."""
    left, right, top, bottom = 70, 110, 30, 50
    end = result.times[-1]
    rates: dict[int, list[tuple[float, float]]] = {}
    last = 0
    for i, t in enumerate(result.times):
        span = max(1, t - last)
        for c in result.channels:
            rates.setdefault(c, []).extend([(last, result.moved[c][i] / span), (t, result.moved[c][i] / span)])
        last = t
    peak = max((r for rows in rates.values() for _, r in rows), default=1.0) or 1.0

    def x(t: float) -> float:
        return left + (width - left - right) * t / end

    def y(rate: float) -> float:
        return height - bottom - (height - top - bottom) * rate / (peak * 1.05)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" '
        'role="img" aria-label="Bandwidth of each channel over time">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for rate in rounded(peak):
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 8}" y="{y(rate) + 4:.1f}" text-anchor="end" fill="#333333">{rate:g} GB/s</text>')
    out += [f'<text x="{x(moment * 1e6):.1f}" y="{height - bottom + 18}" text-anchor="middle" fill="#333333">{moment:g} ms</text>'
            for moment in rounded(end / 1e6)]
    lines: list[float] = []
    for setting, rc in result.settings:
        at = x(setting.time)
        # below the labels that reach here
        lines = [other for other in lines if at - other < LABEL]
        down = len(lines)
        lines.append(at)
        out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - bottom}" stroke="#777777" stroke-dasharray="4 3"/>')
        mark = "" if rc == "ok" else f" ({rc})"
        late = at > width - right - LABEL
        place, anchor = (at - 4, "end") if late else (at + 4, "start")
        out.append(f'<text x="{place:.1f}" y="{top + 12 + 14 * down}" text-anchor="{anchor}" fill="#444444">'
                   f"chan{setting.channel} {setting.what} {setting.value}{mark}</text>")
    for n, c in enumerate(result.channels):
        points = " ".join(f"{x(t):.1f},{y(r):.1f}" for t, r in rates[c])
        colour = COLOURS[n % len(COLOURS)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        out.append(f'<text x="{width - right + 10}" y="{top + 16 + 18 * n}" fill="{colour}">chan{c}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def rounded(end: float) -> list[float]:
    """Round numbers from 0 to ``end``, four to ten of them."""
    size = 10.0 ** math.floor(math.log10(end))
    step = next(size * part for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if end / (size * part) <= 8)
    return [float(f"{n * step:.6g}") for n in range(int(end / step + 1e-9) + 1)]


def table(result: Result) -> list[str]:
    """A line for each time between two changes: the share of each channel."""
    lines = ["      from         to" + "".join(f"{f'chan{c}':>9}" for c in result.channels) + "      GB/s"]

    def writes(moment: int) -> list[str]:
        return [f"  t={s.time / 1e6:g}ms chan{s.channel} {s.what} {s.value}: {rc}" for s, rc in result.settings if s.time == moment]

    lines += writes(0)
    for start, end in result.phases():
        rows = [i for i, t in enumerate(result.times) if start < t <= end]
        total = sum(result.moved[c][i] for c in result.channels for i in rows)
        shares = "".join(f"{100 * result.share(c, start, end):8.2f}%" for c in result.channels)
        lines.append(f"{start / 1e6:8.3f}ms {end / 1e6:8.3f}ms{shares}{total / max(1, end - start):10.2f}")
        lines += writes(end)
    return lines


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--board", default="host", show_default=True, help="A bundled board, a .dtb or .aml, a .dts or .asl.")
@click.option("--channels", default="0,1", show_default=True, help="Channels to keep busy, by chid.")
@click.option("--time", "total", default="6ms", show_default=True, help="How long, in virtual time.")
@click.option("--interval", default="100us", show_default=True, help="Time between two measurements.")
@click.option("--set", "sets", multiple=True, metavar="SETTING",
              help='A write: "t=2ms chan0 weight 15"; may be given several times.')
@click.option("--length", default=1 << 20, show_default=True, type=click.IntRange(1, 1 << 24), help="Bytes of a copy.")
@click.option("--seed", default=0, show_default=True, help="Order of CPUs whose time is the same.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def qos(board: str, channels: str, total: str, interval: str, sets: tuple[str, ...], length: int, seed: int, plot: Path | None,
        as_json: bool) -> None:
    """Show how weight and priority share the bus among busy channels, while they are changed through sysfs."""
    try:
        try:
            chosen = [int(c) for c in channels.split(",")]
        except ValueError:
            raise QosError(f"{channels!r} is no list of channels; write 0,1,2") from None
        if len(set(chosen)) != len(chosen):
            raise QosError(f"{channels!r} names a channel twice")
        settings = [Setting.parse(s) for s in sets]
        with hidma.boot(board, seed=seed) as machine:
            result = measure(machine, chosen, duration(total), duration(interval), settings, length)
    except QosError as error:
        raise click.UsageError(str(error)) from None
    except hidma.KernelOops:
        raise
    except OSError as error:
        click.echo(f"hidma qos: {error.strerror or error}", err=True)
        sys.exit(2)
    if plot is not None:
        try:
            write_file(plot, svg(result))
        except OSError as error:
            click.echo(f"hidma qos: {plot} cannot be written: {error.strerror}", err=True)
            sys.exit(2)
    if as_json:
        settled = [{"time_ns": s.time, "channel": s.channel, "what": s.what, "value": s.value, "result": rc}
                   for s, rc in result.settings]
        click.echo(json.dumps({"channels": chosen, "times_ns": result.times,
                               "bytes": {str(c): result.moved[c] for c in chosen}, "settings": settled}))
    else:
        click.echo("\n".join(table(result)))
    sys.exit(1 if any(rc != "ok" for _, rc in result.settings) else 0)
