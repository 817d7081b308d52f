# SPDX-License-Identifier: GPL-2.0-only
"""From a device tree to the hardware it describes: RAM, CPUs, HIDMA cores with their channels, IOMMUs, interrupt lines.

It stands for the board itself, which no C file of the series is. It refuses only what cannot be a machine (no RAM, no
registers, registers that overlap, no interrupt); a tree that V14 alone stumbles over is described as it is, and
:func:`check` and :func:`explain_unbound` say in a sentence what V14's own message leaves out. It builds no hardware and
creates no Linux device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from hidma.firmware.aml import Namespace
from hidma.firmware.fdt import FirmwareError, Interrupt, Node, Region, Tree

MANAGEMENT = "qcom,hidma-mgmt-1.0"
CHANNEL = "qcom,hidma-1.0"
LATER_CHANNELS = ("qcom,hidma-1.1", "qcom,hidma-1.2")
CHANNEL_NAME = "hidma"
"""Name of V14's channel driver: below a management node a device is matched by this alone (row 27)."""
IOMMUS = ("arm,smmu-v1", "arm,smmu-v2", "arm,mmu-400", "arm,mmu-401", "arm,mmu-500", "arm,smmu-v3", "qcom,smmu-v2")
OTHERS = ("amd,xgbe-seattle-v1a", "calxeda,hb-xgmac")

PAGE_SIZE = 4096
MAX_CHANNELS = 64
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


@dataclass(frozen=True)
class Device:
    """Something with registers: an IOMMU, an interrupt controller, an Ethernet device.

    ``node`` of this and the other parts of a board is where the firmware describes it: a
    :class:`~hidma.firmware.fdt.Node`, or with ACPI a :class:`~hidma.firmware.acpi.DeviceObject`.
    """

    path: str
    compatible: tuple[str, ...]
    regs: tuple[Region, ...]
    interrupts: tuple[Interrupt, ...] = field(repr=False, compare=False)
    node: Any = field(repr=False, compare=False)

    @property
    def irqs(self) -> tuple[int, ...]:
        """Flat hardware interrupt numbers."""
        return tuple(interrupt.line for interrupt in self.interrupts)


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
    """What must be built. ``memory`` is RAM in whole pages, without what ``no-map`` in /reserved-memory takes away."""

    source: str
    memory: tuple[Region, ...]
    cpus: int
    cores: tuple[Core, ...]
    iommus: tuple[Device, ...]
    interrupt_controller: Device | None
    other: tuple[Device, ...]
    tree: Tree | Namespace = field(repr=False, compare=False)

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


def describe(tree: Tree) -> Board:
    """Say what hardware a tree describes.

    Disabled nodes are not built (a channel node keeps its place in the numbering of its core). Channels that stand
    under no management node belong to the core of the only one on the board; where there is none, or several, they form
    a core of their own that is set up already, as do the channels below a disabled one.

    Returns the board. Raises FirmwareError: one sentence with file, node and property.
    """
    return _Describer(tree).board()


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


class _Seat(NamedTuple):
    """Place of a channel node: core, index in it, and the management node above, if that is where it stands."""

    core: int
    place: int
    node: Node
    parent: Node | None


