# SPDX-License-Identifier: GPL-2.0-only
"""The scripted device: registers that store, a CTRLSTS that changes state after a number of reads, and hooks."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from hidma.hw.bus import Block, Bus
from hidma.hw.clock import Clock
from hidma.hw.memory import Memory
from hidma.hw.trace import Trace
from hidma.linux.dma_mapping import DmaOps
from hidma.linux.mm import PAGE_OFFSET

CTRLSTS = 0
COMMANDS = {"DISABLE": 0, "ENABLE": 1, "SUSPEND": 2, "RESET": 9}
NEXT_STATE = {0: 0, 1: 1, 2: 3, 9: 0}
PAGE = 4096
RAM = 64 << 20
SLACK = 32  # a ring that had to be aligned reaches up to 26 bytes past its memory
MOST = 1 << 20  # completions of one step


class ScenarioError(ValueError):
    """A scenario that cannot be run; the message says what is wrong with it."""


def number(value: Any) -> int:
    """A number of a scenario: an integer, or a string in Python notation.

    :raises ScenarioError: when it is neither
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            pass
    raise ScenarioError(f"{shown(value)} is not a number")


def u8(value: Any) -> int:
    return number(value) & 0xFF


def u32(value: Any) -> int:
    return number(value) & 0xFFFFFFFF


def u64(value: Any) -> int:
    return number(value) & 0xFFFFFFFFFFFFFFFF


