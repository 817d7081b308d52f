# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/sched.h>`` and the CPUs: contexts, tasks, who runs where, and the soft-lockup watchdog.

A CPU is a timeline of the machine's clock; a task is a greenlet that belongs to one CPU. Contexts are real: task,
softirq, hard interrupt. An interrupt is taken when its line is up and interrupts are enabled on the CPU that it goes
to: after a register access, at the end of an irq-disabled section, or in a sleep; nowhere else.

It does not preempt: a task runs until it sleeps, waits or ends. A CPU whose kernel has stopped, or was closed, runs
nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import cython
from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped,unused-ignore]

from hidma.hw.clock import Clock, Event, Timeline
from hidma.hw.memory import Memory
from hidma.hw.trace import Trace

if not cython.compiled:
    TASK_RUNNING = 0
    TASK_INTERRUPTIBLE = 1
    TASK_UNINTERRUPTIBLE = 2
    TASK_DEAD = 64
    LOCKUP_ROUNDS = 100000
    MAX_ROUNDS = 1000000
    LOCKUP_NS = 20000000000
    LOCKUP_LINES = 900
    KSOFTIRQD_NS = 1000
    NEVER = 0x7FFFFFFFFFFFFFFF
    STOPPED = 1
    CLOSED = 2


class KernelOops(Exception):
    """A kernel of the machine went where the real one could not have gone on.

    :ivar kernel: name of the kernel that stopped
    :ivar row: number of the row in docs/quirks that describes it, or None
    :ivar backtrace: names of the functions of the port, innermost first
    :ivar subject: what was freed and is used, or None
    """

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.row = row
        self.kernel = ""
        self.backtrace: list[str] = []
        self.subject: Any = None

    def again(self) -> KernelOops:
        """The same once more, without a traceback: a traceback holds the variables of all its functions."""
        other = KernelOops(self.message, self.row)
        vars(other).update(vars(self))
        return other


def as_oops(error: BaseException) -> KernelOops:
    """``error`` as an Oops: an index past an array of the port is one too, and so is whatever else ends a thread."""
    if isinstance(error, KernelOops):
        return error
    if isinstance(error, IndexError):
        oops = KernelOops("Unable to handle kernel paging request: an index past its array")
    elif isinstance(error, ZeroDivisionError):
        oops = KernelOops("divide error")
    elif isinstance(error, AttributeError | TypeError) and "NoneType" in str(error):
        oops = KernelOops("Unable to handle kernel NULL pointer dereference")
    else:
        oops = KernelOops(f"BUG: {type(error).__name__}: {error}")
        oops.__cause__ = error
    oops.__traceback__ = error.__traceback__
    return oops


class IrqController:
    """What a CPU calls when interrupts or tasklets wait for it (``linux.interrupt`` implements it)."""

    def handle(self, cpu: Cpu) -> int:
        """Take the interrupts that are pending on ``cpu``."""
        return 0

    def softirq(self, cpu: Cpu) -> int:
        """Run the softirqs that are pending on ``cpu``; 1 if some were left for the next turn."""
        return 0


class Cpu(Timeline):
    """One CPU of one kernel.

    ``irqs_off``, ``hardirq``, ``softirq`` and ``bh_off`` are its context; ``dead`` is STOPPED or CLOSED when it runs no
    more; ``frozen`` while the caller of Python left it in the middle of an atomic section. ``rounds_left`` is how many more
    register accesses and ends of sections may pass before it has to :func:`look` at what it is doing.
    """

    def __init__(self, clock: Clock, rank: int, kernel: Any, number: int, windows: list[Any],
                 memory: Memory) -> None:
        Timeline.__init__(self, clock, rank)
        self.kernel = kernel
        self.trace = kernel.trace
        self.number = number
        self.holds = number + 1
        self.windows = windows
        self.memory = memory
        self.controller: Any = IrqController()
        self.irqs_off = 0
        self.hardirq = 0
        self.softirq = 0
        self.bh_off = 0
        self.npending = 0
        self.softirq_pending = 0
        self.hold_softirq = 0
        self.tasklets_run = 0
        self.dead = 0
        self.frozen = 0
        self.spins_on: Any = None
        self.lockdep = 1
        self.rounds_left = 0
        self.look_time = 0
        self.line_time = 0
        self.entry_time = 0
        self.lines_seen: set[str] = set()
        self.lines_repeated = 0
        self.queue: list[Task] = []
        # tasks; only main_task may be missing once the kernel runs
        self.idle_task: Any = None
        self.current_task: Any = None
        self.main_task: Any = None

    def resumed(self) -> int:
        global this_cpu
        this_cpu = self
        return 0