class _Describer:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.taken: list[tuple[Region, Node]] = []
        self.lines: dict[int, tuple[Node, Interrupt]] = {}
        self.controller: Node | None = None
        self.devices = 0
        self.streams: dict[tuple[str, tuple[int, ...]], Node] = {}

    def board(self) -> Board:
        tree = self.tree
        tree.reindex()
        nodes = list(tree.walk())
        enabled = [node for node in nodes if node.enabled]
        memory = self.memory(nodes)
        managements: list[Management] = []
        for node in enabled:
            if _is_management(node):
                managements.append(self.management(node, len(managements)))
        loose = [node for node in enabled if _is_channel(node, managed=False) and not _is_managed(node)]
        cores = self.cores(managements, [node for node in nodes if _is_management(node)], loose)
        iommus = tuple(self.device(node) for node in tree.compatible(*IOMMUS) if node.enabled)
        other = tuple(self.device(node) for node in tree.compatible(*OTHERS) if node.enabled)
        controller = self.controller_of(enabled)
        refuse_overlaps(self.taken, memory, "reg", "memory node", _is_hidma)
        cpus = self.cpus(GUEST_CPUS if not managements else HOST_CPUS)
        return Board(tree.source, tuple(memory), cpus, cores, iommus, controller, other, tree)

    # Memory and CPUs

    def memory(self, nodes: list[Node]) -> list[Region]:
        found: list[tuple[Region, Node]] = []
        unnamed: Node | None = None
        for node in nodes:
            if _device_type(node) == b"memory":
                if node.enabled:
                    self.count(node)
                    found.extend((_pages(region), node) for region in self.regions(node))
            elif node.basename == "memory" and node.parent is self.tree.root and "device_type" not in node.properties:
                unnamed = node
        found = sorted((pair for pair in found if pair[0].size > 0), key=lambda pair: pair[0])
        for (low, first), (high, second) in pairwise(found):
            if low.overlaps(high):
                raise second.error("reg", f"{high} overlaps {low} of {first.path}; RAM stands at an address once.")
        if not found and unnamed is not None:
            raise unnamed.error("device_type", 'it is missing, so a kernel finds no RAM here; set it to "memory".')
        if not found:
            raise self.tree.root.error(None, "no memory node is below it, so the machine has no RAM; add "
                                             'memory@80000000 with device_type = "memory" and a reg of 256 MiB, say.')
        memory = [region for region, _ in found]
        for hole in self.holes():
            memory = [part for region in memory for part in _without(region, hole)]
        if not memory:
            raise self.tree.root.error(None, "its reserved-memory takes all RAM away with no-map; leave some.")
        return memory

    def holes(self) -> list[Region]:
        """What a kernel takes out of RAM: memblock_remove() of each ``no-map`` region in /reserved-memory."""
        parent = self.tree.node("/reserved-memory")
        holes: list[Region] = []
        for node in parent.children if parent is not None else ():
            if "no-map" in node.properties and node.available:
                self.count(node)
                holes.extend(node.reg(identity=parent))
                if len(holes) > MAX_HOLES:
                    raise node.error("reg", f"it makes more than {MAX_HOLES} no-map regions; give fewer.")
        return holes

    def cpus(self, default: int) -> int:
        node = self.tree.node("/cpus")
        count = sum(_is_cpu(child) and child.available for child in node.children) if node is not None else 0
        return min(count, MAX_CPUS) or default

    # Devices

    def regions(self, node: Node, identity: Node | None = None) -> list[Region]:
        if "reg" not in node.properties:
            what = "RAM stands" if _device_type(node) == b"memory" else "registers stand"
            raise node.error("reg", f"it is missing; it says at which address the {what}.")
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
            if region.size < PAGE_SIZE or region.base % PAGE_SIZE or region.size % PAGE_SIZE:
                raise node.error("reg", f"{region.base:#x} with {region.size:#x} bytes is not made of whole 4 KiB "
                                        "pages; give a base and a size that are multiples of 0x1000.")
        self.taken.extend((region, node) for region in regions if region.size)
        return regions

    def line(self, node: Node) -> int:
        """Flat number of a device's first interrupt, which is the one that the drivers ask for."""
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

    def device(self, node: Node) -> Device:
        self.count(node)
        regions = self.regions(node)
        self.taken.extend((region, node) for region in regions if region.size)
        interrupts = tuple(node.interrupts())
        for interrupt in interrupts:
            if interrupt.kind != "PPI" and set(OTHERS) & set(node.compatible):
                self.share(node, interrupt)
        return Device(node.path, node.compatible, tuple(regions), interrupts, node)

    def controller_of(self, enabled: list[Node]) -> Device | None:
        """The controller that the devices use; on a board without devices, the first there is."""
        node = self.controller
        if node is None:
            node = next((n for n in enabled if "interrupt-controller" in n.properties), None)
            if node is None or "reg" not in node.properties:
                return None
        regions = node.reg() if "reg" in node.properties else []
        self.taken.extend((region, node) for region in regions if region.size)
        return Device(node.path, node.compatible, tuple(regions), (), node)

    # Cores and channels

    def cores(self, managements: list[Management], parents: list[Node], loose: list[Node]) -> tuple[Core, ...]:
        """Seat every channel node in a core, then build the channels in the order of their seats.

        ``parents`` are the management nodes, disabled ones too: V14 looks at the children of all of them.
        """
        numbers = {id(management.node): management.core for management in managements}
        spare = len(managements)
        seats: list[_Seat] = []
        ends = [0] * (spare + 1)
        for parent in parents:
            core = numbers.get(id(parent), spare)
            for child in parent.children:
                if not _is_channel(child, managed=True) or (core == spare and not child.available):
                    continue
                if child.available:
                    seats.append(_Seat(core, ends[core], child, parent))
                ends[core] += 1
        for node in loose:
            core = 0 if spare == 1 else spare
            seats.append(_Seat(core, ends[core], node, None))
            ends[core] += 1
        for seat in seats:
            self.count(seat.node)
            if seat.place >= MAX_CHANNELS:
                raise seat.node.error(None, f"it is channel {seat.place} of its core, counted from 0; a core has "
                                            f"{MAX_CHANNELS} at most.")
        channels = self.channels(sorted(seats, key=lambda seat: (seat.core, seat.place)))
        cores = []
        for number, end in enumerate(ends):
            management = managements[number] if number < spare else None
            if management is not None or end:
                promised = management.dma_channels if management is not None else None
                cores.append(Core(number, management, tuple(c for c in channels if c.core == number),
                                  min(max(end, promised or 0), MAX_CHANNELS)))
        return tuple(cores)

    def channels(self, seats: list[_Seat]) -> list[Channel]:
        masters = [self.stream(seat.node) for seat in seats]
        # A stream keeps the number that the tree gives it, unless a stream of another IOMMU has the same one.
        numbers: list[int | None] = []
        used: set[int] = set()
        for master in masters:
            wanted = master[1] if master is not None else None
            if wanted is None or wanted in used:
                numbers.append(None)
            else:
                numbers.append(wanted)
                used.add(wanted)
        unused = (number for number in range(len(seats) * 2) if number not in used)
        found = []
        for seat, master, number in zip(seats, masters, numbers, strict=True):
            node, parent = seat.node, seat.parent
            regions = self.pages(node, self.regions(node, identity=parent), 2,
                                 "a channel has two, its transfer channel and its event channel")
            found.append(Channel(node.path, node.basename, regions[0], regions[1], self.line(node),
                                 next(unused) if number is None else number, seat.place, seat.core,
                                 parent.path if parent is not None else None,
                                 master[0].path if master is not None else None, node.number("desc-count"), node))
        return found

    def stream(self, node: Node) -> tuple[Node, int | None] | None:
        """IOMMU and stream number of a channel: None without ``iommus``, no number if the IOMMU wants no cell."""
        masters = node.iommus()
        if not masters:
            return None
        if len(masters) > 1:
            raise node.error("iommus", f"{len(masters)} streams are named; a channel is one stream.")
        iommu, cells = masters[0]
        if not set(IOMMUS) & set(iommu.compatible):
            raise node.error("iommus", f"{iommu.path} is no IOMMU that is known here; known are {', '.join(IOMMUS)}.")
        if not iommu.enabled:
            raise node.error("iommus", f"{iommu.path} is disabled; enable it or leave iommus out.")
        if not cells:
            return iommu, None
        other = self.streams.setdefault((iommu.path, cells[:1]), node)
        if other is not node:
            raise node.error("iommus", f"stream {cells[0]} is the stream of {other.path} already; each channel needs "
                                       "its own.")
        return iommu, cells[0]


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


