# SPDX-License-Identifier: GPL-2.0-only
"""From a device tree to the hardware it describes: RAM, CPUs, HIDMA cores with their channels, IOMMUs, interrupt lines.

It stands for the board itself and for its boot loader, neither of which is a C file of the series. Only a HIDMA block, or RAM
that was asked for, can make it refuse a tree (no registers, registers that overlap, no interrupt); whatever is wrong with another
node costs that device a region, an interrupt or its IOMMU group, with a note. A tree that V14 alone stumbles over is described
as it is, and :func:`check` and :func:`explain_unbound` say in a sentence what V14's own message leaves out. It builds no hardware
and creates no Linux device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hidma.firmware.fdt import FirmwareError, Interrupt, Node, Region, Tree

if TYPE_CHECKING:
    from hidma.firmware.aml import Namespace

MANAGEMENT = "qcom,hidma-mgmt-1.0"
CHANNEL = "qcom,hidma-1.0"
CHANNEL_HID = "QCOM8061"
LATER_CHANNELS = ("qcom,hidma-1.1", "qcom,hidma-1.2")
CHANNEL_NAME = "hidma"
"""Name of V14's channel driver: below a management node a device is matched by this alone (row 27)."""
IOMMUS = ("arm,smmu-v1", "arm,smmu-v2", "arm,mmu-400", "arm,mmu-401", "arm,mmu-500", "arm,smmu-v3", "qcom,smmu-v2")
"""What an IOMMU of an ACPI namespace is compatible with; in a device tree a node with ``#iommu-cells`` is one."""
BUSES = ("simple-bus", "simple-mfd", "isa", "arm,amba-bus")
"""Buses whose children are devices too: of_default_bus_match_table of Linux 4.5."""
PRIMECELL = "arm,primecell"
"""A device of the AMBA bus, not of the platform bus."""

PAGE_SIZE = 4096
DEFAULT_MEMORY = 256 << 20
"""Bytes of RAM that a boot loader finds where the firmware names none."""
PLACES = (*range(0x80000000, 1 << 32, DEFAULT_MEMORY), *range(0x70000000, -1, -DEFAULT_MEMORY),
          *range(1 << 32, 1 << 40, DEFAULT_MEMORY))
"""Where it looks for them, in this order."""
OTHER_STREAMS = 1 << 20
"""First number of a stream beside the HIDMA channels, beyond what a firmware numbers."""
MAX_CHANNELS = 64
MAX_BLOCK = 16 << 20  # bytes of the registers of a HIDMA block
MAX_DEVICES = 512
MAX_HOLES = 128
ADDRESS_BITS = 48
HOST_CPUS = 8
GUEST_CPUS = 1
MAX_CPUS = 64
"""CPUs that a kernel uses: NR_CPUS of arm64 in Linux 4.5."""

MANAGEMENT_PROPERTIES = (
    ("dma-channels", "the number of channels of the core, 1 to 64"),
    ("channel-reset-timeout-cycles", "the cycles that a channel reset may take, such as <0x500>"),
    ("max-write-burst-bytes", "a power of two from 128 to 1024"),
    ("max-read-burst-bytes", "a power of two from 128 to 1024"),
    ("max-write-transactions", "0 to 31"),
    ("max-read-transactions", "0 to 31"),
)
"""What hidma_mgmt_probe() asks for, in its order, with the values that it takes."""
MALFORMED = "shorter than one cell"


@dataclass(frozen=True)
class Device:
    """A device that no HIDMA block is: an IOMMU, an interrupt controller, an Ethernet device.

    ``names`` are what its model and its driver are found by: its ``compatible`` strings, with ACPI its hardware IDs first;
    ``regs`` are physical; ``irqs`` are flat hardware numbers of the board's interrupt controller; ``stream`` is the number of
    its IOMMU group, unique on the board among streams, None where no IOMMU translates for it; ``iommu`` is the path of that
    IOMMU. ``node`` of this and the other parts of a board is where the firmware describes it: a
    :class:`~hidma.firmware.fdt.Node`, or with ACPI a :class:`~hidma.firmware.acpi.DeviceObject`.
    """

    path: str
    names: tuple[str, ...]
    regs: tuple[Region, ...]
    irqs: tuple[int, ...] = ()
    stream: int | None = None
    iommu: str | None = None
    node: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Management:
    """A management block: ``reg`` is physical, ``irq`` a flat hardware number, ``properties`` are as in the blob."""

    path: str
    reg: Region
    irq: int
    dma_channels: int | None
    core: int
    properties: dict[str, Any] = field(repr=False, compare=False)
    node: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class Channel:
    """A channel pair: two pages of registers, one interrupt line, one stream.

    ``name`` is the node's name without its unit address; ``index`` counts within the core (TRCA CHIDX); ``management``
    is the path of the management node above it, None where the node stands elsewhere, as a guest's does; ``irq`` is a
    flat hardware number; ``stream`` is unique on the board; ``iommu`` is the path of the IOMMU that translates the
    stream, None if nothing does; ``desc_count`` is None where the node does not say (V14 then takes nr_desc_prm, else
    10).
    """

    path: str
    name: str
    trca: Region
    evca: Region
    irq: int
    stream: int
    index: int
    core: int
    management: str | None
    iommu: str | None
    desc_count: int | None
    node: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class Core:
    """A HIDMA core: its management block (None: a hypervisor has it, the core is set up) and the channels seen here.

    ``size`` is the number of channels that the hardware has, seen or not.
    """

    number: int
    management: Management | None
    channels: tuple[Channel, ...]
    size: int


