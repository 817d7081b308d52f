# SPDX-License-Identifier: GPL-2.0-only
"""From an ACPI namespace to the devices in it, and from these to the hardware they describe: the same board that
:mod:`hidma.firmware.board` finds in a device tree.

It stands for what ``drivers/acpi/scan.c`` and ``drivers/acpi/property.c`` of Linux 4.5 read of a device (_HID, _CID, _UID,
_STA, _CCA, _DSD, _CRS), and for the board itself, which no C file of the series is. It creates no Linux device. Only a HIDMA
block or its IOMMU can make it refuse a board; another device of which something cannot be read is left out, as the kernel leaves
it out, with a note. What V14 stumbles over is said by :func:`check`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hidma.firmware import board as fdt_board
from hidma.firmware.aml import Interpreter, Namespace
from hidma.firmware.amlobjects import Object
from hidma.firmware.board import Board, Channel, Core, Describer, Device, Management, RamRequest, Seat
from hidma.firmware.fdt import FirmwareError, Region
from hidma.firmware.resources import Descriptor, decode

MANAGEMENT_HID = "QCOM8060"
LATER_HIDS = ("QCOM8062", "QCOM8063")
"""Channels that V14 does not know."""
PROCESSOR_HID = "ACPI0007"
MEMORY_HID = "PNP0C80"
DEVICE_TREE_HID = "PRP0001"
"""A device that is what its ``compatible`` in _DSD says (ACPI_DT_NAMESPACE_HID)."""
PROPERTIES_UUID = bytes.fromhex("14d8ffdaba6e8c4d8a91bc9bbf4aa301")
"""daffd814-6eba-4d8c-8a91-bc9bbf4aa301: device properties."""

STA_PRESENT = 1
STA_FUNCTIONING = 8
STA_DEFAULT = 0xF
GIC_LINES = range(32, 1020)
"""Numbers of shared interrupts of a GIC."""
MAX_DEVICES = 4096
MALFORMED = "no number of 32 bits"
IDENTIFIER = re.compile(r"[!-.0-~]{1,32}")
DEVICE_KINDS = ("device", "processor", "power", "thermal")
SCAN_HIDS = {"processor": "LNXCPU", "power": "LNXPOWER", "thermal": "LNXTHERM"}
"""IDs that Linux gives to what has none of its own."""


@dataclass(eq=False, repr=False)
class DeviceObject:
    """A device of the namespace, as Linux reads it.

    ``hid`` and ``uid`` are text, None without _HID and _UID; ``sta`` is what _STA gives and ``cca`` what _CCA gives, None
    without; ``properties`` are those of _DSD: int, str, or lists of int, str and Object; ``description`` is _STR;
    ``platform`` says whether a platform device is made of it (it has a _HID); ``problem`` is the sentence why it was left
    out.
    """

    namespace: Namespace
    object: Object
    parent: DeviceObject | None
    hid: str | None = None
    uid: str | None = None
    cids: list[str] = field(default_factory=list)
    sta: int | None = None
    cca: int | None = None
    description: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    bad_dsd: bool = False
    descriptors: list[Descriptor] = field(default_factory=list)
    children: list[DeviceObject] = field(default_factory=list)
    platform: bool = False
    problem: str | None = None

    def __repr__(self) -> str:
        return f"<DeviceObject {self.path}>"

    @property
    def path(self) -> str:
        """Path as ASL writes it."""
        return self.object.path

    @property
    def basename(self) -> str:
        """Name as ASL writes it."""
        return self.object.name

    @property
    def ids(self) -> list[str]:
        """_HID, then _CID."""
        return ([self.hid] if self.hid is not None else []) + self.cids

    @property
    def status(self) -> int:
        """What _STA gives, or what a device without it counts as."""
        return STA_DEFAULT if self.sta is None else self.sta

    @property
    def present(self) -> bool:
        """Whether Linux goes on with it and with what is below: it is present, or functioning, and so is all above."""
        device: DeviceObject | None = self
        while device is not None:
            if not device.status & (STA_PRESENT | STA_FUNCTIONING):
                return False
            device = device.parent
        return True

    @property
    def coherent(self) -> int | None:
        """_CCA of the topmost device above that has one, else its own; None where none says it."""
        above = self.parent.coherent if self.parent is not None else None
        return self.cca if above is None else above

    @property
    def compatible(self) -> tuple[str, ...]:
        """Strings of the property ``compatible``."""
        value = self.properties.get("compatible", ())
        return tuple(s for s in ([value] if isinstance(value, str) else value if isinstance(value, list) else ())
                     if isinstance(s, str))

    @property
    def memory(self) -> list[Region]:
        """Memory of _CRS, in its order."""
        return [Region(*d.memory) for d in self.descriptors if d.memory is not None and d.memory[1]]

    @property
    def interrupts(self) -> list[tuple[int, bool]]:
        """Interrupts of _CRS, in its order: number, and whether it is an edge."""
        return [(irq, d.edge) for d in self.descriptors for irq in d.irqs]

    def is_a(self, hids: tuple[str, ...], compatible: tuple[str, ...] = ()) -> bool:
        """Whether one of these IDs, or (below PRP0001) of these ``compatible`` strings, is its own."""
        ids = self.ids
        return any(hid in ids for hid in hids) or (
            DEVICE_TREE_HID in ids and any(name in compatible for name in self.compatible))

    def number(self, name: str) -> int | None:
        """A property of 32 bits, None if there is none."""
        value = self.properties.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        return value if isinstance(value, int) and value <= 0xFFFFFFFF else None

    def error(self, name: str | None, sentence: str) -> FirmwareError:
        """A FirmwareError that names file, offset and path in front of the sentence."""
        return self.namespace.error(self.object, name, sentence)

    def say(self, name: str | None, sentence: str) -> str:
        """The sentence with file, offset and path in front of it."""
        return self.namespace.say(self.object, name, sentence)

    def walk(self) -> Iterator[DeviceObject]:
        """This device and all below it."""
        waiting = [self]
        while waiting:
            device = waiting.pop()
            yield device
            waiting.extend(reversed(device.children))


def devices(namespace: Namespace) -> DeviceObject:
    """The devices of a namespace: the root, below which all stand as acpi_bus_scan() finds them.

    Raises FirmwareError if an object of a HIDMA device or an IOMMU is not what it must be. Another device with such an object
    is left out, and ``problem`` says why.
    """
    if namespace.devices is None:
        namespace.devices = _Scanner(namespace).root()
    root: DeviceObject = namespace.devices
    return root


def eisa_id(number: int) -> str | None:
    """The text of a compressed EISA ID, as EisaId() of ASL makes it from seven characters; None if it is none."""
    swapped = int.from_bytes((number & 0xFFFFFFFF).to_bytes(4, "little"), "big")
    letters = [chr(0x40 + (swapped >> shift & 0x1F)) for shift in (26, 21, 16)]
    if swapped >> 31 or not all("A" <= letter <= "Z" for letter in letters) or number > 0xFFFFFFFF:
        return None
    return f"{''.join(letters)}{swapped & 0xFFFF:04X}"


class _Scanner:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.interpreter = Interpreter(namespace)

    def root(self) -> DeviceObject:
        top = DeviceObject(self.namespace, self.namespace.root, None, "LNXSYSTM")
        count = 0
        waiting: list[tuple[Object, DeviceObject]] = [(child, top) for child in
                                                      reversed(self.namespace.root.children.values())]
        while waiting:
            node, above = waiting.pop()
            if node.kind in DEVICE_KINDS:
                count += 1
                if count > MAX_DEVICES:
                    raise self.namespace.error(node, None, f"it is one device too many; {MAX_DEVICES} are read.")
                device = self.device(node, above)
                above.children.append(device)
                above = device
            elif node.kind != "scope":
                continue
            waiting.extend((child, above) for child in reversed(node.children.values()))
        return top

    def device(self, node: Object, above: DeviceObject) -> DeviceObject:
        device = DeviceObject(self.namespace, node, above)
        if node.kind != "device":
            device.hid = SCAN_HIDS[node.kind]
        elif node.parent is self.namespace.root and node.name in ("_SB_", "_TZ_"):
            device.hid = "LNXSYBUS"
            return device
        try:
            self.identify(device)
            self.read(device)
        except FirmwareError as error:
            if is_management(device) or is_channel(device) or device.is_a((), fdt_board.IOMMUS):
                raise
            device.problem = error.sentence
            device.sta = 0
            device.descriptors = []
        return device

    def value(self, device: DeviceObject, name: str, kinds: tuple[type, ...], right: str) -> Any:
        """What an object below a device gives, None if it is not there."""
        child = device.object.child(name)
        if child is None:
            return None
        value = self.interpreter.evaluate(child)
        if not isinstance(value, kinds) or value is None:
            raise device.error(name, f"it gives {_kind(value)}; right is {right}.")
        return value

    def identifier(self, device: DeviceObject, name: str, value: Any) -> str:
        text = eisa_id(value) if isinstance(value, int) else value
        if not isinstance(text, str) or not IDENTIFIER.fullmatch(text):
            shown = f"{value:#x}" if isinstance(value, int) else _kind(value) if not isinstance(value, str) else repr(value)
            raise device.error(name, f"{shown} is no hardware ID; one is a string such as \"{fdt_board.CHANNEL_HID}\" or "
                                     "EisaId (\"PNP0C80\").")
        return text

    def identify(self, device: DeviceObject) -> None:
        hid = self.value(device, "_HID", (int, str), f"a string such as \"{fdt_board.CHANNEL_HID}\", or EisaId (\"PNP0C80\")")
        if hid is not None:
            device.hid = self.identifier(device, "_HID", hid)
            device.platform = device.object.kind == "device"
        cid = self.value(device, "_CID", (int, str, list), "an ID or a package of them")
        for value in cid if isinstance(cid, list) else [] if cid is None else [cid]:
            device.cids.append(self.identifier(device, "_CID", value))

    def read(self, device: DeviceObject) -> None:
        device.sta = self.value(device, "_STA", (int,), "an integer such as 0x0F")
        if not device.present:
            return
        uid = self.value(device, "_UID", (int, str), "an integer or a string")
        device.uid = None if uid is None else str(uid)
        device.cca = self.value(device, "_CCA", (int,), "0 or 1")
        text = self.value(device, "_STR", (bytes,), "a buffer, as Unicode (\"...\") makes it")
        if text is not None:
            device.description = text[:len(text) // 2 * 2].decode("utf-16-le", "replace").split("\0")[0]
        dsd = device.object.child("_DSD")
        if dsd is not None:
            found = properties_of(self.interpreter.evaluate(dsd))
            device.bad_dsd = found is None
            device.properties = found or {}
        crs = self.value(device, "_CRS", (bytes,), "a buffer, as ResourceTemplate () makes it")
        if crs is not None:
            try:
                device.descriptors = decode(crs)
            except ValueError as error:
                at, what = error.args
                start = self.namespace.buffer_offset(device.object, "_CRS")
                where = f"byte {at:#x} of the template" if start is None else f"offset {start + at:#x} of the file"
                raise device.error("_CRS", f"{where}: {what}.") from None


def properties_of(value: Any) -> dict[str, Any] | None:
    """The device properties in the value of a _DSD, as acpi_extract_properties() finds them: None if it is malformed.

    Other UUIDs than that of device properties are passed over; without it there are no properties.
    """
    if not isinstance(value, list) or len(value) % 2:
        return None
    for uuid, package in zip(value[::2], value[1::2], strict=True):
        if not isinstance(uuid, bytes) or len(uuid) != 16 or not isinstance(package, list):
            return None
        if uuid != PROPERTIES_UUID:
            continue
        found: dict[str, Any] = {}
        for pair in package:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                return None
            elements = pair[1] if isinstance(pair[1], list) else [pair[1]]
            if not all(isinstance(element, (int, str, Object)) for element in elements):
                return None
            found.setdefault(pair[0], pair[1])
        return found
    return {}


def describe(namespace: Namespace, ram: RamRequest | None = None) -> Board:
    """Say what hardware an ACPI namespace describes.

    Parameters:
        namespace: the tables.
        ram: RAM in place of what its memory devices say.

    Devices that are not present are not built (a channel keeps its place in the numbering of its core). Channels that
    stand below no management device belong to the core of the only one on the board; where there is none, or several,
    they form a core of their own that is set up already. Where no PNP0C80 says any RAM (a real machine's is in the memory map
    of EFI), there are 256 MiB at the first free place.

    Returns the board. Raises FirmwareError: one sentence with file, offset and path.
    """
    return _Describer(namespace, ram).board()


def is_channel(device: DeviceObject) -> bool:
    """Whether a device is a channel, of V14 or later."""
    return device.is_a((fdt_board.CHANNEL_HID, *LATER_HIDS), (fdt_board.CHANNEL, *fdt_board.LATER_CHANNELS))


def is_management(device: DeviceObject) -> bool:
    """Whether a device is a management device."""
    return device.is_a((MANAGEMENT_HID,), (fdt_board.MANAGEMENT,))


class _Describer(Describer):
    def __init__(self, namespace: Namespace, ram: RamRequest | None) -> None:
        super().__init__(ram)
        self.namespace = namespace
        self.lines: dict[int, tuple[DeviceObject, bool]] = {}
        self.streams: dict[tuple[str, int], DeviceObject] = {}
        self.iort = iort_masters(namespace, self.notes)

    def board(self) -> Board:
        everything = list(devices(self.namespace).walk())
        present = [device for device in everything if device.present]
        managements: list[Management] = []
        for device in present:
            if is_management(device):
                managements.append(self.management(device, len(managements)))
        cores = self.cores(managements, [d for d in everything if is_channel(d)])
        iommus = [device for device in present if device.is_a((), fdt_board.IOMMUS)]
        named = tuple(Device(device.path, device.compatible, tuple(readable(device)), (), node=device) for device in iommus)
        named += tuple(Device(path, ("IORT",), ()) for path in sorted({path for path, _ in self.iort.values()}))
        other = self.others(present, [channel for core in cores for channel in core.channels])
        used = {channel.iommu for core in cores for channel in core.channels}
        self.taken.extend((region, device) for device in iommus if device.path in used for region in readable(device))
        memory = self.memory(present)
        fdt_board.refuse_overlaps(self.taken, memory, "_CRS", "memory device",
                                  lambda device: is_management(device) or is_channel(device))
        count = sum(device.is_a((PROCESSOR_HID, "LNXCPU")) for device in present)
        cpus = min(count, fdt_board.MAX_CPUS) or (fdt_board.HOST_CPUS if managements else fdt_board.GUEST_CPUS)
        return Board(self.namespace.source, tuple(memory), cpus, cores, named, None, other, self.namespace,
                     tuple(self.notes))

    def others(self, present: list[DeviceObject], channels: list[Channel]) -> tuple[Device, ...]:
        """Devices with a hardware ID that no HIDMA block, IOMMU, CPU or RAM is."""
        return self.grouped(((device, [*device.ids, *(device.compatible if DEVICE_TREE_HID in device.ids else ())],
                              readable(device), [number for number, _ in device.interrupts if number in GIC_LINES])
                             for device in present if device.platform and not is_management(device) and not is_channel(device)
                             and not device.is_a((PROCESSOR_HID, MEMORY_HID), fdt_board.IOMMUS)), channels)

    def masters(self, device: DeviceObject) -> list[tuple[str, Any]]:
        """(IOMMU, stream) of a device: what its ``iommus`` names, what IORT says, or else the IOMMU that it is below.

        Raises FirmwareError: ``iommus`` names no IOMMU.
        """
        named = self.named_master(device)
        if named is not None:
            return [(named[0].path, named[1] if named[1] is not None else device.path)]
        path = device.object.full_path
        if path in self.iort:
            return [self.iort[path]]
        above = device.parent
        while above is not None:
            if above.present and above.is_a((), fdt_board.IOMMUS):
                return [(above.path, device.path)]
            above = above.parent
        return []

    def memory(self, present: list[DeviceObject]) -> list[Region]:
        registers = [region for device in present if not device.is_a((MEMORY_HID,)) for region in readable(device)]
        if self.ram is not None:
            base = fdt_board.free_place(self.ram.size, registers) if self.ram.base is None else self.ram.base
            return [Region(base, self.ram.size)]
        found = [(region, device) for device in present if device.is_a((MEMORY_HID,))
                 for region in self.regions(device, 1, "RAM stands")]
        if not found:
            return [Region(fdt_board.free_place(fdt_board.DEFAULT_MEMORY, registers), fdt_board.DEFAULT_MEMORY)]
        found.sort(key=lambda pair: pair[0])
        for (low, first), (high, second) in pairwise(found):
            if low.overlaps(high):
                raise second.error("_CRS", f"{high} overlaps {low} of {first.path}; RAM stands at an address once.")
        for region, device in found:
            self.whole_pages(device, "_CRS", region, 1 << fdt_board.ADDRESS_BITS)
        return [region for region, _ in found]

    def regions(self, device: DeviceObject, wanted: int, what: str) -> list[Region]:
        """Memory of a device, which must have so many regions."""
        if device.object.child("_CRS") is None:
            raise device.error("_CRS", f"it is missing; it says at which address the {what}.")
        regions = device.memory
        if len(regions) < wanted:
            right = {1: "one region is right", 2: "a channel has two, its transfer channel and its event channel"}[wanted]
            raise device.error("_CRS", f"it gives {('no memory', 'one region of memory')[len(regions)]}; {right}.")
        for region in regions:
            if region.end > 1 << fdt_board.ADDRESS_BITS:
                raise device.error("_CRS", f"{region.base:#x} with {region.size:#x} bytes passes the end of "
                                           f"{fdt_board.ADDRESS_BITS}-bit physical addresses.")
        return regions

    def pages(self, device: DeviceObject, wanted: int) -> list[Region]:
        """Regions that are handed out page by page, as a hypervisor maps them."""
        regions = self.regions(device, wanted, "registers stand")
        for region in regions[:wanted]:
            self.whole_pages(device, "_CRS", region)
        self.taken.extend((region, device) for region in regions)
        return regions

    def line(self, device: DeviceObject) -> int:
        if not device.interrupts:
            raise device.error("_CRS", "it gives no interrupt and the driver asks for one; add Interrupt "
                                       "(ResourceConsumer, Level, ActiveHigh, Exclusive) { 421 }, say.")
        number, edge = device.interrupts[0]
        if number not in GIC_LINES:
            why = "belongs to one CPU" if number < GIC_LINES.start else "does not exist"
            raise device.error("_CRS", f"interrupt {number} {why}; a GIC has shared interrupts {GIC_LINES.start} to "
                                       f"{GIC_LINES.stop - 1}.")
        other, before = self.lines.setdefault(number, (device, edge))
        if other is not device and (edge or before):
            raise device.error("_CRS", f"interrupt {number} is the line of {other.path} too, and an edge cannot be shared; "
                                       "give it a line of its own, or make both level.")
        return number

    def management(self, device: DeviceObject, core: int) -> Management:
        reg = self.pages(device, 1)[0]
        channels = device.number("dma-channels")
        if channels is not None and channels > fdt_board.MAX_CHANNELS:
            raise device.error("_DSD", f"dma-channels: {channels} channels are more than the hardware has; a core has 1 to "
                                       f"{fdt_board.MAX_CHANNELS}.")
        return Management(device.path, reg, self.line(device), channels, core, dict(device.properties), device)

    def cores(self, managements: list[Management], channels: list[DeviceObject]) -> tuple[Core, ...]:
        spare = len(managements)
        numbers = {id(management.node): management.core for management in managements}
        ends = [0] * (spare + 1)
        seats: list[Seat] = []
        for device in channels:
            above = device.parent
            while above is not None and not is_management(above):
                above = above.parent
            if above is not None and not above.present:
                continue
            core = numbers[id(above)] if above is not None else 0 if spare == 1 else spare
            if device.present:
                seats.append(Seat(core, ends[core], device, above))
            elif core == spare:
                continue
            ends[core] += 1
        return self.seated(managements, seats, ends)

    def channel_pages(self, seat: Seat) -> list[Region]:
        return self.pages(seat.node, 2)

    def named_master(self, device: DeviceObject) -> tuple[DeviceObject, int | None] | None:
        """IOMMU and stream that the property ``iommus`` of a device names; None without it."""
        value = device.properties.get("iommus")
        if value is None:
            return None
        elements = value if isinstance(value, list) else [value]
        if not elements or not isinstance(elements[0], Object) or len(elements) > 2 or (
                len(elements) == 2 and not isinstance(elements[1], int)):
            raise device.error("_DSD", "iommus: it names one IOMMU and one stream, such as Package () { \\_SB.SMMU, 24 }.")
        iommu = next((d for d in devices(self.namespace).walk() if d.object is elements[0]), None)
        if iommu is None or not iommu.is_a((), fdt_board.IOMMUS):
            raise device.error("_DSD", f"iommus: {elements[0].path} is no IOMMU that is known here; one has _HID "
                                       f"{DEVICE_TREE_HID} and, in _DSD, compatible {', '.join(fdt_board.IOMMUS)}.")
        if not iommu.present:
            raise device.error("_DSD", f"iommus: {iommu.path} is not present; let its _STA say so or leave iommus out.")
        if len(elements) == 1:
            return iommu, None
        if elements[1] > 0xFFFFFFFF:
            raise device.error("_DSD", f"iommus: stream {elements[1]:#x} has more than 32 bits.")
        return iommu, elements[1]

    def stream(self, device: DeviceObject) -> tuple[str, int | None] | None:
        masters = self.masters(device)
        if not masters:
            return None
        path, number = masters[0]
        if not isinstance(number, int):
            return path, None
        other = self.streams.setdefault((path, number), device)
        if other is not device:
            raise device.error("_DSD", f"iommus: stream {number} is the stream of {other.path} already; each channel "
                                       "needs its own.")
        return path, number


IORT_NODE = struct.Struct("<BHBIII")
IORT_NAMED_COMPONENT = 1
IORT_SMMUS = (3, 4)
IORT_MAPPING = struct.Struct("<5I")
IORT_NAME_OFFSET = IORT_NODE.size + 13


def iort_masters(namespace: Namespace, notes: list[str]) -> dict[str, tuple[str, int]]:
    """What the table IORT says of named components, by full path: the IOMMU and the first stream that it maps them to.

    A table that cannot be read is one of the ``notes``, and says nothing.
    """
    table = next((table for table in namespace.tables if table.signature == "IORT"), None)
    if table is None:
        return {}
    try:
        return dict(_iort(table.data))
    except (struct.error, ValueError, UnicodeDecodeError):
        notes.append(f"{namespace.source}: offset {table.offset:#x}: the nodes of IORT do not lie inside it, so that no device "
                     "has a stream by it.")
        return {}


def _iort(data: bytes) -> Iterator[tuple[str, tuple[str, int]]]:
    count, at = struct.unpack_from("<II", data, 36)
    nodes: dict[int, tuple[int, int, int, int]] = {}
    for _ in range(min(count, len(data) // IORT_NODE.size)):
        kind, length, _, _, mappings, first = IORT_NODE.unpack_from(data, at)
        if length < IORT_NODE.size or at + length > len(data):
            raise ValueError
        nodes[at] = (kind, length, mappings, first)
        at += length
    for start, (kind, length, mappings, first) in nodes.items():
        if kind != IORT_NAMED_COMPONENT:
            continue
        name = data[start + IORT_NAME_OFFSET:start + length].split(b"\0")[0].decode("ascii")
        path = "\\" + ".".join(part.ljust(4, "_") for part in name.lstrip("\\").split("."))
        for number in range(min(mappings, length // IORT_MAPPING.size)):
            _, _, output, reference, _ = IORT_MAPPING.unpack_from(data, start + first + number * IORT_MAPPING.size)
            if nodes.get(reference, (0,))[0] in IORT_SMMUS:
                base = struct.unpack_from("<Q", data, reference + IORT_NODE.size)[0]
                yield path, (f"the SMMU at {base:#x} (IORT)", output)
                break


def readable(device: DeviceObject) -> list[Region]:
    """Memory of a device that no HIDMA block is, as far as it is physical memory."""
    return [region for region in device.memory if region.end <= 1 << fdt_board.ADDRESS_BITS]


def check(namespace: Namespace, ram: RamRequest | None = None) -> list[str]:
    """Say what V14 will stumble over or do otherwise than the table's author meant, one sentence each.

    Nothing here keeps a machine from being built, but if :func:`describe` refuses the namespace, its sentence is the only
    one. Rows are those of docs/quirks.
    """
    try:
        board = describe(namespace, ram)
    except FirmwareError as error:
        return [error.sentence]
    said = [*namespace.remarks, *board.notes]
    for device in devices(namespace).walk():
        if device.problem is not None:
            said.append(f"{device.problem.rstrip('.')}; Linux could go on from here, and {device.path} is left out.")
    for core in board.cores:
        if core.management is not None:
            said.extend(_check_properties(core.management.node))
            if not core.management.node.bad_dsd:
                said.extend(fdt_board.check_management(core.management, core, MALFORMED))
    lines: dict[int, Channel] = {}
    for channel in board.channels:
        said.extend(_check_channel(channel, board))
        other = lines.setdefault(channel.irq, channel)
        if other is not channel:
            said.append(channel.node.say("_CRS", f"{other.path} has the same interrupt, and V14 does not request it "
                                                 "shared, so the second probe fails with -16 (EBUSY); give it its own."))
    if not board.cores:
        said.append(namespace.say(namespace.root, None, f"no device that is present has the ID {MANAGEMENT_HID} or "
                                                        f"{fdt_board.CHANNEL_HID}, so the machine has no DMA channel; add one."))
    return said


def _check_properties(device: DeviceObject) -> list[str]:
    if device.bad_dsd:
        return [device.say("_DSD", "it is not made of UUIDs and packages of named values, and Linux takes no property from "
                                   "it; make it as ACPI's device properties (daffd814-6eba-4d8c-8a91-bc9bbf4aa301) are.")]
    return []


def _check_channel(channel: Channel, board: Board) -> list[str]:
    device: DeviceObject = channel.node
    said = _check_properties(device)
    if not device.is_a((fdt_board.CHANNEL_HID,), (fdt_board.CHANNEL,)):
        said.append(device.say("_HID", f"V14 knows only {fdt_board.CHANNEL_HID}, so no driver binds to {device.hid}; add "
                                       f"Name (_CID, \"{fdt_board.CHANNEL_HID}\") if the hardware is compatible with it."))
    if device.coherent is None:
        said.append(device.say("_CCA", "it is missing here and above, so Linux on ARM gives the device no DMA mask, and "
                                       "V14's probe warns and fails with -6 (ENXIO); give Name (_CCA, 1)."))
    return [*said, *fdt_board.check_channel(channel, board, device.interrupts[0][1], MALFORMED, ("_CRS", "write Level"))]


def _kind(value: Any) -> str:
    if isinstance(value, Object):
        return f"a reference to {value.path}"
    names = {int: "an integer", str: "a string", bytes: "a buffer", list: "a package"}
    return names.get(type(value), "nothing")
