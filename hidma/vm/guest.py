# SPDX-License-Identifier: GPL-2.0-only
"""A guest: a machine of its own with its own Linux slice, on part of the host's RAM and the host's clock, that owns channels of
the host through VFIO. The register pages of its channels are its own: an access reaches the channel and nobody else.

Its device tree is generated as QEMU generates it for ``-M virt``, from nothing but the memory and the interrupts of its devices.
An interrupt goes host kernel -> eventfd -> guest, as an irqfd does it; when the guest's handler has returned (its end of
interrupt) a thread of the host unmasks the line again, as the resampler of KVM does. It stands for no C file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hidma import firmware
from hidma.firmware.board import CHANNEL, CHANNEL_HID
from hidma.firmware.fdt import parse
from hidma.firmware.guest import MEMORY_BASE, PlatformBus, guest_blob
from hidma.hw.block import RegisterBlock
from hidma.hw.bus import Block, Bus
from hidma.hw.device import DeviceModel, Region, Unmodelled
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace
from hidma.linux.errno import EINVAL, ENODEV, EPERM
from hidma.linux.eventfd import EventfdCtx, eventfd_signal
from hidma.linux.interrupt import CpuQueues, Gic, IrqDesc
from hidma.linux.kernel import Kernel
from hidma.linux.kthread import (
    WaitQueueHead,
    kthread_run,
    kthread_should_stop,
    kthread_stop,
    wait_event_timeout,
    wake_up,
)
from hidma.linux.platform_device import platform_get_irq
from hidma.linux.sched import Cpu, KernelOops
from hidma.linux.vfio import VFIO_REGION_INFO_FLAG_MMAP
from hidma.machine.boot import BootedKernel, Machine
from hidma.vm.vfio import Container, Device, Group, Hypervisor, driver_of
from hidma.vm.vfio import Mapping as Registers

SPI = 32
DEFAULT_MEMORY = 64 << 20
SMALLEST = 1 << 20
EXIT_NS = 2000


class Passthrough(Block):
    """A page of the host's registers where the guest has it. The guest's accesses go straight to the block; ``accesses`` counts
    them."""

    def __init__(self, base: int, registers: Registers) -> None:
        super().__init__(registers.block.name, base, registers.size)
        self.target = registers.block
        self.start = registers.start
        self.accesses = 0

    def read32(self, offset: int) -> int:
        self.accesses += 1
        return self.target.read32(self.start + offset)

    def write32(self, offset: int, value: int) -> int:
        self.accesses += 1
        return self.target.write32(self.start + offset, value)

    def read_odd(self, offset: int, width: int) -> int:
        self.accesses += 1
        value: int = self.target.read_odd(self.start + offset, width)
        return value

    def write_odd(self, offset: int, width: int, value: int) -> int:
        self.accesses += 1
        return self.target.write_odd(self.start + offset, width, value)


class Trapped(Passthrough):
    """A page that is not mapped: each access stops the guest, and the hypervisor does it. What the others are measured against."""

    def __init__(self, base: int, registers: Registers, clock: Any) -> None:
        super().__init__(base, registers)
        self.clock = clock
        self.exits = 0

    def read32(self, offset: int) -> int:
        self.exits += 1
        self.clock.tick(EXIT_NS)
        return self.target.read32(self.start + offset)

    def write32(self, offset: int, value: int) -> int:
        self.exits += 1
        self.clock.tick(EXIT_NS)
        return self.target.write32(self.start + offset, value)


class GuestGic(Gic):
    """The interrupt controller of a guest."""

    def __init__(self, kernel: Kernel) -> None:
        Gic.__init__(self, kernel)
        self.forwarded: list[Irqfd] = []
        for cpu in kernel.cpus:
            cpu.controller = GuestCpuQueues(self.forwarded)


class GuestCpuQueues(CpuQueues):
    """The queues of one CPU of a guest: they report the end of an interrupt that the host ``forwarded``."""

    def __init__(self, forwarded: list[Irqfd]) -> None:
        CpuQueues.__init__(self)
        self.forwarded = forwarded

    def handle(self, cpu: Cpu) -> int:
        for irqfd in self.forwarded:
            irqfd.deliver()
        rc = CpuQueues.handle(self, cpu)
        for irqfd in self.forwarded:
            irqfd.ended()
        return rc


class Unmasker(Protocol):
    """Whoever lets the host unmask a line when the guest has handled its interrupt; ``todo`` are those not unmasked yet."""

    todo: list[Irqfd]

    def post(self, irqfd: Irqfd) -> None:
        """``irqfd`` has ended."""


class Irqfd:
    """An eventfd of the host that raises a line of the guest, and its end that goes back through another."""

    def __init__(self, source: IrqDesc, desc: IrqDesc, line: Line, trigger: EventfdCtx, resample: EventfdCtx,
                 resampler: Unmasker) -> None:
        self.source = source
        self.desc = desc
        self.line = line
        self.resample = resample
        self.resampler = resampler
        self.asserted = False
        self.seen = 0
        self.forwarded = 0
        self.unmasks = 0
        trigger.waiters.append(self.signalled)

    def under_way(self) -> bool:
        """Whether the host is about to pass an interrupt on, or to let the next one come."""
        return bool(self.source.pending or self.source.in_progress or self in self.resampler.todo)

    def signalled(self) -> None:
        """The host's interrupt came; its line is masked there until this one has ended."""
        self.forwarded += 1
        self.asserted = True
        self.seen = self.taken()
        self.line.set(1)
        self.deliver()

    def taken(self) -> int:
        """How often the guest has taken the interrupt."""
        return sum(self.desc.counts.values())

    def deliver(self) -> None:
        """If the guest can take it now, it is one interrupt; until it can, the line stays up."""
        if self.line.level and self.desc.pending:
            self.desc.pulsed = 1
            self.line.set(0)

    def ended(self) -> None:
        """The guest's handler may have returned: then the host unmasks the line."""
        if self.idle() and self.taken() != self.seen:
            self.asserted = False
            self.resampler.post(self)

    def idle(self) -> bool:
        """Whether it was raised, and the guest neither has it before it nor is in the middle of it."""
        desc = self.desc
        return self.asserted and not self.line.level and not desc.pending and not desc.in_progress and not desc.pulsed

    def recover(self) -> None:
        """The guest's driver went before it took the interrupt: a level is still up then, for the next one."""
        if self.idle() and self.taken() == self.seen:
            self.line.set(1)
            self.deliver()


