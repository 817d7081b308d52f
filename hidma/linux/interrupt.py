# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/interrupt.h>`` (and ``<linux/irq.h>``): interrupts and tasklets.

Lines are level-triggered: an interrupt is pending while its line is up. Each interrupt goes to one CPU, given out
round robin when it is requested. Tasklets run when the hard interrupt returns, or when the CPU next schedules; after
ten rounds in a row they leave the CPU to its tasks for a moment, as they would to ksoftirqd. Threaded handlers and MSI
are not there: the series uses neither.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cython

from hidma.hw.line import Line, LineSink
from hidma.linux import sched
from hidma.linux.errno import EBUSY, EINVAL
from hidma.linux.sched import Cpu, IrqController, KernelOops, as_oops

if cython.compiled:
    from cython.cimports.hidma.linux import interrupt_inline as inline
    from cython.cimports.hidma.linux.types_inline import call
else:
    from hidma.linux.sched import LOCKUP_NS, LOCKUP_ROUNDS, NEVER
    from hidma.linux.types import call

    IRQ_NONE = 0
    IRQ_HANDLED = 1
    IRQF_SHARED = 0x80
    IRQF_TRIGGER_HIGH = 0x4
    IRQF_TRIGGER_MASK = 0xF
    SPURIOUS_ROUNDS = 100000
    SPURIOUS_LIMIT = 99900
    SPURIOUS_NS = 100000000
    MAX_SOFTIRQ_RESTART = 10


class IrqHandler:
    """A function of the port behind an ``irq_handler_t``."""

    fn: Callable[[int, Any], int]


def irq_handler(fn: Callable[[int, Any], int]) -> IrqHandler:
    """The ``irq_handler_t`` that points to ``fn``: in compiled modules it is called as C. Any Python callable will do instead."""
    handler = IrqHandler()
    handler.fn = fn
    return handler


class IrqAction:
    """``struct irqaction``: one handler of an interrupt."""

    def __init__(self, handler: Any, flags: int, name: str, dev_id: Any) -> None:
        self.handler = handler
        self.pointer: Any = handler if isinstance(handler, IrqHandler) else None
        self.flags = flags
        self.name = name
        self.dev_id = dev_id


def call_python(action: IrqAction, irq: int) -> int:
    """Call a handler that is no :class:`IrqHandler`."""
    rc: int = action.handler(irq, action.dev_id)
    return rc


class IrqDesc(LineSink):
    """``struct irq_desc``: one interrupt of a kernel and the line behind it.

    ``actions`` is replaced, never changed: whoever goes through it may meet handlers that come and go. ``taken`` counts
    on its own CPU, ``elsewhere`` on others.
    """

    def __init__(self, irq: int, line: Line | None) -> None:
        self.irq = irq
        self.line = line
        # further lines on the same number
        self.joined: list[Line] = []
        self.actions: list[IrqAction] = []
        # the CPU that takes it, and the queues of that CPU; None before a handler is requested
        self.cpu: Any = None
        self.queues: Any = None
        self.depth = 1
        self.pulsed = 0
        self.pending = 0
        self.taken = 0
        self.elsewhere: dict[int, int] = {}
        self.rounds = 0
        self.unhandled = 0
        self.last_unhandled = 0
        self.spurious_disabled = 0
        self.in_progress = 0
        self.before: IrqDesc | None = None
        self.after: IrqDesc | None = None

    @property
    def counts(self) -> dict[int, int]:
        """How often it was taken, by number of the CPU."""
        counts = dict(self.elsewhere)
        if self.cpu is not None:
            counts[self.cpu.number] = counts.get(self.cpu.number, 0) + self.taken
        return counts

    def wanted(self) -> int:
        """Whether it is unmasked, has a handler, and a pulse came or one of its lines is up."""
        if self.depth or not self.actions:
            return 0
        if self.pulsed or self.line is not None and self.line.level:
            return 1
        return self.joined_up() if self.joined else 0

    def joined_up(self) -> int:
        """Whether one of the further lines is up."""
        for line in self.joined:
            if line.level:
                return 1
        return 0

    def update(self) -> int:
        """Mask, handlers or pulse have changed."""
        return self.line_changed(self.line)

    def line_changed(self, line: Line | None) -> int:
        """Line, mask and pulse decide whether the interrupt is pending on its CPU."""
        if self.wanted() == self.pending or self.queues is None:
            return 0
        cpu = self.cpu
        if self.pending:
            self.pending = 0
            self.queues.remove(self)
            cpu.npending -= 1
        else:
            self.pending = 1
            self.queues.add(self)
            cpu.npending += 1
            if not cpu.hardirq:
                cpu.rounds_left = 0
            if not cpu.runnable:
                wake(cpu)
        return 0

    def line_pulsed(self, line: Line) -> int:
        if self.cpu is not None and self.depth == 0:
            self.pulsed = 1
            self.update()
        return 0

    def assign(self, cpu: Cpu, queues: CpuQueues) -> int:
        """From now on it is taken on ``cpu``, whose queues these are."""
        self.cpu = cpu
        self.queues = queues
        return 0