@dataclass(frozen=True)
class Board:
    """What must be built. ``memory`` is RAM in whole pages, without what ``no-map`` in /reserved-memory takes away; ``other``
    are the devices beside HIDMA, its IOMMUs and its interrupt controller; ``notes`` say what was left out or filled in."""

    source: str
    memory: tuple[Region, ...]
    cpus: int
    cores: tuple[Core, ...]
    iommus: tuple[Device, ...]
    interrupt_controller: Device | None
    other: tuple[Device, ...]
    tree: Tree | Namespace = field(repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def managements(self) -> tuple[Management, ...]:
        """Management blocks, in the order of the tree."""
        return tuple(core.management for core in self.cores if core.management is not None)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, core by core, in the order of their index."""
        return tuple(channel for core in self.cores for channel in core.channels)

    @property
    def iommu(self) -> Device | None:
        """The first IOMMU, None if there is none."""
        return self.iommus[0] if self.iommus else None


class RamRequest(NamedTuple):
    """RAM that somebody asks for in place of what the firmware says: bytes, and where (None: the first free place)."""

    size: int
    base: int | None = None


_RAM = re.compile(r"(?P<size>0[xX][0-9a-fA-F]+|\d+)(?P<unit>[kKmMgG]?)(?:@(?P<base>0[xX][0-9a-fA-F]+|\d+))?")


def ram_request(text: str) -> RamRequest:
    """RAM as people write it: ``512M``, ``0x10000000@0x80000000``.

    Raises FirmwareError: it is no size, not made of whole pages, or passes the end of physical addresses.
    """
    found = _RAM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise FirmwareError(f"memory: {text!r} is no size; write SIZE or SIZE@ADDRESS, such as 512M@0x80000000.")
    size = int(found["size"], 0) << {"": 0, "k": 10, "m": 20, "g": 30}[found["unit"].lower()]
    base = None if found["base"] is None else int(found["base"], 0)
    if size < 1 << 20 or size % PAGE_SIZE or (base or 0) % PAGE_SIZE or size + (base or 0) > 1 << ADDRESS_BITS:
        raise FirmwareError(f"memory: {text!r} is not at least 1 MiB in whole 4 KiB pages below the end of {ADDRESS_BITS}-bit "
                            "addresses; write 512M@0x80000000, say.")
    return RamRequest(size, base)


def describe(tree: Tree, ram: RamRequest | None = None) -> Board:
    """Say what hardware a tree describes.

    Parameters:
        tree: the device tree.
        ram: RAM in place of what its memory nodes say.

    Disabled nodes are not built (a channel node keeps its place in the numbering of its core). Channels that stand
    under no management node belong to the core of the only one on the board; where there is none, or several, they form
    a core of their own that is set up already, as do the channels below a disabled one. Where the tree names no RAM, which
    a boot loader fills in, there are 256 MiB at the first free place.

    Returns the board. Raises FirmwareError: one sentence with file, node and property.
    """
    return _Describer(tree, ram).board()


def _is_management(node: Node) -> bool:
    return MANAGEMENT in node.compatible


def _is_managed(node: Node) -> bool:
    return node.parent is not None and _is_management(node.parent)


def _is_channel(node: Node, managed: bool) -> bool:
    """V14 matches by the name alone below a management node, by ``compatible`` elsewhere."""
    names = node.compatible
    if managed:
        return node.basename == CHANNEL_NAME or CHANNEL in names or any(name in names for name in LATER_CHANNELS)
    return CHANNEL in names


class Seat(NamedTuple):
    """Place of a channel: core, index in it, what describes it, and the management block above, if that is where it stands."""

    core: int
    place: int
    node: Any
    parent: Any


class Describer:
    """What describing a device tree and describing an ACPI namespace have in common.

    :param ram: RAM in place of what the firmware names
    """

    def __init__(self, ram: RamRequest | None) -> None:
        self.ram = ram
        self.notes: list[str] = []
        self.taken: list[tuple[Region, Any]] = []

    def channel_pages(self, seat: Seat) -> list[Region]:
        """Both pages of a channel's registers."""
        raise NotImplementedError

    def whole_pages(self, node: Any, prop: str, region: Region, largest: int = MAX_BLOCK) -> None:
        """Raises FirmwareError: ``region``, which ``prop`` of ``node`` gives, is not made of whole pages, or is too large."""
        if region.size < PAGE_SIZE or region.base % PAGE_SIZE or region.size % PAGE_SIZE:
            raise node.error(prop, f"{region.base:#x} with {region.size:#x} bytes is not made of whole 4 KiB pages; give a base "
                                   "and a size that are multiples of 0x1000.")
        if region.size > largest:
            raise node.error(prop, f"{region.size:#x} bytes are more than the registers of a HIDMA block take; give at most "
                                   f"{largest:#x}.")

    def line(self, node: Any) -> int:
        """Number of the first interrupt of a device, which is the one that the drivers ask for."""
        raise NotImplementedError

    def stream(self, node: Any) -> tuple[str, int | None] | None:
        """Path of the IOMMU of a channel, and its stream there if that has a number; None where no IOMMU translates for it."""
        raise NotImplementedError

    def masters(self, node: Any) -> list[tuple[str, Any]]:
        """(IOMMU, stream) of everything that a device masters.

        Raises FirmwareError: it names what is no IOMMU.
        """
        raise NotImplementedError

    def seated(self, managements: list[Management], seats: list[Seat], ends: list[int]) -> tuple[Core, ...]:
        """Cores, with the channels that have ``seats`` in them; ``ends`` counts the places of each, the last core being the one
        without a management block. A stream keeps the number that the firmware gives it, unless a stream of another IOMMU has the
        same one."""
        for seat in seats:
            if seat.place >= MAX_CHANNELS:
                raise seat.node.error(None, f"it is channel {seat.place} of its core, counted from 0; a core has {MAX_CHANNELS} at "
                                            "most.")
        seats = sorted(seats, key=lambda seat: (seat.core, seat.place))
        masters = [self.stream(seat.node) for seat in seats]
        numbers: list[int | None] = []
        used: set[int] = set()
        for master in masters:
            wanted = master[1] if master is not None else None
            numbers.append(None if wanted is None or wanted in used else wanted)
            used.update(() if wanted is None else (wanted,))
        unused = (number for number in range(len(seats) * 2) if number not in used)
        channels = []
        for seat, master, number in zip(seats, masters, numbers, strict=True):
            trca, evca, *_ = self.channel_pages(seat)
            channels.append(Channel(
                seat.node.path, seat.node.basename, trca, evca, self.line(seat.node), next(unused) if number is None else number,
                seat.place, seat.core, None if seat.parent is None else seat.parent.path, None if master is None else master[0],
                seat.node.number("desc-count"), seat.node))
        cores = []
        for core, end in enumerate(ends):
            management = managements[core] if core < len(managements) else None
            if management is not None or end:
                promised = management.dma_channels if management is not None else None
                cores.append(Core(core, management, tuple(channel for channel in channels if channel.core == core),
                                  min(max(end, promised or 0, 1), MAX_CHANNELS)))
        return tuple(cores)

    def grouped(self, found: Iterable[tuple[Any, Iterable[str], Iterable[Region], Iterable[int]]],
                channels: Iterable[Channel]) -> tuple[Device, ...]:
        """Devices beside HIDMA, of (node, names, registers, interrupts): those with a stream in common are one IOMMU group. What
        names no IOMMU is a note."""
        groups: dict[tuple[str, Any], int] = {}
        for channel in channels:
            for key in self.masters(channel.node):
                groups.setdefault(key, channel.stream)
        devices: list[Device] = []
        for node, names, regs, irqs in found:
            try:
                masters = self.masters(node)
            except FirmwareError as error:
                self.notes.append(f"{error.sentence.rstrip('.')}; no IOMMU translates for this device, and it cannot be given to "
                                  "a guest.")
                masters = []
            stream = None
            if masters:
                stream = next((groups[key] for key in masters if key in groups), OTHER_STREAMS + len(devices))
                groups.update(dict.fromkeys(masters, stream))
            devices.append(Device(node.path, tuple(names), tuple(regs), tuple(irqs), stream, masters[0][0] if masters else None,
                                  node))
        return tuple(devices)


class _Describer(Describer):
    def __init__(self, tree: Tree, ram: RamRequest | None) -> None:
        super().__init__(ram)
        self.tree = tree
        self.lines: dict[int, tuple[Node, Interrupt]] = {}
        self.controller: Node | None = None
        self.used_iommus: dict[str, Node] = {}
        self.devices = 0
        self.streams: dict[tuple[str, tuple[int, ...]], Node] = {}

    def board(self) -> Board:
        tree = self.tree
        tree.reindex()
        nodes = list(tree.walk())
        enabled = [node for node in nodes if node.enabled]
        managements: list[Management] = []
        for node in enabled:
            if _is_management(node):
                managements.append(self.management(node, len(managements)))
        loose = [node for node in enabled if _is_channel(node, managed=False) and not _is_managed(node)]
        cores = self.cores(managements, [node for node in nodes if _is_management(node)], loose)
        for node in (*self.used_iommus.values(), *([self.controller] if self.controller is not None else [])):
            self.taken.extend((region, node) for region in self.readable(node))
        controller = self.controller_of(enabled)
        iommus = tuple(Device(node.path, node.compatible, tuple(self.readable(node)), (), node=node)
                       for node in enabled if "#iommu-cells" in node.properties or set(IOMMUS) & set(node.compatible))
        other = self.others(controller, iommus, [channel for core in cores for channel in core.channels])
        memory = self.below_registers(self.memory(nodes), other)
        refuse_overlaps(self.taken, memory, "reg", "memory node", _is_hidma)
        cpus = self.cpus(GUEST_CPUS if not managements else HOST_CPUS)
        return Board(tree.source, tuple(memory), cpus, cores, iommus, controller, other, tree, tuple(self.notes))

    # Memory and CPUs

    def memory(self, nodes: list[Node]) -> list[Region]:
        def place(size: int) -> int:
            return free_place(size, [region for node in nodes if node.enabled and _device_type(node) != b"memory"
                                     for region in self.readable(node)])

        found: list[Region] = []
        for node in nodes:
            typed = _device_type(node) == b"memory"
            if not node.enabled or not (typed or _is_untyped_memory(node, self.tree)):
                continue
            self.count(node)
            regions = [part for part in map(_pages, self.readable(node)) if part.size > 0 and part.end <= 1 << ADDRESS_BITS]
            if regions and not typed:
                self.notes.append(node.say("device_type", 'it is missing, so a kernel finds no RAM here; hidma, as the boot '
                                                          'loader, sets it to "memory".'))
            found.extend(regions)
        found = _merged(found)
        if self.ram is not None:
            return [Region(place(self.ram.size) if self.ram.base is None else self.ram.base, self.ram.size)]
        if not found:
            region = Region(place(DEFAULT_MEMORY), DEFAULT_MEMORY)
            self.notes.append(self.tree.root.say(None, f"it names no RAM, which a boot loader fills in: hidma gives {region}; "
                                                       "--memory SIZE@ADDRESS gives another."))
            return [region]
        for hole in self.holes():
            found = [part for region in found for part in _without(region, hole)]
        if not found:
            raise self.tree.root.error(None, "its reserved-memory takes all RAM away with no-map; leave some.")
        return found

    def below_registers(self, memory: list[Region], other: tuple[Device, ...]) -> list[Region]:
        """RAM without the registers that lie in it, as a boot loader sets it where the tree names all that could be fitted."""
        left, owners = memory, []
        for device in other:
            if any(region.overlaps(part) for region in device.regs for part in left):
                without = left
                for region in device.regs:
                    without = [rest for part in without for rest in _without(part, region)]
                if sum(part.size for part in without) * 2 > sum(part.size for part in left):
                    left = without
                owners.append(device.path)
        if owners:
            more = f" and {len(owners) - 1} more" if len(owners) > 1 else ""
            self.notes.append(self.tree.root.say(None, f"the registers of {owners[0]}{more} lie in its RAM, which gives way to "
                                                       "them here, as a boot loader makes it."))
        return left

    def holes(self) -> list[Region]:
        """What a kernel takes out of RAM: memblock_remove() of each ``no-map`` region in /reserved-memory."""
        parent = self.tree.node("/reserved-memory")
        holes: list[Region] = []
        for node in parent.children if parent is not None else ():
            if "no-map" in node.properties and node.available:
                self.count(node)
                holes.extend(self.readable(node, identity=parent))
                if len(holes) > MAX_HOLES:
                    raise node.error("reg", f"it makes more than {MAX_HOLES} no-map regions; give fewer.")
        return holes

    def cpus(self, default: int) -> int:
        node = self.tree.node("/cpus")
        count = sum(child.available and (child.basename == "cpu" or _device_type(child) == b"cpu")
                    for child in node.children) if node is not None else 0
        return min(count, MAX_CPUS) or default

    # Devices

    def readable(self, node: Node, identity: Node | None = None) -> list[Region]:
        """Regions of a node that no HIDMA block is: those that a kernel would find, none where it would find none."""
        try:
            return [region for region in node.reg(identity) if region.size]
        except FirmwareError:
            return []

    def regions(self, node: Node, identity: Node | None = None) -> list[Region]:
        if "reg" not in node.properties:
            raise node.error("reg", "it is missing; it says at which address the registers stand.")
        regions = node.reg(identity)
        for region in regions:
            if region.end > 1 << ADDRESS_BITS:
                raise node.error("reg", f"{region.base:#x} with {region.size:#x} bytes passes the end of "
                                        f"{ADDRESS_BITS}-bit physical addresses.")
        return regions

    def count(self, node: Node) -> None:
        self.devices += 1
        if self.devices > MAX_DEVICES:
            raise node.error(None, f"it is one node too many; a board has at most {MAX_DEVICES} with a reg of its own.")

    def pages(self, node: Node, regions: list[Region], wanted: int, right: str) -> list[Region]:
        """Regions that are handed out page by page, as a hypervisor maps them."""
        if len(regions) < wanted:
            raise node.error("reg", f"it gives {('no', 'one')[len(regions)]} region; {right}.")
        for region in regions[:wanted]:
            self.whole_pages(node, "reg", region)
        self.taken.extend((region, node) for region in regions if region.size)
        return regions

    def line(self, node: Node) -> int:
        interrupts = node.interrupts()
        if not interrupts:
            prop = _irq_property(node)
            state = "is empty" if prop in node.properties else "is missing"
            raise node.error(prop, f"it {state} and the driver asks for an interrupt; give one, such as <0 389 4>.")
        interrupt = interrupts[0]
        if interrupt.kind == "PPI":
            raise node.error(_irq_property(node), f"PPI {interrupt.number} belongs to one CPU; give a shared one "
                                                  "(SPI), whose first cell is 0.")
        self.share(node, interrupt)
        return interrupt.line

    def share(self, node: Node, interrupt: Interrupt) -> None:
        if self.controller is None:
            self.controller = interrupt.controller
        elif self.controller is not interrupt.controller:
            raise node.error(_irq_property(node), f"it goes to {interrupt.controller.path} and others go to "
                                                  f"{self.controller.path}; a board has one interrupt controller.")
        other, before = self.lines.setdefault(interrupt.line, (node, interrupt))
        if other is not node and (interrupt.edge or before.edge):
            raise node.error(_irq_property(node), (
                f"{interrupt.kind} {interrupt.number} is the line of {other.path} too, and an edge cannot be shared; "
                "give it a line of its own, or make both level (4)."))

    def management(self, node: Node, core: int) -> Management:
        self.count(node)
        reg = self.pages(node, self.regions(node), 1, "a management block has one")[0]
        channels = node.number("dma-channels")
        if channels is not None and channels > MAX_CHANNELS:
            raise node.error("dma-channels", f"{channels} channels are more than the hardware has; a core has 1 to "
                                             f"{MAX_CHANNELS}.")
        return Management(node.path, reg, self.line(node), channels, core, dict(node.properties), node)

    def others(self, controller: Device | None, iommus: tuple[Device, ...], channels: list[Channel]) -> tuple[Device, ...]:
        """Devices that no HIDMA block, IOMMU or interrupt controller is: those that the kernel makes devices of."""
        served = {id(device.node) for device in iommus} | {id(controller.node) if controller is not None else 0}
        first = controller.node if controller is not None else None
        return self.grouped(((node, node.compatible, self.readable(node), interrupt_lines(node, first))
                             for node in populated(self.tree.root) if id(node) not in served and not _is_hidma(node)
                             and _device_type(node) != b"memory"), channels)

    def masters(self, node: Node) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for iommu, cells in node.iommus():
            if iommu.enabled:
                found.append((iommu.path, cells[:1]))
            elif not _is_hidma(node):
                self.notes.append(node.say("iommus", f"{iommu.path} is disabled, so it does not translate for this device; "
                                                     "enable it or leave iommus out."))
        return found

    def controller_of(self, enabled: list[Node]) -> Device | None:
        """The controller that the HIDMA blocks use; on a board without them, the first that is below no other."""
        node = self.controller
        if node is None:
            there = [n for n in enabled if {"interrupt-controller", "reg"} <= set(n.properties)
                     and "gpio-controller" not in n.properties]
            node = next((n for n in there if _is_first(n)), there[0] if there else None)
        return None if node is None else Device(node.path, node.compatible, tuple(self.readable(node)), (), node=node)

    # Cores and channels

    def cores(self, managements: list[Management], parents: list[Node], loose: list[Node]) -> tuple[Core, ...]:
        """Seat every channel node in a core, then build the channels in the order of their seats.

        ``parents`` are the management nodes, disabled ones too: V14 looks at the children of all of them.
        """
        numbers = {id(management.node): management.core for management in managements}
        spare = len(managements)
        seats: list[Seat] = []
        ends = [0] * (spare + 1)
        for parent in parents:
            core = numbers.get(id(parent), spare)
            for child in parent.children:
                if not _is_channel(child, managed=True) or (core == spare and not child.available):
                    continue
                if child.available:
                    seats.append(Seat(core, ends[core], child, parent))
                ends[core] += 1
        for node in loose:
            core = 0 if spare == 1 else spare
            seats.append(Seat(core, ends[core], node, None))
            ends[core] += 1
        for seat in seats:
            self.count(seat.node)
        return self.seated(managements, seats, ends)

    def channel_pages(self, seat: Seat) -> list[Region]:
        return self.pages(seat.node, self.regions(seat.node, identity=seat.parent), 2,
                          "a channel has two, its transfer channel and its event channel")

    def stream(self, node: Node) -> tuple[str, int | None] | None:
        masters = node.iommus()
        if not masters:
            return None
        if len(masters) > 1:
            raise node.error("iommus", f"{len(masters)} streams are named; a channel is one stream.")
        iommu, cells = masters[0]
        if not iommu.enabled:
            raise node.error("iommus", f"{iommu.path} is disabled; enable it or leave iommus out.")
        self.used_iommus[iommu.path] = iommu
        if not cells:
            return iommu.path, None
        other = self.streams.setdefault((iommu.path, cells[:1]), node)
        if other is not node:
            raise node.error("iommus", f"stream {cells[0]} is the stream of {other.path} already; each channel needs "
                                       "its own.")
        return iommu.path, cells[0]


class Owner(Protocol):
    """What has registers: a node of a device tree, or an ACPI device."""

    @property
    def path(self) -> str: ...

    def error(self, prop: str | None, sentence: str) -> FirmwareError: ...


def refuse_overlaps(taken: Iterable[tuple[Region, Owner]], memory: Iterable[Region], prop: str, ram: str,
                    strict: Callable[[Any], bool]) -> None:
    """Refuse registers that overlap RAM or the registers of somebody else.

    Parameters:
        taken: register blocks and whose they are.
        memory: RAM.
        prop: what gives the registers, for the sentence: ``reg`` or ``_CRS``.
        ram: what gives RAM, for the sentence.
        strict: whether two blocks of this owner may not overlap either.

    Raises FirmwareError.
    """
    spans: list[tuple[Region, Owner | None]] = [*taken, *((region, None) for region in memory)]
    spans.sort(key=lambda span: span[0])
    last: tuple[Region, Owner | None] | None = None
    for region, owner in spans:
        if last is not None and last[0].overlaps(region):
            before, other = last
            if owner is None and other is None:
                continue
            if owner is None or other is None:
                registers, who, there = (region, owner, before) if owner is not None else (before, other, region)
                assert who is not None
                raise who.error(prop, f"{registers} overlaps the RAM at {there}; give the registers addresses outside "
                                      f"every {ram}.")
            if owner is not other or strict(owner):
                whose = f"of {other.path}" if other is not owner else f"of the same {prop}"
                raise owner.error(prop, f"{region} overlaps {before} {whose}; give every register block addresses "
                                        "of its own.")
        if last is None or region.end > last[0].end:
            last = (region, owner)


def populated(root: Node) -> Iterator[Node]:
    """Nodes that of_platform_populate() makes devices of, in its order: available, with ``compatible``, at the root or below a
    bus of :data:`BUSES` that is itself one."""
    for node in root.children:
        if not node.compatible or not node.available:
            continue
        if "interrupt-controller" in node.properties and "gpio-controller" not in node.properties:
            continue
        yield node
        if PRIMECELL not in node.compatible and set(BUSES) & set(node.compatible):
            yield from populated(node)


def interrupt_lines(node: Node, controller: Node | None) -> list[int]:
    """Flat numbers of a node's interrupts, in its order: shared ones that reach ``controller``, also through a controller that
    is stacked on it and keeps its numbers (the power controller of an i.MX, say). What cannot be read ends the list.
    """
    try:
        return [interrupt.line for interrupt in node.interrupts()
                if interrupt.kind != "PPI" and _reaches(interrupt.controller, controller)]
    except FirmwareError:
        return []


def _reaches(node: Node, controller: Node | None) -> bool:
    if node is controller:
        return True
    try:
        return (controller is not None and node.count("#interrupt-cells") == 3 and controller.count("#interrupt-cells") == 3
                and node.interrupt_parent() is controller)
    except FirmwareError:
        return False


def _is_first(node: Node) -> bool:
    """Whether an interrupt controller is below no other one."""
    try:
        above = node.interrupt_parent()
    except FirmwareError:
        return False
    return above is None or above is node


def _is_untyped_memory(node: Node, tree: Tree) -> bool:
    """Whether a node is RAM but for the ``device_type`` that a boot loader adds."""
    return node.basename == "memory" and node.parent is tree.root and "device_type" not in node.properties


def _merged(regions: list[Region]) -> list[Region]:
    """Regions in order, those that overlap made one, as memblock_add() does."""
    made: list[Region] = []
    for region in sorted(regions):
        if made and made[-1].overlaps(region):
            region = Region(made[-1].base, max(made[-1].end, region.end) - made.pop().base)
        made.append(region)
    return made


def free_place(size: int, registers: Iterable[Region]) -> int:
    """Where ``size`` bytes of RAM overlap no registers: at 0x80000000, or the first of :data:`PLACES` that is free.

    Raises FirmwareError: there is no such place.
    """
    taken = list(registers)
    for base in PLACES:
        region = Region(base, size)
        if region.end <= 1 << ADDRESS_BITS and not any(region.overlaps(other) for other in taken):
            return base
    raise FirmwareError(f"memory: {size:#x} bytes fit nowhere between the registers of this board; give --memory SIZE@ADDRESS.")


def _is_hidma(node: Node) -> bool:
    return _is_management(node) or _is_channel(node, managed=_is_managed(node))


def _irq_property(node: Node) -> str:
    return "interrupts-extended" if "interrupts-extended" in node.properties else "interrupts"


def _device_type(node: Node) -> bytes:
    return node.properties.get("device_type", b"").split(b"\0")[0]


def _pages(region: Region) -> Region:
    """The whole pages inside a region, as early_init_dt_add_memory_arch() rounds."""
    base = -(-region.base // PAGE_SIZE) * PAGE_SIZE
    return Region(base, max(region.end // PAGE_SIZE * PAGE_SIZE - base, 0))


def _without(region: Region, hole: Region) -> list[Region]:
    """What is left of a region when the pages of a hole are taken out."""
    if not region.overlaps(hole) or not hole.size:
        return [region]
    low = hole.base // PAGE_SIZE * PAGE_SIZE
    high = -(-hole.end // PAGE_SIZE) * PAGE_SIZE
    parts = (Region(region.base, low - region.base), Region(high, region.end - high))
    return [part for part in parts if part.size > 0]


def _populated(tree: Tree) -> Iterator[tuple[Node, Node, int | None]]:
    """Children of management nodes as hidma_mgmt_of_populate_channels() goes through them.

    Yields (management node, child, number of the device), the number being None at the child where V14 gives up.
    """
    number = 0
    for management in tree.compatible(MANAGEMENT):
        for child in management.children:
            if not child.available:
                continue
            try:
                stops = "reg" not in child.properties or not child.interrupts()
            except FirmwareError:
                stops = True
            yield management, child, None if stops else number
            if stops:
                break
            number += 1


def explain_unbound(board: Board) -> list[str]:
    """Say of each channel below a management node why no driver binds to it, where none does.

    V14 creates these devices itself and never sets of_node, so ``compatible`` is not looked at and the driver `hidma`
    finds its device by name only (row 27; hidma_mgmt.c hidma_mgmt_of_populate_channels()). With ACPI the devices are made
    by the ACPI core, with their companions, and there is nothing to explain. Returns one sentence per channel.
    """
    if not isinstance(board.tree, Tree):
        return []
    numbers = {id(child): number for _, child, number in _populated(board.tree)}
    sentences: list[str] = []
    for channel in board.channels:
        if channel.management is None or channel.name == CHANNEL_NAME:
            continue
        number = numbers.get(id(channel.node))
        if number is None:
            continue
        address = channel.node.unit_address
        right = f"{CHANNEL_NAME}@{address}" if address else CHANNEL_NAME
        sentences.append(channel.node.say(None, (
            f"V14 creates the device {channel.name}.{number} and no driver binds to it, because the device has no "
            f"of_node and only the name {CHANNEL_NAME} matches (row 27); rename the node to {right}.")))
    return sentences


def check(tree: Tree, ram: RamRequest | None = None) -> list[str]:
    """Say what V14 will stumble over or do otherwise than the tree's author meant, one sentence each.

    Nothing here keeps a machine from being built, but if :func:`describe` refuses the tree, its sentence is the only
    one. Rows are those of docs/quirks.
    """
    try:
        board = describe(tree, ram)
    except FirmwareError as error:
        return [error.sentence]
    said: list[str] = list(board.notes)
    for core in board.cores:
        if core.management is not None:
            said.extend(check_management(core.management, core, MALFORMED))
    for management, child, number in _populated(tree):
        if number is None:
            what = "reg" if "reg" not in child.properties else "interrupts"
            said.append(child.say(what, "it is missing or cannot be read, and V14 stops here: no device is created "
                                        f"for this child of {management.path} and those behind it (row 48); complete "
                                        "or disable it."))
        elif not _is_channel(child, managed=True):
            said.append(child.say("compatible", "it is no channel, and V14 creates a device "
                                                f"{child.basename}.{number} for every child of a management node; "
                                                "move the node elsewhere."))
    lines: dict[int, Channel] = {}
    for channel in board.channels:
        said.extend(_check_channel(channel, board))
        other = lines.setdefault(channel.irq, channel)
        if other is not channel:
            said.append(channel.node.say("interrupts", f"{other.path} has the same line, and V14 does not request it "
                                                       "shared, so the second probe fails with -16 (EBUSY); give it "
                                                       "its own line."))
    for node in tree.compatible(*LATER_CHANNELS):
        if node.enabled and not any(channel.node is node for channel in board.channels):
            said.append(node.say("compatible", f"V14 knows only {CHANNEL}, so no driver binds; add that string if the "
                                               "hardware is compatible with it."))
    if not board.cores:
        said.append(tree.root.say(None, f"no enabled node is compatible with {MANAGEMENT} or {CHANNEL}, so the "
                                        "machine has no DMA channel; add one."))
    return said


def say_property(node: Any, name: str, text: str) -> str:
    """A sentence on a property: of a node, or of _DSD. "it" in ``text`` is the property."""
    if isinstance(node, Node):
        return node.say(name, text)
    said: str = node.say("_DSD", f"{name} {text[3:]}" if text.startswith("it ") else f"{name}: {text}")
    return said


def check_management(management: Management, core: Core, malformed: str) -> Iterator[str]:
    """What V14 refuses of a management block, or takes otherwise than its author meant.

    :param malformed: what is said of a property that is no number
    """
    node = management.node
    for name, right in MANAGEMENT_PROPERTIES:
        value = node.number(name)
        if name not in management.properties:
            yield say_property(node, name, f"it is missing and V14's probe fails without it; give {right}.")
        elif value is None:
            yield say_property(node, name, f"it is {malformed} and V14's probe fails; give {right}.")
        elif isinstance(node, Node) and len(node.properties[name]) != 4:
            yield node.say(name, f"it is longer than one cell and V14 reads the first only; give {right}.")
        elif ("burst" in name and value not in (128, 256, 512, 1024)) or ("transactions" in name and value > 31):
            yield say_property(node, name, f"{value} is refused by V14's probe; give {right}.")
        elif name == "channel-reset-timeout-cycles" and value > 0xFFFFF:
            yield say_property(node, name, f"{value:#x} is cut to its lower 20 bits by V14; give 0xfffff at most.")
    seen = max((channel.index + 1 for channel in core.channels), default=0)
    if management.dma_channels is not None and management.dma_channels < max(seen, 1):
        yield say_property(node, "dma-channels", (
            f"{management.dma_channels} is too few for the channels seen here, which are {seen}, so not every one gets a weight "
            f"and a priority in sysfs; give {max(seen, 1)} or more."))


def check_channel(channel: Channel, board: Board, edge: bool, malformed: str, right: tuple[str, str]) -> Iterator[str]:
    """What V14 takes otherwise than the author of a channel meant.

    :param edge: whether its interrupt is one
    :param malformed: what is said of a property that is no number
    :param right: the property of interrupts, and what is right there
    """
    node = channel.node
    if "desc-count" in node.properties and channel.desc_count is None:
        yield say_property(node, "desc-count", f"it is {malformed}, and V14 takes its default of 10; give a number such as 64.")
    elif channel.desc_count is not None and channel.desc_count < 4:
        yield say_property(node, "desc-count", f"{channel.desc_count} is less than the 4 that a ring needs, and V14 defers its "
                                               "probe for ever (row 51); give 4 or more.")
    if edge:
        yield node.say(right[0], f"it asks for an edge and the channel's line is a level; {right[1]}.")
    if channel.iommu is None and board.iommus:
        yield say_property(node, "iommus", f"it is missing, so {board.iommus[0].path} does not translate this channel and it "
                                           "cannot be given to a guest; name the IOMMU and a stream of its own.")


def _check_channel(channel: Channel, board: Board) -> list[str]:
    node = channel.node
    said = []
    if channel.management is not None:
        raw = node.raw_reg()
        if raw[:2] != [channel.trca, channel.evca]:
            said.append(node.say("reg", f"V14 takes {raw[0].base:#x} as it stands and does not apply the ranges above "
                                        f"it, which make it {channel.trca.base:#x}; let the ranges be one to one."))
    return [*said, *check_channel(channel, board, node.interrupts()[0].edge, MALFORMED, ("interrupts", "give 4 as the last cell"))]