def hub() -> Any:
    """The greenlet that Python began with: where an ended or killed one returns to, unless it says otherwise."""
    top = getcurrent()
    while top.parent is not None:
        top = top.parent
    return top


class Task:
    """``struct task_struct``, as far as anybody asks for it."""

    def __init__(self, name: str, cpu: Cpu, threadfn: Callable[[Any], int] | None, data: Any) -> None:
        self.name = name
        self.cpu = cpu
        self.threadfn = threadfn
        self.data = data
        self.state = TASK_UNINTERRUPTIBLE
        self.stalled = 0
        self.result: int | None = None
        self.should_stop = 0
        self.wakeup = TaskWakeup(self)
        self.waiters: list[Task] = []
        self.greenlet: Any = greenlet(self.run, hub()) if threadfn is not None else getcurrent()

    def run(self, *_: Any) -> Any:
        """The life of a kernel thread: from its first switch to its end."""
        assert self.threadfn is not None
        kernel = self.cpu.kernel
        try:
            if not self.should_stop:
                self.result = self.threadfn(self.data)
        except GreenletExit:
            self.state = TASK_DEAD
            return None
        except Exception as error:
            kernel.die(as_oops(error))
        except BaseException as error:  # somebody interrupts the program: its main greenlet hears of it
            kernel.die(as_oops(error))
            self.state = TASK_DEAD
            main: Any = self.cpu.clock.main
            if main is not None and main.main_task is not None:
                self.greenlet.parent = main.main_task.greenlet
            raise
        self.state = TASK_DEAD
        for waiter in self.waiters:
            wake_up_process(waiter)
        self.waiters = []
        if self.cpu.irqs_off or self.cpu.bh_off:
            if not self.cpu.dead:
                kernel.printk(4, f"BUG: thread {self.name} ended with interrupts or softirqs disabled")
            self.cpu.irqs_off = 0
            self.cpu.bh_off = 0
        while True:
            try:
                return last_switch(self)
            except GreenletExit:
                return None
            except Exception as error:  # in an interrupt or a softirq that was taken here
                kernel.die(as_oops(error))


class Timer(Event):
    """``struct timer_list``: something to do at a moment; subclasses override ``fire``."""


class TaskWakeup(Event):
    """The timer behind a sleep."""

    def __init__(self, task: Task) -> None:
        Event.__init__(self)
        self.task = task

    def fire(self) -> int:
        wake_up_process(self.task)
        return 0


class NoKernel:
    """The kernel where none runs: asked for anything, it is an Oops."""

    def __init__(self) -> None:
        self.trace = Trace()

    def __getattr__(self, name: str) -> NoReturn:
        raise KernelOops("no kernel runs here; `with machine.running():` lets one")


#: Where no kernel runs it is a CPU without registers, RAM and tasks: the compiled modules do not look whether there is one.
no_cpu = Cpu(Clock(), 0, NoKernel(), 0, [], Memory(0, 4096, bytearray(4096)))
this_cpu: Any = no_cpu


def current() -> Task:
    """The running task."""
    task: Task = this_cpu.current_task
    return task


def in_interrupt(cpu: Cpu) -> int:
    """Whether ``cpu`` is in a hard interrupt, a softirq or a softirq-disabled section."""
    return cpu.hardirq or cpu.softirq or cpu.bh_off


# --- interrupts ---------------------------------------------------------------------------------------------------


def interrupts(cpu: Cpu) -> int:
    """Take what is pending, unless interrupts are disabled on ``cpu``."""
    if cpu.npending and not cpu.irqs_off and not cpu.dead:
        cpu.controller.handle(cpu)
    return 0


