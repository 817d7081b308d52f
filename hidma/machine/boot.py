# SPDX-License-Identifier: GPL-2.0-only
"""The public interface: it builds the hardware that firmware describes and boots a Linux slice on it.

    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        chan.memcpy(dest, src, 4096).wait()

Errors are OSErrors with a sentence. A machine
runs in the thread that booted it; machines of several threads take turns. It stands for no C file.
"""

from __future__ import annotations

import difflib
import mmap
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from os import PathLike
from typing import Any, Protocol
from weakref import finalize, ref

from greenlet import getcurrent  # type: ignore[import-untyped,unused-ignore]

from hidma import channel as channel_module
from hidma import firmware, mgmt
from hidma.hw.bus import Bus
from hidma.hw.channel import Channel as HwChannel
from hidma.hw.clock import Clock
from hidma.hw.core import HidmaCore
from hidma.hw.device import DeviceModel, Unmodelled
from hidma.hw.engine import Timing
from hidma.hw.faults import FaultPlan, parse
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu, Stream
from hidma.hw.trace import Trace
from hidma.linux import errno, sched, vfio, vfio_iommu_type1
from hidma.linux.acpi_bus import acpi_bus_scan, acpi_load_tables
from hidma.linux.base import mount_root
from hidma.linux.dma_mapping import DmaOps
from hidma.linux.iommu import firmware_node_path, set_iommu
from hidma.linux.kernel import Kernel
from hidma.linux.kmod import set_modprobe
from hidma.linux.module import Module, load_module, modules, unload_module, users
from hidma.linux.of_platform import of_platform_populate
from hidma.linux.platform_device import PlatformDevice, platform_bus, to_platform_device
from hidma.linux.printk import LOG_BUF_LEN
from hidma.linux.sched import KernelOops
from hidma.machine.bootloader import acpi_devices, device_nodes
from hidma.machine.buffer import Buffer
from hidma.machine.client import Dma
from hidma.machine.running import Interrupts, Running, power_off, settle, turn
from hidma.quirks import oops_row
from hidma.vfio_platform import common as vfio_platform_base
from hidma.vfio_platform import platform as vfio_platform

__all__ = ["KernelOops", "Machine", "boot"]

MAX_CPUS = 64
MIN_LOG = 1 << 12
MAX_LOG = 1 << 30
CONSOLE_LINES = 1000
CONSOLE_NS = 100000
STEP_NS = 1000000
LONGEST_RUN_NS = 1 << 60

MODULES: dict[str, Module] = {module.name: module for module in (
    mgmt.module, channel_module.module, vfio.module, vfio_iommu_type1.module, vfio_platform_base.base_module,
    vfio_platform.module,
)}

UNTRANSLATED = 1 << 24
"""First number of the streams of devices that no IOMMU translates for, beyond those of firmware."""


def find_module(name: str) -> Module | None:
    """The module of the port that has this name or alias; None when there is none."""
    return next((module for module in MODULES.values() if module.is_named(name)), None)


def os_error(rc: int, sentence: str) -> OSError:
    """An errno of the port as the exception of the public interface."""
    return OSError(abs(rc), f"{sentence} ({errno.errname(rc)}: {errno.strerror(rc)})")