def wake(cpu: Cpu) -> int:
    """``cpu`` has something to do."""
    cpu.clock.kick(cpu)
    return 0


class CpuQueues(IrqController):
    """The queues of one CPU: pending interrupts in the order of their turns, and tasklets (``struct tasklet_vec``)."""

    def __init__(self) -> None:
        self.first: Any = None
        self.last: Any = None
        self.head: Any = None
        self.tail: Any = None

    def add(self, desc: IrqDesc) -> int:
        """``desc`` is the last to be taken."""
        if self.last is None:
            self.first = desc
        else:
            desc.before = self.last
            desc.before.after = desc
        self.last = desc
        return 0

    def remove(self, desc: IrqDesc) -> int:
        """``desc`` waits no more."""
        if self.first is self.last:
            self.first = None
            self.last = None
        else:
            self.unlink(desc)
        return 0

    def unlink(self, desc: IrqDesc) -> int:
        """``desc`` waits no more, others do."""
        if desc.before is None:
            self.first = desc.after
        else:
            desc.before.after = desc.after
        if desc.after is None:
            self.last = desc.before
        else:
            desc.after.before = desc.before
        desc.before = None
        desc.after = None
        return 0

    def add_tasklet(self, t: TaskletStruct) -> int:
        """``t`` is the last to run."""
        if self.tail is None:
            self.head = t
        else:
            self.tail.next = t
        self.tail = t
        return 0

    def next_tasklet(self) -> TaskletStruct:
        """The tasklet that is the next to run waits no more."""
        t = self.head
        if self.tail is t:
            self.head = None
            self.tail = None
        else:
            self.head = t.next
            t.next = None
        return t

    def handle(self, cpu: Cpu) -> int:
        since = cpu.clock.now
        rounds = 0
        served = 0
        while cpu.npending and not cpu.irqs_off and not cpu.dead:
            desc = self.first
            if desc.after is not None:
                self.remove(desc)
                self.add(desc)
            if desc.pulsed:
                desc.pulsed = 0
                desc.update()
            handle_irq(desc, cpu)
            run = cpu.tasklets_run
            if cpu.softirq_pending and served < MAX_SOFTIRQ_RESTART and not cpu.hold_softirq:
                self.softirq(cpu)
            if cpu.tasklets_run != run:
                served += 1
                rounds = 0
                since = cpu.clock.now
                continue
            rounds += 1
            if rounds > LOCKUP_ROUNDS and cpu.npending:
                # nothing but this interrupt: for ever, if nobody is there who could end it
                alone = cpu.clock.next_event() >= NEVER and cpu.clock.behind(cpu) is None
                if alone or cpu.clock.now - since > LOCKUP_NS:
                    raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck: irq {desc.irq} comes again and again")
        return 0

    def softirq(self, cpu: Cpu) -> int:
        if cpu.hardirq or cpu.softirq or cpu.bh_off or cpu.dead:
            return 0
        flags = cpu.irqs_off
        left = 0
        rounds = 0
        cpu.softirq = 1
        cpu.irqs_off = 0
        try:
            while self.head is not None and (rounds < MAX_SOFTIRQ_RESTART or cpu.hold_softirq):
                rounds += 1
                left = 0
                run = 0
                # what is scheduled meanwhile, be it by itself, is for the next round
                last = self.tail
                tasklet = None
                while tasklet is not last and self.head is not None:
                    tasklet = self.next_tasklet()
                    if tasklet.count or tasklet.running:
                        self.add_tasklet(tasklet)
                        left |= tasklet.running
                        continue
                    run = 1
                    tasklet.state = 0
                    tasklet.running = 1
                    if cpu.trace.on:
                        tasklet_event("tasklet_enter", cpu)
                    try:
                        call(tasklet.func, tasklet.data)
                    finally:
                        tasklet.running = 0
                    if cpu.trace.on:
                        tasklet_event("tasklet_exit", cpu)
                    cpu.tasklets_run += 1
                    if cpu.npending:
                        sched.interrupts(cpu)
                if not run:
                    break
            else:
                left = 1
        finally:
            cpu.softirq = 0
            cpu.irqs_off = flags
            cpu.softirq_pending = 0 if self.head is None else 1
        return 1 if left and self.head is not None else 0

    def idle(self) -> bool:
        """Whether there is nothing."""
        return self.first is None and self.head is None

    def tasklets(self) -> list[TaskletStruct]:
        """Those that wait, the next one first."""
        found = []
        tasklet = self.head
        while tasklet is not None:
            found.append(tasklet)
            tasklet = tasklet.next
        return found


