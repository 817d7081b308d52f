# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/interrupt.h>`` (and ``<linux/irq.h>``): interrupts and tasklets.

Lines are level-triggered: an interrupt is pending while its line is up. Each interrupt goes to one CPU, given out
round robin when it is requested. Tasklets run when the hard interrupt returns, or when the CPU next schedules.
Threaded handlers and MSI are not there: the series uses neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidma.hw.line import Line, LineSink
from hidma.linux import sched
from hidma.linux.errno import EBUSY, EINVAL
from hidma.linux.sched import Cpu, IrqController, KernelOops, as_oops
from hidma.linux.types import call

IRQ_NONE = 0
IRQ_HANDLED = 1
IRQF_SHARED = 0x80
IRQF_TRIGGER_HIGH = 0x4
SPURIOUS_ROUNDS = 100000
SPURIOUS_LIMIT = 99900


class IrqAction:
    """``struct irqaction``: one handler of an interrupt."""

    def __init__(self, handler: Callable[[int, Any], int], flags: int, name: str, dev_id: Any) -> None:
        self.handler = handler
        self.flags = flags
        self.name = name
        self.dev_id = dev_id


class IrqDesc(LineSink):
    """``struct irq_desc``: one interrupt of a kernel and the line behind it."""

    def __init__(self, irq: int, line: Line | None) -> None:
        self.irq = irq
        self.line = line
        self.lines = [] if line is None else [line]
        self.actions: list[IrqAction] = []
        self.cpu: Cpu | None = None
        self.depth = 1
        self.pulsed = 0
        self.pending = 0
        self.counts: dict[int, int] = {}
        self.rounds = 0
        self.unhandled = 0

    def update(self) -> int:
        """Line, mask and pulse decide whether the interrupt is pending on its CPU."""
        wanted = 0
        if self.depth == 0:
            wanted = self.pulsed
            for line in self.lines:
                if line.level:
                    wanted = 1
        if wanted != self.pending:
            self.pending = wanted
            cpu = self.cpu
            assert cpu is not None
            controller = cpu.kernel.gic
            if wanted:
                controller.waiting[cpu.number].append(self)
                cpu.npending += 1
                cpu.clock.kick(cpu)
            else:
                controller.waiting[cpu.number].remove(self)
                cpu.npending -= 1
        return 0

    def line_changed(self, line: Line) -> int:
        if self.cpu is not None:
            self.update()
        return 0

    def line_pulsed(self, line: Line) -> int:
        if self.cpu is not None and self.depth == 0:
            self.pulsed = 1
            self.update()
        return 0


