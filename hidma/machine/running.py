# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
"""How a caller gets into a machine and out of it again: one at a time in a process, SIGINT held back until the machine is at
a place where it can stop, an Oops told to whoever is inside. It stands for no C file.
"""

from __future__ import annotations

import importlib
import signal
import threading
from typing import Any, Protocol
from weakref import WeakSet

from greenlet import getcurrent  # type: ignore[import-untyped,unused-ignore]

from hidma.hidma_h import HidmaDesc
from hidma.linux import sched
from hidma.linux.errno import EDEADLK, EPERM
from hidma.linux.kernel import Kernel, is_kernel_fault
from hidma.linux.list import INIT_LIST_HEAD, list_head_gone, local_lists
from hidma.linux.sched import CLOSED, KernelOops

# the public signal() costs ten times more, and every call into a machine needs it twice
_signal: Any = importlib.import_module("_signal")


class Interrupts:
    """What wants the caller to leave a machine while it runs: an error of a callback, or SIGINT. It is remembered, and comes
    when the machine is at a place where it can stop.

    A second SIGINT comes at once; the kernel that it hits does not survive it.

    :ivar pending: an error of a callback that is no mistake of the client's
    :ivar count: how many SIGINT have come
    """

    def __init__(self) -> None:
        self.pending: BaseException | None = None
        self.count = 0
        self.before: Any = None

    def wanted(self) -> int:
        """Whether somebody wants the caller to stop."""
        return self.pending is not None or self.count > 0

    def hold(self) -> int:
        """From now on SIGINT waits, if this is the thread of Python that gets it and somebody in Python handles it."""
        if threading.get_ident() == threading.main_thread().ident:
            before = _signal.getsignal(signal.SIGINT)
            if callable(before):
                self.before = before
                self.count = 0
                _signal.signal(signal.SIGINT, self._come)
        return 0

    def _come(self, number: int, frame: Any) -> None:
        self.count += 1
        if self.count > 1:
            self.before(number, frame)

    def release(self) -> int:
        """SIGINT is again what it was; whether one came."""
        before = self.before
        self.before = None
        if before is None:
            return 0
        _signal.signal(signal.SIGINT, before)
        count = self.count
        self.count = 0
        return count


class Entered(Protocol):
    """The machine that is entered. :class:`hidma.machine.boot.Machine` is one.

    ``main_greenlet`` is the greenlet that it was booted in, in ``thread``; ``depth`` how often that is inside.
    """

    closed: bool
    depth: int
    dma: Any
    main_greenlet: Any
    interrupts: Interrupts
    kernel: Kernel
    thread: int
    thread_name: str

    def check_open(self) -> None: ...


def power_off(kernel: Kernel) -> None:
    """Close ``kernel``. What an Oops left in a local list (of hidma_process_completed()) would hold all of it for ever."""
    kernel.close()
    devices = getattr(kernel.module("dmaengine"), "dma_device_list", [])
    for head in local_lists():
        mdesc = head.next.owner
        if isinstance(mdesc, HidmaDesc) and mdesc.desc.chan.device in devices:
            INIT_LIST_HEAD(head)
            list_head_gone(head)


class ThreadKernels(threading.local):
    """The kernels that the calling thread has booted. They are closed when it ends: no other thread can do it."""

    def __init__(self) -> None:
        self.until = ThreadEnd()

    def add(self, kernel: Kernel) -> None:
        """``kernel`` was booted; the main thread ends with the program."""
        if threading.current_thread() is not threading.main_thread():
            self.until.kernels.add(kernel)


class ThreadEnd:
    """What a thread drops when it ends."""

    def __init__(self) -> None:
        self.kernels: WeakSet[Kernel] = WeakSet()

    def __del__(self) -> None:
        for kernel in self.kernels:
            turn.drop(threading.get_ident(), kernel, True)


