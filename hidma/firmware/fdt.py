# SPDX-License-Identifier: GPL-2.0-only
"""Device trees: a strict reader of flattened blobs (DTB), a writer of the same, and sources (DTS) through dtc.

It stands for what ``scripts/dtc/libfdt`` and ``drivers/of`` of Linux 4.5 do with a tree before any driver sees it:
nodes, properties, cell counts, ``ranges`` translation, interrupt and IOMMU specifiers. It knows no device;
:mod:`hidma.firmware.board` does. A blob is somebody else's file: every offset and length is checked before it is used,
and whatever is wrong with it ends in one :class:`FirmwareError`, never in another exception. It does not know overlays
and interrupt maps.
"""

from __future__ import annotations

import contextlib
import errno as errno_codes
import os
import re
import resource
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

ACPI_SIGNATURES = (b"DSDT", b"SSDT")
"""What files of ACPI tables begin with."""
FDT_MAGIC = 0xD00DFEED
FDT_VERSION = 17
FDT_LAST_COMPATIBLE = 16
FDT_BEGIN_NODE = 1
FDT_END_NODE = 2
FDT_PROP = 3
FDT_NOP = 4
FDT_END = 9

MAX_BYTES = 2 << 20
"""Largest blob that is read, in bytes: arm64's MAX_FDT_SIZE."""
MAX_FILE_BYTES = 64 << 20
"""Largest file that is read, in bytes: a source is longer than what is made of it."""
MAX_DEPTH = 64
"""Deepest node, the root being 1: FDT_MAX_DEPTH of Linux 4.5's drivers/of/fdt.c."""
MAX_NAME = 255
"""Longest node or property name, in characters."""
MAX_CELLS = 2
"""Most cells of an address or a size: addresses here are 64 bits wide."""
MAX_SPANS_BYTES = 1024
"""Longest ``reg`` or ``ranges``, in bytes: every device below a bus reads its ``ranges`` again."""
GIC_SPIS = 988
"""Shared peripheral interrupts of a GIC: interrupt IDs 32 to 1019."""
GIC_PPIS = 16
"""Private peripheral interrupts of a GIC: interrupt IDs 16 to 31."""
DTC_SECONDS = 30
"""How long a compiler, dtc or iasl, may run."""
DTC_BYTES = 1 << 30
"""Address space that a compiler may use: an /incbin/ of an endless file would take all."""
ENOENT = errno_codes.ENOENT

_HEADER_V16 = 36
_HEADER_V17 = 40


class FirmwareError(OSError, ValueError):
    """Firmware that describes no machine: one sentence on one line; ``errno`` is EINVAL unless a file failed."""

    def __init__(self, sentence: str, code: int = errno_codes.EINVAL) -> None:
        self.sentence = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in sentence)
        super().__init__(code, self.sentence)

    def __str__(self) -> str:
        return self.sentence

    def __reduce__(self) -> tuple[type[FirmwareError], tuple[str, int | None]]:
        return type(self), (self.sentence, self.errno)


class Region(NamedTuple):
    """A span of physical addresses: base and size in bytes."""

    base: int
    size: int

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.base + self.size

    def overlaps(self, other: Region) -> bool:
        """True if a byte belongs to both."""
        return self.base < other.end and other.base < self.end

    def __str__(self) -> str:
        return f"{self.base:#x} to {self.end - 1:#x}"


class Interrupt(NamedTuple):
    """One interrupt specifier, decoded.

    ``kind`` is "SPI" or "PPI" below a GIC and "IRQ" elsewhere; ``number`` is counted within the kind; ``flags`` are the
    trigger bits of the binding (1 rising, 2 falling, 4 high, 8 low, 0 unsaid); ``line`` is the flat hardware number (a
    GIC's SPI n is n + 32, its PPI n is n + 16).
    """

    controller: Node
    kind: str
    number: int
    flags: int
    line: int

    @property
    def edge(self) -> bool:
        """True if the specifier asks for an edge."""
        return bool(self.flags & 3)