class Gic(IrqController):
    """The interrupts of one kernel, by number."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.descs: dict[int, IrqDesc] = {}
        self.waiting: list[list[IrqDesc]] = []
        self.tasklets: list[list[TaskletStruct]] = []
        self.next_cpu = 0

    def wire(self, irq: int, line: Line | None) -> IrqDesc:
        """Interrupt ``irq`` of this kernel is ``line``; a second line on the same number is joined to it (wired or)."""
        desc = self.descs.get(irq)
        if desc is None:
            desc = IrqDesc(irq, line)
            self.descs[irq] = desc
        elif line is not None:
            desc.lines.append(line)
        if line is not None:
            line.sink = desc
        return desc

    def assign(self) -> Cpu:
        """The CPU for the next interrupt, round robin."""
        cpus = self.kernel.cpus
        cpu = cpus[self.next_cpu % len(cpus)]
        self.next_cpu += 1
        return cpu

    def idle(self) -> bool:
        """Whether no interrupt and no tasklet waits anywhere."""
        return not any(self.waiting) and not any(self.tasklets)

    def handle(self, cpu: Cpu) -> int:
        waiting = self.waiting[cpu.number]
        while cpu.npending and not cpu.irqs_off:
            desc = waiting[0]
            if len(waiting) > 1:
                waiting.append(waiting.pop(0))
            if desc.pulsed:
                desc.pulsed = 0
                desc.update()
            handle_irq(desc, cpu)
        return 0

    def softirq(self, cpu: Cpu) -> int:
        if cpu.hardirq or cpu.softirq or cpu.bh_off:
            return 0
        queue = self.tasklets[cpu.number]
        flags = cpu.irqs_off
        cpu.softirq = 1
        cpu.irqs_off = 0
        try:
            # a tasklet that schedules itself again is for the next round, so that the others get their turn
            while queue:
                tasklet = queue.pop(0)
                if tasklet.count:
                    queue.append(tasklet)
                    break
                tasklet.state = 0
                call(tasklet.func, tasklet.data)
                if cpu.npending:
                    sched.interrupts(cpu)
        finally:
            cpu.softirq = 0
            cpu.irqs_off = flags
        cpu.softirq_pending = 1 if queue else 0
        return 0


def handle_irq(desc: IrqDesc, cpu: Cpu) -> int:
    """One hard interrupt on ``cpu``: its handlers, then the softirqs that they left; 1 if somebody handled it."""
    flags = cpu.irqs_off
    handled = 0
    cpu.hardirq += 1
    cpu.irqs_off = 1
    cpu.rounds = 0
    cpu.entry_time = cpu.clock.now
    cpu.round_time = cpu.entry_time
    if cpu.lines_repeated:
        cpu.lines_repeated = 0
    if cpu.lines_seen:
        cpu.lines_seen.clear()
    desc.counts[cpu.number] = desc.counts.get(cpu.number, 0) + 1
    if cpu.trace.on:
        cpu.trace.emit(("irq_enter", cpu.number, desc.irq))
    try:
        for action in list(desc.actions):
            if action.handler(desc.irq, action.dev_id) != IRQ_NONE:
                handled = 1
    except (KernelOops, IndexError) as error:
        oops = as_oops(error)
        desc.depth += 1  # this kernel takes no interrupt any more
        desc.update()
        cpu.kernel.die(oops)
        raise oops from None
    finally:
        cpu.hardirq -= 1
        cpu.irqs_off = flags
    if cpu.trace.on:
        cpu.trace.emit(("irq_exit", cpu.number, desc.irq))
    desc.rounds += 1
    if not handled:
        desc.unhandled += 1
    if desc.rounds >= SPURIOUS_ROUNDS:
        if desc.unhandled > SPURIOUS_LIMIT:
            cpu.kernel.printk(0, f"irq {desc.irq}: nobody cared (try booting with the \"irqpoll\" option)")
            cpu.kernel.printk(0, f"Disabling IRQ #{desc.irq}")
            desc.depth += 1
            desc.update()
        desc.rounds = 0
        desc.unhandled = 0
    if cpu.softirq_pending and not cpu.hold_softirq and not cpu.hardirq and not cpu.softirq and not cpu.bh_off:
        cpu.controller.softirq(cpu)
    return handled


def irq_desc(irq: int) -> IrqDesc | None:
    """The interrupt ``irq`` of the running kernel."""
    desc: IrqDesc | None = sched.running_cpu().kernel.gic.descs.get(irq)
    return desc


def generic_handle_irq(irq: int) -> int:
    """Run the handlers of ``irq`` on this CPU now, as its line would (-EINVAL: no such interrupt, or no handler)."""
    desc = irq_desc(irq)
    if desc is None or not desc.actions:
        return -EINVAL
    return handle_irq(desc, sched.running_cpu())


def request_irq(irq: int, handler: Callable[[int, Any], int], flags: int, name: str, dev_id: Any) -> int:
    """Install ``handler`` for ``irq``: 0, -EINVAL (no such interrupt), -EBUSY (taken, and not shared by both)."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value("request_irq")
    if rc:
        return rc
    desc = kernel.gic.descs.get(irq)
    if desc is None:
        return -EINVAL
    if desc.actions and not (flags & IRQF_SHARED and desc.actions[0].flags & IRQF_SHARED):
        kernel.printk(3, f"genirq: Flags mismatch irq {irq}. {flags:08x} ({name}) vs. "
                         f"{desc.actions[0].flags:08x} ({desc.actions[0].name})")
        return -EBUSY
    if flags & IRQF_SHARED and dev_id is None:
        return -EINVAL
    desc.actions.append(IrqAction(handler, flags, name, dev_id))
    if len(desc.actions) == 1:
        if desc.cpu is None:
            desc.cpu = kernel.gic.assign()
        desc.depth = 0
        desc.update()
        cpu = sched.running_cpu()
        if cpu.npending and not cpu.irqs_off:
            sched.interrupts(cpu)
    return 0