class Sysfs:
    """The files of a machine's kernel, by path: ``machine.sysfs["/sys/..."]``, read and written as text, by root.

    debugfs is at /sys/kernel/debug, and /proc is there too.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._vfs = mount_root(machine.kernel)

    def __getitem__(self, path: str) -> str:
        """The text of a file.

        :raises OSError: ENOENT, EISDIR, EACCES (it cannot be read), or what the driver gives
        """
        with self._machine.calling():
            text = self._vfs.read(_path(path))
        if isinstance(text, int):
            raise self._error(text, path, "cannot be read")
        return text.decode("utf-8", "replace")

    def __setitem__(self, path: str, value: str) -> None:
        """Write a file.

        :raises OSError: ENOENT, EISDIR, EACCES (it cannot be written), or what the driver gives: EINVAL, EIO, ...
        """
        if not isinstance(value, str):
            raise OSError(errno.EINVAL, f"{path} takes text such as '15', not {value!r}")
        kernel = self._machine.kernel
        said = len(kernel.log)
        with self._machine.calling():
            rc = self._vfs.write(_path(path), value.encode())
        if rc < 0:
            lines = [line.text.strip() for line in kernel.log[said:]]
            why = f"; the kernel says: {lines[-1]}" if lines else ""
            raise self._error(rc, path, f"does not take {value!r}" if rc != -errno.EACCES else "cannot be written", why)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        with self._machine.calling():
            return self._vfs.lookup(path)[0] == 0

    def listdir(self, path: str) -> list[str]:
        """The names in a directory.

        :raises OSError: ENOENT, ENOTDIR
        """
        with self._machine.calling():
            names = self._vfs.listdir(_path(path))
        if isinstance(names, int):
            raise self._error(names, path, "cannot be listed")
        return names

    def _error(self, rc: int, path: str, what: str, why: str = "") -> OSError:
        if rc == -errno.ENOENT:
            above = "/"
            for part in [part for part in path.split("/") if part]:
                names = self._vfs.listdir(above)
                if isinstance(names, int):
                    break
                if part not in names:
                    close = difflib.get_close_matches(part, names, 1)
                    hint = f", did you mean {close[0]!r}" if close else ""
                    return FileNotFoundError(errno.ENOENT, f"{path}: there is no {part!r} in {above}{hint}")
                above = f"{above.rstrip('/')}/{part}"
        return os_error(rc, f"{path} {what}{why}")


def firmware_path(device: firmware.Device) -> str:
    """Path of a device in the firmware, as the kernel has it."""
    node = device.node
    return device.path if isinstance(node, firmware.Node) or node is None else str(node.object.full_path)


def spans_without(wanted: list[tuple[int, int, str]], taken: list[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Spans (first, end, name) in order, those that overlap made one, without what is taken."""
    merged: list[tuple[int, int, str]] = []
    for base, end, name in sorted(wanted):
        if merged and base < merged[-1][1]:
            base, last, name = merged.pop()
            end = max(end, last)
        merged.append((base, end, name))
    for base, end, name in merged:
        for low, high in taken:
            if low < end and base < high:
                if base < low:
                    yield base, low, name
                base = max(base, high)
        if base < end:
            yield base, end, name


def _pages(size: int) -> mmap.mmap:
    """Memory for ``size`` bytes of registers, in pages of its own, so that a guest in another process can have them."""
    return mmap.mmap(-1, max(size, mmap.PAGESIZE))