def s32(value: Any) -> int:
    """The number ``value`` as C stores it in an int."""
    return (number(value) + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def duration(value: Any) -> int:
    """A span of virtual time, not negative and not beyond all clocks."""
    span = number(value)
    if not 0 <= span < 1 << 48:
        raise ScenarioError(f"{shown(value)} is no span of time")
    return span


def table(value: Any, what: str) -> dict[str, Any]:
    """``value``, an object with string keys; nothing at all stands for an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ScenarioError(f"{what} is an object, not {shown(value)}")
    return value


def rows(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ScenarioError(f"{what} is a list, not {shown(value)}")
    return value


def shown(value: Any) -> str:
    """``value`` in a message, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


class ScriptedBlock(Block):
    """One block of the scripted device."""

    def __init__(self, name: str, base: int, size: int, device: ScriptedDevice) -> None:
        super().__init__(name, base, size)
        self.device = device
        self.regs: dict[int, int] = {}
        self.latency: dict[int, int] = {}
        self.waiting: tuple[int, int] | None = None
        self.hooks: list[list[Any]] = []

    def read32(self, offset: int) -> int:
        if offset == CTRLSTS and self.name != "mgmt" and self.waiting is not None:
            left, state = self.waiting
            if left == 0:
                self.waiting = None
                self.regs[CTRLSTS] = (self.regs.get(CTRLSTS, 0) & ~0xFF00) | state << 8
            elif left > 0:
                self.waiting = (left - 1, state)
        value = self.regs.get(offset, 0)
        self.after("r", offset, value)
        return value

    def write32(self, offset: int, value: int) -> int:
        value &= 0xFFFFFFFF
        if offset == CTRLSTS and self.name != "mgmt":
            command = value >> 16 & 0xFF
            self.regs[CTRLSTS] = (self.regs.get(CTRLSTS, 0) & ~0xFF0000) | command << 16
            self.waiting = None
            if command in NEXT_STATE:
                left = self.latency.get(command, 0)
                if left >= 0:
                    self.waiting = (left, NEXT_STATE[command])
            if command == 9 and self.device.reset_ptrs:
                self.regs[0x18] = 0
                self.regs[0x20] = 0
        elif self.name == "evca" and offset == 0x108:
            self.regs[0x100] = self.regs.get(0x100, 0) & ~value
        else:
            self.regs[offset] = value
        self.after("w", offset, value)
        return 0

    def read_odd(self, offset: int, width: int) -> int:
        value = self.regs.get(offset & ~3, 0) >> 8 * (offset & 3) & ((1 << 8 * width) - 1)
        self.after(f"r{8 * width}", offset, value)
        return value

    def write_odd(self, offset: int, width: int, value: int) -> int:
        shift, mask = 8 * (offset & 3), (1 << 8 * width) - 1
        self.regs[offset & ~3] = self.regs.get(offset & ~3, 0) & ~(mask << shift) | (value & mask) << shift
        self.after(f"w{8 * width}", offset, value)
        return 0

    def after(self, kind: str, offset: int, value: int) -> None:
        """The order of one access: event, time, hooks."""
        self.device.event([kind, self.name, offset, value])
        if self.device.access_ns:
            self.device.clock.tick(self.device.access_ns)
        for hook in [h for h in self.hooks if h[0] == kind and h[1] == offset]:
            hook[2] -= 1
            if hook[2] == 0:
                self.hooks.remove(hook)
                self.device.run_steps(hook[3])


#: What the page allocator gives at once: 2^(MAX_ORDER - 1) pages.
MOST_COHERENT = 4 << 20


class Answers(DmaOps):
    """Coherent memory as the scenario hands it out: each answer is a bus address, None lets the allocation fail."""

    def __init__(self, memory: Memory, answers: list[Any]) -> None:
        super().__init__(memory)
        self.answers = list(answers)
        self.blocks: list[tuple[int, int, int]] = []
        self.next = PAGE

    def supported(self, dev: Any, mask: int) -> bool:
        return True

    def alloc(self, dev: Any, size: int) -> tuple[int, int]:
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or size > MOST_COHERENT:
            return 0, 0
        handle = u64(answer)
        # address and handle are congruent modulo a page; a page of slack, since a misaligned ring leaves its memory
        start = self.next + handle % PAGE
        self.next = (start + size + 2 * PAGE - 1) // PAGE * PAGE
        if self.next > self.memory.size:
            return 0, 0
        self.blocks.append((handle, size, start))
        return PAGE_OFFSET + start, handle

    def free(self, dev: Any, size: int, vaddr: int, handle: int) -> None:
        """The memory stays readable for the rest of the scenario."""

    def find(self, handle: int, count: int) -> int | None:
        """Offset in the memory of ``count`` bytes at bus address ``handle``, handed out or just behind."""
        for slack in (0, SLACK):
            for first, size, start in reversed(self.blocks):
                if first <= handle and handle + count <= first + size + slack:
                    return start + handle - first
        return None


class ScriptedDevice:
    """The device of one scenario, and the bus that the kernel of the replay is bound to."""

    def __init__(self, scenario: dict[str, Any], event: Callable[[list[Any]], None],
                 run_steps: Callable[[list[Any]], None], resources: list[tuple[str, int, int]]) -> None:
        spec = table(scenario.get("device"), "device")
        self.event = event
        self.run_steps = run_steps
        self.clock = Clock()
        self.access_ns = duration(spec.get("access_ns", 0))
        self.reset_ptrs = bool(spec.get("reset_ptrs", False))
        self.memory = Memory(0, RAM)
        self.dma = Answers(self.memory, rows(scenario.get("coherent") or [], "coherent"))
        self.bus = Bus(self.clock, self.memory, Trace(self.clock))
        self.blocks: dict[str, ScriptedBlock] = {}
        for name, start, size in resources:
            block = ScriptedBlock(name, start, max(size, 1), self)
            self.blocks[name] = block
            self.bus.blocks.append(block)
        for name in ("trca", "evca", "mgmt"):
            if name not in self.blocks:
                self.blocks[name] = ScriptedBlock(name, 0, 0, self)
        for name, regs in table(spec.get("regs"), "device.regs").items():
            for offset, value in table(regs, f"device.regs.{name}").items():
                self.block(name).regs[u32(offset)] = u32(value)
        for name, commands in table(spec.get("latency"), "device.latency").items():
            for command, count in table(commands, f"device.latency.{name}").items():
                self.set_latency(name, command, count)

    def block(self, name: Any) -> ScriptedBlock:
        """The block called ``name``.

        :raises ScenarioError: when there is none
        """
        if not isinstance(name, str) or name not in self.blocks:
            raise ScenarioError(f"{shown(name)} is not one of the blocks {', '.join(self.blocks)}")
        return self.blocks[name]

    def set_latency(self, name: Any, command: Any, count: Any) -> None:
        """After how many further reads a command to block ``name`` shows."""
        if not isinstance(command, str) or command not in COMMANDS:
            raise ScenarioError(f"{shown(command)} is not one of the commands {', '.join(COMMANDS)}")
        self.block(name).latency[COMMANDS[command]] = number(count)

    def ring_base(self, block: str) -> int:
        """Bus address of the ring in the registers of ``block``."""
        regs = self.blocks[block].regs
        return regs.get(0x0C, 0) << 32 | regs.get(0x08, 0)

    def read_words(self, handle: int, count: int) -> list[int] | None:
        """``count`` words at a bus address; None where nothing was handed out."""
        at = self.dma.find(handle, 4 * count)
        return None if at is None else list(struct.unpack_from(f"<{count}I", self.memory.view, at))

    def complete(self, n: int, code: int, info: int) -> None:
        """Write ``n`` EVREs for the next TREs and raise the cause."""
        if n > MOST:
            raise ScenarioError(f"{n} completions are more than {MOST}")
        trca, evca = self.blocks["trca"].regs, self.blocks["evca"].regs
        for _ in range(n):
            words = self.read_words(self.ring_base("trca") + trca.get(0x18, 0), 8) or [0] * 8
            at = self.dma.find(self.ring_base("evca") + evca.get(0x20, 0), 16)
            if at is not None:
                struct.pack_into("<4I", self.memory.view, at, 0x23 | (info & 15) << 24 | (code & 15) << 28,
                                 words[1], words[4], words[5])
            trca[0x18] = (trca.get(0x18, 0) + 32) % (trca.get(0x10, 0) or 1)
            evca[0x20] = (evca.get(0x20, 0) + 16) % (evca.get(0x10, 0) or 1)
        evca[0x100] = evca.get(0x100, 0) | 1
