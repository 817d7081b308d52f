# SPDX-License-Identifier: GPL-2.0-only
"""A snapshot of a machine: registers, rings with their pointers, and the driver's state of each channel. It is taken in the thread
of the machine, and changes nothing there. It stands for no C file.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import Any

from hidma.commands.trace.events import Event, value_of
from hidma.hidma_h import TRE_SIZE, HidmaDev, HidmaLldev
from hidma.hw import registers
from hidma.hw.registers import Register
from hidma.linux import io, sched
from hidma.linux.kfifo import kfifo_peek, kfifo_size
from hidma.linux.mm import load_u32
from hidma.ll import EVRE_SIZE

BLOCKS: dict[str, tuple[str, tuple[Register, ...]]] = {"trca": ("TRCA", registers.TRCA), "evca": ("EVCA", registers.EVCA)}


@dataclass
class Slot:
    """One entry of a ring.

    :ivar words: its words
    :ivar marks: the pointers that stand at it
    """

    index: int
    words: tuple[int, ...]
    marks: tuple[str, ...] = ()
    text: str = ""


@dataclass
class ChannelState:
    """One channel.

    :ivar registers: by name
    :ivar tre: the TRE ring, as the driver sees it; empty before it is allocated
    :ivar evre: the EVRE ring
    :ivar driver: the driver's state of the channel, name to text
    """

    name: str
    registers: dict[str, int] = field(default_factory=dict)
    tre: list[Slot] = field(default_factory=list)
    evre: list[Slot] = field(default_factory=list)
    driver: dict[str, str] = field(default_factory=dict)


@dataclass
class State:
    """All channels, by name, and CPUs: context and the work that is pending for each."""

    channels: dict[str, ChannelState] = field(default_factory=dict)
    cpus: list[str] = field(default_factory=list)


class Driver:
    """Finds the driver's objects of the machine that is run: those that came after this was made."""

    #: Functions in or before which such objects come and go.
    MAKERS = frozenset(("hidma_probe", "hidma_ll_init", "hidma_ll_setup", "hidma_chan_init", "hidma_remove"))

    def __init__(self) -> None:
        self.old = {id(thing): thing for thing in self._all()}
        self.stale = True
        self.lldevs: list[HidmaLldev] = []
        self.devices: list[HidmaDev] = []

    @staticmethod
    def _all() -> list[Any]:
        return [thing for thing in gc.get_objects() if type(thing) is HidmaLldev or type(thing) is HidmaDev]

    def happened(self, event: Event) -> None:
        """An event, after which the objects may be others."""
        if event.kind == "function" and event.data["function"] in self.MAKERS:
            self.stale = True

    def found(self) -> tuple[list[HidmaLldev], list[HidmaDev]]:
        if self.stale:
            things = [thing for thing in self._all() if id(thing) not in self.old]
            self.lldevs = [t for t in things if type(t) is HidmaLldev]
            self.devices = [t for t in things if type(t) is HidmaDev]
            self.stale = False
        return self.lldevs, self.devices


def snapshot(driver: Driver) -> State:
    """The state now. To be called in the machine's thread."""
    cpu: Any = sched.running_cpu()
    if cpu is None:
        return State()
    kernel = cpu.kernel
    state = State(cpus=[_cpu(each) for each in kernel.cpus])
    blocks: dict[int, str] = {}
    for block in kernel.bus.blocks:
        above, _, last = block.name.rpartition(".")
        if last not in BLOCKS:
            continue
        prefix, rows = BLOCKS[last]
        name = above or "channel"
        channel = state.channels.setdefault(name, ChannelState(name))
        blocks[id(block)] = name
        scripted = getattr(block, "regs", None)
        for row in rows:
            value = block.peek(row.offset) if scripted is None else scripted.get(row.offset, 0)
            channel.registers[f"{prefix}_{row.name}"] = int(value)
    lldevs, devices = driver.found()
    for lldev in lldevs:
        window = io.window_of(cpu, lldev.trca) if lldev.trca else None
        name = blocks.get(id(window.block), "") if window is not None else ""
        if name:
            _lldev(state.channels[name], lldev, kernel)
    for device in devices:
        window = io.window_of(cpu, device.dev_trca) if device.dev_trca else None
        name = blocks.get(id(window.block), "") if window is not None else ""
        if name:
            _device(state.channels[name], device)
    state.channels = dict(sorted(state.channels.items(), key=lambda item: (len(item[0]), item[0])))
    return state


def _cpu(cpu: Any) -> str:
    context = "hardirq" if cpu.hardirq else "softirq" if cpu.softirq else "task"
    parts = [f"cpu{cpu.number} {context}"]
    if cpu.irqs_off:
        parts.append("irqs off")
    if cpu.npending:
        parts.append(f"{cpu.npending} interrupt{'s' if cpu.npending > 1 else ''} waiting")
    if cpu.softirq_pending:
        parts.append("a tasklet waits")
    return ", ".join(parts)