class Reference(NamedTuple):
    """A phandle with its arguments, as in ``iommus = <&smmu 24>``."""

    node: Node
    arguments: tuple[int, ...]


def u32(*values: int) -> bytes:
    """Property value of 32-bit cells."""
    return struct.pack(f">{len(values)}I", *values)


def u64(*values: int) -> bytes:
    """Property value of 64-bit numbers, two cells each."""
    return struct.pack(f">{len(values)}Q", *values)


def text(*strings: str) -> bytes:
    """Property value of strings, each ended by a NUL."""
    return b"".join(s.encode("ascii") + b"\0" for s in strings)


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A node of a device tree; ``name`` carries the unit address, the root's is empty."""

    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    parent: Node | None = None
    owner: Tree | None = None
    """The tree, at the root only."""

    def __repr__(self) -> str:
        return f"<Node {self.path}>"

    @property
    def path(self) -> str:
        """Full path, ``/`` for the root."""
        names = [node.name for node in self._upwards() if node.parent is not None]
        return "/" + "/".join(reversed(names))

    def _upwards(self) -> Iterator[Node]:
        """This node, then those above it."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def root(self) -> Node:
        """Topmost node."""
        *_, top = self._upwards()
        return top

    @property
    def tree(self) -> Tree:
        """The tree this node belongs to."""
        owner = self.root.owner
        if owner is None:
            raise ValueError(f"node {self.path} belongs to no tree")
        return owner

    @property
    def basename(self) -> str:
        """Name that the kernel gives the node: the ``name`` property if there is one, else the name up to ``@``."""
        given = self.properties.get("name")
        if given is not None:
            return given.split(b"\0")[0].decode("ascii", "backslashreplace")
        return self.name.split("@")[0]

    @property
    def unit_address(self) -> str:
        """What stands behind ``@``, or an empty string."""
        return self.name.partition("@")[2]

    @property
    def compatible(self) -> tuple[str, ...]:
        """Strings of ``compatible``, none if it is absent. A malformed value gives what can be read of it."""
        value = self.properties.get("compatible", b"")
        return tuple(s.decode("ascii", "backslashreplace") for s in value.split(b"\0") if s)

    @property
    def available(self) -> bool:
        """What of_device_is_available() says: no ``status``, or ``okay``, or ``ok``."""
        status = self.properties.get("status")
        return status is None or status.split(b"\0")[0] in (b"okay", b"ok")

    @property
    def enabled(self) -> bool:
        """True if this node and every node above it is available."""
        return all(node.available for node in self._upwards())

    @property
    def phandle(self) -> int | None:
        """Number by which others refer to this node."""
        for name in ("phandle", "linux,phandle"):
            value = self.properties.get(name)
            if value is not None and len(value) == 4:
                return int.from_bytes(value, "big")
        return None

    def error(self, prop: str | None, sentence: str) -> FirmwareError:
        """A FirmwareError that names file, node and (if given) property in front of the sentence."""
        return FirmwareError(self.say(prop, sentence))

    def say(self, prop: str | None, sentence: str) -> str:
        """The sentence with file, node and (if given) property in front of it."""
        owner = self.root.owner
        where = f"{owner.source if owner else 'device tree'}: node {self.path}"
        return f"{where}, property {prop}: {sentence}" if prop else f"{where}: {sentence}"

    def add(self, name: str, properties: dict[str, bytes] | None = None) -> Node:
        """Append a child and return it."""
        child = Node(name, dict(properties or {}), parent=self)
        self.children.append(child)
        return child

    def child(self, name: str) -> Node | None:
        """The child with this full name, or with this name before ``@`` if only one has it."""
        for node in self.children:
            if node.name == name:
                return node
        same = [node for node in self.children if node.name.split("@")[0] == name]
        return same[0] if len(same) == 1 else None

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in the order of the blob."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def cells(self, prop: str) -> list[int]:
        """Value of a property as 32-bit cells, empty if it is absent.

        Raises FirmwareError if the length is no multiple of 4.
        """
        value = self.properties.get(prop, b"")
        if len(value) % 4:
            raise self.error(prop, f"{len(value)} bytes are no whole number of cells; a cell has 4 bytes.")
        return list(struct.unpack(f">{len(value) // 4}I", value))

    def number(self, prop: str) -> int | None:
        """First cell of a property, as device_property_read_u32() gives it: None if there is no whole cell."""
        value = self.properties.get(prop)
        return None if value is None or len(value) < 4 else int.from_bytes(value[:4], "big")

    def strings(self, prop: str) -> list[str]:
        """Value of a property as strings, empty if it is absent.

        Raises FirmwareError if the last one has no NUL or a character is not ASCII.
        """
        value = self.properties.get(prop, b"")
        if not value:
            return []
        if value[-1]:
            raise self.error(prop, "the last string has no NUL at its end; a string property ends with one.")
        if not value.isascii():
            raise self.error(prop, "a character is not ASCII; strings in a device tree are.")
        return value[:-1].decode("ascii").split("\0")

    def count(self, prop: str) -> int | None:
        """Value of a property that must be exactly one cell, None if it is absent."""
        if prop not in self.properties:
            return None
        cells = self.cells(prop)
        if len(cells) != 1:
            raise self.error(prop, f"{len(cells)} cells stand where one is right.")
        return cells[0]

    def inherited_cells(self, prop: str) -> int:
        """``#address-cells`` or ``#size-cells`` that this node, as a bus, gives its children.

        As of_n_addr_cells() does, a node that does not say takes the value of the nearest node above; where none says,
        it is 1.
        """
        for node in self._upwards():
            value = node.count(prop)
            if value is not None:
                if value > MAX_CELLS:
                    raise node.error(prop, f"{value} cells are more than the {MAX_CELLS} of a 64-bit number.")
                return value
        return 1

    def raw_reg(self) -> list[Region]:
        """``reg`` in the addresses of the bus above, untranslated, empty if it is absent.

        Raises FirmwareError if its length does not fit the cell counts of the bus or a region passes 2^64.
        """
        if "reg" not in self.properties:
            return []
        bus = self.parent or self
        na, ns = bus.inherited_cells("#address-cells"), bus.inherited_cells("#size-cells")
        cells = self._spans("reg")
        if not na or len(cells) % (na + ns):
            raise self.error("reg", f"{len(cells)} cells do not fit regions of {na} address and {ns} size cells each, "
                                    "as #address-cells and #size-cells above it say.")
        regions = []
        for i in range(0, len(cells), na + ns):
            region = Region(_join(cells[i:i + na]), _join(cells[i + na:i + na + ns]))
            if region.end > 1 << 64:
                raise self.error("reg", f"the region at {region.base:#x} with {region.size:#x} bytes passes the end "
                                        "of 64-bit addresses.")
            regions.append(region)
        return regions

    def reg(self, identity: Node | None = None) -> list[Region]:
        """``reg`` in physical addresses: every ``ranges`` up to the root is applied. Empty if ``reg`` is absent.

        Parameters:
            identity: a bus whose missing ``ranges`` counts as one to one; elsewhere no ``ranges`` means that the bus is
                not reachable from above and is an error, as in of_translate_address().

        Raises FirmwareError if a cell count is wrong or a region lies in no window.
        """
        regions = self.raw_reg()
        bus = self.parent
        while regions and bus is not None and bus.parent is not None:
            windows = bus.windows()
            if windows is None:
                if bus is not identity:
                    raise bus.error("ranges", f"it is missing, so the addresses of {self.path} mean nothing outside; "
                                              "an empty ranges passes them on unchanged.")
            elif windows:
                regions = [self._translate(region, bus, windows) for region in regions]
            bus = bus.parent
        return regions

    def windows(self) -> list[tuple[int, int, int]] | None:
        """``ranges`` as (child address, parent address, size): None if it is absent, empty if it is one to one."""
        if "ranges" not in self.properties:
            return None
        cells = self._spans("ranges")
        na, ns = self.inherited_cells("#address-cells"), self.inherited_cells("#size-cells")
        pna = (self.parent or self).inherited_cells("#address-cells")
        step = na + pna + ns
        if not cells:
            return []
        if not na or not pna or not ns or len(cells) % step:
            raise self.error("ranges", f"{len(cells)} cells do not fit windows of {na} child address, {pna} parent "
                                       f"address and {ns} size cells.")
        return [(_join(cells[i:i + na]), _join(cells[i + na:i + na + pna]), _join(cells[i + na + pna:i + step]))
                for i in range(0, len(cells), step)]

    def _spans(self, prop: str) -> list[int]:
        if len(self.properties[prop]) > MAX_SPANS_BYTES:
            raise self.error(prop, f"{len(self.properties[prop])} bytes are more than the {MAX_SPANS_BYTES} that are "
                                   "read.")
        return self.cells(prop)

    def _translate(self, region: Region, bus: Node, windows: list[tuple[int, int, int]]) -> Region:
        for child, parent, size in windows:
            if child <= region.base and region.end <= child + size:
                moved = Region(region.base - child + parent, region.size)
                if moved.end > 1 << 64:
                    break
                return moved
        raise self.error("reg", f"{region.base:#x} with {region.size:#x} bytes lies in no window of the ranges of "
                                f"{bus.path}.")

    def reference(self, prop: str, handle: int) -> Node:
        """The node behind a phandle that stands in ``prop``. Raises FirmwareError if no node has it."""
        node = self.tree.by_phandle(handle)
        if node is None:
            raise self.error(prop, f"no node has the phandle {handle:#x} that it names.")
        return node

    def references(self, prop: str, cells_name: str) -> list[Reference]:
        """A list of phandles with arguments, whose number the node behind each phandle gives in ``cells_name``."""
        cells = self.cells(prop)
        found: list[Reference] = []
        at = 0
        while at < len(cells):
            node = self.reference(prop, cells[at])
            wanted = node.count(cells_name)
            at += 1
            if wanted is None:
                raise self.error(prop, f"it names {node.path}, which has no {cells_name}.")
            if len(cells) - at < wanted:
                raise self.error(prop, f"{node.path} has {cells_name} {wanted}, and behind its phandle stand "
                                       f"{len(cells) - at}.")
            found.append(Reference(node, tuple(cells[at:at + wanted])))
            at += wanted
        return found

    def iommus(self) -> list[Reference]:
        """``iommus``: the IOMMU and the stream's cells, empty if it is absent."""
        return self.references("iommus", "#iommu-cells")

    def interrupt_parent(self) -> Node | None:
        """The node that receives this node's interrupts, as of_irq_find_parent() finds it."""
        node: Node = self
        for _ in range(MAX_DEPTH):
            handle = node.count("interrupt-parent")
            above = node.parent if handle is None else node.reference("interrupt-parent", handle)
            if above is None or "#interrupt-cells" in above.properties:
                return above
            node = above
        raise self.error("interrupt-parent", f"no controller is found in {MAX_DEPTH} steps; name the controller here.")

    def interrupts(self) -> list[Interrupt]:
        """``interrupts-extended`` if there is one, else ``interrupts``, decoded; empty if both are absent.

        Raises FirmwareError if there is no controller, the cell count does not fit or a number is out of range.
        """
        if "interrupts-extended" in self.properties:
            return [self._interrupt("interrupts-extended", ref.node, list(ref.arguments))
                    for ref in self.references("interrupts-extended", "#interrupt-cells")]
        if "interrupts" not in self.properties:
            return []
        controller = self.interrupt_parent()
        if controller is None:
            raise self.error("interrupts", "no interrupt controller is found; set interrupt-parent here or above.")
        wanted = controller.count("#interrupt-cells")
        cells = self.cells("interrupts")
        if not wanted or len(cells) % wanted:
            raise self.error("interrupts", f"{len(cells)} cells do not fit the {wanted} of each interrupt of "
                                           f"{controller.path} (#interrupt-cells).")
        return [self._interrupt("interrupts", controller, cells[i:i + wanted]) for i in range(0, len(cells), wanted)]

    def _interrupt(self, prop: str, controller: Node, cells: list[int]) -> Interrupt:
        if "interrupt-controller" not in controller.properties:
            raise self.error(prop, f"{controller.path} is no interrupt-controller; name the controller itself, "
                                   "interrupt maps are not supported.")
        if len(cells) < 3:
            if not cells:
                raise self.error(prop, f"{controller.path} has #interrupt-cells 0; an interrupt needs a cell at least.")
            return Interrupt(controller, "IRQ", cells[0], cells[1] if len(cells) > 1 else 0, cells[0])
        kind, number, flags = cells[:3]
        if kind > 1:
            raise self.error(prop, f"interrupt type {kind} is neither 0 (SPI) nor 1 (PPI).")
        name, most, first = (("SPI", GIC_SPIS, 32), ("PPI", GIC_PPIS, 16))[kind]
        if number >= most:
            raise self.error(prop, f"{name} {number} does not exist; a GIC has {name}s 0 to {most - 1}.")
        # The PPI's CPU mask stands above the trigger bits.
        return Interrupt(controller, name, number, flags & 0xF, number + first)