class Turn:
    """Whose turn it is: one CPU runs at a time in a process, whatever machine it belongs to.

    :ivar left: kernels of machines that nobody holds any more, with the thread that has to close them
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside: Entered | None = None
        self.left: list[tuple[int, Kernel]] = []
        self.of_thread = ThreadKernels()

    def drop(self, thread: int, kernel: Kernel, wait: bool = False) -> None:
        """Let ``thread``, which booted it, close ``kernel``: now if no machine runs, else when it enters the next one.

        :param wait: let it wait until none runs
        """
        if kernel.cpus[0].dead == CLOSED:
            return  # with the thread that has booted it
        self.left.append((thread, kernel))
        if thread == threading.get_ident() and self.lock.acquire(blocking=wait):
            try:
                self.catch_up()
            finally:
                self.lock.release()

    def catch_up(self) -> None:
        """Close what is left to this thread; the caller has the lock."""
        thread = threading.get_ident()
        for entry in [entry for entry in self.left if entry[0] == thread]:
            self.left.remove(entry)
            power_off(entry[1])


turn = Turn()


class Running:
    """The caller runs on CPU 0 of a machine's kernel inside the ``with``, or goes on in a callback of its driver.

    An Oops there stops the kernel and goes on to the caller.
    """

    def __init__(self, machine: Entered, hold: bool = False) -> None:
        self.machine = machine
        self.interrupts: Interrupts = machine.interrupts
        self.hold = hold
        self.counted = False

    def __enter__(self) -> Kernel:
        machine = self.machine
        machine.check_open()
        kernel = machine.kernel
        if kernel.dead is not None:
            raise kernel.fault()
        here = getcurrent()
        if here is machine.main_greenlet:
            if not machine.depth:
                self._begin(kernel)
            machine.depth += 1
            self.counted = True
            return kernel
        if turn.inside is machine and sched.running_cpu().kernel is machine.kernel:
            return kernel  # a callback, on another CPU
        if threading.get_ident() != machine.thread:
            raise OSError(EPERM, f"this machine was booted in thread {machine.thread_name!r} and runs only there; boot "
                                 f"another one in {threading.current_thread().name!r}")
        raise OSError(EDEADLK, "this machine cannot run here, inside a callback of another machine or in another "
                               "greenlet; use it where it was booted")

    def _begin(self, kernel: Kernel) -> int:
        other = turn.inside
        if other is not None and other.thread == self.machine.thread:
            raise OSError(EDEADLK, "another machine is in the middle of a callback here; use this one outside")
        turn.lock.acquire()
        if turn.left:
            turn.catch_up()
        turn.inside = self.machine
        try:
            if self.hold:
                self.interrupts.hold()
            kernel.enter()
        except BaseException:
            self._end()
            raise
        return 0

    def _end(self) -> int:
        count = self.interrupts.release()
        turn.inside = None
        turn.lock.release()
        return count

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        machine = self.machine
        kernel = machine.kernel
        stopped: BaseException | None = None
        fatal = error is not None and (isinstance(error, KernelOops) or is_kernel_fault(error))
        if fatal and kernel.dead is None and not machine.closed:
            assert error is not None
            kernel.die(sched.as_oops(error))
        if fatal and kernel.dead is not None and getattr(error, "backtrace", None) is not kernel.dead.backtrace:
            stopped = kernel.fault()  # the first one, when several CPUs stop at once
        if self.counted:
            machine.depth -= 1
            if not machine.depth:
                kernel.untold = None
                count = self._end()
                if kernel.dead is not None:
                    machine.dma.kernel_died()
                pending = self.interrupts.pending
                self.interrupts.pending = None
                if pending is not None:
                    raise pending
                if count:
                    handler = signal.getsignal(signal.SIGINT)
                    if callable(handler):
                        handler(signal.SIGINT, None)
        if stopped is not None:
            raise stopped from None


def settle() -> int:
    """Let what is pending on this CPU happen; takes no time, and does nothing in a callback."""
    cpu = sched.this_cpu
    if not sched.in_interrupt(cpu):
        sched.interrupts(cpu)
        sched.cond_resched()
    return 0
