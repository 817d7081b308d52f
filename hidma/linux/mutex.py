# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/mutex.h>``: sleeping locks. Waiting for a lock that nothing can release is an Oops."""

from __future__ import annotations

from typing import Any

from hidma.linux import sched
from hidma.linux.sched import TASK_UNINTERRUPTIBLE, KernelOops, schedule, wake_up_process


class Mutex:
    """``struct mutex``: ``owner`` is the task that holds it."""

    def __init__(self, name: str = "mutex") -> None:
        self.name = name
        self.owner: Any = None
        self.waiters: list[Any] = []


def mutex_init(lock: Mutex) -> None:
    """Make ``lock`` a free mutex."""
    lock.owner = None
    lock.waiters = []


def DEFINE_MUTEX(module: str, name: str) -> Mutex:
    """The mutex ``name`` at file scope of ``module``, in the running kernel; made when it is asked for first."""
    statics = sched.running_cpu().kernel.module(module)
    if not hasattr(statics, name):
        setattr(statics, name, Mutex(name))
    mutex: Mutex = getattr(statics, name)
    return mutex


def mutex_lock(lock: Mutex) -> None:
    """Take ``lock``, asleep while another task holds it."""
    cpu = sched.running_cpu()
    if sched.in_interrupt(cpu) or cpu.irqs_off:
        cpu.kernel.sleeping_call("mutex_lock")
    me = sched.current()
    while lock.owner is not None:
        if lock.owner is me:
            raise KernelOops(f"INFO: possible recursive locking detected: {me.name} takes {lock.name}, which it holds")
        lock.waiters.append(me)
        me.state = TASK_UNINTERRUPTIBLE
        if schedule() < 0:
            raise KernelOops(f"INFO: task {me.name} blocked for ever on {lock.name}, held by {lock.owner.name}")
    lock.owner = me


def mutex_unlock(lock: Mutex) -> None:
    """Release ``lock``; the first that waits goes on."""
    if lock.owner is not sched.current():
        sched.running_cpu().kernel.warn(f"mutex_unlock: {lock.name} is not held by {sched.current().name}")
    lock.owner = None
    if lock.waiters:
        wake_up_process(lock.waiters.pop(0))
