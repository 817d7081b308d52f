# SPDX-License-Identifier: GPL-2.0-only
"""A guest that writes anything anywhere: nothing is raised, nothing outside its domain is read or written."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hw_rig import RAM, Rig

from hidma.hw.events import EVENTS
from hidma.hw.smmu import READ, WRITE

OFFSETS = [
    0,
    0,
    0,
    0,
    4,
    8,
    8,
    0xC,
    0x10,
    0x10,
    0x18,
    0x20,
    0x28,
    0x100,
    0x108,
    0x108,
    0x110,
    0x400,
    0x400,
    0x400,
    0x400,
]
GUEST = 0x4000_0000


def value(rng: random.Random, offset: int) -> int:
    """A word that is likely to get somewhere."""
    if offset == 0:
        return rng.choice([1, 1, 1, 1, 2, 0, 9, rng.randrange(256)]) << 16
    if offset == 8:
        return rng.choice([GUEST, GUEST, GUEST + 0x2000, GUEST + 0x4000, rng.getrandbits(32)])
    if offset == 0xC:
        return rng.choice([0, 0, 0, 0, 0xFFFFFFFF, rng.getrandbits(32)])
    if offset == 0x10:
        return rng.choice([32, 64, 128, 256, 4096, 0x10000, 0xFFFFFFFF, rng.getrandbits(32)])
    if offset == 0x400:
        return rng.choice([32, 64, 96, 128, 16, 48, 0, rng.randrange(64) * 16, rng.getrandbits(32)])
    return rng.choice([0, 1, 0xFFFFFFFF, rng.getrandbits(32)])


def tre(rng: random.Random) -> list[int]:
    def address() -> list[int]:
        if rng.random() < 0.7:
            return [GUEST + rng.randrange(0x10000), 0]
        return [rng.getrandbits(32), rng.choice([0, 0, 1, 0xFFFF, 0xFFFFFFFF])]

    kind = rng.choice([3, 3, 3, 4, 4, rng.randrange(256)])
    channel = rng.choice([0, 0, 0, 0, 1])
    length = rng.choice([1, 64, 300, 4096, 5000, 20_000, 0, rng.getrandbits(32)])
    return [kind | channel << 8 | rng.getrandbits(1) << 16, length, *address(), *address(), 0, 0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("instant", [True, False])
def test_hostile_register_writes_stay_inside_the_domain(seed: int, instant: bool) -> None:
    rng = random.Random(seed)
    rig = Rig(channels=2, entries=64, instant=instant, share=1 << 18)
    guest, host = rig.pairs
    # the guest's 16 pages are every second page of the first half of RAM, one of them read-only, one missing
    domain = rig.smmu.domain("guest")
    mine = set()
    for page in range(16):
        if page == 9:
            continue
        prot = READ if page == 5 else READ | WRITE
        assert domain.map(GUEST + page * 4096, RAM + page * 8192, 4096, prot) == 0
        if prot & WRITE:
            mine.add(page * 2)
    guest.stream.attach(domain)
    host.up()
    secret = rng.randbytes(64)
    for page in range(1 << 6):
        if page * 4096 < 1 << 18 and page not in {p * 2 for p in range(16) if p != 9}:
            rig.memory.slice(RAM + page * 4096, 4096)[:] = secret * 64
    before = rig.bytes(RAM, 1 << 18)
    expected_host = 0
    for step in range(2500):
        offset = rng.choice(OFFSETS) if rng.random() < 0.95 else rng.randrange(0, 4096)
        block = guest.trca if rng.random() < 0.5 else guest.evca
        target = rig.bus.find(block)
        assert target is not None
        if rng.random() < 0.05:  # for once as a driver would do it
            for command in (9, 1):
                guest.command(command)
                rig.run(700)
                for base, ring, length in ((guest.trca, GUEST, 4096), (guest.evca, GUEST + 0x2000, 4096)):
                    rig.write(base + 8, ring)
                    rig.write(base + 0x10, length)
            for number in range(rng.randrange(1, 6)):
                rig.store(RAM + 32 * number, *tre(rng))
            guest.tw(0x400, 32 * rng.randrange(1, 6))
        if rng.random() < 0.1:
            page = rng.choice(sorted(mine))
            rig.store(RAM + page * 4096 + 32 * rng.randrange(128), *tre(rng))
        if rng.random() < 0.2:
            target.read32(offset)
        target.write32(offset, value(rng, offset))
        if rng.random() < 0.05:
            target.write_odd(offset, rng.choice([1, 2, 8]), rng.getrandbits(64))
        if rng.random() < 0.1:
            rig.run(rng.randrange(2000))
        if step % 50 == 0:
            host.copy(host.data + 4096, host.data, 64)
            host.ring()
            rig.run(20_000)
            expected_host += len(host.events())
    for page in range(1 << 6):
        if page not in mine:
            assert rig.bytes(RAM + page * 4096, 4096) == before[page * 4096 : page * 4096 + 4096], (
                f"seed {seed}, page {page}"
            )
    for page in mine:
        assert secret not in rig.bytes(RAM + page * 4096, 4096), f"seed {seed}, page {page}"
    assert expected_host == 50
    assert guest.model.tre_fetched > 20, "the guest should get somewhere"
    guest.stream.attach(domain)
    guest.reset()
    assert guest.states == (0, 0)
    assert guest.model.level == guest.line.level == 0


def test_hostile_values_in_the_management_block() -> None:
    rng = random.Random(5)
    rig = Rig(channels=3, entries=32, managed=True, instant=False)
    for p in rig.pairs:
        p.up()
    for _ in range(4000):
        offset = rng.choice(
            [0x300, 0x304, 0x308, 0x700, 0x704, 0x400, 0x418, 0x41C, 0x420, 0x424, rng.randrange(0x15000)]
        )
        target = rig.bus.find(rig.core.management.base)
        assert target is not None
        target.write32(offset, rng.choice([0, 1, 0x8100, 0xFFFFFFFF, rng.getrandbits(32)]))
        p = rng.choice(rig.pairs)
        if rng.random() < 0.3:
            p.copy(p.data + 0x8000, p.data, rng.randrange(1, 9000))
            p.ring()
        if rng.random() < 0.3:
            rig.run(rng.randrange(3000))
            p.events()
        if rng.random() < 0.05 and not 0 < rig.core.management.peek(0x418) & 0xFFFFF < 64:
            p.up()
    rig.mw(0x418, 0)
    rig.mw(0x400, 1)
    rig.mw(0x41C, 1024 << 16 | 1024)
    for p in rig.pairs:
        p.up()
        done = p.model.tre_done
        p.copy(p.data + 0x8000, p.data, 64)
        p.ring()
        rig.run(100_000)
        assert p.model.tre_done == done + 1


def test_every_event_of_a_trace_is_in_the_vocabulary() -> None:
    seen = set()
    rig = Rig(channels=2, entries=8, instant=False, traced=True)
    one, two = (p.up() for p in rig.pairs)
    rig.core.inject("irq-spurious;evre:code=4")
    one.command(2)
    one.command(1)
    one.ew(0x10, 32)
    one.command(0)
    one.command(1)
    for _ in range(3):
        one.copy(one.data, one.data + 64, 64)
    one.ring()
    two.copy(0x1000, two.data, 64)
    two.ring()
    rig.run(10_000)
    two.tw(0x400, 32)
    two.tw(0, 7 << 16)
    for _, event in rig.log:
        name, *rest = event
        assert len(rest) == len(EVENTS[name]), event
        seen.add(name)
    assert seen == set(EVENTS) - {"read"} | ({"read"} if "read" in seen else set())
    one.t(0)
    assert rig.log[-1][1] == ("read", "hidma.chan0.trca", 0, one.model.trca.peek(0))


def test_compiled_and_interpreted_runs_are_the_same_to_the_last_event() -> None:
    here = Path(__file__).parent
    found = set()
    for interpreted in ("0", "1"):
        environment = {**os.environ, "HIDMA_INTERPRETED": interpreted}
        environment["PYTHONPATH"] = os.pathsep.join([str(here), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", "import hw_rig; print(hw_rig.story())"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1
    assert int(found.pop().split()[0]) > 4000