@dataclass(eq=False)
class Tree:
    """A device tree with its memory reservations; ``source`` is the file name that sentences use."""

    root: Node
    source: str = "device tree"
    reservations: list[Region] = field(default_factory=list)
    boot_cpuid: int = 0
    _handles: dict[int, Node] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.root.owner = self

    def walk(self) -> Iterator[Node]:
        """All nodes, in the order of the blob."""
        return self.root.walk()

    def node(self, path: str) -> Node | None:
        """The node at a full path, None if there is none; the unit address may be left out where it is unambiguous."""
        node: Node | None = self.root
        for name in path.strip("/").split("/"):
            if name and node is not None:
                node = node.child(name)
        return node

    def by_phandle(self, handle: int) -> Node | None:
        """The node with this phandle, None if there is none. Phandles set by hand are seen after :meth:`reindex`."""
        handles = self.reindex() if self._handles is None else self._handles
        return handles.get(handle)

    def reindex(self) -> dict[int, Node]:
        """Look at every node's phandle again and return the nodes by phandle."""
        handles: dict[int, Node] = {}
        for node in self.walk():
            handle = node.phandle
            if handle is not None and 0 < handle < 0xFFFFFFFF:
                handles.setdefault(handle, node)
        self._handles = handles
        return handles

    def compatible(self, *names: str) -> list[Node]:
        """Nodes that have one of these strings in ``compatible``, in the order of the blob."""
        wanted = set(names)
        return [node for node in self.walk() if not wanted.isdisjoint(node.compatible)]

    def refer(self, node: Node) -> int:
        """The phandle of a node, which gets a fresh one if it has none."""
        handle = node.phandle
        if handle is None:
            handles = self.reindex()
            handle = next(number for number in count(1) if number not in handles)
            node.properties["phandle"] = u32(handle)
            handles[handle] = node
        return handle


