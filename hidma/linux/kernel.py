# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kernel.h>``: a running kernel. What C keeps at file scope lives here, so that a host and its guests are
several kernels in one process.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent  # type: ignore[import-untyped,unused-ignore]

from hidma.linux import sched
from hidma.linux.debugfs import Dentry
from hidma.linux.fault_inject import FaultInject
from hidma.linux.interrupt import CpuQueues, Gic
from hidma.linux.kobject import Kobject
from hidma.linux.printk import LogBuf, LogLine
from hidma.linux.sched import CLOSED, STOPPED, Cpu, KernelOops, Task, attach, cpu_idle, detach, kill

if TYPE_CHECKING:
    from hidma.hw.bus import Bus
    from hidma.hw.clock import Clock

PORT = ("hidma/", "reset_plugins/")
BENEATH = ("hidma/linux/", "hidma/hw/", "hidma/hidma_h.")  # a backtrace begins above these
PORT_MODULES = ("channel", "dbg", "ll", "mgmt", "mgmt_sys")
PORT_PACKAGES = (["hidma", "linux"], ["hidma", "vfio_platform"])


class Kernel:
    """One kernel: CPUs, log, interrupts, buses, modules, and the bus of the hardware that it is bound to.

    :param name: what to call it in messages
    :param bus: RAM and registers
    :param cpus: number of CPUs
    :param clock: the machine's clock
    :param debug: whether debug messages go to the log
    """

    def __init__(self, name: str, bus: Bus, cpus: int = 1, debug: bool = False,
                 ranks: list[int] | None = None) -> None:
        self.name = name
        self.bus = bus
        self.clock: Clock = bus.clock
        self.trace = bus.trace
        self.debug = debug
        self.dead: KernelOops | None = None
        self.untold: KernelOops | None = None  # the same with its traceback, until a caller hears of it
        self.config_bug = True
        self.log = LogBuf()
        self.warned: set[str] = set()
        self.windows: list[Any] = []
        self.mem_regions: list[tuple[int, int, str]] = []
        self.fault_inject = FaultInject(self.trace)
        self.modules: dict[str, SimpleNamespace] = {}
        self.oops_row: Callable[[KernelOops], int | None] = lambda oops: None
        self.hide_pointers = False
        self.addresses: dict[tuple[int, str], tuple[int, Any]] = {}
        self.sysfs_root = Kobject("")
        self.sysfs_root.alive = True
        self.debugfs_root = Dentry("", None, 0o755, None, None)
        self.gic = Gic(self)
        self.dma_ops: Any = None
        self.of_root: Any = None
        self.threads: list[Task] = []
        self.next_thread_cpu = 0
        self.buses: dict[str, Any] = {}
        self.cpus: list[Cpu] = []
        for number in range(cpus):
            cpu = Cpu(self.clock, number if ranks is None else ranks[number], self, number, self.windows, bus.memory)
            cpu.controller = CpuQueues()
            idle = Task(f"swapper/{number}", cpu, cpu_idle, cpu)
            cpu.idle_task = idle
            cpu.current_task = idle
            cpu.greenlet = idle.greenlet
            self.clock.add(cpu)
            self.cpus.append(cpu)

    # --- statics ----------------------------------------------------------------------------------------------

    def module(self, name: str) -> SimpleNamespace:
        """What module ``name`` keeps at file scope in this kernel."""
        if name not in self.modules:
            self.modules[name] = SimpleNamespace()
        return self.modules[name]

    @staticmethod
    def handle_signals() -> None:
        """Let Python handle signals and run other threads, which it does in interpreted code only. A long compiled loop calls
        this.
        """

    # --- log --------------------------------------------------------------------------------------------------

    def printk(self, level: int, text: str, facility: int = 0) -> None:
        """One line of the log."""
        line = LogLine(self.clock.now, level, text, facility)
        self.log.append(line)
        if self.trace.on:
            self.trace.emit(("printk", level, text))

    def warn(self, text: str, once: bool = False) -> None:
        """A WARN: one line; with ``once``, the first time only."""
        if once:
            if text in self.warned:
                return
            self.warned.add(text)
        self.printk(4, f"WARNING: {text}")

    def dmesg(self) -> str:
        """The log, as ``dmesg`` prints it; first how many messages were dropped."""
        return "".join(f"{line}\n" for line in [*self.log.dropped(), *self.log])

    def atomic_sleep(self, cpu: Cpu) -> None:
        """A task sleeps in atomic context (V14: row 4): logged once, and goes on."""
        where = "hard interrupt" if cpu.hardirq else "softirq" if cpu.softirq else "irqs disabled"
        task = cpu.current_task.name if cpu.current_task is not None else "swapper"
        text = f"BUG: scheduling while atomic: {task}, {where}"
        if text not in self.warned:
            self.warned.add(text)
            self.printk(3, text)

    def sleeping_call(self, function: str) -> None:
        """A function that may sleep is called in an interrupt: logged once for each."""
        text = f"BUG: sleeping function called from invalid context: {function}"
        if text not in self.warned:
            self.warned.add(text)
            self.printk(3, text)

    def soft_lockup(self, cpu: Cpu, took: int) -> None:
        """The watchdog has found a hard interrupt that takes long, ``took`` ns by now: logged once, with its row."""
        if "soft lockup" in self.warned:
            return
        self.warned.add("soft lockup")
        text = f"BUG: soft lockup - CPU#{cpu.number} stuck for {took // 1000000000}s!"
        self.printk(0, text)
        self.print_row(self.oops_row(KernelOops(text)))

    def print_row(self, row: int | None) -> None:
        """Name the row of V14's that is the cause, or say that none is known."""
        self.printk(0, "V14: no row of docs/quirks is known for this" if row is None else f"V14: this is row {row} of docs/quirks")

    def bug(self, condition: str) -> None:
        """``BUG_ON``: an Oops, unless the kernel was configured without CONFIG_BUG."""
        if self.config_bug:
            raise KernelOops(f"kernel BUG: {condition}")
        self.warn(f"BUG_ON({condition}) passed over (CONFIG_BUG is not set)", once=True)

    def address_of(self, thing: Any, field: str = "") -> int:
        """The address that ``thing`` (or ``field`` of it) has in this kernel, given out in the order of asking."""
        key = (id(thing), field)
        if key not in self.addresses:
            self.addresses[key] = (0xFFFF8000F0000000 + 0x100 * len(self.addresses), thing)
        return self.addresses[key][0]

    # --- the end ----------------------------------------------------------------------------------------------

    def die(self, oops: KernelOops) -> None:
        """Stop this kernel: the Oops goes to the log, its CPUs never run again; other kernels go on."""
        if self.dead is not None or self.cpus[0].dead == CLOSED:
            return
        frames = traceback.extract_tb(oops.__traceback__)
        names = [f.name.rpartition(".")[2] for f in frames
                 if any(p in f.filename for p in PORT) and not any(name in f.filename for name in BENEATH)]
        # what a function was compiled to may be several on top of each other; a lambda is no function of C
        names = [name for name, _ in itertools.groupby(name for name in names if not name.startswith("<"))]
        oops.backtrace = list(reversed(names))
        oops.kernel = self.name
        if oops.row is None:
            oops.row = self.oops_row(oops)
        self.dead, self.untold = oops.again(), oops
        self.printk(0, f"Internal error: Oops: {oops.message}")
        self.print_row(oops.row)
        self.printk(0, "Call trace:")
        for name in oops.backtrace:
            self.printk(0, f" {name}")
        self.printk(0, f"---[ end Kernel panic - not syncing: {oops.message} ]---")
        for cpu in self.cpus:
            cpu.dead = STOPPED
            cpu.irqs_off = 1
            if cpu.main_task is None:
                self.clock.remove(cpu)
            else:
                self.clock.kick(cpu)

    def fault(self) -> KernelOops:
        """The Oops that has stopped this kernel, to be raised: the first time with its traceback."""
        assert self.dead is not None
        oops, self.untold = self.untold or self.dead.again(), None
        return oops

    def close(self) -> None:
        """End every thread and give back what it holds; the kernel is of no use afterwards, others go on."""
        self.leave()
        clock = self.clock
        now, current, running = clock.now, clock.current, sched.running_cpu()
        for cpu in self.cpus:
            cpu.dead = CLOSED
            clock.remove(cpu)
        clock.firing += 1  # no other timeline may run while threads unwind
        try:
            for task in [*self.threads, *(cpu.idle_task for cpu in self.cpus)]:
                if task is not None:
                    kill(task)
        finally:
            clock.firing -= 1
            clock.now = now
            clock.current = current
            sched.set_running(sched.no_cpu if running in self.cpus else running)
        self.threads.clear()

    # --- entering ---------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The calling thread of Python becomes the task ``init`` on CPU 0, at its present time.

        Nothing changes when it is that task already, but that this kernel's CPU is the running one again.

        :raises KernelOops: when the kernel has stopped
        """
        if self.dead is not None:
            raise self.fault()
        cpu = self.cpus[0]
        if cpu.main_task is None:
            main = self.clock.main
            if main is not None:
                assert isinstance(main, Cpu)
                detach(main)
            attach(cpu, "init")
        elif cpu.main_task.greenlet is getcurrent():
            cpu.resumed()

    def leave(self) -> None:
        """Undo :meth:`enter`: CPU 0 goes on without the caller."""
        if self.cpus[0].main_task is not None:
            detach(self.cpus[0])


def is_kernel_fault(error: BaseException) -> bool:
    """Whether ``error`` is the exception for a fault in C: an index past an array, NULL followed, a division by 0, in the port
    or in the kernel slice. A mistake of a caller outside them is not.
    """
    if not isinstance(error, (IndexError, ZeroDivisionError)) and not (
            isinstance(error, (AttributeError, TypeError)) and "NoneType" in str(error)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    *path, name = frames[-1].filename.replace("\\", "/").split("/") if frames else [""]
    # frames of compiled functions may be in x.pxd
    module = name.partition(".")[0]
    return (path[-1:] == ["hidma"] and module in PORT_MODULES or path[-2:] in PORT_PACKAGES or "reset_plugins" in path)
