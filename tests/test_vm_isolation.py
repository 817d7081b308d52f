# SPDX-License-Identifier: GPL-2.0-only
"""Isolation: a guest that writes anything to any register of its channel, and any TRE, at any time, reaches what it mapped and
nothing else, and takes no more than its share. The normal run makes 20,000 register writes, the long one 1,000,000 (a tenth of that
where nothing is compiled)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import hidma
from hidma import vm
from hidma.hw.registers import (
    CTRLSTS,
    DOORBELL,
    INTCTRL,
    IRQ_CLR,
    IRQ_EN,
    PAGE,
    RING_HIGH,
    RING_LEN,
    RING_LOW,
    TRE_SIZE,
)
from hidma.linux import io
from hidma.linux.interrupt import request_irq
from hidma.linux.kthread import kthread_run, kthread_should_stop, kthread_stop
from hidma.machine import _mode

MEMORY = 2 << 20
RAM = 0x4000_0000
TRCA, EVCA = 0x0C00_0000, 0x0C00_1000
IRQ = 144
SECRET = b"the host's own, and nobody else's"
NORMAL = 20_000
LONG = 1_000_000 if _mode.compiled() else 20_000
COPY = 0x4000
GRANT_NS = 5_000


@dataclass
class Attack:
    """What a hostile guest has done."""

    seed: int
    writes: int = 0
    reads: int = 0
    tres: int = 0
    interrupts: int = 0
    task: Any = field(default=None, repr=False)
    alone: list[int] = field(default_factory=list)
    longest: list[int] = field(default_factory=list)


def address(rng: random.Random) -> int:
    """A bus address: in its own memory, just beside it, in the host's, or anywhere."""
    kind = rng.random()
    if kind < 0.5:
        return RAM + rng.randrange(MEMORY)
    if kind < 0.6:
        return RAM + MEMORY + rng.randrange(-64, 4096)
    if kind < 0.8:
        return 0x8000_0000 + rng.randrange(0x1000_0000)
    return rng.getrandbits(rng.choice((32, 40, 48, 49, 64)))


def tre(rng: random.Random) -> bytes:
    """A descriptor, good or bad."""
    source, dest = address(rng), address(rng)
    words = [rng.choice((3, 3, 3, 4, 0, rng.getrandbits(8))) | rng.choice((1 << 16, 0)) | rng.choice((0, 1, 2)) << 8,
             rng.choice((0, 1, 64, 4096, 0x10000, rng.getrandbits(16), rng.getrandbits(32) & 0xFFFFF, rng.getrandbits(32))),
             source & 0xFFFFFFFF, source >> 32, dest & 0xFFFFFFFF, dest >> 32, rng.getrandbits(32), rng.getrandbits(32)]
    return b"".join(word.to_bytes(4, "little") for word in words)