class Gic:
    """The interrupts of one kernel, by number."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.descs: dict[int, IrqDesc] = {}
        self.next_cpu = 0

    def wire(self, irq: int, line: Line | None) -> IrqDesc:
        """Interrupt ``irq`` of this kernel is ``line``; a second line on the same number is joined to it (wired or)."""
        desc = self.descs.get(irq)
        if desc is None:
            desc = IrqDesc(irq, line)
            self.descs[irq] = desc
        elif desc.line is None:
            desc.line = line
        elif line is not None:
            desc.joined.append(line)
        if line is not None:
            line.sink = desc
        return desc

    def assign(self) -> Cpu:
        """The CPU for the next interrupt, round robin.

        The first goes to CPU 1: V14's handler keeps a CPU for as long as its channel is busy, and CPU 0 is where the
        caller runs.
        """
        cpus = self.kernel.cpus
        self.next_cpu += 1
        cpu = cpus[self.next_cpu % len(cpus)]
        return cpu

    def idle(self) -> bool:
        """Whether no interrupt and no tasklet waits anywhere."""
        return all(cpu.controller.idle() for cpu in self.kernel.cpus)


def tasklet_event(what: str, cpu: Cpu) -> int:
    """Trace the begin or the end of a tasklet."""
    cpu.trace.emit((what, cpu.number))
    return 0


def irq_exit(cpu: Cpu) -> int:
    """The softirqs that hard interrupts left, once the last of them has returned."""
    if not cpu.hold_softirq:
        cpu.controller.softirq(cpu)
    return 0


def handle_irq(desc: IrqDesc, cpu: Cpu) -> int:
    """One hard interrupt on ``cpu``: its handlers; 1 if somebody handled it."""
    flags = cpu.irqs_off
    sched.hardirq_enter(cpu)
    cpu.irqs_off = 1
    if cpu is desc.cpu:
        desc.taken += 1
    else:
        desc.elsewhere[cpu.number] = desc.elsewhere.get(cpu.number, 0) + 1
    desc.in_progress += 1
    if cpu.trace.on:
        irq_event("irq_enter", desc, cpu)
    handled = 0
    died = 1
    try:
        # not by `except`: to get ready for one takes longer than to call a handler
        try:
            for action in desc.actions:
                if action.pointer is not None:
                    rc = action.pointer.fn(desc.irq, action.dev_id)
                else:
                    rc = call_python(action, desc.irq)
                if rc != IRQ_NONE:
                    handled = 1
            died = 0
        finally:
            if died:
                irq_died(desc, cpu)
    finally:
        desc.in_progress -= 1
        sched.hardirq_exit(cpu)
        cpu.irqs_off = flags
    if cpu.trace.on:
        irq_event("irq_exit", desc, cpu)
    desc.rounds += 1
    if not handled or desc.rounds >= SPURIOUS_ROUNDS:
        note_interrupt(desc, cpu, handled)
    return handled


def irq_died(desc: IrqDesc, cpu: Cpu) -> int:
    """An exception is on its way out of a handler: if it is an Oops, this kernel takes no interrupt any more."""
    error = sys.exc_info()[1]
    if isinstance(error, KernelOops | IndexError):
        oops = as_oops(error)
        desc.depth += 1
        desc.update()
        cpu.kernel.die(oops)
        raise oops from None
    return 0


def irq_event(what: str, desc: IrqDesc, cpu: Cpu) -> int:
    """Trace the begin or the end of a hard interrupt."""
    cpu.trace.emit((what, cpu.number, desc.irq))
    return 0


def note_interrupt(desc: IrqDesc, cpu: Cpu, handled: int) -> int:
    """Of 100,000 interrupts nearly all were handled by nobody: the interrupt is switched off."""
    if not handled:
        if cpu.clock.now - desc.last_unhandled > SPURIOUS_NS:
            desc.unhandled = 0
        desc.unhandled += 1
        desc.last_unhandled = cpu.clock.now
    if desc.rounds < SPURIOUS_ROUNDS:
        return 0
    desc.rounds = 0
    if desc.unhandled > SPURIOUS_LIMIT:
        kernel = cpu.kernel
        kernel.printk(3, f"irq {desc.irq}: nobody cared (try booting with the \"irqpoll\" option)")
        kernel.printk(3, "handlers:")
        for action in desc.actions:
            kernel.printk(3, f"[<{kernel.address_of(action.handler):016x}>] {getattr(action.handler, '__name__', '?')}")
        kernel.printk(0, f"Disabling IRQ #{desc.irq}")
        desc.spurious_disabled = 1
        desc.depth += 1
        desc.update()
    desc.unhandled = 0
    return 0


def irq_desc(irq: int) -> IrqDesc | None:
    """The interrupt ``irq`` of the running kernel."""
    desc: IrqDesc | None = sched.running_cpu().kernel.gic.descs.get(irq)
    return desc


def generic_handle_irq(irq: int) -> int:
    """Run the handlers of ``irq`` on this CPU now, as its line would (-EINVAL: no such interrupt, or no handler)."""
    desc = irq_desc(irq)
    if desc is None or not desc.actions:
        return -EINVAL
    cpu = sched.running_cpu()
    handled = handle_irq(desc, cpu)
    irq_exit(cpu)
    return handled


def request_irq(irq: int, handler: Callable[[int, Any], int] | IrqHandler, flags: int, name: str, dev_id: Any) -> int:
    """Install ``handler`` for ``irq``: 0, -EINVAL (no such interrupt), -EBUSY (taken, and not shared by both)."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value("request_irq")
    if rc:
        return rc
    if flags & IRQF_SHARED and dev_id is None:
        return -EINVAL
    desc = kernel.gic.descs.get(irq)
    if desc is None:
        return -EINVAL
    if desc.actions:
        old = desc.actions[0]
        if not flags & old.flags & IRQF_SHARED or (flags ^ old.flags) & IRQF_TRIGGER_MASK:
            kernel.printk(3, f"genirq: Flags mismatch irq {irq}. {flags:08x} ({name}) vs. {old.flags:08x} ({old.name})")
            return -EBUSY
    desc.actions = [*desc.actions, IrqAction(handler, flags, name, dev_id)]
    desc.rounds = 0
    desc.unhandled = 0
    if desc.cpu is None:
        cpu = kernel.gic.assign()
        desc.assign(cpu, cpu.controller)
    if len(desc.actions) == 1:
        desc.depth = 0
    elif desc.spurious_disabled:
        desc.depth -= 1
    desc.spurious_disabled = 0
    desc.update()
    sched.interrupts(sched.running_cpu())
    return 0