def local_irq_save() -> int:
    """Disable interrupts on this CPU; returns the state to restore."""
    cpu = this_cpu
    flags = cpu.irqs_off
    cpu.irqs_off = 1
    return flags


def local_irq_restore(flags: int) -> int:
    """Restore the interrupt state; what became pending meanwhile is taken now."""
    cpu = this_cpu
    cpu.irqs_off = flags
    if cpu.npending and not flags:
        interrupts(cpu)
    return 0


def hardirq_enter(cpu: Cpu) -> int:
    """A hard interrupt begins on ``cpu``; from now on it is watched whether its handlers get anywhere."""
    cpu.hardirq += 1
    cpu.entry_time = cpu.clock.now
    cpu.look_time = cpu.entry_time
    cpu.rounds_left = LOCKUP_ROUNDS
    if cpu.lines_repeated:
        cpu.lines_repeated = 0
    if cpu.lines_seen:
        cpu.lines_seen.clear()
    return 0


def hardirq_exit(cpu: Cpu) -> int:
    """It ends."""
    cpu.hardirq -= 1
    cpu.rounds_left = LOCKUP_ROUNDS if cpu.hardirq else 0 if cpu.npending else MAX_ROUNDS
    return 0


def look(cpu: Cpu) -> int:
    """No rounds are left of ``cpu``, which runs: let signals through and take what is pending; in a hard interrupt, make sure
    that time passes.

    A register access and the end of a section count ``rounds_left`` down by one, so that neither has to look every time. It is
    set to 0 when an interrupt becomes pending on a CPU that handles none.
    """
    if cpu.hardirq:
        look_around(cpu)
    elif cpu.npending:
        cpu.rounds_left = 0
        if not cpu.irqs_off and not cpu.dead:
            cpu.controller.handle(cpu)
    else:
        cpu.kernel.handle_signals()
        cpu.rounds_left = MAX_ROUNDS
    return 0


def look_around(cpu: Cpu) -> int:
    """:func:`look` in a hard interrupt."""
    cpu.kernel.handle_signals()
    now = cpu.clock.now
    if now == cpu.look_time:
        raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck: {LOCKUP_ROUNDS} rounds while the clock stood")
    cpu.look_time = now
    cpu.rounds_left = LOCKUP_ROUNDS
    stuck(cpu)
    return 0


def no_structure() -> NoReturn:
    """A pointer to a structure of C is NULL, or leads to something else."""
    raise KernelOops("Unable to handle kernel NULL pointer dereference at virtual address 00000000")


def sleeping_call(cpu: Cpu, name: str) -> int:
    """Function ``name``, which may sleep, is called in atomic context."""
    cpu.kernel.sleeping_call(name)
    return 0


def stuck(cpu: Cpu) -> int:
    """The watchdog warns once of a hard interrupt on ``cpu`` that takes longer than it allows."""
    took = cpu.clock.now - cpu.entry_time
    if took > LOCKUP_NS:
        cpu.kernel.soft_lockup(cpu, took)
    return 0


def watch_line(cpu: Cpu, text: str) -> int:
    """A log line from a hard interrupt: the same lines over and over, while the clock stands, are a loop as well."""
    stuck(cpu)
    if cpu.clock.now != cpu.line_time:
        cpu.line_time = cpu.clock.now
        cpu.lines_repeated = 0
    if text in cpu.lines_seen:
        cpu.lines_repeated += 1
        if cpu.lines_repeated > LOCKUP_LINES:
            raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck: the same messages over and over")
    else:
        cpu.lines_seen.add(text)
    return 0


# --- tasks --------------------------------------------------------------------------------------------------------


def wake_up_process(task: Task) -> int:
    """Make ``task`` runnable on its CPU; 1 if it was not."""
    cpu = task.cpu
    if task.state == TASK_RUNNING or task.state == TASK_DEAD or cpu.dead:
        return 0
    task.state = TASK_RUNNING
    cpu.clock.cancel(task.wakeup)
    cpu.queue.append(task)
    cpu.clock.kick(cpu)
    return 1