class Resampler:
    """A thread of the host that unmasks what a guest has handled."""

    def __init__(self, host: Machine, name: str) -> None:
        self.todo: list[Irqfd] = []
        self.queue = WaitQueueHead()
        with host.calling():
            self.task = kthread_run(self.run, None, f"resampler/{name}")

    def post(self, irqfd: Irqfd) -> None:
        """``irqfd`` has ended, on whatever CPU this is called."""
        self.todo.append(irqfd)
        wake_up(self.queue)

    def run(self, _: Any) -> int:
        """The thread."""
        while not kthread_should_stop():
            wait_event_timeout(self.queue, lambda: bool(self.todo) or kthread_should_stop(), None)
            while self.todo:
                irqfd = self.todo.pop(0)
                irqfd.unmasks += 1
                eventfd_signal(irqfd.resample, 1)
        return 0

    def stop(self, host: Machine) -> None:
        """End the thread."""
        with host.calling():
            wake_up(self.queue)
            kthread_stop(self.task)


def seen_by(block: Block) -> int:
    """How many accesses have reached ``block``."""
    if isinstance(block, Region | Unmodelled):
        return block.accesses
    return block.reads + block.writes if isinstance(block, RegisterBlock) else 0


class Owned:
    """A device that the guest has: what QEMU knows of it, and where it is on the guest's platform bus."""

    def __init__(self, device: Device, compatible: str, bus: PlatformBus) -> None:
        self.device = device
        info = device.info()
        self.regions = [device.region(index) for index in range(info.num_regions)]
        placed = bus.add(device.name, (compatible,), [region.size for region in self.regions], info.num_irqs)
        self.bases = [region.base for region in placed.regions]
        self.spis = list(placed.interrupts)