def synchronize_irq(irq: int) -> None:
    """Wait until no handler of ``irq`` runs on any CPU; from inside one of them that is for ever."""
    desc = irq_desc(irq)
    cpu = sched.running_cpu()
    if desc is None or desc.cpu is None:
        return
    if desc.in_progress and desc.cpu is cpu:
        raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck: a handler of irq {irq} waits for its own end")
    since = cpu.clock.now
    while desc.in_progress:
        sched.wait_here(cpu, since, "synchronize_irq")


def free_irq(irq: int, dev_id: Any) -> None:
    """Remove the handler that was installed with ``dev_id``; returns when it runs nowhere any more."""
    cpu = sched.running_cpu()
    kernel = cpu.kernel
    if in_interrupt(cpu):
        kernel.warn(f"Trying to free IRQ {irq} from IRQ context!")
    desc = kernel.gic.descs.get(irq)
    if desc is not None:
        for action in desc.actions:
            if action.dev_id is dev_id:
                desc.actions = [a for a in desc.actions if a is not action]
                if not desc.actions:
                    desc.depth = 1
                    desc.pulsed = 0
                    desc.spurious_disabled = 0
                    desc.update()
                synchronize_irq(irq)
                return
    kernel.warn(f"Trying to free already-free IRQ {irq}")


