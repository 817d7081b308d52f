# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/spinlock.h>``: spinlocks, and a lockdep in small.

A lock is contended only when its holder handed over inside the section (a register access there); then the other
CPU spins until it is released. The checks (recursion, wrong CPU, never initialised, taken both in a hard interrupt
and with interrupts enabled) are done while ``cpu.lockdep`` is set and only ever log.
"""

from __future__ import annotations

from hidma.linux import sched
from hidma.linux.sched import Cpu, KernelOops

USED_IN_HARDIRQ = 1
USED_WITH_IRQS_ON = 2


class Spinlock:
    """``spinlock_t``. ``holder`` is 0 or one more than the number of the CPU that holds it."""

    def __init__(self, name: str = "lock") -> None:
        self.name = name
        self.holder = 0
        self.ready = 0
        self.usage = 0


def spin_lock_init(lock: Spinlock) -> int:
    """Make ``lock`` usable."""
    lock.holder = 0
    lock.ready = 1
    lock.usage = 0
    return 0


def check(lock: Spinlock, cpu: Cpu, irqs_on: int) -> int:
    """What lockdep would say about taking ``lock`` here; each complaint is made once for a lock."""
    if not lock.ready:
        lock.ready = 1
        cpu.kernel.printk(3, f"BUG: spinlock bad magic on CPU#{cpu.number}, {lock.name}: used before spin_lock_init()")
    usage = lock.usage
    if cpu.hardirq:
        usage |= USED_IN_HARDIRQ
    elif irqs_on:
        usage |= USED_WITH_IRQS_ON
    if usage != lock.usage:
        lock.usage = usage
        if usage == 3:
            cpu.kernel.printk(4, f"inconsistent {{IN-HARDIRQ-W}} -> {{HARDIRQ-ON-W}} usage of {lock.name} on CPU#{cpu.number}")
    return 0


def contended(lock: Spinlock, cpu: Cpu) -> int:
    """``lock`` is held: by this CPU (it would spin for ever), or by one that is waited for."""
    if lock.holder == cpu.number + 1:
        raise KernelOops(f"BUG: spinlock recursion on CPU#{cpu.number}, {lock.name}")
    while lock.holder:
        cpu.clock.tick(10)
    return 0


def spin_lock(lock: Spinlock) -> int:
    """Take ``lock``."""
    cpu = sched.this_cpu
    if lock.holder:
        contended(lock, cpu)
    lock.holder = cpu.number + 1
    if cpu.lockdep:
        check(lock, cpu, not cpu.irqs_off)
    return 0


def spin_unlock(lock: Spinlock) -> int:
    """Release ``lock``."""
    cpu = sched.this_cpu
    if lock.holder != cpu.number + 1:
        cpu.kernel.printk(3, f"BUG: spinlock already unlocked or wrong CPU#{cpu.number}, {lock.name}")
    lock.holder = 0
    return 0


def spin_lock_irqsave(lock: Spinlock) -> int:
    """Take ``lock`` with interrupts disabled; returns the interrupt state to restore."""
    cpu = sched.this_cpu
    flags = cpu.irqs_off
    cpu.irqs_off = 1
    if lock.holder:
        contended(lock, cpu)
    lock.holder = cpu.number + 1
    if cpu.lockdep:
        check(lock, cpu, 0)
    return flags


def spin_unlock_irqrestore(lock: Spinlock, flags: int) -> int:
    """Release ``lock`` and restore the interrupt state; a pending interrupt is taken here."""
    cpu = sched.this_cpu
    if lock.holder != cpu.number + 1:
        cpu.kernel.printk(3, f"BUG: spinlock already unlocked or wrong CPU#{cpu.number}, {lock.name}")
    lock.holder = 0
    cpu.irqs_off = flags
    if cpu.hardirq:
        sched.watch(cpu)
    elif cpu.npending and not flags:
        sched.interrupts(cpu)
    return 0