class Driven:
    """A device model whose registers are written through the pages of a guest: what its ``start_traffic()`` is given for itself."""

    def __init__(self, model: DeviceModel, bus: Bus, bases: list[int]) -> None:
        vars(self).update(model=model, bus=bus, bases=bases)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.model, name, value)

    def write(self, region: int, offset: int, value: int) -> None:
        """A driver of the guest writes a register."""
        block = self.bus.find(self.bases[region] + offset)
        if block is not None:
            block.write32(self.bases[region] + offset - block.base, value)


class Owner:
    """The side of a guest that is on the host: a process that has RAM pinned and owns channels through VFIO.

    :param host: the machine that the guest runs on
    :param memory: bytes of RAM, whole pages
    :param channels: the devices that it gets
    :param name: what to call it
    :param memlock: bytes that it may pin, without a limit by default
    :raises OSError: EPERM (``host`` is a guest itself), EINVAL, ENODEV (``host`` is closed)
    """

    touched = 0
    """Accesses that its channels had seen when it was started."""
    irqfds: Sequence[Any]
    """Its interrupts, each with what was ``forwarded`` and how many ``unmasks`` came back."""

    def own(self, host: Machine, memory: int, channels: Sequence[str], name: str, memlock: int | None) -> None:
        if isinstance(host, GuestMachine):
            raise OSError(EPERM, "a guest has no VFIO to give devices away with: guests of guests are not there")
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < SMALLEST or memory % 4096:
            raise OSError(EINVAL, f"a guest has {SMALLEST >> 20} MiB of RAM or more, in pages of 4096 bytes, not {memory!r}")
        if isinstance(channels, str) or len(set(channels)) != len(channels):
            raise OSError(EINVAL, f"channels are a list of different devices such as ['hidma.0'], not {channels!r}")
        host.check_open()
        self.host = host
        self.name = name
        self.hypervisor = Hypervisor(host, name) if memlock is None else Hypervisor(host, name, memlock)

    def _open(self, channels: Sequence[str], memory: int, cpus: int) -> bytes:
        """Container, groups, RAM, devices; returns the device tree of the guest."""
        self.owned: list[Owned] = []
        bus = PlatformBus()
        for channel in channels:
            driver = driver_of(self.host, channel)
            if driver != "vfio-platform":
                held = f"with the driver {driver}" if driver else "without a driver"
                raise OSError(ENODEV, f"{channel} is {held}, and a guest gets what is with vfio-platform: "
                                      f"hidma.vm.assign(machine, {channel!r}) gives it there")
        address, phys = self.hypervisor.mmap(memory)
        self.ram = self.host.memory.slice(phys, memory)
        container = Container(self.hypervisor)
        groups: dict[int, Group] = {}
        for channel in channels:
            number = Group.of(self.host, channel)
            if number not in groups:
                groups[number] = Group(self.hypervisor, number)
                groups[number].set_container(container)
                if len(groups) == 1:
                    container.set_iommu()
        if groups:
            container.map_dma(MEMORY_BASE, address, memory)
        for channel in channels:
            device = groups[Group.of(self.host, channel)].device(channel)
            self.owned.append(Owned(device, self._compatible(channel), bus))
        return guest_blob(bus.devices, memory, cpus)

    def _accesses(self) -> int:
        """Register accesses that its channels have seen, by anybody, less those that came through its own pages."""
        raise NotImplementedError

    @property
    def exits(self) -> int:
        """Register accesses of its channels, since it was started, that did not go straight from the guest to the hardware:
        those that the host had to handle. Measured where they arrive, at the bus. In another process the guest's accesses are loads
        and stores in memory, and none of them can be one."""
        return self._accesses() - self.touched

    @property
    def interrupts_forwarded(self) -> int:
        """Interrupts that the host passed on."""
        return sum(irqfd.forwarded for irqfd in self.irqfds)

    @property
    def unmasks(self) -> int:
        """How often the host unmasked a line because the guest had handled it."""
        return sum(irqfd.unmasks for irqfd in self.irqfds)

    def _compatible(self, channel: str) -> str:
        """What the guest's tree calls a device, which the user of QEMU says with ``-device``: the host's compatible string,
        ``qcom,hidma-1.0`` for a channel of an ACPI host, the hardware ID for another device of one."""
        dev = self.host.device(channel).dev
        node = dev.of_node if dev.of_node is not None else dev.fwnode
        raw = getattr(node, "properties", {}).get("compatible", b"")
        first = raw.partition(b"\0")[0].decode("latin-1") if isinstance(raw, bytes) else str(
            raw[0] if isinstance(raw, list) and raw else raw)
        hid = getattr(node, "hid", None)
        return first or (hid if hid and hid != CHANNEL_HID else CHANNEL)