def disable_irq_nosync(irq: int) -> None:
    """Mask ``irq``; calls nest. A handler that runs on another CPU goes on."""
    desc = irq_desc(irq)
    if desc is not None:
        desc.depth += 1
        if desc.cpu is not None:
            desc.update()


def disable_irq(irq: int) -> None:
    """Mask ``irq`` and wait until no handler of it runs; calls nest."""
    disable_irq_nosync(irq)
    synchronize_irq(irq)


def enable_irq(irq: int) -> None:
    """Undo one :func:`disable_irq`."""
    desc = irq_desc(irq)
    if desc is None:
        return
    if desc.depth == 0:
        sched.running_cpu().kernel.warn(f"Unbalanced enable for IRQ {irq}")
        return
    desc.depth -= 1
    if desc.cpu is not None:
        desc.update()
    sched.interrupts(sched.running_cpu())


def devm_request_irq(dev: Any, irq: int, handler: Callable[[int, Any], int] | IrqHandler, flags: int, name: str,
                     dev_id: Any) -> int:
    """:func:`request_irq` that is undone when ``dev`` loses its driver."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value("devm_request_irq")
    if not rc:
        rc = request_irq(irq, handler, flags, name, dev_id)
    if kernel.trace.on:
        kernel.trace.emit(("request_irq", irq, name, rc))
    if rc:
        return rc
    dev.devres.add("irq", lambda: free_irq(irq, dev_id), key=(irq, id(dev_id)))
    return 0


def devm_free_irq(dev: Any, irq: int, dev_id: Any) -> None:
    """Undo :func:`devm_request_irq` early."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit(("free_irq", irq))
    if not dev.devres.release("irq", (irq, id(dev_id))):
        kernel.warn(f"devm_free_irq: no such resource: irq {irq}")


# --- tasklets -----------------------------------------------------------------------------------------------------