def _path(path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise OSError(errno.EINVAL, f"a path is text that begins with /, such as '/sys/bus/platform/devices', not {path!r}")
    return path


class BootedKernel(Kernel):
    """A kernel with a console, which is slow: lines that are printed faster than it writes have to wait in the end.

    It writes a line in CONSOLE_NS while the kernel goes on. While it is behind, a caller that repeats lines waits for it after
    CONSOLE_LINES repetitions. It costs no time otherwise. Without it a handler that goes
    round in a loop for half a second (row 1) would say the same five million times: a single line (an invalid WRITE_PTR),
    or one for each entry of its ring (row 6).
    """

    def __init__(self, name: str, bus: Bus, cpus: int = 1, debug: bool = False, ranks: list[int] | None = None) -> None:
        # the lines since the console was last idle, the number of repetitions among them, and the time when it is idle again
        self.said: set[str] = set()
        self.repeated = 0
        self.written = 0
        super().__init__(name, bus, cpus, debug, ranks)

    def printk(self, level: int, text: str, facility: int = 0) -> None:
        super().printk(level, text, facility)
        if self.clock.now >= self.written:
            self.written = self.clock.now
            self.said.clear()
            self.repeated = 0
        self.written += CONSOLE_NS
        if text not in self.said:
            self.said.add(text)
            return
        self.repeated += 1
        if self.repeated > CONSOLE_LINES:
            self.clock.tick(CONSOLE_NS)


def load_with_depends(kernel: Kernel, module: Module, params: Mapping[str, str | None] | None = None) -> int:
    """Load what ``module`` needs, then itself, into the running kernel: 0, -EEXIST, or what loading gave."""
    for name in module.depends:
        rc = load_with_depends(kernel, MODULES[name])
        if rc < 0 and rc != -errno.EEXIST:
            return rc
    return load_module(kernel, module, dict(params or {}))


def modprobe_plugin(kernel: Kernel, name: str) -> int:
    """:func:`hidma.plugin.loading.modprobe`."""
    from hidma.plugin import loading  # few machines need it, and it brings pluggy

    return loading.modprobe(name, partial(load_with_depends, kernel))


class Closable(Protocol):
    """A guest that runs on a machine and ends with it."""

    def close(self) -> None:
        """Stop it and free what it holds."""


class Machine:
    """One machine: hardware and the kernel that runs on it. Made by :func:`boot`.

    :ivar board: what the firmware describes
    :ivar clock: virtual time; ``machine.now`` is in nanoseconds
    :ivar cores: the HIDMA cores of the hardware
    :ivar kernel: the running Linux slice; ``kernel.dead`` is the KernelOops that stopped it, None while it runs
    :ivar dma: where channels are requested
    :ivar sysfs: the files of the kernel by path, read and written as text
    :ivar guests: the guests that run on it (:class:`hidma.vm.Guest`, :class:`hidma.vm.GuestProcess`); they are closed with it
    :ivar notes: problems that V14 has with this board, and what was left out or filled in, in sentences
    :ivar drivers_before: the drivers that devices had before they were assigned (:func:`hidma.vm.assign`), '' without one
    :ivar models: models of the devices beside HIDMA, by path in the firmware
    :ivar closed: whether the machine is closed
    """

    def __init__(self, tree: firmware.Tree | firmware.Namespace, board: firmware.Board, *, instant: bool, seed: int,
                 timing: Timing | None, debug: bool, cpus: int | None, ram: firmware.RamRequest | None = None) -> None:
        self.tree = tree
        self.board = board
        self.notes = [*firmware.check(tree, ram), *firmware.explain_unbound(board)]
        self.cores: list[HidmaCore] = []
        self.hw_channels: dict[int, HwChannel] = {}
        self.registers: dict[int, HwChannel] = {}
        self.streams: dict[str, Stream] = {}
        self.models: dict[str, DeviceModel] = {}
        self.lines: list[Line] = []
        self.guests: list[Closable] = []
        self.drivers_before: dict[str, str] = {}
        self.bus, self.smmu = self._buses(board)
        self.clock = self.bus.clock
        self.trace = self.bus.trace
        self.memory = self.bus.memory
        self._build(board, instant, timing)
        count = cpus or board.cpus
        ranks = list(range(count))
        random.Random(seed).shuffle(ranks)
        self.kernel: Kernel = self._kernel(board, debug, ranks)
        # nothing of the kernel holds the machine: when nobody else does either, the kernel is closed
        self._dropped = finalize(self, turn.drop, threading.get_ident(), self.kernel)
        self._dropped.atexit = False
        turn.of_thread.add(self.kernel)
        self.kernel.oops_row = partial(oops_row, kernel=self.kernel)
        self.kernel.dma_ops = DmaOps(self.memory)
        self.kernel.module("random").crng = random.Random(f"random numbers of {self.kernel.name} {seed}")
        for line in self.lines:
            self.kernel.gic.wire(line.number, line)
        self.dma = Dma(self)
        self.sysfs = Sysfs(self)
        self.closed = False
        self.thread = threading.get_ident()
        self.thread_name = threading.current_thread().name
        self.main_greenlet = getcurrent()
        self.depth = 0
        self.interrupts: Interrupts = Interrupts()

    # --- building ---------------------------------------------------------------------------------------------

    def _buses(self, board: firmware.Board) -> tuple[Bus, Smmu]:
        """The bus with RAM and clock, and the IOMMU. A guest has the host's clock and part of its RAM."""
        region = max(board.memory, key=lambda r: r.size)
        clock = Clock()
        try:
            memory = Memory(region.base, region.size)
        except OSError as error:
            why = (f"{board.source}: this system cannot give {region.size:#x} bytes of RAM ({error.strerror}); --memory SIZE gives "
                   "the board less.")
            raise firmware.FirmwareError(why, error.errno or errno.ENOMEM) from None
        bus = Bus(clock, memory, Trace(clock))
        return bus, Smmu(bus)

    def _kernel(self, board: firmware.Board, debug: bool, ranks: list[int]) -> Kernel:
        """The kernel, with a CPU for each rank."""
        return BootedKernel("host" if board.managements else "guest", self.bus, len(ranks), debug, ranks)

    def _build(self, board: firmware.Board, instant: bool, timing: Timing | None) -> None:
        for core in board.cores:
            management = core.management
            name = "hidma" if len(board.cores) == 1 else f"hidma{core.number}"
            place = None
            if management is not None:
                place = (management.reg.base, management.reg.size)
                self.lines.append(Line(management.irq, f"{name}.mgmt"))
            hw = HidmaCore(self.bus, self.smmu, name=name, channels=core.size, management=place, timing=timing,
                           instant=instant)
            for spec in core.channels:
                line = Line(spec.irq, f"{name}.chan{spec.index}")
                self.lines.append(line)
                channel = hw.add_channel(spec.index, spec.trca.base, spec.evca.base, line,
                                         self.smmu.stream(spec.stream, f"{name}.chan{spec.index}"),
                                         trca_size=spec.trca.size, evca_size=spec.evca.size,
                                         trca_buffer=_pages(spec.trca.size), evca_buffer=_pages(spec.evca.size))
                self.hw_channels[spec.trca.base] = channel
                self.registers[spec.trca.base] = self.registers[spec.evca.base] = channel
            self.cores.append(hw)
        self._build_others(board)

    def _build_others(self, board: firmware.Board) -> None:
        """The devices beside HIDMA: with a model where a plugin brings one, else registers that read as zero."""
        if not board.other:
            return
        from hidma.plugin import sources  # few machines need it

        plugins, problems = sources.found_now()
        self.notes += [f"{sentence}." for sentence in problems]
        wired = {line.number for line in self.lines}
        without: list[str] = []
        spare: list[tuple[int, int, str]] = []
        for number, device in enumerate(board.other):
            stream = self.smmu.stream(UNTRANSLATED + number if device.stream is None else device.stream, device.path)
            if device.stream is not None:
                self.streams[firmware_path(device)] = stream
            line = Line(device.irqs[0] if device.irqs else 0, device.path)
            noted = len(self.notes)
            model = self._model(device, line, stream, plugins) if device.regs else None
            if model is not None:
                self.models[device.path] = model
                if device.irqs:
                    self.lines.append(line)
                    wired.add(line.number)
            elif device.regs:
                spare.extend((region.base, region.end, device.path) for region in device.regs)
                if len(self.notes) == noted:
                    without.append(device.path)
            for irq in device.irqs:
                if irq not in wired:
                    wired.add(irq)
                    self.lines.append(Line(irq, device.path))
        taken = sorted((block.base, block.base + block.size) for block in self.bus.blocks)
        for base, end, name in spans_without(spare, taken):
            self.bus.add(Unmodelled(self.bus, name, base, end - base))
        if without:
            names = ", ".join(without[:3])
            more = f" and {len(without) - 3} more" if len(without) > 3 else ""
            self.notes.append(f"{board.source}: no plugin has a model of {names}{more}: their registers read as zero and their "
                              "interrupts never rise.")

    def _model(self, device: firmware.Device, line: Line, stream: Stream, plugins: Iterable[Any]) -> DeviceModel | None:
        """The model of a device, in its place; None, with a note unless no plugin has one, where there is none.

        :param plugins: the sources of all plugins
        """
        from hidma.plugin.sources import PluginError, in_one_line, models

        if not models(device.names, plugins):
            return None
        from hidma.plugin import loading  # it brings pluggy
        from hidma.plugin.watchdog import of_model

        try:
            found = loading.device_model(device.names, plugins)
        except PluginError as error:
            self.notes.append(f"{device.path}: {error}; the device has no model.")
            return None
        if found is None:
            return None
        model, origin = found
        regs = device.regs[: len(model.sizes)]
        if len(regs) < len(model.sizes) or any(r.size < s for r, s in zip(regs, model.sizes, strict=True)):
            have, want = (", ".join(f"{size:#x}" for size in sizes) or "none" for sizes in (
                [r.size for r in device.regs], model.sizes))
            self.notes.append(f"{device.path}: {origin}: its model has regions of {want} bytes and the firmware gives {have}; the "
                              "device has no model.")
            return None
        before = list(self.bus.blocks)
        try:
            model.place(self.bus, [region.base for region in regs], line, stream)
            if not hasattr(model, "line") or any(self.bus.find(region.base) is None for region in regs):
                raise ValueError("its place() leaves out that of DeviceModel, so that its registers are nowhere")
        except (Exception, SystemExit) as error:
            self.bus.blocks[:] = before
            self.notes.append(f"{device.path}: {origin}: its model cannot be built: {in_one_line(error)}; the device has "
                              "no model.")
            return None

        machine = ref(self)

        def failed(error: BaseException) -> None:
            there = machine()
            if there is not None:
                there.kernel.printk(3, f"{origin}: the model of {device.path} fails: {in_one_line(error)}; the device is dead "
                                       "from now on")

        model.on_failure = failed
        model.limit = of_model
        return model

    def device(self, name: str) -> PlatformDevice:
        """A platform device of the kernel.

        :raises OSError: ENODEV, there is no such device
        """
        dev = next((dev for dev in platform_bus(self.kernel).devices if dev.name == name), None)
        if dev is None:
            names = ", ".join(name for name, _ in self.devices())
            raise OSError(errno.ENODEV, f"there is no device {name!r} on this board; there are {names}")
        return to_platform_device(dev)

    def described(self, device: str) -> firmware.Device | None:
        """What the board says of a platform device beside HIDMA.

        :raises OSError: ENODEV, there is no such device
        """
        path = firmware_node_path(self.device(device).dev)
        return next((each for each in self.board.other if firmware_path(each) == path), None)

    def model(self, device: str) -> DeviceModel | None:
        """The model of a platform device beside HIDMA, such as ``fff50000.ethernet``; None where it has none.

        :raises OSError: ENODEV, there is no such device
        """
        there = self.described(device)
        return None if there is None else self.models.get(there.path)

    def why_no_model(self, device: str) -> str:
        """A sentence on a device without a model.

        :raises OSError: ENODEV, there is no such device
        """
        there = self.described(device)
        note = next((note for note in self.notes if there is not None and note.startswith(f"{there.path}: ")), "")
        return note or f"No plugin has a model of {device}: its registers read as zero."

    def _iommu(self) -> None:
        """Give the kernel its IOMMU. A guest sees none."""
        if self.board.iommus:
            channels = [channel for core in self.board.cores for channel in core.channels if channel.iommu is not None]
            set_iommu(self.smmu, {base: self.registers[base].stream for channel in channels
                                  for base in (channel.trca.base, channel.evca.base)}, self.streams)

    def start(self, load: bool, params: Mapping[str, Mapping[str, str]]) -> None:
        """Boot the kernel."""
        with self.calling() as kernel:
            kernel.printk(5, "Linux version 4.5.0-rc1 (hidma) with the series [PATCH V14 0/9] dma: add Qualcomm "
                             "Technologies HIDMA driver")
            if isinstance(self.tree, firmware.Tree):
                kernel.printk(5, f"Machine model: {firmware.model(self.tree)}")
            kernel.printk(6, f"smp: Brought up 1 node, {len(kernel.cpus)} CPU{'s' if len(kernel.cpus) > 1 else ''}")
            self._iommu()
            set_modprobe(partial(modprobe_plugin, kernel))
            if isinstance(self.tree, firmware.Tree):
                kernel.of_root = device_nodes(self.tree, self.board.interrupt_controller)
                of_platform_populate(kernel.of_root)
            else:
                acpi_load_tables(self.tree.tables)
                acpi_bus_scan(acpi_devices(self.tree))
            for name in ("hdma_mgmt", "hdma") if load else ():
                given = next((values for key, values in params.items() if MODULES[name].is_named(key)), {})
                rc = load_module(kernel, MODULES[name], dict(given))
                if rc < 0:
                    raise os_error(rc, f"module {name} could not be loaded; see dmesg")
            self.settle()

    # --- running ----------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """:raises OSError: ENODEV, the machine is closed"""
        if self.closed:
            raise OSError(errno.ENODEV, "this machine is closed; boot another one")

    def running(self) -> Running:
        """``with machine.running() as kernel:`` runs the body on CPU 0 of the kernel.

        SIGINT comes there as ever; the kernel that it hits does not survive it.

        :raises OSError: ENODEV (closed), EPERM (another thread), EDEADLK (a callback of another machine)
        :raises KernelOops: when the kernel has stopped
        """
        return Running(self)

    def calling(self) -> Running:
        """:meth:`running` for a call of the public interface: SIGINT waits until the machine can stop.

        A long loop inside checks :meth:`interrupted`.
        """
        return Running(self, True)

    def interrupt(self, error: BaseException) -> None:
        """Let ``error`` come out of the machine as soon as it can stop."""
        if self.interrupts.pending is None:
            self.interrupts.pending = error

    def interrupted(self) -> bool:
        """Whether the caller is to stop: SIGINT came, or :meth:`interrupt` was called."""
        return bool(self.interrupts.wanted())

    def quiet(self) -> bool:
        """Whether every other CPU is idle."""
        current = self.clock.current
        return not any(timeline.runnable and timeline is not current for timeline in self.clock.timelines)

    def forwarding(self) -> bool:
        """Whether an interrupt is on its way to this kernel that it does not know of yet: only a guest has such."""
        return False

    settle = staticmethod(settle)  # a guest has more to do

    def run(self, ns: int) -> None:
        """Let ``ns`` nanoseconds of virtual time pass.

        :raises OSError: EINVAL (time goes forward, by whole nanoseconds), EDEADLK (in a callback)
        :raises KernelOops: when the kernel stops meanwhile
        """
        if isinstance(ns, bool) or not isinstance(ns, int):
            raise OSError(errno.EINVAL, f"time is a whole number of nanoseconds, not {ns!r}")
        if not 0 <= ns <= LONGEST_RUN_NS:
            raise OSError(errno.EINVAL, f"time goes forward, by {LONGEST_RUN_NS} ns at most, not by {ns}")
        with self.calling():
            if sched.in_interrupt(sched.running_cpu()):
                raise OSError(errno.EDEADLK, "run() was called in a callback, which runs in the driver's tasklet and cannot "
                                             "wait; call it outside")
            clock = self.clock
            end = clock.now + ns
            while clock.now < end and not self.interrupted():
                step = STEP_NS
                if self.quiet():
                    step = max(step, clock.next_event() - clock.now)
                sched.schedule_timeout(min(step, end - clock.now))
            self.settle()

    @property
    def now(self) -> int:
        """Virtual nanoseconds since power-on."""
        return int(self.clock.now)

    # --- what people use --------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Counter[str]:
        """How many transfers of all channels ended how, as :attr:`hidma.machine.client.Channel.ledger`."""
        total: Counter[str] = Counter(self.dma.past)
        for channel in list(self.dma.requested):
            total.update(channel.ledger)
        return total

    def alloc(self, size: int) -> Buffer:
        """``size`` bytes of RAM that every channel can reach; freed with ``buffer.free()`` or with the machine.

        It is not cleared.

        :raises OSError: EINVAL (no such size), ENOMEM (no room)
        """
        self.check_open()
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            raise OSError(errno.EINVAL, f"a buffer has at least one byte and a whole number of them, not {size!r}")
        address = self.kernel.dma_ops.pages.alloc(size)
        if address is None:
            raise OSError(errno.ENOMEM, f"no {size} bytes in one piece are free in the {self.memory.size >> 20} MiB of RAM; "
                                        "free a buffer first")
        return Buffer(self, address, size)

    def dmesg(self) -> str:
        """The kernel log."""
        return self.kernel.dmesg()

    def inject(self, faults: str) -> FaultPlan:
        """Make faults happen (see docs: fault injection), from now on. What they count is counted over all cores.

        :returns: the plan; :meth:`heal` undoes it
        :raises OSError: EINVAL with a sentence, when the text is wrong
        """
        self.check_open()
        if not isinstance(faults, str):
            raise OSError(errno.EINVAL, f"faults are text such as 'read-burst:3@chan0', not {faults!r}")
        try:
            plan = parse(faults)
            plan.attach(self.hw_channels.values())
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        return plan

    def heal(self, plan: FaultPlan) -> None:
        """Undo :meth:`inject`; what has happened stays."""
        plan.detach(self.hw_channels.values())

    def watch(self, sink: Callable[[tuple[Any, ...]], None] | None) -> None:
        """Call ``sink`` with every event from now on (see docs: events); None ends it.

        An exception of ``sink`` ends it too and comes out of the call that the machine runs in.

        :raises OSError: EINVAL, it cannot be called
        """
        if sink is None:
            self.trace.close()
            return
        if not callable(sink):
            raise OSError(errno.EINVAL, f"a trace is called with every event, and {sink!r} cannot be called")

        self._sink = sink
        machine = ref(self)

        def guarded(event: tuple[Any, ...]) -> None:
            there = machine()
            if there is None:
                return
            try:
                there._sink(event)
            except BaseException as error:
                there.trace.close()
                there.interrupt(error)

        self.trace.open(guarded)

    def load(self, name: str, params: Mapping[str, str | None] | None = None) -> int:
        """``modprobe``: load a module of the port, or a reset plugin, with the modules that it needs.

        :param name: a module's name, or what a reset plugin is found by (see :func:`hidma.plugin.loading.find`)
        :returns: 0, -EEXIST (loaded already), -ENOENT (there is none), or what loading gave
        """
        module = find_module(name)
        if module is not None:
            return load_with_depends(self.kernel, module, params)
        return modprobe_plugin(self.kernel, name)

    def modprobe(self, name: str, params: Mapping[str, str] | None = None) -> None:
        """Load a module of the port, or a reset plugin, with the modules that it needs.

        :param name: a module's name; what a reset plugin is found by: its compatible string, hardware ID or module
        :param params: parameters as text: ``{"nr_desc_prm": "32"}``
        :raises OSError: ENOENT (no such module), EINVAL (parameters), or what loading gave
        """
        from hidma.plugin.sources import find

        plugin = isinstance(name, str) and find_module(name) is None and bool(find(name))
        if plugin and params:
            raise OSError(errno.EINVAL, f"a reset plugin such as {name!r} has no parameters")
        if not plugin:
            _check_params({name: params or {}})
        with self.calling() as kernel:
            said = len(kernel.log)
            rc = self.load(name, dict(params or {}))
            self.settle()
            errors = [line.text for line in kernel.log[said:] if line.level <= 3]  # of several, rc is that of the last one
            why = f"; the kernel says: {errors[-1]}" if plugin and errors else ""
        if rc < 0:
            raise os_error(rc, f"module {name} could not be loaded{why}")

    def rmmod(self, name: str) -> None:
        """Unload a module.

        :raises OSError: ENOENT (not loaded), EBUSY (it is held or another module needs it, a channel is in use, or it has no exit
            function: V14's management driver)
        """
        if channel_module.module.is_named(name) and self.dma.requested:
            held = ", ".join(channel.name for channel in self.dma.requested)
            raise OSError(errno.EBUSY, f"module {name} is in use: release {held} first")
        with self.calling() as kernel:
            rc = unload_module(kernel, name)
            needed = users(kernel, name)
            self.settle()
        if rc == -errno.ENOENT:
            raise OSError(errno.ENOENT, f"module {name!r} is not loaded")
        if rc == -errno.EAGAIN:
            why = f"{', '.join(needed)} needs it" if needed else "it is held"
            raise OSError(errno.EBUSY, f"module {name} is in use: {why}")
        if rc < 0:
            raise os_error(rc, f"module {name} could not be unloaded")

    def modules(self) -> list[Module]:
        """The loaded modules."""
        return modules(self.kernel)

    def devices(self) -> Iterator[tuple[str, str]]:
        """Name and driver ('' without one) of every platform device."""
        for dev in platform_bus(self.kernel).devices:
            yield dev.name, dev.driver.name if dev.driver is not None else ""

    def why_no_channel(self) -> str:
        """One or two sentences on a machine without channels."""
        loaded = [module.name for module in self.modules()]
        for name in ("hdma_mgmt", "hdma"):
            if name not in loaded:
                return f"module {name} is not loaded; modprobe({name!r}) loads it"
        if not self.notes:
            return "no driver has bound a device; dmesg() has the drivers' messages"
        more = f" ({len(self.notes) - 1} more in notes)" if len(self.notes) > 1 else ""
        return f"{self.notes[0]}{more}"

    def close(self) -> None:
        """Switch the machine off; what is open on it is of no use afterwards, and what is pending has ended.

        :raises OSError: EPERM (another thread), EDEADLK (in a callback)
        """
        if self.closed:
            return
        if threading.get_ident() != self.thread:
            raise OSError(errno.EPERM, f"this machine was booted in thread {self.thread_name!r} and is closed only there")
        if self.depth or turn.inside is not None and turn.inside.thread == self.thread:
            raise OSError(errno.EDEADLK, "close() was called while the machine runs, in a callback; call it outside")
        for guest in list(self.guests):
            guest.close()
        self.closed = True
        self.dma.powered_off()
        self.trace.close()
        self._dropped.detach()
        with turn.lock:
            power_off(self.kernel)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "stopped" if self.kernel.dead is not None else f"at {self.now} ns"
        return f"<Machine {self.board.source}, {state}>"

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_params(params: Any) -> None:
    """:raises OSError: EINVAL or ENOENT with a sentence, unless ``params`` are parameters of modules"""
    if not isinstance(params, Mapping):
        raise OSError(errno.EINVAL, f"params are a mapping such as {{'hidma': {{'nr_desc_prm': '32'}}}}, not {params!r}")
    for name, values in params.items():
        module = find_module(name) if isinstance(name, str) else None
        if module is None:
            from hidma.plugin.sources import installed

            resets = ", ".join(sorted({found.name for found in installed()})) or "none"
            raise OSError(errno.ENOENT, f"there is no module {name!r}; there are {', '.join(sorted(MODULES))}, and reset plugins "
                                        f"for {resets}")
        if not isinstance(values, Mapping):
            raise OSError(errno.EINVAL, f"the parameters of {name} are a mapping of names and text, not {values!r}")
        known = {param.name: param for param in module.params}
        for key, text in values.items():
            if key not in known:
                there = f"it has {', '.join(known)}" if known else "it has none"
                raise OSError(errno.EINVAL, f"module {name} has no parameter {key!r}; {there}")
            if not isinstance(text, str):
                raise OSError(errno.EINVAL, f"{name}.{key} is given as text such as '32', not {text!r}")
            try:
                known[key].parse(text)
            except ValueError:
                raise OSError(errno.EINVAL, f"{name}.{key} is of type {known[key].type}, and {text!r} is none") from None


def boot(board: str | PathLike[str] | bytes = "host", *, instant: bool = False, seed: int = 0,
         timing: Timing | None = None, faults: str | None = None, modules: bool = True,
         params: Mapping[str, Mapping[str, str]] | None = None, debug: bool = False, cpus: int | None = None,
         trace: Callable[[tuple[Any, ...]], None] | None = None, memory: str | None = None,
         log_buf_len: int = LOG_BUF_LEN) -> Machine:
    """Boot a machine.

    :param board: a bundled board (``host``, ``guest``, ``binding-example``, ``acpi``, ``acpi-guest``), a path (.dts, .dtb, .asl,
        .aml), or the bytes of a device tree blob or of ACPI tables
    :param instant: let the hardware's work cost no virtual time (register accesses and resets still do)
    :param seed: decides the order of CPUs at the same moment, and the kernel's random numbers
    :param timing: what the hardware's work costs
    :param faults: faults to inject, from power-on (see docs: fault injection)
    :param modules: whether to load hidma_mgmt and hidma
    :param params: module parameters by module, as text: ``{"hidma": {"nr_desc_prm": "32"}}``
    :param debug: whether debug messages go to the kernel log
    :param cpus: number of CPUs, 1 to 64, in place of what the firmware says
    :param trace: called with every event (:meth:`Machine.watch`)
    :param memory: RAM in place of what the firmware names, as ``SIZE`` or ``SIZE@ADDRESS``: ``512M@0x80000000``;
        by default what the environment variable ``HIDMA_MEMORY`` says, if it is set
    :param log_buf_len: size of the kernel log in bytes, rounded up to a power of 2; the oldest messages are dropped from it
    :raises FirmwareError: (an OSError) when the firmware cannot be read or describes no machine
    :raises KernelOops: when the kernel stops while it boots
    :raises OSError: EINVAL (an argument that is none), ENOENT (parameters of a module that is not there)
    """
    if not isinstance(board, (str, bytes, bytearray, PathLike)):
        raise OSError(errno.EINVAL, f"a board is a name, a path, a device tree blob or ACPI tables, not {board!r}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise OSError(errno.EINVAL, f"a seed is a whole number, not {seed!r}")
    if timing is not None and not isinstance(timing, Timing):
        raise OSError(errno.EINVAL, f"timing is a hidma.Timing, not {timing!r}")
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int) or not 1 <= cpus <= MAX_CPUS):
        raise OSError(errno.EINVAL, f"a machine has 1 to {MAX_CPUS} CPUs, not {cpus!r}")
    if isinstance(log_buf_len, bool) or not isinstance(log_buf_len, int) or not MIN_LOG <= log_buf_len <= MAX_LOG:
        raise OSError(errno.EINVAL, f"log_buf_len is a number of bytes from {MIN_LOG} to {MAX_LOG}, not {log_buf_len!r}")
    _check_params({} if params is None else params)
    if params and not modules:
        raise OSError(errno.EINVAL, "params are for modules, and modules=False loads none; give them to modprobe()")
    tree = firmware.parse(bytes(board)) if isinstance(board, (bytes, bytearray)) else firmware.load(os.fspath(board))
    memory = os.environ.get("HIDMA_MEMORY") or None if memory is None else memory
    ram = None if memory is None else firmware.ram_request(memory)
    description = firmware.describe(tree, ram)
    machine = Machine(tree, description, instant=instant, seed=seed, timing=timing, debug=debug, cpus=cpus, ram=ram)
    machine.kernel.log.size = 1 << (log_buf_len - 1).bit_length()
    try:
        if trace is not None:
            machine.watch(trace)
        if faults is not None:
            machine.inject(faults)
        machine.start(modules, params or {})
    except BaseException as error:
        if isinstance(error, KernelOops):
            error.add_note(machine.dmesg())  # the caller does not get the machine, and so not its log
        machine.close()
        raise
    return machine