def free_irq(irq: int, dev_id: Any) -> None:
    """Remove the handler that was installed with ``dev_id``."""
    kernel = sched.running_cpu().kernel
    desc = kernel.gic.descs.get(irq)
    if desc is not None:
        for action in desc.actions:
            if action.dev_id is dev_id:
                desc.actions.remove(action)
                if not desc.actions:
                    desc.depth = 1
                    desc.pulsed = 0
                    desc.update()
                return
    kernel.printk(4, f"Trying to free already-free IRQ {irq}")


def disable_irq(irq: int) -> None:
    """Mask ``irq``; calls nest."""
    desc = irq_desc(irq)
    if desc is not None:
        desc.depth += 1
        if desc.cpu is not None:
            desc.update()


disable_irq_nosync = disable_irq


def enable_irq(irq: int) -> None:
    """Undo one :func:`disable_irq`."""
    desc = irq_desc(irq)
    if desc is None:
        return
    cpu = sched.running_cpu()
    if desc.depth == 0:
        cpu.kernel.printk(4, f"Unbalanced enable for IRQ {irq}")
        return
    desc.depth -= 1
    if desc.cpu is not None:
        desc.update()
    if cpu.npending and not cpu.irqs_off:
        sched.interrupts(cpu)


def devm_request_irq(dev: Any, irq: int, handler: Callable[[int, Any], int], flags: int, name: str, dev_id: Any) -> int:
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
    """``struct tasklet_struct``: ``state`` is 1 while scheduled, ``count`` above 0 while disabled."""

    def __init__(self) -> None:
        self.func: Any = None
        self.data: Any = None
        self.state = 0
        self.count = 0


def tasklet_init(t: TaskletStruct, func: Any, data: Any) -> int:
    """Prepare ``t`` to run ``func(data)``."""
    t.func = func
    t.data = data
    t.state = 0
    t.count = 0
    return 0


def tasklet_schedule(t: TaskletStruct) -> int:
    """Let ``t`` run soon on this CPU; once, however often it is called before it starts."""
    if not t.state:
        cpu = sched.this_cpu
        gic = cpu.controller
        t.state = 1
        gic.tasklets[cpu.number].append(t)
        cpu.softirq_pending = 1
    return 0


def tasklet_kill(t: TaskletStruct) -> int:
    """Wait until ``t`` is neither scheduled nor running; a scheduled one runs first."""
    cpu = sched.this_cpu
    if in_interrupt(cpu):
        cpu.kernel.printk(4, "Attempt to kill tasklet from interrupt")
    gic = cpu.controller
    for number, queue in enumerate(gic.tasklets):
        if t in queue:
            # the CPU that it waits on runs its softirqs while this task waits
            if number == cpu.number:
                held = cpu.hold_softirq
                gic.softirq(cpu)
                cpu.hold_softirq = held
            else:
                while t.state and t in queue:
                    other = cpu.kernel.cpus[number]
                    cpu.clock.kick(other)
                    cpu.clock.tick(1000)
                    if cpu.npending and not cpu.irqs_off:
                        sched.interrupts(cpu)
    return 0


def in_interrupt(cpu: Cpu | None = None) -> int:
    """Whether this CPU is in interrupt context."""
    return sched.in_interrupt(sched.running_cpu() if cpu is None else cpu)