class TaskletStruct:
    """``struct tasklet_struct``: ``state`` is 1 while scheduled, ``running`` while its function runs, ``count`` above 0
    while disabled; ``cpu`` is where it was scheduled last, and ``queues`` has the queue of that CPU.
    """

    def __init__(self) -> None:
        self.func: Any = None
        self.data: Any = None
        self.state = 0
        self.running = 0
        self.count = 0
        self.cpu: Any = None
        self.queues: Any = None
        self.next: TaskletStruct | None = None


def tasklet_init(t: TaskletStruct, func: Any, data: Any) -> int:
    """Prepare ``t`` to run ``func(data)``."""
    t.func = func
    t.data = data
    t.state = 0
    t.count = 0
    return 0


def tasklet_schedule(t: TaskletStruct) -> int:
    """Let ``t`` run soon on this CPU; once, however often it is called before it starts."""
    if cython.compiled:
        return inline.tasklet_schedule(t)
    else:
        if not t.state:
            tasklet_queue(t)
        return 0


def tasklet_queue(t: TaskletStruct) -> int:
    """``t`` is the last in the queue of this CPU."""
    cpu = sched.this_cpu
    if t.cpu is not cpu:
        tasklet_move(t, cpu)
    t.state = 1
    t.queues.add_tasklet(t)
    cpu.softirq_pending = 1
    return 0


def tasklet_move(t: TaskletStruct, cpu: Cpu) -> int:
    """``t`` was scheduled on another CPU before, or never."""
    t.queues = cpu.controller
    t.cpu = cpu
    return 0


def tasklet_disable_nosync(t: TaskletStruct) -> int:
    """Keep ``t`` from starting; calls nest. It stays scheduled."""
    t.count += 1
    return 0


def tasklet_disable(t: TaskletStruct) -> int:
    """Keep ``t`` from starting and wait until it runs nowhere; calls nest."""
    t.count += 1
    cpu = sched.running_cpu()
    since = cpu.clock.now
    while t.running:
        sched.wait_here(cpu, since, "tasklet_disable")
    return 0


def tasklet_enable(t: TaskletStruct) -> int:
    """Undo one :func:`tasklet_disable`; if it is scheduled, it runs soon."""
    t.count -= 1
    if t.state and not t.count and t.cpu is not None:
        t.cpu.clock.kick(t.cpu)
    return 0


def tasklet_kill(t: TaskletStruct) -> int:
    """Wait until ``t`` is neither scheduled nor running; a scheduled one runs first."""
    cpu = sched.this_cpu
    if in_interrupt(cpu):
        cpu.kernel.printk(5, "Attempt to kill tasklet from interrupt")
    since = cpu.clock.now
    while t.state or t.running:
        if in_interrupt(cpu) and (t.cpu is cpu or t.running):
            raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck: "
                             "tasklet_kill() in an interrupt waits for what runs after it")
        if t.cpu is cpu:
            # this task yields to ksoftirqd
            cpu.controller.softirq(cpu)
            if not t.state and not t.running:
                break
        elif t.cpu is not None:
            cpu.clock.kick(t.cpu)
        sched.wait_here(cpu, since, "tasklet_kill")
        sched.cond_resched()
    return 0


def local_bh_disable() -> int:
    """Keep softirqs from running on this CPU; calls nest."""
    cpu = sched.running_cpu()
    cpu.bh_off += 1
    return 0


def local_bh_enable() -> int:
    """Undo one :func:`local_bh_disable`; with the last one the softirqs that wait are run."""
    cpu = sched.running_cpu()
    cpu.bh_off -= 1
    if cpu.softirq_pending and not cpu.irqs_off:
        irq_exit(cpu)
    return 0


def in_interrupt(cpu: Cpu | None = None) -> int:
    """Whether this CPU is in interrupt context."""
    return sched.in_interrupt(sched.running_cpu() if cpu is None else cpu)
