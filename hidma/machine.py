# SPDX-License-Identifier: GPL-2.0-only
"""The public face: firmware in, a machine out: the hardware that the firmware describes, and a Linux slice booted on it.

    with hidma.boot() as machine:
        chan = machine.dma.request_channel()
        chan.memcpy(dest, src, 4096).wait()

It composes the floors below and adds nothing of its own to what they do. Errors are OSErrors with a sentence.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

from hidma import channel as channel_module
from hidma import firmware, mgmt
from hidma.client import Buffer, Dma
from hidma.firmware import FirmwareError
from hidma.hw.bus import Bus
from hidma.hw.channel import Channel as HwChannel
from hidma.hw.clock import Clock
from hidma.hw.core import HidmaCore
from hidma.hw.engine import Timing
from hidma.hw.faults import FaultPlan
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace
from hidma.linux import sched
from hidma.linux.dma_mapping import DmaOps
from hidma.linux.errno import EINVAL, ENOENT, ENOMEM, errname, strerror
from hidma.linux.kernel import Kernel
from hidma.linux.module import Module, load_module, modules, unload_module
from hidma.linux.of import DeviceNode
from hidma.linux.platform_device import of_platform_device_create, platform_bus
from hidma.linux.sched import KernelOops
from hidma.quirks import oops_row

__all__ = ["KernelOops", "Machine", "boot"]

MODULES: dict[str, Module] = {"hidma_mgmt": mgmt.module, "hidma": channel_module.module}


def os_error(rc: int, sentence: str) -> OSError:
    """An errno of the port as the exception of the public face."""
    return OSError(abs(rc), f"{sentence} ({errname(rc)}: {strerror(rc)})")


class Sysfs:
    """The attributes of a machine's sysfs, by path."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def _find(self, path: str) -> Any:
        parts = [p for p in path.split("/") if p]
        if parts[:1] != ["sys"]:
            raise OSError(ENOENT, f"{path}: sysfs is below /sys")
        node: Any = self.machine.kernel.sysfs_root
        for part in parts[1:-1]:
            node = node.children.get(part)
            if node is None:
                raise FileNotFoundError(ENOENT, f"{path}: there is no directory {part!r} in it")
        bound = node.attributes.get(parts[-1])
        if bound is None:
            raise FileNotFoundError(ENOENT, f"{path}: no such attribute")
        return bound

    def __getitem__(self, path: str) -> str:
        with self.machine.running():
            text = self._find(path).show()
        if isinstance(text, int):
            raise os_error(text, f"{path} cannot be read")
        return str(text.decode())

    def __setitem__(self, path: str, value: str) -> None:
        with self.machine.running():
            bound = self._find(path)
            if not bound.mode & 0o222:
                raise PermissionError(13, f"{path} is read-only")
            rc = bound.store(value.encode())
        if rc < 0:
            raise os_error(rc, f"{path} does not take {value!r}")


