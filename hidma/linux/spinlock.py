# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/spinlock.h>``: spinlocks, and a lockdep in small.

A lock is contended only when its holder handed over inside the section (a register access there); then the other
CPU spins until it is released. A spin that can never end is an Oops: recursion, two CPUs that wait for each other, a
holder that sleeps for ever. The other checks (wrong CPU, never initialised, taken both in a hard interrupt and with
interrupts enabled) are done while ``cpu.lockdep`` is set, log once for each lock, and go on.
"""

from __future__ import annotations

import cython

from hidma.linux import sched
from hidma.linux.sched import Cpu, KernelOops, look

if cython.compiled:
    from cython.cimports.hidma.linux import spinlock_inline as inline
if not cython.compiled:
    from hidma.linux.sched import LOCKUP_NS, NEVER

    USED_IN_HARDIRQ = 1
    USED_WITH_IRQS_ON = 2
    SPIN_NS = 100


class Spinlock:
    """``spinlock_t``.

    ``holder`` is 0 or one more than the number of the CPU that holds it; ``checked`` is one more than the depth of hard
    interrupts at which it was last taken with interrupts disabled and looked at, 0 for none.
    """

    def __init__(self, name: str = "lock") -> None:
        self.name = name
        self.holder = 0
        self.ready = 0
        self.usage = 0
        self.checked = 0


def spin_lock_init(lock: Spinlock) -> int:
    """Make ``lock`` usable."""
    lock.holder = 0
    lock.ready = 1
    lock.usage = 0
    lock.checked = 0
    return 0


def check(lock: Spinlock, cpu: Cpu, irqs_on: int) -> int:
    """What lockdep would say about taking ``lock`` here, with interrupts enabled or not."""
    if not lock.ready:
        lock.ready = 1
        cpu.kernel.printk(3, f"BUG: spinlock bad magic on CPU#{cpu.number}, {lock.name}: used before spin_lock_init()")
    usage = lock.usage
    lock.checked = 0 if irqs_on else cpu.hardirq + 1
    if cpu.hardirq:
        usage |= USED_IN_HARDIRQ
    elif irqs_on:
        usage |= USED_WITH_IRQS_ON
    if usage != lock.usage:
        if usage == 3:
            before, now = "{IN-HARDIRQ-W}", "{HARDIRQ-ON-W}"
            if lock.usage == USED_WITH_IRQS_ON:
                before, now = now, before
            cpu.kernel.printk(4, f"inconsistent {before} -> {now} usage of {lock.name} on CPU#{cpu.number}")
        lock.usage = usage
    return 0


def contended(lock: Spinlock, cpu: Cpu) -> int:
    """``lock`` is held: by this CPU (it would spin for ever), or by one that is waited for."""
    clock = cpu.clock
    since = clock.now
    cpu.spins_on = lock
    try:
        while lock.holder:
            if lock.holder == cpu.number + 1:
                raise KernelOops(f"BUG: spinlock recursion on CPU#{cpu.number}, {lock.name}")
            # the holder may wait for another lock in turn: in a circle, none is ever released
            wanted = lock
            for _ in cpu.kernel.cpus:
                if wanted is None or not wanted.holder:
                    break
                if wanted.holder == cpu.number + 1:
                    raise KernelOops(f"BUG: spinlock lockup on CPU#{cpu.number}, {lock.name}: "
                                     f"CPU#{lock.holder - 1} waits for {wanted.name}, which is held here")
                wanted = cpu.kernel.cpus[wanted.holder - 1].spins_on
            alone = clock.next_event() >= NEVER and clock.behind(cpu) is None
            if alone or clock.now - since > LOCKUP_NS:
                raise KernelOops(f"BUG: spinlock lockup on CPU#{cpu.number}, {lock.name}: "
                                 f"CPU#{lock.holder - 1} never lets go")
            ns = clock.horizon - clock.now
            clock.tick(ns if SPIN_NS < ns < 1000000 else SPIN_NS)
            if cpu.dead:
                sched.stopped(cpu)
    finally:
        cpu.spins_on = None
    return 0


def unlocked_by(lock: Spinlock, cpu: Cpu) -> int:
    """``lock`` is released by ``cpu``, which does not hold it."""
    what = "wrong CPU" if lock.holder else "already unlocked"
    text = f"BUG: spinlock {what} on CPU#{cpu.number}, {lock.name}"
    if text not in cpu.kernel.warned:
        cpu.kernel.warned.add(text)
        cpu.kernel.printk(3, text)
    return 0


def spin_lock(lock: Spinlock) -> int:
    """Take ``lock``."""
    cpu = sched.this_cpu
    if lock.holder:
        contended(lock, cpu)
    lock.holder = cpu.holds
    if cpu.lockdep:
        check(lock, cpu, not cpu.irqs_off)
    return 0


def spin_unlock(lock: Spinlock) -> int:
    """Release ``lock``."""
    cpu = sched.this_cpu
    if lock.holder != cpu.holds:
        unlocked_by(lock, cpu)
    lock.holder = 0
    return 0


def spin_lock_irqsave(lock: Spinlock) -> int:
    """Take ``lock`` with interrupts disabled; returns the interrupt state to restore."""
    if cython.compiled:
        return inline.spin_lock_irqsave(lock)
    else:
        cpu = sched.this_cpu
        flags = cpu.irqs_off
        cpu.irqs_off = 1
        if lock.holder | cpu.lockdep:
            if lock.holder:
                contended(lock, cpu)
            # taken in the same context once more, it has nothing new to say
            if cpu.lockdep and lock.checked != cpu.hardirq + 1:
                check(lock, cpu, 0)
        lock.holder = cpu.holds
        return flags


def spin_unlock_irqrestore(lock: Spinlock, flags: int) -> int:
    """Release ``lock`` and restore the interrupt state; a pending interrupt is taken here."""
    if cython.compiled:
        return inline.spin_unlock_irqrestore(lock, flags)
    else:
        cpu = sched.this_cpu
        if lock.holder != cpu.holds:
            unlocked_by(lock, cpu)
        lock.holder = 0
        cpu.irqs_off = flags
        cpu.rounds_left -= 1
        if cpu.rounds_left < 0:
            look(cpu)
        return 0