def _lldev(channel: ChannelState, lldev: HidmaLldev, kernel: Any) -> None:
    d, regs = channel.driver, channel.registers
    if lldev.tre_ring and lldev.tre_ring_size:
        marks = {"READ_PTR": regs.get("TRCA_READ_PTR", 0), "WRITE_PTR": regs.get("TRCA_WRITE_PTR", 0),
                 "DOORBELL": regs.get("TRCA_DOORBELL", 0), "tre_write_offset": lldev.tre_write_offset,
                 "tre_processed_off": lldev.tre_processed_off}
        channel.tre = _ring(lldev.tre_ring, lldev.tre_ring_size, TRE_SIZE, marks)
        for slot in channel.tre:
            w = slot.words
            if any(w):
                slot.text = f"{w[1]} bytes {w[2] | w[3] << 32:#x} -> {w[4] | w[5] << 32:#x}"
    if lldev.evre_ring and lldev.evre_ring_size:
        marks = {"WRITE_PTR": regs.get("EVCA_WRITE_PTR", 0), "READ_PTR": regs.get("EVCA_READ_PTR", 0),
                 "evre_processed_off": lldev.evre_processed_off}
        channel.evre = _ring(lldev.evre_ring, lldev.evre_ring_size, EVRE_SIZE, marks)
        for slot in channel.evre:
            w = slot.words
            if any(w):
                slot.text = f"code {w[0] >> 28}, info {w[0] >> 24 & 15:#x}, {w[1]} bytes"
    pending = [(n, tre.idx) for n, tre in enumerate(lldev.pending_tre_list or ()) if tre is not None]
    d["pending_tre_count"] = str(lldev.pending_tre_count)
    d["pending_tre_list"] = ", ".join(f"[{slot}] TRE {idx}" for slot, idx in pending) or "empty"
    fifo = lldev.handoff_fifo
    if fifo is not None and fifo.size:
        waiting = kfifo_peek(fifo)
        names = ", ".join(f"TRE {tre.idx}" for tre in waiting if tre is not None)
        d["handoff_fifo"] = f"{len(waiting)} of {kfifo_size(fifo)}" + (f": {names}" if names else "")
    d["tasklet"] = "runs" if lldev.task.running else "scheduled" if lldev.task.state else "idle"
    d["trch_state, evch_state"] = f"{value_of('state', lldev.trch_state)}, {value_of('state', lldev.evch_state)}"
    status, enable = regs.get("EVCA_IRQ_STAT", 0), regs.get("EVCA_IRQ_EN", 0)
    d["interrupt"] = f"IRQ_STAT & IRQ_EN = {status & enable:#x}"
    for desc in kernel.gic.descs.values():
        if any(action.dev_id is lldev for action in desc.actions):
            level = desc.line.level if desc.line is not None else 0
            d["interrupt"] += (f", irq {desc.irq}: line {'up' if level else 'down'}"
                               + (", waits" if desc.pending else "") + (", in its handler" if desc.in_progress else "")
                               + (", masked" if desc.depth else ""))


def _ring(base: int, size: int, step: int, marks: dict[str, int]) -> list[Slot]:
    slots = []
    for index in range(size // step):
        at = index * step
        try:
            words = tuple(load_u32(base + at, word) for word in range(step // 4))
        except Exception:  # V14's rings may reach past their memory (row 39)
            words = ()
        slots.append(Slot(index, words, tuple(name for name, value in marks.items() if value == at)))
    return slots


def _list(head: Any) -> str:
    numbers: list[str] = []
    node = head.next
    while node is not None and node is not head and len(numbers) < 100:
        container = getattr(node, "owner", None)
        numbers.append(str(container.tre_ch) if container is not None and hasattr(container, "tre_ch") else "?")
        node = node.next
    return " ".join(numbers) or "empty"


def _device(channel: ChannelState, device: HidmaDev) -> None:
    d = channel.driver
    head = device.ddev.channels
    node = head.next
    while node is not None and node is not head:
        chan = getattr(node, "owner", None)
        mchan = getattr(chan, "container", None)
        if chan is not None and mchan is not None and hasattr(mchan, "prepared"):
            for name in ("free", "prepared", "active", "completed"):
                d[name] = _list(getattr(mchan, name))
            running = mchan.running
            d["running"] = "none" if running is None else f"TRE {getattr(running, 'tre_ch', '?')}"
            d["paused"] = "yes" if mchan.paused else "no"
            d["cookies"] = f"last {chan.cookie}, completed {chan.completed_cookie}"
        node = node.next
    power = getattr(device.ddev.dev, "power", None)
    if power is not None:
        d["runtime PM usage"] = str(power.usage_count)


def changes(before: State, now: State, channel: str) -> list[tuple[str, int, int]]:
    """Registers of a channel that are not as they were: name, before, now."""
    old = before.channels.get(channel)
    new = now.channels.get(channel)
    if old is None or new is None:
        return []
    return [(name, old.registers.get(name, 0), value) for name, value in new.registers.items()
            if old.registers.get(name, 0) != value]