def read_file(name: str, boards: tuple[str, ...]) -> bytes:
    """The bytes of a firmware file. ``boards`` are the names that could have been meant.

    Raises FirmwareError: no such file (its errno), not regular, too large.
    """
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise FirmwareError(f"{name}: this is no regular file; give a .dtb, .dts, .aml or .asl.")
        with open(name, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FirmwareError:
        raise
    except FileNotFoundError:
        raise FirmwareError(f"{name}: no such file, and no bundled board has this name; bundled are "
                            f"{', '.join(boards)}.", ENOENT) from None
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None) or errno_codes.EINVAL
        raise FirmwareError(f"{name}: it cannot be read ({os.strerror(code)}).", code) from None
    if len(data) > MAX_FILE_BYTES:
        raise FirmwareError(f"{name}: it is larger than {MAX_FILE_BYTES} bytes, which no firmware is.", errno_codes.EFBIG)
    return data


def run_compiler(name: str, command: list[str]) -> tuple[int, bytes, bytes]:
    """Run a compiler for the file ``name``, with limits: its status, what it wrote and what it complained.

    Raises FirmwareError if it cannot be run or does not end.
    """
    program = os.path.basename(command[0])
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        code = error.errno or errno_codes.EINVAL
        raise FirmwareError(f"{name}: {program} could not be run ({os.strerror(code)}).", code) from None
    with process:
        # Where it has ended already, or there is no such call, the time limit still holds.
        with contextlib.suppress(OSError, AttributeError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (DTC_BYTES, DTC_BYTES))
        try:
            out, complaint = process.communicate(timeout=DTC_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise FirmwareError(f"{name}: {program} did not end within {DTC_SECONDS} seconds.",
                                errno_codes.ETIMEDOUT) from None
    return process.returncode, out, complaint


_DTC_PLACE = re.compile(r"^(?:Error: )?(?P<file>.+?):(?P<line>\d+)\.(?P<column>\d+)\S*?:? "
                        r"(?:ERROR \([^)]*\): )?(?P<text>.*)$")


def compile_dts(name: str, source: bytes) -> bytes:
    """Blob that dtc makes of a source. ``source`` is its content, for explaining a failure."""
    dtc = shutil.which("dtc")
    if dtc is None:
        raise FirmwareError(f"{name}: a device tree source needs the compiler dtc, which is not installed; install "
                            "Debian's package device-tree-compiler (apt-get install device-tree-compiler), or give "
                            "the board as a .dtb, which needs no compiler.", ENOENT)
    status, blob, complaint = run_compiler(name, [dtc, "-q", "-I", "dts", "-O", "dtb", "--", name])
    if status == 0:
        return blob
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines()]
    complaints = [line for line in lines if line.startswith("Error:") or "ERROR (" in line]
    complaints = complaints or [line for line in lines if line.startswith("FATAL ERROR: ")]
    if not complaints:
        raise FirmwareError(f"{name}: dtc failed with status {status} and said nothing.")
    said = complaints[0][:500].removeprefix("FATAL ERROR: ")
    place = _DTC_PLACE.match(said)
    if place is None:
        raise FirmwareError(f"{name}: dtc says: {said.rstrip('.')}.")
    sentence = f"{place['file']}: line {place['line']}, column {place['column']}: dtc says: {place['text'].rstrip('.')}"
    if "syntax error" in sentence and re.search(rb"^[ \t]*#[ \t]*include\b", source, re.MULTILINE):
        sentence += ("; a source with #include lines goes through the C preprocessor first (cpp -nostdinc -undef -x "
                     "assembler-with-cpp)")
    raise FirmwareError(sentence + ".")