def hostile(guest: vm.Guest, attack: Attack, writes: int) -> None:
    """Let the guest attack, in a thread of its own kernel."""
    rng = random.Random(attack.seed)

    def handler(irq: int, dev: object) -> int:
        attack.interrupts += 1
        if rng.random() < 0.7:
            io.writel(0xFFFFFFFF, pages[1] + IRQ_CLR)
        return 1

    def sane() -> None:
        """Rings in its memory, both sides enabled: now and then it has to be able to do harm."""
        for page, base, length in ((pages[0], RAM, TRE_SIZE * 32), (pages[1], RAM + 0x1000, 16 * 64)):
            io.writel(9 << 16, page + CTRLSTS)
            for _ in range(10):
                io.readl(page + CTRLSTS)
            io.writel(base, page + RING_LOW)
            io.writel(0, page + RING_HIGH)
            io.writel(length, page + RING_LEN)
        io.writel(1, pages[1] + INTCTRL)
        io.writel(0x4E03, pages[1] + IRQ_EN)
        io.writel(1 << 16, pages[1] + CTRLSTS)
        io.writel(1 << 16, pages[0] + CTRLSTS)
        attack.writes += 12
        attack.reads += 20

    def run(_: object) -> int:
        view = guest.ram
        while attack.writes < writes and not kthread_should_stop():
            kind = rng.random()
            page = pages[rng.random() < 0.4]
            if kind < 0.02:
                sane()
                continue
            if kind < 0.3:
                at = TRE_SIZE * rng.randrange(32)
                view[at : at + TRE_SIZE] = tre(rng)
                attack.tres += 1
            if kind < 0.45:
                value = rng.choice((0, 32, 64, 320, 1024, rng.getrandbits(10), rng.getrandbits(32)))
                io.writel(value, page + DOORBELL)
            elif kind < 0.6:
                io.writel(rng.choice((0, 1, 2, 9, rng.getrandbits(8))) << 16 | rng.getrandbits(16), page + CTRLSTS)
            elif kind < 0.75:
                offset = rng.choice((RING_LOW, RING_HIGH, RING_LEN, INTCTRL, IRQ_EN, IRQ_CLR))
                io.writel(rng.choice((0, 1, RAM, address(rng) & 0xFFFFFFFF, rng.getrandbits(32))), page + offset)
            else:
                io.writel(rng.getrandbits(32), page + 4 * rng.randrange(PAGE // 4))
            attack.writes += 1
            if rng.random() < 0.1:
                io.readl(page + 4 * rng.randrange(PAGE // 4))
                attack.reads += 1
        return 0

    with guest.calling():
        pages = [io.ioremap(TRCA, PAGE), io.ioremap(EVCA, PAGE)]
        assert all(pages)
        assert request_irq(IRQ, handler, 0, "hostile", attack) == 0
        attack.task = kthread_run(run, None, "hostile")


@contextmanager
def attacked(seed: int, writes: int, alone: list[int] | None = None) -> Iterator[tuple[hidma.Machine, vm.Guest, Attack]]:
    """A host with a hostile guest on its second channel, secrets in its RAM; for ``alone``, a guest on
    the first, and how long copies of it and of the host take before the attack."""
    with hidma.boot() as machine:
        vm.assign(machine, "hidma.0")
        vm.assign(machine, "hidma.1")
        if alone is not None:
            victim = vm.Guest(machine, memory=MEMORY, channels=["hidma.0"], name="victim")
            for each in (victim, machine):
                chan = each.dma.request_channel()
                alone.append(max(one_copy(each, chan, number) for number in range(20)))
        attacker = vm.Guest(machine, memory=MEMORY, channels=["hidma.1"], name="hostile", modules=False)
        attack = Attack(seed)
        secret = machine.alloc(0x10000)
        secret[:] = (SECRET * (0x10000 // len(SECRET) + 1))[:0x10000]
        hostile(attacker, attack, writes)
        yield machine, attacker, attack
        if not attacker.closed:
            with attacker.calling():
                kthread_stop(attack.task)


def outside(machine: hidma.Machine, guests: list[vm.Guest]) -> bytes:
    """All RAM of the host but that of these guests."""
    ram = bytearray(machine.memory.view)
    for guest in guests:
        (_, phys), = guest.hypervisor.memory
        at = phys - machine.memory.base
        ram[at : at + len(guest.ram)] = bytes(len(guest.ram))
    return bytes(ram)


def finish(machine: hidma.Machine, attack: Attack, writes: int) -> None:
    """Let the attack come to its end."""
    for _ in range(100_000):
        if attack.writes >= writes:
            break
        machine.run(1_000_000)
    machine.run(10_000_000)
    assert attack.writes >= writes, attack


def reaches_nothing(seed: int, writes: int) -> Attack:
    """A hostile guest alone: not a byte of the host's RAM changes, none comes to it."""
    with attacked(seed, writes) as (machine, attacker, attack):
        before = outside(machine, [attacker])
        finish(machine, attack, writes)
        assert outside(machine, [attacker]) == before, attack
        assert SECRET not in bytes(attacker.ram), attack
        assert machine.kernel.dead is None and attacker.kernel.dead is None
        assert attacker.exits == 0
        hardware = machine.registers[0x5C060000]
        assert hardware.stream.faults > writes // 2000, "it has not even tried"
        return attack


def one_copy(machine: hidma.Machine, chan: Any, number: int) -> int:
    """A copy of 16 KiB, whose data are looked at; how long it took, ns."""
    source, dest = machine.alloc(COPY), machine.alloc(COPY)
    pattern = number.to_bytes(4, "little")
    source[:] = pattern * (COPY // 4)
    begun = machine.now
    chan.memcpy(dest.address, source.address, COPY).wait()
    took = machine.now - begun
    assert bytes(dest[:]) == pattern * (COPY // 4)
    source.free()
    dest.free()
    return took


def others_go_on(seed: int, writes: int) -> Attack:
    """Another guest and the host copy meanwhile: their data are right, and none of them waits longer than its share allows."""
    alone: list[int] = []
    with attacked(seed, writes, alone) as (machine, attacker, attack):
        pair = [(each, next(iter(each.dma.requested))) for each in (machine.guests[0], machine)]
        longest = [0, 0]
        number = 0
        while attack.writes < writes:
            for index, (each, chan) in enumerate(pair):
                longest[index] = max(longest[index], one_copy(each, chan, number))
            number += 1
        assert number > writes // 500, "the others hardly ran"
        assert SECRET not in bytes(attacker.ram), attack
        assert machine.kernel.dead is None and machine.guests[0].kernel.dead is None
        # one in three is the share of each: a copy takes three times as long at most, and waits for a grant and an interrupt
        for took, unhindered in zip(longest, alone, strict=True):
            assert took <= 3 * unhindered + GRANT_NS, (longest, alone, attack)
        attack.longest = longest
        attack.alone = alone
        return attack


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_guest_reaches_nothing_beyond_its_memory(seed: int) -> None:
    attack = reaches_nothing(seed, NORMAL)
    assert attack.tres > NORMAL // 10 and attack.interrupts > 0


def test_hostile_guest_does_not_stop_the_others() -> None:
    others_go_on(3, NORMAL)


def test_channel_of_a_hostile_guest_serves_the_next_one() -> None:
    with attacked(4, 5_000) as (machine, attacker, attack):
        finish(machine, attack, 5_000)
        attacker.kill()
        with vm.Guest(machine, memory=MEMORY, channels=["hidma.1"], name="next") as guest:
            chan = guest.dma.request_channel()
            source, dest = guest.alloc(4096), guest.alloc(4096)
            source[:] = b"next" * 1024
            chan.memcpy(dest, source, 4096).wait()
            assert bytes(dest[:]) == b"next" * 1024


def test_guest_that_saturates_the_bus_gets_its_weight() -> None:
    with hidma.boot() as machine:
        guests = []
        for number in range(2):
            vm.assign(machine, f"hidma.{number}")
            guests.append(vm.Guest(machine, memory=4 << 20, channels=[f"hidma.{number}"], name=f"guest{number}"))
        bursts: list[tuple[int, str, int]] = []
        machine.watch(lambda event: bursts.append((event[8], event[1], event[5])) if event[0] == "burst" else None)
        work = []
        for guest in guests:
            chan = guest.dma.request_channel()
            buffer = guest.alloc(0x100000)
            work += [chan.memcpy(buffer.address, buffer.address + 0x80000, 0x80000) for _ in range(5)]
        for transfer in work:
            transfer.wait()
        machine.watch(None)
        names = sorted({name for _, name, _ in bursts})
        spans = [[time for time, name, _ in bursts if name == each] for each in names]
        both = max(span[0] for span in spans), min(span[-1] for span in spans)
        moved = [sum(size for time, name, size in bursts if name == each and both[0] <= time <= both[1]) for each in names]
        assert moved[0] / moved[1] == pytest.approx(1, rel=0.1)


@pytest.mark.slow
def test_long_run_of_hostile_writes() -> None:
    reached = reaches_nothing(5, LONG // 2)
    went_on = others_go_on(6, LONG - LONG // 2)
    assert reached.writes + went_on.writes >= LONG
    print(reached, went_on)