def _is_hidma(node: Node) -> bool:
    return _is_management(node) or _is_channel(node, managed=_is_managed(node))


def _irq_property(node: Node) -> str:
    return "interrupts-extended" if "interrupts-extended" in node.properties else "interrupts"


def _device_type(node: Node) -> bytes:
    return node.properties.get("device_type", b"").split(b"\0")[0]


def _is_cpu(node: Node) -> bool:
    return node.basename == "cpu" or _device_type(node) == b"cpu"


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


def check(tree: Tree) -> list[str]:
    """Say what V14 will stumble over or do otherwise than the tree's author meant, one sentence each.

    Nothing here keeps a machine from being built, but if :func:`describe` refuses the tree, its sentence is the only
    one. Rows are those of docs/quirks.
    """
    try:
        board = describe(tree)
    except FirmwareError as error:
        return [error.sentence]
    said: list[str] = []
    for core in board.cores:
        if core.management is not None:
            said.extend(_check_management(core.management, core))
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


def _check_management(management: Management, core: Core) -> list[str]:
    node = management.node
    said = []
    for name, right in MANAGEMENT_PROPERTIES:
        value = node.number(name)
        if name not in node.properties:
            said.append(node.say(name, f"it is missing and V14's probe fails without it; give {right}."))
        elif value is None:
            said.append(node.say(name, f"it is shorter than one cell and V14's probe fails; give {right}."))
        elif len(node.properties[name]) != 4:
            said.append(node.say(name, f"it is longer than one cell and V14 reads the first only; give {right}."))
        elif ("burst" in name and value not in (128, 256, 512, 1024)) or ("transactions" in name and value > 31):
            said.append(node.say(name, f"{value} is refused by V14's probe; give {right}."))
        elif name == "channel-reset-timeout-cycles" and value > 0xFFFFF:
            said.append(node.say(name, f"{value:#x} is cut to its lower 20 bits by V14; give 0xfffff at most."))
    seen = max((channel.index + 1 for channel in core.channels), default=0)
    if management.dma_channels is not None and management.dma_channels < max(seen, 1):
        said.append(node.say("dma-channels", f"{management.dma_channels} is too few for the channels seen here, which "
                                             f"are {seen}, so not every one gets a weight and a priority in sysfs; "
                                             f"give {max(seen, 1)} or more."))
    return said


def _check_channel(channel: Channel, board: Board) -> list[str]:
    node = channel.node
    said = []
    if channel.management is not None:
        raw = node.raw_reg()
        if raw[:2] != [channel.trca, channel.evca]:
            said.append(node.say("reg", f"V14 takes {raw[0].base:#x} as it stands and does not apply the ranges above "
                                        f"it, which make it {channel.trca.base:#x}; let the ranges be one to one."))
    if "desc-count" in node.properties and channel.desc_count is None:
        said.append(node.say("desc-count", "it is shorter than one cell, and V14 takes its default of 10; give a "
                                           "cell such as <64>."))
    elif channel.desc_count is not None and channel.desc_count < 4:
        said.append(node.say("desc-count", f"{channel.desc_count} is less than the 4 that a ring needs, and V14 "
                                           "defers its probe for ever (row 51); give 4 or more."))
    if node.interrupts()[0].edge:
        said.append(node.say("interrupts", "it asks for an edge and the channel's line is a level; give 4 as the "
                                           "last cell."))
    if channel.iommu is None and board.iommus:
        said.append(node.say("iommus", f"it is missing, so {board.iommus[0].path} does not translate this channel and "
                                       "it cannot be given to a guest; name the IOMMU and a stream of its own."))
    return said