class GuestMachine(Machine):
    """A machine whose interrupts come from a host."""

    name: str
    irqfds: list[Irqfd]

    def _kernel(self, board: firmware.Board, debug: bool, ranks: list[int]) -> Kernel:
        first = max((timeline.rank for timeline in self.clock.timelines), default=-1) + 1
        kernel = BootedKernel(self.name, self.bus, len(ranks), debug, [first + rank for rank in ranks])
        kernel.gic = GuestGic(kernel)
        return kernel

    def _iommu(self) -> None:
        """There is none."""

    def _gic(self) -> GuestGic:
        """Its interrupt controller."""
        gic = self.kernel.gic
        assert isinstance(gic, GuestGic)
        return gic

    def settle(self) -> int:
        for irqfd in self.irqfds:
            irqfd.recover()
        return super().settle()

    def forwarding(self) -> bool:
        return any(irqfd.under_way() for irqfd in self.irqfds)


class Guest(GuestMachine, Owner):
    """A guest on ``host``. What a :class:`hidma.Machine` has, it has too: ``dma``, ``sysfs``, ``dmesg()``, ``run()``.

    :param host: the machine that it runs on
    :param memory: bytes of RAM, whole pages; all of it is pinned while the guest lives
    :param channels: the devices of the host that it gets, such as ``hidma.0``; they are with vfio-platform (:func:`assign`)
    :param name: what to call it
    :param cpus: number of CPUs
    :param modules: whether to load the channel driver
    :param params: module parameters, as :func:`hidma.boot` takes them
    :param seed: decides the guest's random numbers
    :param trap: let no page be mapped, so that each register access is an exit: for comparison
    :raises OSError: ENODEV (a device is not there, or not with VFIO), EBUSY (another guest has it), EINVAL, ENOMEM

    :ivar fdt: its device tree; ``blob`` is what a bootloader would give it
    """

    def __init__(self, host: Machine, *, memory: int = DEFAULT_MEMORY, channels: Sequence[str] = (), name: str = "guest",
                 cpus: int = 1, modules: bool = True, params: Mapping[str, Mapping[str, str]] | None = None, seed: int = 0,
                 trap: bool = False, debug: bool = False, memlock: int | None = None) -> None:
        self.own(host, memory, channels, name, memlock)
        self.irqfds: list[Irqfd] = []
        self.pages: list[Passthrough] = []
        self.resampler: Resampler | None = None
        self.alive = True
        try:
            self.blob = self._open(channels, memory, cpus)
            self.fdt = parse(self.blob, f"{name}.dtb")
            self.trapping = trap
            super().__init__(self.fdt, firmware.describe(self.fdt), instant=False, seed=seed, timing=None, debug=debug, cpus=cpus)
            host.guests.append(self)
            self._wire()
            self.touched = self._accesses()
            self.start(modules, params or {})
        except BaseException:
            self._end()
            raise

    # --- what it is made of -------------------------------------------------------------------------------------

    def _buses(self, board: firmware.Board) -> tuple[Bus, Smmu]:
        bus = Bus(self.host.clock, Memory(MEMORY_BASE, len(self.ram), self.ram), Trace(self.host.clock))
        return bus, Smmu(bus)

    def _build(self, board: firmware.Board, instant: bool, timing: Any) -> None:
        for owned in self.owned:
            for index, (region, base) in enumerate(zip(owned.regions, owned.bases, strict=True)):
                mapped = bool(region.flags & VFIO_REGION_INFO_FLAG_MMAP)
                registers = owned.device.mmap(index) if mapped else owned.device.registers(index)
                if registers is None:
                    continue
                page: Passthrough = Passthrough(base, registers) if mapped and not self.trapping else Trapped(
                    base, registers, self.host.clock)
                self.pages.append(page)
                self.bus.add(page)
                hardware = self.host.registers.get(registers.block.base)
                if hardware is not None and not index:
                    self.hw_channels[base] = hardware

    def _wire(self) -> None:
        """Interrupts: host line, eventfd, guest line, and back."""
        gic = self._gic()
        if not any(owned.spis for owned in self.owned):
            return
        self.resampler = Resampler(self.host, self.name)
        for owned in self.owned:
            for index, spi in enumerate(owned.spis):
                line = Line(SPI + spi, f"{owned.device.name} of {self.name}")
                self.lines.append(line)
                desc = gic.wire(SPI + spi, line)
                trigger, trigger_ctx = self.hypervisor.eventfd()
                unmask, unmask_ctx = self.hypervisor.eventfd()
                with self.host.calling() as kernel:
                    source = kernel.gic.descs[platform_get_irq(self.host.device(owned.device.name), index)]
                irqfd = Irqfd(source, desc, line, trigger_ctx, unmask_ctx, self.resampler)
                self.irqfds.append(irqfd)
                gic.forwarded.append(irqfd)
                owned.device.unmask_with(unmask, index)
                owned.device.trigger(trigger, index)

    def start_traffic(self, device: str, address: int) -> DeviceModel:
        """Do what a driver of the guest does to start the work of a device beside HIDMA: what its model says in
        ``start_traffic()``, with each register access through the guest's own pages.

        :param device: what the host calls it, such as ``fff50000.ethernet``
        :param address: where in the guest's RAM it shall write to
        :returns: the model, which tells what it has done
        :raises OSError: ENODEV, the guest has no such device, or it has no model
        """
        owned = next((owned for owned in self.owned if owned.device.name == device), None)
        model = self.host.model(device) if owned is not None else None
        if owned is None or model is None:
            raise OSError(ENODEV, f"{self.name} has no device {device!r} with a model; it has "
                                  f"{', '.join(owned.device.name for owned in self.owned) or 'none'}")
        driven: Any = Driven(model, self.bus, owned.bases)
        model.ask(lambda: type(model).start_traffic(driven, address), None)
        return model

    # --- what is counted ----------------------------------------------------------------------------------------

    def _accesses(self) -> int:
        return sum(seen_by(page.target) - page.accesses for page in self.pages)

    # --- the end ------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Shut the guest down: its driver lets go of the channels, then it is off.

        :raises OSError: EBUSY, a channel is in use in the guest
        """
        if self.alive and self.kernel.dead is None and any(module.name == "hdma" for module in self.modules()):
            self.rmmod("hdma")
        self.kill()

    def kill(self) -> None:
        """The guest's process is killed, wherever the guest stands: VFIO resets the channels and keeps them."""
        if not self.closed:
            super().close()
        self._end()

    def close(self) -> None:
        """As :meth:`kill`: what the guest has begun is not waited for."""
        self.kill()

    def _end(self) -> None:
        """The process ends on the host."""
        if not self.alive:
            return
        self.alive = False
        if self in self.host.guests:
            self.host.guests.remove(self)
        if self.host.closed or self.host.kernel.dead is not None:
            return
        try:
            self.hypervisor.exit()
            if self.resampler is not None:
                self.resampler.stop(self.host)
        except KernelOops:
            pass  # the host has stopped: it knows

    def __repr__(self) -> str:
        state = "off" if self.closed else "stopped" if self.kernel.dead is not None else f"at {self.now} ns"
        return f"<Guest {self.name}, {len(self.owned)} device(s), {state}>"
