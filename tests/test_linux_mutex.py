# SPDX-License-Identifier: GPL-2.0-only
"""Mutexes: who waits sleeps, in order; who would wait for ever is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from linux_rig import Rig

from hidma.linux import sched
from hidma.linux.kthread import kthread_run
from hidma.linux.mutex import DEFINE_MUTEX, Mutex, mutex_init, mutex_lock, mutex_unlock
from hidma.linux.sched import KernelOops


def test_waiters_take_turns(linux_rig: Callable[..., Rig]) -> None:
    linux_rig(cpus=3)
    lock = Mutex("m")
    order: list[str] = []

    def worker(name: str) -> int:
        mutex_lock(lock)
        order.append(f"{name} in")
        sched.schedule_timeout(1000)
        order.append(f"{name} out")
        mutex_unlock(lock)
        return 0

    mutex_lock(lock)
    for name in ("a", "b"):
        kthread_run(worker, name, name)
        sched.schedule_timeout(100)
    assert order == []
    mutex_unlock(lock)
    sched.schedule_timeout(10_000)
    assert order == ["a in", "a out", "b in", "b out"]


def test_taking_it_twice_is_an_oops(rig: Rig) -> None:
    lock = Mutex("m")
    mutex_lock(lock)
    with pytest.raises(KernelOops, match="recursive locking"):
        mutex_lock(lock)


def test_waiting_for_one_that_never_comes_is_an_oops(linux_rig: Callable[..., Rig]) -> None:
    linux_rig(cpus=2)
    lock = Mutex("m")

    def keeper(_: object) -> int:
        mutex_lock(lock)
        return 0

    kthread_run(keeper, None, "keeper")
    sched.schedule_timeout(100)
    with pytest.raises(KernelOops, match="blocked for ever on m, held by keeper"):
        mutex_lock(lock)


def test_releasing_one_of_somebody_else_is_complained_about(rig: Rig) -> None:
    lock = Mutex("m")
    mutex_unlock(lock)
    assert rig.log() == ["WARNING: mutex_unlock: m is not held by init"]


def test_taking_it_in_an_atomic_section_is_complained_about(rig: Rig) -> None:
    sched.running_cpu().irqs_off = 1
    mutex_lock(Mutex("m"))
    sched.running_cpu().irqs_off = 0
    assert "sleeping function called from invalid context: mutex_lock" in rig.log()[0]


def test_file_scope_mutex_is_the_kernels(rig: Rig) -> None:
    assert DEFINE_MUTEX("mod", "lock") is DEFINE_MUTEX("mod", "lock")
    assert DEFINE_MUTEX("mod", "other") is not DEFINE_MUTEX("mod", "lock")
    mutex_lock(DEFINE_MUTEX("mod", "lock"))
    mutex_init(DEFINE_MUTEX("mod", "lock"))
    mutex_lock(DEFINE_MUTEX("mod", "lock"))
