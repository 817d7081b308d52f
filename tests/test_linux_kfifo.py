# SPDX-License-Identifier: GPL-2.0-only
"""FIFOs: sizes are powers of two, a full one refuses, indices run freely."""

from __future__ import annotations

import random
from collections import deque

import pytest
from linux_rig import Rig

from hidma.linux.errno import EINVAL, ENOMEM
from hidma.linux.kfifo import Kfifo, kfifo_alloc, kfifo_len, kfifo_out, kfifo_peek, kfifo_put, kfifo_size
from hidma.linux.sched import KernelOops


@pytest.mark.parametrize(("asked", "got"), [(2, 2), (3, 4), (4, 4), (5, 8), (88, 128), (1000, 1024)])
def test_a_size_is_rounded_up_to_a_power_of_two(rig: Rig, asked: int, got: int) -> None:
    fifo = Kfifo()
    assert kfifo_alloc(fifo, asked) == 0
    assert kfifo_size(fifo) == got
    assert kfifo_len(fifo) == 0


@pytest.mark.parametrize("asked", [0, 1])
def test_fewer_than_two_elements_are_refused(rig: Rig, asked: int) -> None:
    fifo = Kfifo()
    assert kfifo_alloc(fifo, asked) == -EINVAL
    assert kfifo_len(fifo) == 0
    assert kfifo_out(fifo) is None


def test_no_memory_leaves_an_empty_fifo(rig: Rig) -> None:
    rig.kernel.fault_inject.alloc_fails = 1
    fifo = Kfifo()
    assert kfifo_alloc(fifo, 8) == -ENOMEM
    assert kfifo_out(fifo) is None
    assert kfifo_alloc(fifo, 8) == 0
    assert kfifo_put(fifo, "x") == 1


def test_a_full_fifo_refuses_and_keeps_what_it_has(rig: Rig) -> None:
    fifo = Kfifo()
    kfifo_alloc(fifo, 4)
    assert [kfifo_put(fifo, i) for i in range(6)] == [1, 1, 1, 1, 0, 0]
    assert kfifo_len(fifo) == 4
    assert [kfifo_out(fifo) for _ in range(5)] == [0, 1, 2, 3, None]
    assert kfifo_put(fifo, 9) == 1
    assert kfifo_out(fifo) == 9


def test_indices_run_over_32_bits(rig: Rig) -> None:
    fifo = Kfifo()
    kfifo_alloc(fifo, 4)
    fifo.in_ = fifo.out = 0xFFFFFFFE
    assert [kfifo_put(fifo, i) for i in range(5)] == [1, 1, 1, 1, 0]
    assert fifo.in_ == 2
    assert kfifo_len(fifo) == 4
    assert [kfifo_out(fifo) for _ in range(5)] == [0, 1, 2, 3, None]


@pytest.mark.parametrize("seed", range(5))
def test_it_behaves_as_a_bounded_queue(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    fifo = Kfifo()
    kfifo_alloc(fifo, 16)
    fifo.in_ = fifo.out = rng.randrange(1 << 32)
    model: deque[int] = deque()
    for i in range(2000):
        if rng.random() < 0.5 + 0.3 * (i % 200 < 100) - 0.15:
            assert kfifo_put(fifo, i) == (len(model) < 16), f"seed {seed}"
            if len(model) < 16:
                model.append(i)
        else:
            assert kfifo_out(fifo) == (model.popleft() if model else None), f"seed {seed}"
        assert kfifo_len(fifo) == len(model)


def test_an_element_that_was_taken_is_held_until_its_slot_is_used_again(rig: Rig) -> None:
    import weakref

    class Thing:
        pass

    fifo = Kfifo()
    kfifo_alloc(fifo, 4)
    thing = Thing()
    ref = weakref.ref(thing)
    kfifo_put(fifo, thing)
    del thing
    assert ref() is not None
    assert kfifo_out(fifo) is ref()
    assert kfifo_peek(fifo) == [] and kfifo_out(fifo) is None
    for i in range(4):
        kfifo_put(fifo, i)
    assert ref() is None
    assert kfifo_peek(fifo) == [0, 1, 2, 3]


def test_a_fifo_that_was_not_allocated_is_an_oops(rig: Rig) -> None:
    fifo = Kfifo()
    assert kfifo_out(fifo) is None
    with pytest.raises(KernelOops, match="NULL pointer"):
        kfifo_put(fifo, 1)