def parse(blob: bytes, source: str = "device tree") -> Tree:
    """Read a flattened device tree of version 16 or 17.

    Parameters:
        blob: the bytes; what follows the size in its header is ignored.
        source: file name for sentences.

    Returns the tree. Raises FirmwareError with the offset of what is wrong.
    """
    return _Reader(blob, source).tree()


class _Reader:
    """One pass over a blob; keeps the bounds of its blocks."""

    def __init__(self, blob: bytes, source: str) -> None:
        self.blob = blob
        self.source = source
        if len(blob) < _HEADER_V16:
            if blob[:4] == FDT_MAGIC.to_bytes(4, "big")[:len(blob)]:
                raise self.bad(len(blob), f"the blob ends inside its header, which has {_HEADER_V17} bytes")
            raise self.bad(0, "this is no device tree blob; one begins with d0 0d fe ed")
        (magic, self.size, self.struct, self.strings, self.reserve, version, oldest, self.boot_cpuid,
         strings_size) = struct.unpack_from(">9I", blob)
        if magic != FDT_MAGIC:
            raise self.bad(0, f"this is no device tree blob, it begins with {blob[:4].hex(' ')}; one begins with d0 "
                              "0d fe ed")
        if version < FDT_LAST_COMPATIBLE or oldest > FDT_VERSION:
            raise self.bad(20, f"version {version} (compatible back to {oldest}) is not one of 16 and 17")
        header = _HEADER_V17 if version >= FDT_VERSION else _HEADER_V16
        if self.size > len(blob):
            raise self.bad(4, f"the header says {self.size} bytes and {len(blob)} are there; the blob is truncated")
        if self.size > MAX_BYTES:
            raise self.bad(4, f"{self.size} bytes are more than the {MAX_BYTES} that a kernel takes for a device tree")
        if self.size < header:
            raise self.bad(4, f"a total size of {self.size} bytes is less than the header's {header}")
        self.strings_end = self.strings + strings_size
        if self.strings < header or self.strings_end > self.size:
            raise self.bad(12, f"the strings block ({self.strings:#x}, {strings_size:#x} bytes) does not lie inside "
                               "the blob")
        self.struct_end = self.size
        if version >= FDT_VERSION:
            struct_size = struct.unpack_from(">I", blob, 36)[0]
            self.struct_end = self.struct + struct_size
        if self.struct % 4 or self.struct < header or self.struct >= self.size or self.struct_end > self.size:
            raise self.bad(8, f"the structure block ({self.struct:#x} to {self.struct_end:#x}) is not aligned to 4 "
                              "bytes or does not lie inside the blob")
        if self.reserve % 8 or self.reserve < header:
            raise self.bad(16, f"the memory reservation block at {self.reserve:#x} is not aligned to 8 bytes or lies "
                               "inside the header")

    def bad(self, offset: int, what: str) -> FirmwareError:
        return FirmwareError(f"{self.source}: offset {offset:#x}: {what}.")

    def tree(self) -> Tree:
        reservations = []
        at = self.reserve
        while True:
            if at + 16 > self.size:
                raise self.bad(at, "the memory reservation block has no end; its last entry is 16 zero bytes")
            entry = Region(*struct.unpack_from(">QQ", self.blob, at))
            if entry == (0, 0):
                break
            reservations.append(entry)
            at += 16
        tree = Tree(self.nodes(), self.source, reservations, self.boot_cpuid)
        owners: dict[int, Node] = {}
        for node in tree.walk():
            for name in ("phandle", "linux,phandle"):
                if len(node.properties.get(name, b"four")) != 4:
                    raise node.error(name, f"{len(node.properties[name])} bytes stand where one cell of 4 bytes is "
                                           "right.")
            handle = node.phandle
            if handle is not None and owners.setdefault(handle, node) is not node:
                raise node.error("phandle", f"{handle:#x} is the phandle of {owners[handle].path} already; each node "
                                            "needs its own.")
        return tree

    def word(self, at: int) -> int:
        if at + 4 > self.struct_end:
            raise self.bad(at, "the structure block ends before its end mark (FDT_END)")
        return int(struct.unpack_from(">I", self.blob, at)[0])

    def string(self, at: int, end: int, what: str) -> str:
        """The NUL-terminated name at an offset; the limit on its length keeps the work linear in the blob's size."""
        stop = self.blob.find(b"\0", at, min(end, at + MAX_NAME + 1))
        if stop < 0:
            raise self.bad(at, f"the name of a {what} has no end within its block and {MAX_NAME} characters")
        name = self.blob[at:stop]
        if any(not 0x21 <= c <= 0x7E for c in name) or (what == "node" and b"/" in name):
            raise self.bad(at, f"the name of a {what} has a character that no name has")
        return name.decode("ascii")

    def nodes(self) -> Node:
        root: Node | None = None
        node: Node | None = None
        names: list[set[str]] = []
        at = self.struct
        while True:
            token = self.word(at)
            if token == FDT_BEGIN_NODE:
                name = self.string(at + 4, self.struct_end, "node")
                if node is None:
                    if root is not None or name:
                        raise self.bad(at, "a node stands where the root, without a name and alone at its level, is "
                                           "right")
                    root = node = Node("")
                else:
                    if not name:
                        raise self.bad(at, f"a node below {node.path} has no name")
                    if name in names[-1]:
                        raise self.bad(at, f"{node.path} has two nodes called {name}")
                    if len(names) >= MAX_DEPTH:
                        raise self.bad(at, f"nodes lie more than {MAX_DEPTH} deep")
                    names[-1].add(name)
                    node = node.add(name)
                names.append(set())
                at = (at + 4 + len(name) + 1 + 3) & ~3
            elif token == FDT_END_NODE:
                if node is None:
                    raise self.bad(at, "a node ends where none has begun")
                names.pop()
                node = node.parent
                at += 4
            elif token == FDT_PROP:
                if node is None:
                    raise self.bad(at, "a property stands outside every node")
                if node.children:
                    raise self.bad(at, f"a property of {node.path} stands behind its child nodes")
                length, offset = self.word(at + 4), self.word(at + 8)
                if at + 12 + length > self.struct_end:
                    raise self.bad(at + 4, f"a property of {node.path} has {length} bytes and passes the end of the "
                                           "structure block")
                if self.strings + offset >= self.strings_end:
                    raise self.bad(at + 8, f"the name of a property of {node.path} lies outside the strings block")
                name = self.string(self.strings + offset, self.strings_end, "property")
                if not name:
                    raise self.bad(at + 8, f"a property of {node.path} has no name")
                if name in node.properties:
                    raise self.bad(at, f"{node.path} has two properties called {name}")
                node.properties[name] = self.blob[at + 12:at + 12 + length]
                at = (at + 12 + length + 3) & ~3
            elif token == FDT_NOP:
                at += 4
            elif token == FDT_END:
                if root is None or node is not None:
                    raise self.bad(at, "the end mark (FDT_END) stands before every node is closed")
                return root
            else:
                raise self.bad(at, f"{token:#x} is no token of a structure block")