def stopped(cpu: Cpu) -> int:
    """Whoever still runs on ``cpu``, whose kernel has stopped or was closed, ends here."""
    if cpu.dead == CLOSED:
        raise GreenletExit
    raise cpu.kernel.fault()


def pick(cpu: Cpu) -> Task:
    """Whoever runs next on ``cpu``; idles until there is somebody.

    When the machine has come to rest and nothing could ever wake anybody, the main task is woken and told so. On a CPU
    whose kernel has stopped only the main task goes on, to hear of it.
    """
    while True:
        if cpu.dead:
            if cpu.dead == CLOSED:
                stopped(cpu)
            if cpu.main_task is not None:
                cpu.main_task.state = TASK_RUNNING
                return cpu.main_task
            cpu.clock.idle(cpu)
            continue
        interrupts(cpu)
        left = 0
        if cpu.softirq_pending and not cpu.hold_softirq and not in_interrupt(cpu):
            left = cpu.controller.softirq(cpu)
        if cpu.queue:
            return cpu.queue.pop(0)
        if left:
            # ksoftirqd has the CPU for itself: what was left goes on after a moment
            cpu.clock.tick(KSOFTIRQD_NS)
        elif cpu.clock.idle(cpu) < 0:
            main = cpu.main_task
            assert main is not None
            main.stalled = 1
            wake_up_process(main)


def schedule() -> int:
    """Give up the CPU until somebody wakes the running task (whose ``state`` says so, unless it only yields).

    Returns 0, or -1 when the machine has come to rest and nothing could ever wake it (the main task only).
    """
    cpu = this_cpu
    if cpu.hardirq or cpu.softirq or cpu.irqs_off or cpu.bh_off:
        return schedule_atomic(cpu)
    return switch_task(cpu)


def schedule_atomic(cpu: Cpu) -> int:
    """:func:`schedule` where it is forbidden: complained about. The context is the task's own, and comes back."""
    if not cpu.dead:
        cpu.kernel.atomic_sleep(cpu)
    hardirq = cpu.hardirq
    softirq = cpu.softirq
    irqs_off = cpu.irqs_off
    bh_off = cpu.bh_off
    cpu.hardirq = 0
    cpu.softirq = 0
    cpu.irqs_off = 0
    cpu.bh_off = 0
    cpu.rounds_left = 0
    try:
        return switch_task(cpu)
    finally:
        cpu.hardirq = hardirq
        cpu.rounds_left = LOCKUP_ROUNDS if hardirq else 0
        cpu.softirq = softirq
        cpu.irqs_off = irqs_off
        cpu.bh_off = bh_off


def switch_task(cpu: Cpu) -> int:
    """Let another task of ``cpu`` run until it is the present one's turn again."""
    me = cpu.current_task
    if me.state == TASK_RUNNING:
        cpu.queue.append(me)
    task = pick(cpu)
    if task is not me:
        cpu.current_task = task
        cpu.greenlet = task.greenlet
        task.greenlet.switch()
    # resumed: whoever switched here made this CPU the running one
    if me is cpu.main_task:
        if cpu.dead:
            stopped(cpu)
        if me.stalled:
            me.stalled = 0
            return -1
    return 0


def last_switch(me: Task) -> Any:
    """The end of a thread: the next task of the CPU becomes the parent, to which a dead greenlet returns."""
    cpu = me.cpu
    task = pick(cpu)
    if me in cpu.kernel.threads:
        cpu.kernel.threads.remove(me)
    cpu.current_task = task
    cpu.greenlet = task.greenlet
    me.greenlet.parent = task.greenlet
    return None


def cpu_idle(cpu: Any) -> int:
    """The idle task of a CPU: runs whatever comes."""
    while True:
        cpu.idle_task.state = TASK_UNINTERRUPTIBLE
        schedule()