class Running:
    """The caller runs on CPU 0 of a kernel inside the ``with``; an Oops there stops the kernel and goes on to the caller."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __enter__(self) -> Kernel:
        if self.kernel.dead is not None:
            raise self.kernel.dead
        self.kernel.enter()
        return self.kernel

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (KernelOops, IndexError)) and self.kernel.dead is None:
            oops = sched.as_oops(error)
            self.kernel.die(oops)
            if oops is not error:
                raise oops from None


class Machine:
    """One machine: hardware and the kernel that runs on it. Made by :func:`boot`.

    :ivar board: what the firmware describes
    :ivar clock: virtual time; ``machine.now`` is in nanoseconds
    :ivar cores: the HIDMA cores of the hardware
    :ivar kernel: the running Linux slice
    :ivar dma: where channels are requested
    :ivar sysfs: attributes by path, read and written as strings
    :ivar notes: what is remarkable about the firmware, in sentences
    """

    def __init__(self, tree: firmware.Tree, board: firmware.Board, *, instant: bool, seed: int, timing: Timing | None,
                 debug: bool, cpus: int | None) -> None:
        self.tree = tree
        self.board = board
        self.notes = [*firmware.check(tree), *firmware.explain_unbound(board)]
        self.clock = Clock()
        self.trace = Trace()
        region = max(board.memory, key=lambda r: r.size)
        self.memory = Memory(region.base, region.size)
        self.bus = Bus(self.clock, self.memory, self.trace)
        self.smmu = Smmu(self.bus)
        self.cores: list[HidmaCore] = []
        self.hw_channels: dict[int, HwChannel] = {}
        self.lines: list[Line] = []
        self._build(board, instant, timing)
        count = cpus or board.cpus
        ranks = list(range(count))
        random.Random(seed).shuffle(ranks)
        self.kernel = Kernel("host" if board.managements else "guest", self.bus, count, debug, ranks)
        self.kernel.oops_row = lambda oops: oops_row(oops, self.kernel)
        self.kernel.dma_ops = DmaOps(self.memory)
        self.kernel.module("random").crng = random.Random(f"random numbers of {self.kernel.name} {seed}")
        for line in self.lines:
            self.kernel.gic.wire(line.number, line)
        self.dma = Dma(self)
        self.sysfs = Sysfs(self)
        self.closed = False

    # --- building ---------------------------------------------------------------------------------------------

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
                                         trca_size=spec.trca.size, evca_size=spec.evca.size)
                self.hw_channels[spec.trca.base] = channel
            self.cores.append(hw)

    def _populate(self) -> None:
        """What the boot code does: nodes of the tree, then a platform device for each one at the root that has a driver's
        ``compatible`` string (below simple buses too). Channel nodes below a management node are its driver's."""
        kernel = self.kernel

        def node_of(spec: firmware.Node, parent: DeviceNode | None) -> DeviceNode:
            name, _, unit = spec.name.partition("@")
            node = DeviceNode(name, parent, unit)
            node.properties = dict(spec.properties)
            try:
                node.irqs = [i.line for i in spec.interrupts()]
            except FirmwareError:
                node.irq_rc = -EINVAL
            for child in spec.children:
                node_of(child, node)
            return node

        kernel.of_root = node_of(self.tree.root, None)

        def populate(spec: firmware.Node, node: DeviceNode, parent: Any) -> None:
            for child_spec, child in zip(spec.children, node.children, strict=True):
                if not child_spec.compatible or not child_spec.available:
                    continue
                if "interrupt-controller" in child_spec.properties:
                    continue
                try:
                    regs = [(r.base, r.size) for r in child_spec.reg()]
                except FirmwareError:
                    regs = []
                name = f"{regs[0][0]:x}.{child.name}" if regs else child.name
                pdev = of_platform_device_create(child, regs, name, parent)
                if "simple-bus" in child_spec.compatible:
                    populate(child_spec, child, pdev.dev)

        populate(self.tree.root, kernel.of_root, None)

    def start(self, load: bool, params: dict[str, dict[str, str]]) -> None:
        """Boot the kernel."""
        with self.running() as kernel:
            kernel.printk(5, "Linux version 4.5.0-rc1 (hidma) with the series [PATCH V14 0/9] dma: add Qualcomm Technologies HIDMA driver")
            model = self.tree.root.strings("model")
            kernel.printk(5, f"Machine model: {model[0] if model else 'unknown'}")
            kernel.printk(6, f"smp: Brought up 1 node, {len(kernel.cpus)} CPU{'s' if len(kernel.cpus) > 1 else ''}")
            self._populate()
            for name in ("hidma_mgmt", "hidma") if load else ():
                rc = load_module(kernel, MODULES[name], params.get(name, {}))
                if rc < 0:
                    raise os_error(rc, f"module {name} could not be loaded; see dmesg")
            self.settle()

    # --- running ----------------------------------------------------------------------------------------------

    def running(self) -> Running:
        """``with machine.running() as kernel:`` runs the body on CPU 0 of the kernel.

        :raises KernelOops: when the kernel has stopped
        """
        if self.closed:
            raise ValueError("this machine is closed; boot another one")
        return Running(self.kernel)

    def settle(self) -> None:
        """Let what is pending on this CPU happen; takes no time."""
        sched.interrupts(self.kernel.cpus[0])
        sched.cond_resched()

    def run(self, ns: int) -> None:
        """Let ``ns`` nanoseconds of virtual time pass.

        :raises KernelOops: when the kernel stops meanwhile
        """
        if ns < 0:
            raise OSError(EINVAL, f"time goes forward only, not by {ns} ns")
        with self.running():
            sched.schedule_timeout(ns)

    @property
    def now(self) -> int:
        """Virtual nanoseconds since power-on."""
        return int(self.clock.now)

    # --- what people use --------------------------------------------------------------------------------------

    def alloc(self, size: int) -> Buffer:
        """``size`` bytes of RAM that every channel can reach; freed with ``buffer.free()`` or with the machine.

        :raises OSError: EINVAL (no such size), ENOMEM (no room)
        """
        if not isinstance(size, int) or size <= 0:
            raise OSError(EINVAL, f"a buffer has at least one byte, not {size!r}")
        address = self.kernel.dma_ops.pages.alloc(size)
        if address is None:
            raise OSError(ENOMEM, f"no {size} bytes are free in the {self.memory.size >> 20} MiB of RAM; free a buffer first")
        return Buffer(self, address, size)

    def dmesg(self) -> str:
        """The kernel log."""
        return self.kernel.dmesg()

    def inject(self, faults: str) -> list[FaultPlan]:
        """Make faults happen (see docs: fault injection), on every core.

        :raises OSError: EINVAL with a sentence, when the text is wrong
        """
        try:
            return [core.inject(faults) for core in self.cores]
        except ValueError as error:
            raise OSError(EINVAL, str(error)) from None

    def modprobe(self, name: str, params: dict[str, str] | None = None) -> None:
        """Load a module of the port.

        :raises OSError: ENOENT (no such module), or what loading gave
        """
        module = MODULES.get(name)
        if module is None:
            raise OSError(ENOENT, f"there is no module {name!r}; there are {', '.join(sorted(MODULES))}")
        with self.running() as kernel:
            rc = load_module(kernel, module, params or {})
        if rc < 0:
            raise os_error(rc, f"module {name} could not be loaded; see dmesg")

    def rmmod(self, name: str) -> None:
        """Unload a module.

        :raises OSError: ENOENT (not loaded), EBUSY (V14's management driver has no exit)
        """
        with self.running() as kernel:
            rc = unload_module(kernel, name)
        if rc < 0:
            raise os_error(rc, f"module {name} could not be unloaded")

    def modules(self) -> list[Module]:
        """The loaded modules."""
        return modules(self.kernel)

    def devices(self) -> Iterator[tuple[str, str]]:
        """Name and driver ('' without one) of every platform device."""
        for dev in platform_bus(self.kernel).devices:
            yield dev.name, dev.driver.name if dev.driver is not None else ""

    def close(self) -> None:
        """End the machine; what is open on it is of no use afterwards."""
        if not self.closed:
            self.closed = True
            self.trace.close()
            self.kernel.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def boot(board: str | PathLike[str] | bytes = "host", *, instant: bool = False, seed: int = 0, timing: Timing | None = None,
         faults: str | None = None, modules: bool = True, params: dict[str, dict[str, str]] | None = None,
         debug: bool = False, cpus: int | None = None,
         trace: Callable[[tuple[Any, ...]], None] | None = None) -> Machine:
    """Boot a machine.

    :param board: a bundled board (``host``, ``guest``), a path (.dts, .dtb), or a device tree blob
    :param instant: let the hardware's work cost no virtual time (register accesses and resets still do)
    :param seed: decides who goes first among CPUs at the same moment, and the kernel's random numbers
    :param timing: what the hardware's work costs
    :param faults: faults to inject, from power-on (see docs: fault injection)
    :param modules: whether to load hidma_mgmt and hidma
    :param params: module parameters by module, as strings: ``{"hidma": {"nr_desc_prm": "32"}}``
    :param debug: whether debug messages go to the kernel log
    :param cpus: number of CPUs in place of what the firmware says
    :param trace: called with every event
    :raises FirmwareError: (an OSError) when the firmware cannot be read or describes no machine
    :raises KernelOops: when the kernel stops while it boots
    :raises OSError: EINVAL for a fault text that is wrong
    """
    tree = firmware.parse(board) if isinstance(board, bytes) else firmware.load(board)
    description = firmware.describe(tree)
    if cpus is not None and not 1 <= cpus <= 64:
        raise OSError(EINVAL, f"a machine has 1 to 64 CPUs, not {cpus}")
    machine = Machine(tree, description, instant=instant, seed=seed, timing=timing, debug=debug, cpus=cpus)
    try:
        if trace is not None:
            machine.trace.open(trace)
        if faults:
            machine.inject(faults)
        machine.start(modules, params or {})
    except BaseException as error:
        if isinstance(error, KernelOops):
            error.add_note(machine.dmesg())  # nobody will have the machine to ask
        machine.close()
        raise
    return machine