def dump(tree: Tree) -> bytes:
    """Write a tree as a blob of version 17, byte for byte as dtc lays it out.

    Returns the blob. Raises FirmwareError if the tree cannot be one (a bad name, too deep, too large): the blob is read
    back first.
    """
    out = bytearray()
    strings = bytearray()
    offsets: dict[str, int] = {}
    waiting: list[Node | None] = [tree.root]
    while waiting:
        node = waiting.pop()
        if node is None:
            out += u32(FDT_END_NODE)
            continue
        out += u32(FDT_BEGIN_NODE) + node.name.encode("ascii", "replace") + b"\0"
        out += bytes(-len(out) % 4)
        for name, value in node.properties.items():
            if name not in offsets:
                key = name.encode("ascii", "replace") + b"\0"
                # A name may be the tail of another, as in dtc's string table.
                offsets[name] = strings.find(key)
                if offsets[name] < 0:
                    offsets[name] = len(strings)
                    strings += key
            out += u32(FDT_PROP, len(value), offsets[name]) + value
            out += bytes(-len(out) % 4)
        waiting.append(None)
        waiting.extend(reversed(node.children))
    out += u32(FDT_END)
    reserve = b"".join(u64(*region) for region in [*tree.reservations, Region(0, 0)])
    start = _HEADER_V17 + len(reserve)
    header = u32(FDT_MAGIC, start + len(out) + len(strings), start, start + len(out), _HEADER_V17, FDT_VERSION,
                 FDT_LAST_COMPATIBLE, tree.boot_cpuid, len(strings), len(out))
    blob = header + reserve + bytes(out) + bytes(strings)
    parse(blob, tree.source)
    return blob


def _join(cells: list[int]) -> int:
    value = 0
    for cell in cells:
        value = value << 32 | cell
    return value