def attach(cpu: Cpu, name: str) -> Task:
    """Let the calling greenlet be task ``name`` of ``cpu``: first in its queue, at its present time."""
    clock = cpu.clock
    task = Task(name, cpu, None, None)
    task.state = TASK_RUNNING
    cpu.main_task = task
    clock.main = cpu
    clock.current = None
    if cpu.frozen:
        # it was left in the middle of an atomic section: nobody else has run there, the section goes on
        cpu.frozen = 0
        clock.add(cpu)
        clock.kick(cpu)
        cpu.current_task = task
        cpu.greenlet = task.greenlet
        clock.current = cpu
        clock.now = cpu.time
        clock.horizon = 0
        cpu.resumed()
        return task
    cpu.queue.insert(0, task)
    clock.kick(cpu)
    other = clock.behind(None)
    assert other is not None
    clock.switch(other)
    return task


def detach(cpu: Cpu) -> int:
    """Take the calling greenlet off ``cpu``: its idle task carries on there, unless it is left in an atomic section."""
    clock = cpu.clock
    task = cpu.main_task
    clock.cancel(task.wakeup)
    task.state = TASK_DEAD
    cpu.main_task = None
    idle = cpu.idle_task
    cpu.current_task = idle
    cpu.greenlet = idle.greenlet
    cpu.time = clock.now
    clock.current = None
    clock.main = None
    if cpu.dead:
        clock.remove(cpu)
    elif cpu.hardirq or cpu.softirq or cpu.irqs_off or cpu.bh_off:
        cpu.frozen = 1
        clock.remove(cpu)
    else:
        cpu.runnable = 1
    return 0


def kill(task: Task) -> int:
    """End ``task`` wherever it stands; what it holds is given back, the kernel it belongs to is closed."""
    task.cpu.clock.cancel(task.wakeup)
    if task.greenlet and not task.greenlet.dead:
        task.greenlet.parent = getcurrent()
        task.greenlet.throw()
    task.state = TASK_DEAD
    return 0


def running_cpu() -> Cpu:
    """The CPU that runs now."""
    return this_cpu


def set_running(cpu: Cpu) -> None:
    """``cpu`` runs from now on; :data:`no_cpu` where no kernel does."""
    global this_cpu
    if cpu is None:
        no_structure()
    this_cpu = cpu


def spend(ns: int) -> int:
    """The running CPU is busy for ``ns`` nanoseconds; interrupts are taken afterwards."""
    cpu = this_cpu
    cpu.clock.tick(ns)
    if cpu.npending:
        interrupts(cpu)
    return 0


def schedule_timeout(ns: int) -> int:
    """Sleep for ``ns`` nanoseconds or until somebody wakes the task; returns what was left, in ns."""
    cpu = this_cpu
    me = cpu.current_task
    until = cpu.clock.now + ns
    me.state = TASK_UNINTERRUPTIBLE
    cpu.clock.schedule(me.wakeup, until)
    schedule()
    cpu.clock.cancel(me.wakeup)
    left = until - cpu.clock.now
    return left if left > 0 else 0


def cond_resched() -> int:
    """Let another task of this CPU run, if one is ready, and softirqs that wait; nothing in atomic context."""
    cpu = this_cpu
    if cpu.queue or cpu.softirq_pending and not cpu.hold_softirq:
        if not (cpu.hardirq or cpu.softirq or cpu.irqs_off or cpu.bh_off):
            schedule()
    return 0


def cpu_relax() -> int:
    """One turn of a busy wait: time passes up to the next thing that could end it, a millisecond at most.

    Softirqs that wait for the CPU get their turn, as ksoftirqd would.
    """
    cpu = this_cpu
    if cpu.dead:
        stopped(cpu)
    if cpu.softirq_pending and not cpu.hold_softirq and not in_interrupt(cpu):
        cpu.controller.softirq(cpu)
    ns = cpu.clock.horizon - cpu.clock.now
    if ns > 1000000:
        ns = 1000000
    if ns < 100:
        ns = 100
    return spend(ns)


def wait_here(cpu: Cpu, since: int, what: str) -> int:
    """One turn of a wait for another CPU that does not sleep, begun at ``since`` ns; for ever is a lockup."""
    if cpu.clock.now - since > LOCKUP_NS:
        raise KernelOops(f"BUG: soft lockup - CPU#{cpu.number} stuck for "
                         f"{(cpu.clock.now - since) // 1000000000}s! [{what}]")
    return cpu_relax()
