# SPDX-License-Identifier: GPL-2.0-only
"""ACPI tables: DSDT and SSDT as compiled AML, read into a namespace whose objects can be evaluated.

It stands for what ACPICA does in Linux 4.5 before the ACPI bus is scanned: tables checked, named objects created, _INI
run, methods interpreted. It knows no device and decodes no resources; :mod:`hidma.firmware.acpi` does. A table is
somebody else's file: every length is checked before it is used, work and depth are limited, and whatever is wrong with it
ends in one :class:`FirmwareError` with the offset in the file, never in another exception. There is no hardware behind it:
what reads or writes an operation region is refused, and so are Load, Unload, LoadTable, Fatal, Wait and Timer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hidma.firmware.fdt import FirmwareError

HEADER_BYTES = 36
SIGNATURES = (b"DSDT", b"SSDT")
MAX_BYTES = 4 << 20
"""Largest file that is read, in bytes: all its tables together."""
MAX_STEPS = 400_000
"""Terms that are executed while a file is loaded, and again while it is evaluated afterwards."""
MAX_NESTING = 120
"""Deepest nesting of scopes, terms and method calls."""
MAX_OBJECT_BYTES = 1 << 16
"""Largest buffer or string, in bytes, and longest package, in elements."""
MAX_WORK_BYTES = 32 << 20
"""Bytes and elements that are made and copied while a file is loaded, and again while it is evaluated afterwards."""

REVISION = 0x20160108
"""What Revision gives: the date of the ACPICA in Linux 4.5."""
PREDEFINED = ("_GPE", "_PR_", "_SB_", "_SI_", "_TZ_")
"""Scopes of every namespace, in ACPICA's order; _SB_ and _TZ_ are devices there."""
OSI = frozenset((
    "Module Device", "Processor Device", "3.0 _SCP Extensions", "Processor Aggregator Device",
    "Windows 2000", "Windows 2001", "Windows 2001 SP1", "Windows 2001.1", "Windows 2001 SP2", "Windows 2001.1 SP1",
    "Windows 2006", "Windows 2006.1", "Windows 2006 SP1", "Windows 2006 SP2", "Windows 2009", "Windows 2012",
    "Windows 2013", "Windows 2015"))
"""What _OSI of Linux 4.5 says yes to."""

REFUSED = {
    0xA1: "Else without If", 0x5B1F: "LoadTable", 0x5B20: "Load", 0x5B24: "Signal", 0x5B25: "Wait", 0x5B26: "Reset",
    0x5B2A: "Unload", 0x5B32: "Fatal", 0x5B33: "Timer", 0x5B88: "DataTableRegion",
}
"""Opcodes that exist and are not executed here."""
TYPES = {"name": 0, "device": 6, "event": 7, "method": 8, "mutex": 9, "region": 10, "power": 11, "processor": 12,
         "thermal": 13, "buffer field": 14, "field": 5, "scope": 0}
"""What ObjectType says of each kind of object; of a name it says the type of its value."""


class Table(NamedTuple):
    """Header of a table; ``offset`` is where it begins in the file, ``data`` all of it."""

    signature: str
    offset: int
    length: int
    revision: int
    oem_id: str
    oem_table_id: str
    oem_revision: int
    creator_id: str
    creator_revision: int
    data: bytes


@dataclass(eq=False, slots=True)
class Buffer:
    """A buffer; ``offset`` is where its first byte stands in the file, None where it was made by a method."""

    data: bytearray
    offset: int | None = None


class Package(list[Any]):
    """A package; elements are int, str, :class:`Buffer`, :class:`Package`, :class:`Name`, Object, or None."""


class Name(NamedTuple):
    """A name in a package: what it means is looked up when somebody asks."""

    text: str
    scope: Object
    offset: int


@dataclass(eq=False, repr=False, slots=True)
class Object:
    """A node of the namespace.

    ``name`` has four characters; ``kind`` is "scope", "device", "processor", "power", "thermal", "name", "method",
    "region", "field", "buffer field", "mutex", "event" or "alias" (``value`` is then the object meant); ``offset`` is
    where it is declared in the file.
    """

    name: str
    kind: str
    parent: Object | None = None
    offset: int = 0
    value: Any = None
    children: dict[str, Object] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Object {self.path}>"

    @property
    def full_path(self) -> str:
        """Path as ACPICA writes it, every name with four characters: ``\\_SB_.DMA0``."""
        names: list[str] = []
        node: Object | None = self
        while node is not None and node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "\\" + ".".join(reversed(names))

    @property
    def path(self) -> str:
        """Path as ASL writes it, without underscores that only fill up: ``\\_SB.DMA0``."""
        return "\\" + ".".join(trimmed(name) for name in self.full_path[1:].split(".") if name)

    def child(self, name: str) -> Object | None:
        """The object of this name right below, None if there is none; an alias gives what it stands for."""
        found = self.children.get(name)
        if found is not None and found.kind == "alias":
            return found.value if isinstance(found.value, Object) else None
        return found

    def walk(self) -> Iterator[Object]:
        """This object and all below it, in the order in which they were made."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children.values()))


class Code(NamedTuple):
    """Body of a method: bytes from ``start`` to ``end`` of the file, number of arguments."""

    start: int
    end: int
    arguments: int


@dataclass(eq=False, slots=True)
class BufferField:
    """Bits of a buffer, as CreateDWordField makes them; those of CreateField are read as a buffer (``as_buffer``), as ACPICA does
    since 2020."""

    buffer: Buffer
    bit: int
    bits: int
    as_buffer: bool

    def get(self) -> Any:
        first = self.bit >> 3
        raw = self.buffer.data[first:self.bit + self.bits + 7 >> 3]
        number = int.from_bytes(raw, "little") >> (self.bit & 7) & ((1 << self.bits) - 1)
        return Buffer(bytearray(number.to_bytes((self.bits + 7) // 8, "little"))) if self.as_buffer else number

    def set(self, value: int) -> None:
        first, last = self.bit >> 3, self.bit + self.bits + 7 >> 3
        mask, shift = (1 << self.bits) - 1, self.bit & 7
        number = int.from_bytes(self.buffer.data[first:last], "little") & ~(mask << shift) | (value & mask) << shift
        self.buffer.data[first:last] = number.to_bytes(last - first, "little")


class Place:
    """Somewhere a value can be read and stored: a local, an argument, a named object, an element."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], None], node: Object | None = None) -> None:
        self.get = get
        self.put = put
        self.node = node


NOWHERE = Place(lambda: 0, lambda value: None)


@dataclass(eq=False, slots=True)
class Frame:
    """One call of a method. ``state`` is "" while it goes on, "return", "break" or "continue"."""

    method: Object
    arguments: list[Any]
    locals: list[Any] = field(default_factory=lambda: [None] * 8)
    state: str = ""
    result: Any = None


@dataclass(eq=False)
class Namespace:
    """What the tables of a file declare; ``source`` is the file name that sentences use."""

    source: str
    tables: tuple[Table, ...]
    root: Object
    data: bytes = field(repr=False)
    remarks: list[str] = field(default_factory=list, repr=False)
    """What was left out of the initialisation, and why."""
    devices: Any = field(default=None, repr=False)
    """Kept by :func:`hidma.firmware.acpi.devices`."""

    @property
    def model(self) -> str:
        """What names the machine: OEM ID and OEM table ID of the first table."""
        table = self.tables[0]
        return f"{table.oem_id} {table.oem_table_id}".strip() or "unknown"

    def error(self, node: Object, name: str | None, sentence: str) -> FirmwareError:
        """A FirmwareError that names file, object, offset and (if given) the object below it in front of the sentence."""
        return FirmwareError(self.say(node, name, sentence))

    def say(self, node: Object, name: str | None, sentence: str) -> str:
        """The sentence with file, object, offset and (if given) the object below it in front of it."""
        below = node.child(name[:4].ljust(4, "_")) if name else None
        offset = below.offset if below is not None else node.offset
        path = node.path if name is None else f"{node.path.rstrip(chr(92))}.{name}" if node.parent else f"\\{name}"
        return f"{self.source}: offset {offset:#x}, {path}: {sentence}"

    def node(self, path: str) -> Object | None:
        """The object at a full path such as ``\\_SB.DMA0``, None if there is none."""
        node: Object | None = self.root
        for name in path.lstrip("\\").split("."):
            if name and node is not None:
                node = node.child(name.ljust(4, "_"))
        return node

    def evaluate(self, node: Object, name: str | None = None) -> Any:
        """Value of an object, or of the one called ``name`` right below it; a method is run without arguments.

        Returns int, str, bytes, None (an element that was not set), an :class:`Object` (a reference) or a list of these; None
        if there is no such object, or a method returns nothing. Raises FirmwareError with the offset of what cannot be run.
        """
        target = node if name is None else node.child(name.ljust(4, "_"))
        if target is None:
            return None
        return Interpreter(self).evaluate(target)

    def buffer_offset(self, node: Object, name: str) -> int | None:
        """Where the bytes of a buffer that is no method's stand in the file, None if it is something else."""
        target = node.child(name.ljust(4, "_"))
        value = target.value if target is not None and target.kind == "name" else None
        return value.offset if isinstance(value, Buffer) else None


def trimmed(name: str) -> str:
    """A name without the underscores that fill it up to four characters."""
    return name.rstrip("_") or "_"


def parse(data: bytes, source: str = "ACPI table") -> Namespace:
    """Read a file of one DSDT or SSDT, or of several behind one another, and load them in this order.

    Parameters:
        data: the bytes.
        source: file name for sentences.

    Returns the namespace. Raises FirmwareError with the offset of what is wrong.
    """
    data = bytes(data)
    tables: list[Table] = []
    at = 0
    while at < len(data) or not tables:
        table = _table(data, at, source)
        tables.append(table)
        at += table.length
    root = Object("\\", "scope")
    for name in PREDEFINED:
        root.children[name] = Object(name, "device" if name in ("_SB_", "_TZ_") else "scope", root)
    root.children["_GL_"] = Object("_GL_", "mutex", root)
    root.children["_OS_"] = Object("_OS_", "name", root, value="Microsoft Windows NT")
    root.children["_OSI"] = Object("_OSI", "method", root, value=Code(0, 0, 1))
    root.children["_REV"] = Object("_REV", "name", root, value=2)
    namespace = Namespace(source, tuple(tables), root, data)
    interpreter = Interpreter(namespace)
    for table in tables:
        interpreter.block(table.offset + HEADER_BYTES, table.offset + table.length, root, None)
    interpreter.initialise()
    return namespace


def _table(data: bytes, at: int, source: str) -> Table:
    def bad(offset: int, what: str) -> FirmwareError:
        return FirmwareError(f"{source}: offset {offset:#x}: {what}.")

    if len(data) > MAX_BYTES:
        raise bad(MAX_BYTES, f"the file goes on beyond {MAX_BYTES} bytes, which is more than any firmware has")
    signature = data[at:at + 4]
    if signature not in SIGNATURES:
        if len(signature) == 4 and all(c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_!" for c in signature):
            raise bad(at, f"the table {signature.decode()} is not read; give DSDT and SSDT only")
        what = signature.hex(" ") or "nothing"
        raise bad(at, f"this is no ACPI table, it begins with {what}; one that is read begins with DSDT or SSDT")
    if len(data) - at < HEADER_BYTES:
        raise bad(len(data), f"the file ends inside a table's header, which has {HEADER_BYTES} bytes")
    length, revision = struct.unpack_from("<IB", data, at + 4)
    if length < HEADER_BYTES:
        raise bad(at + 4, f"a length of {length} bytes is less than the header's {HEADER_BYTES}")
    if at + length > len(data):
        raise bad(at + 4, f"the header says {length} bytes and {len(data) - at} are there; the table is truncated")
    total = sum(data[at:at + length]) & 0xFF
    if total:
        right = data[at + 9] - total & 0xFF
        raise bad(at + 9, f"the checksum is {data[at + 9]:#04x} where {right:#04x} is right; the table is damaged")
    if revision < 1:
        raise bad(at + 8, "revision 0 is none of a DSDT or SSDT; it is 1 (32-bit integers) or 2")
    oem, oem_table, oem_revision, creator, creator_revision = struct.unpack_from("<6s8sI4sI", data, at + 10)

    def text(raw: bytes) -> str:
        return raw.split(b"\0")[0].decode("ascii", "replace").rstrip()

    return Table(signature.decode(), at, length, revision, text(oem), text(oem_table), oem_revision, text(creator),
                 creator_revision, data[at:at + length])


class Interpreter:
    """Executes AML where it stands in the file. ``at`` is always an offset in the file, ``end`` that of the block.

    An object may be asked for many values; it counts all steps together, so that the work on one file has an end.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.data = namespace.data
        self.root = namespace.root
        self.mask = 0xFFFFFFFF if namespace.tables[0].revision < 2 else 0xFFFFFFFFFFFFFFFF
        self.steps = MAX_STEPS
        self.work = MAX_WORK_BYTES
        self.nesting = 0

    # --- reading ----------------------------------------------------------------------------------------------

    def bad(self, at: int, what: str) -> FirmwareError:
        """What is wrong, with its offset."""
        return FirmwareError(f"{self.namespace.source}: offset {at:#x}: {what}.")

    def number(self, at: int, end: int, size: int) -> int:
        if at + size > end:
            raise self.bad(at, f"{size} bytes are needed here and {max(end - at, 0)} are left in the block")
        return int.from_bytes(self.data[at:at + size], "little")

    def package_length(self, at: int, end: int) -> tuple[int, int]:
        """(offset behind the length, end of what it spans)."""
        lead = self.number(at, end, 1)
        more = lead >> 6
        length = lead & 0x3F
        if more:
            length = lead & 0xF | self.number(at + 1, end, more) << 4
        behind = at + 1 + more
        if at + length > end or length < 1 + more:
            raise self.bad(at, f"a length of {length} bytes does not fit: the block around it ends at {end:#x}")
        return behind, at + length

    def name(self, at: int, end: int) -> tuple[str, int]:
        """A name as text: prefixes, then names of four characters separated by dots; empty for NullName."""
        start = at
        prefix = ""
        if self.number(at, end, 1) == 0x5C:
            prefix = "\\"
            at += 1
        else:
            while self.number(at, end, 1) == 0x5E:
                prefix += "^"
                at += 1
                if len(prefix) > MAX_NESTING:
                    raise self.bad(start, "a name goes up further than anything is deep")
        lead = self.number(at, end, 1)
        if lead == 0:
            return prefix, at + 1
        count = 1
        if lead == 0x2E:
            count = 2
            at += 1
        elif lead == 0x2F:
            count = self.number(at + 1, end, 1)
            at += 2
            if not count:
                raise self.bad(at - 1, "a name has no part")
        parts = []
        for _ in range(count):
            raw = self.data[at:min(at + 4, end)]
            if len(raw) < 4 or not _is_name(raw):
                raise self.bad(at, f"{raw.hex(' ') or 'nothing'} is no name; one has four of A to Z, 0 to 9 and _, and "
                                   "begins with no digit")
            parts.append(raw.decode("ascii"))
            at += 4
        return prefix + ".".join(parts), at

    def starts_name(self, op: int) -> bool:
        return op in (0x2E, 0x2F, 0x5C, 0x5E, 0x5F) or 0x41 <= op <= 0x5A

    # --- the namespace ----------------------------------------------------------------------------------------

    def find(self, text: str, scope: Object) -> Object | None:
        """What a name means in a scope: a single name is looked for upwards, a path is not."""
        node: Object | None = scope
        rest = text
        if rest.startswith("\\"):
            node, rest = self.root, rest[1:]
        while rest.startswith("^"):
            node, rest = (node.parent if node is not None else None), rest[1:]
        if not rest:
            return node
        parts = rest.split(".")
        if len(parts) == 1 and rest == text:
            while node is not None:
                found = node.child(rest)
                if found is not None:
                    return found
                node = node.parent
            return None
        for part in parts:
            node = node.child(part) if node is not None else None
        return node

    def declare(self, at: int, text: str, scope: Object, kind: str, value: Any = None) -> Object:
        bare = text.lstrip("\\^")
        *above, own = bare.split(".")
        if not own:
            raise self.bad(at, "an object is declared without a name")
        prefix = text[:len(text) - len(bare)]
        parent = self.find(prefix, scope) if prefix else scope
        for part in above:
            parent = parent.child(part) if parent is not None else None
        if parent is None:
            raise self.bad(at, f"{_asl(text)} is declared and what stands above it is not")
        before = parent.children.get(own)
        if before is not None:
            raise self.bad(at, f"{before.path} is declared a second time; it was at {before.offset:#x}"
                               if before.offset else f"{before.path} is declared and every namespace has it already")
        node = Object(own, kind, parent, at, value)
        parent.children[own] = node
        return node

    def initialise(self) -> None:
        """Run _INI of what is there, from the top, as acpi_initialize_objects() does."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            if node.kind in ("device", "processor", "thermal"):
                status = node.child("_STA")
                if status is not None:
                    present = self.tried(status)
                    if isinstance(present, int) and not present & 9:
                        continue
                    if isinstance(present, int) and not present & 1:
                        waiting.extend(reversed(node.children.values()))
                        continue
            ini = node.child("_INI")
            if ini is not None and ini.kind == "method":
                self.tried(ini)
            if node.kind != "method":
                waiting.extend(reversed(node.children.values()))

    def tried(self, node: Object) -> Any:
        """Evaluate what a kernel could pass over; what is wrong becomes a remark."""
        try:
            return self.evaluate(node)
        except FirmwareError as error:
            if node.name == "_INI":
                self.namespace.remarks.append(f"{error.sentence.rstrip('.')}; Linux could go on from here, and the rest of "
                                              f"{node.path} is left out.")
            return None

    # --- evaluating -------------------------------------------------------------------------------------------

    def evaluate(self, node: Object) -> Any:
        """Value of an object for somebody outside, as :meth:`Namespace.evaluate` gives it; the steps of all are counted
        together."""
        self.nesting = 0
        return self.plain(self.value_of(node, node.offset, []), node.offset, 0)

    def plain(self, value: Any, at: int, depth: int) -> Any:
        """A value without this module's classes."""
        self.step(at)
        if depth > MAX_NESTING:
            raise self.bad(at, f"packages lie more than {MAX_NESTING} deep, or in themselves")
        if isinstance(value, Buffer):
            return bytes(value.data)
        if isinstance(value, Package):
            return [self.plain(element, at, depth + 1) for element in value]
        if isinstance(value, Name):
            node = self.find(value.text, value.scope)
            if node is None:
                raise self.bad(value.offset, f"{_asl(value.text)} is named and declared nowhere")
            if node.kind == "name":
                return self.plain(node.value, at, depth + 1)
            return node
        if isinstance(value, Place):
            return value.node if value.node is not None else self.plain(value.get(), at, depth + 1)
        return value

    def value_of(self, node: Object, at: int, arguments: list[Any]) -> Any:
        """What reading an object gives; a method is called."""
        if node.kind == "name":
            return node.value
        if node.kind == "buffer field":
            return node.value.get()
        if node.kind == "field":
            raise self.bad(at, f"{node.path} is part of an operation region, and there is no hardware behind it here; "
                               "only what firmware computes by itself can be evaluated")
        if node.kind == "method":
            return self.call(node, at, arguments)
        return node

    def call(self, node: Object, at: int, arguments: list[Any]) -> Any:
        code: Code = node.value
        if len(arguments) != code.arguments:
            raise self.bad(at, f"{node.path} takes {code.arguments} arguments and {len(arguments)} are given")
        if node.parent is self.root and node.name == "_OSI":
            return self.mask if isinstance(arguments[0], str) and arguments[0] in OSI else 0
        frame = Frame(node, arguments + [None] * (7 - len(arguments)))
        before = dict(node.children)
        try:
            self.block(code.start, code.end, node, frame)
        finally:
            node.children.clear()
            node.children.update(before)
        result = frame.result
        return result.get() if isinstance(result, Place) and result.node is None else result

    def step(self, at: int) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise self.bad(at, f"it does not end within {MAX_STEPS} terms; a loop that waits for something?")

    def block(self, at: int, end: int, scope: Object, frame: Frame | None) -> None:
        """Execute terms up to ``end``, or until the frame leaves."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.bad(at, f"terms lie more than {MAX_NESTING} deep")
        while at < end and not (frame is not None and frame.state):
            at = self.term(at, end, scope, frame)[1]
        self.nesting -= 1

    def integer(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[int, int]:
        value, behind = self.term(at, end, scope, frame)
        return self.to_integer(value, at), behind

    def to_integer(self, value: Any, at: int) -> int:
        if isinstance(value, Place):
            value = value.get()
        if isinstance(value, int):
            return value & self.mask
        if isinstance(value, Buffer):
            return int.from_bytes(value.data[:8], "little") & self.mask
        if isinstance(value, str):
            digits = ""
            for char in value.strip().removeprefix("0x").removeprefix("0X")[:16]:
                if char not in "0123456789abcdefABCDEF":
                    break
                digits += char
            return int(digits or "0", 16) & self.mask
        raise self.bad(at, f"{_what(value)} stands where an integer is needed")

    def to_buffer(self, value: Any, at: int) -> Buffer:
        if isinstance(value, Place):
            value = value.get()
        if isinstance(value, Buffer):
            return value
        if isinstance(value, int):
            return Buffer(bytearray(value.to_bytes(4 if self.mask == 0xFFFFFFFF else 8, "little")))
        if isinstance(value, str):
            return Buffer(bytearray(value.encode("latin-1", "replace") + b"\0"))
        raise self.bad(at, f"{_what(value)} stands where a buffer is needed")

    def to_string(self, value: Any, at: int, decimal: bool = False) -> str:
        if isinstance(value, Place):
            value = value.get()
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return str(value) if decimal else f"{value:0{8 if self.mask == 0xFFFFFFFF else 16}X}"
        if isinstance(value, Buffer):
            self.small(5 * len(value.data), at)
            return ",".join(str(b) if decimal else f"0x{b:02X}" for b in value.data)
        raise self.bad(at, f"{_what(value)} stands where a string is needed")

    def small(self, size: int, at: int) -> int:
        if size > MAX_OBJECT_BYTES:
            raise self.bad(at, f"an object of {size} bytes is larger than the {MAX_OBJECT_BYTES} that one may have")
        self.work -= size
        if self.work < 0:
            raise self.bad(at, f"more than {MAX_WORK_BYTES} bytes are made and copied; a loop that does not end?")
        return size

    def copy(self, value: Any, at: int) -> Any:
        """What is stored: buffers and packages are copied, the rest cannot change."""
        if isinstance(value, Buffer):
            self.small(len(value.data), at)
            return Buffer(bytearray(value.data), value.offset)
        if isinstance(value, Package):
            self.small(len(value), at)
            return Package(value)
        return value

    # --- storing ----------------------------------------------------------------------------------------------

    def place(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Place, int]:
        """A target or super name."""
        op = self.number(at, end, 1)
        if op == 0:
            return NOWHERE, at + 1
        if 0x60 <= op <= 0x6E:
            if frame is None:
                raise self.bad(at, "a local or an argument is named outside every method")
            values, index = (frame.locals, op - 0x60) if op <= 0x67 else (frame.arguments, op - 0x68)

            def put(value: Any) -> None:
                old = values[index]
                if op > 0x67 and isinstance(old, Place):
                    old.put(value)
                else:
                    values[index] = self.copy(value, at)

            return Place(lambda: values[index], put), at + 1
        if op == 0x5B and self.number(at + 1, end, 1) == 0x31:
            return NOWHERE, at + 2
        if self.starts_name(op):
            text, behind = self.name(at, end)
            node = self.find(text, scope)
            if node is None:
                raise self.bad(at, f"{_asl(text)} is named and declared nowhere")
            return self.named(node, at), behind
        value, behind = self.term(at + 1 if op == 0x83 else at, end, scope, frame)
        if isinstance(value, Place):
            return value, behind
        if isinstance(value, Object):
            return self.named(value, at), behind
        raise self.bad(at, f"{_what(value)} stands where something can be stored")

    def named(self, node: Object, at: int) -> Place:
        def put(value: Any) -> None:
            if node.kind == "buffer field":
                node.value.set(int.from_bytes(self.to_buffer(value, at).data, "little"))
            elif node.kind == "name":
                node.value = self.converted(node.value, value, at)
            elif node.kind == "field":
                raise self.bad(at, f"{node.path} is part of an operation region, and there is no hardware behind it here")
            else:
                raise self.bad(at, f"{node.path} is a {node.kind}, and nothing can be stored in one")

        return Place(lambda: self.value_of(node, at, []) if node.kind != "method" else node, put, node)

    def converted(self, old: Any, value: Any, at: int) -> Any:
        """``value`` as the type that a named object has already."""
        if isinstance(old, int):
            return self.to_integer(value, at)
        if isinstance(old, str):
            return self.to_string(value, at)
        if isinstance(old, Buffer):
            new = self.to_buffer(value, at).data
            size = len(old.data) or len(new)
            return Buffer(bytearray(new[:size].ljust(size, b"\0")))
        return self.copy(value, at)

    # --- terms ------------------------------------------------------------------------------------------------

    def term(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Any, int]:
        """Execute one term: (its value, the offset behind it)."""
        self.step(at)
        op = self.number(at, end, 1)
        if self.starts_name(op):
            return self.use(at, end, scope, frame)
        if op == 0x5B:
            op = 0x5B00 | self.number(at + 1, end, 1)
        handler = HANDLERS.get(op)
        if handler is None:
            if op in REFUSED:
                raise self.bad(at, f"{REFUSED[op]} (opcode {_opcode(op)}) is not supported")
            raise self.bad(at, f"{_opcode(op)} is no opcode of AML")
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.bad(at, f"terms lie more than {MAX_NESTING} deep")
        result = handler(self, at, at + (2 if op > 0xFF else 1), end, scope, frame, op)
        self.nesting -= 1
        return result

    def use(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Any, int]:
        """A name where a term may stand: a value, or a call."""
        text, behind = self.name(at, end)
        node = self.find(text, scope)
        if node is None:
            raise self.bad(at, f"{_asl(text) or 'an empty name'} is named and declared nowhere")
        if node.kind != "method":
            return self.value_of(node, at, []), behind
        arguments = []
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.bad(at, f"terms lie more than {MAX_NESTING} deep")
        for _ in range(node.value.arguments):
            value, behind = self.term(behind, end, scope, frame)
            arguments.append(value)
        value = self.call(node, at, arguments)
        self.nesting -= 1
        return value, behind

    def constant(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        if op in (0x00, 0x01):
            return op, behind
        if op == 0xFF:
            return self.mask, behind
        if op == 0x5B30:
            return REVISION, behind
        size = {0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0E: 8}[op]
        return self.number(behind, end, size) & self.mask, behind + size

    def string(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        stop = self.data.find(b"\0", behind, end)
        if stop < 0:
            raise self.bad(at, "a string has no end within its block")
        raw = self.data[behind:stop]
        if not raw.isascii():
            raise self.bad(behind, "a character of a string is not ASCII")
        self.small(len(raw), at)
        return raw.decode("ascii"), stop + 1

    def buffer(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        size, inner = self.integer(inner, stop, scope, frame)
        raw = self.data[inner:stop]
        self.small(max(size, len(raw)), at)
        return Buffer(bytearray(raw.ljust(size, b"\0")), inner), stop

    def package(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        if op == 0x12:
            count, inner = self.number(inner, stop, 1), inner + 1
        else:
            count, inner = self.integer(inner, stop, scope, frame)
        self.small(count, at)
        elements = Package()
        while inner < stop:
            if len(elements) == count:
                raise self.bad(inner, f"a package says {count} elements and has more")
            if self.starts_name(self.number(inner, stop, 1)):
                start = inner
                text, inner = self.name(inner, stop)
                self.step(start)
                node = self.find(text, scope) if frame is not None else None
                # what a method has declared is gone when it has returned
                elements.append(Name(text, scope, start) if node is None else
                                node.value if node.kind == "name" else node)
            else:
                value, inner = self.term(inner, stop, scope, frame)
                elements.append(value)
        elements.extend([None] * (count - len(elements)))
        return elements, stop

    def local(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        place, behind = self.place(at, end, scope, frame)
        value = place.get()
        if value is None:
            raise self.bad(at, f"{'Local' if op <= 0x67 else 'Arg'}{op - (0x60 if op <= 0x67 else 0x68)} is used "
                               "before anything was stored in it")
        return value, behind

    # declarations

    def scope_op(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        text, inner = self.name(inner, stop)
        node = self.find(text, scope)
        if node is None:
            raise self.bad(at, f"Scope ({_asl(text)}) opens what is declared nowhere; load the table that declares it "
                               "first")
        if node.kind not in ("scope", "device", "processor", "power", "thermal"):
            raise self.bad(at, f"Scope ({_asl(text)}) opens a {node.kind}, which has nothing below it")
        self.block(inner, stop, node, frame)
        return None, stop

    def device(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        text, inner = self.name(inner, stop)
        kind, skip = {0x5B82: ("device", 0), 0x5B83: ("processor", 6), 0x5B84: ("power", 3), 0x5B85: ("thermal", 0)}[op]
        node = self.declare(at, text, scope, kind, self.number(inner, stop, 1) if skip else None)
        if skip:
            self.number(inner, stop, skip)
        self.block(inner + skip, stop, node, frame)
        return None, stop

    def name_op(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        text, behind = self.name(behind, end)
        start = behind
        value, behind = self.term(behind, end, scope, frame)
        if not isinstance(value, (int, str, Buffer, Package)):
            raise self.bad(start, f"{_what(value)} stands where the value of {_asl(text)} is needed: an integer, a "
                                  "string, a buffer or a package")
        self.declare(at, text, scope, "name", self.copy(value, at))
        return None, behind

    def alias(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        old, behind = self.name(behind, end)
        new, behind = self.name(behind, end)
        node = self.find(old, scope)
        if node is None:
            raise self.bad(at, f"Alias names {_asl(old)}, which is declared nowhere")
        self.declare(at, new, scope, "alias", node)
        return None, behind

    def method(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        text, inner = self.name(inner, stop)
        flags = self.number(inner, stop, 1)
        self.declare(at, text, scope, "method", Code(inner + 1, stop, flags & 7))
        return None, stop

    def external(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        _, behind = self.name(behind, end)
        self.number(behind, end, 2)
        return None, behind + 2

    def simple(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        """Mutex, Event and OperationRegion."""
        text, behind = self.name(behind, end)
        if op == 0x5B01:
            self.number(behind, end, 1)
            behind += 1
        elif op == 0x5B80:
            self.number(behind, end, 1)
            _, behind = self.integer(behind + 1, end, scope, frame)
            _, behind = self.integer(behind, end, scope, frame)
        self.declare(at, text, scope, {0x5B01: "mutex", 0x5B02: "event", 0x5B80: "region"}[op])
        return None, behind

    def fields(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        """Field, IndexField and BankField: the names, for what they stand for is hardware."""
        inner, stop = self.package_length(behind, end)
        for _ in range(1 if op == 0x5B81 else 2):
            start = inner
            text, inner = self.name(inner, stop)
            if self.find(text, scope) is None:
                raise self.bad(start, f"{_asl(text)} is named and declared nowhere")
        if op == 0x5B87:
            _, inner = self.integer(inner, stop, scope, frame)
        self.number(inner, stop, 1)
        inner += 1
        while inner < stop:
            self.step(inner)
            lead = self.data[inner]
            if lead == 0:
                inner = self.bits(inner + 1, stop)[1]
            elif lead == 1:
                self.number(inner + 1, stop, 2)
                inner += 3
            elif lead == 3:
                self.number(inner + 1, stop, 3)
                inner += 4
            elif lead == 2:
                if self.number(inner + 1, stop, 1) == 0x11:
                    _, inner = self.term(inner + 1, stop, scope, frame)
                else:
                    _, inner = self.name(inner + 1, stop)
            else:
                raw = self.data[inner:min(inner + 4, stop)]
                if len(raw) < 4 or not _is_name(raw):
                    raise self.bad(inner, f"{raw.hex(' ')} is no name of a field")
                self.declare(inner, raw.decode("ascii"), scope, "field")
                inner = self.bits(inner + 4, stop)[1]
        return None, stop

    def bits(self, at: int, end: int) -> tuple[int, int]:
        """A count of bits, written as a package length is."""
        lead = self.number(at, end, 1)
        more = lead >> 6
        if not more:
            return lead, at + 1
        return lead & 0xF | self.number(at + 1, end, more) << 4, at + 1 + more

    def create_field(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                     op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        if isinstance(value, Place):
            value = value.get()
        if not isinstance(value, Buffer):
            raise self.bad(at, f"a field is made of {_what(value)}; it is part of a buffer")
        index, behind = self.integer(behind, end, scope, frame)
        if op == 0x5B13:
            size, behind = self.integer(behind, end, scope, frame)
        else:
            size = {0x8A: 32, 0x8B: 16, 0x8C: 8, 0x8D: 1, 0x8F: 64}[op]
        bit = index if op in (0x8D, 0x5B13) else 8 * index
        text, behind = self.name(behind, end)
        if not size or bit + size > 8 * len(value.data):
            raise self.bad(at, f"bits {bit} to {bit + size - 1} of a buffer of {len(value.data)} bytes do not exist")
        made = BufferField(value, bit, size, op == 0x5B13)
        self.declare(at, text, scope, "buffer field", made)
        return None, behind

    # control

    def flow(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        if op in (0xA3, 0xCC):
            return None, behind
        if frame is None:
            raise self.bad(at, f"{ {0xA4: 'Return', 0xA5: 'Break', 0x9F: 'Continue'}[op] } stands outside every method")
        if op == 0xA4:
            value, behind = self.term(behind, end, scope, frame)
            frame.result = value
            frame.state = "return"
        else:
            frame.state = "break" if op == 0xA5 else "continue"
        return None, behind

    def if_op(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        taken, inner = self.integer(inner, stop, scope, frame)
        if taken:
            self.block(inner, stop, scope, frame)
        if stop < end and self.data[stop] == 0xA1:
            inner, stop = self.package_length(stop + 1, end)
            if not taken:
                self.block(inner, stop, scope, frame)
        return None, stop

    def while_op(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        inner, stop = self.package_length(behind, end)
        while True:
            go, body = self.integer(inner, stop, scope, frame)
            if not go:
                break
            self.block(body, stop, scope, frame)
            if frame is None:
                continue
            if frame.state == "continue":
                frame.state = ""
            elif frame.state:
                if frame.state == "break":
                    frame.state = ""
                break
        return None, stop

    # operators

    def store(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        if value is None:
            raise self.bad(at, "nothing is stored")
        target, behind = self.place(behind, end, scope, frame)
        if op == 0x9D and target.node is not None and target.node.kind == "name":
            target.node.value = self.copy(value, at)
        else:
            target.put(value)
        return value, behind

    def binary(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        left, behind = self.integer(behind, end, scope, frame)
        right, behind = self.integer(behind, end, scope, frame)
        if op in (0x78, 0x85) and not right:
            raise self.bad(at, "it divides by zero")
        if op == 0x78:
            rest, behind = self.place(behind, end, scope, frame)
            rest.put(left % right)
        value = {
            0x72: lambda: left + right, 0x74: lambda: left - right, 0x77: lambda: left * right,
            0x78: lambda: left // right, 0x85: lambda: left % right,
            0x79: lambda: left << right if right < 64 else 0, 0x7A: lambda: left >> right if right < 64 else 0,
            0x7B: lambda: left & right, 0x7C: lambda: ~(left & right), 0x7D: lambda: left | right,
            0x7E: lambda: ~(left | right), 0x7F: lambda: left ^ right,
        }[op]() & self.mask
        target, behind = self.place(behind, end, scope, frame)
        target.put(value)
        return value, behind

    def unary(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.integer(behind, end, scope, frame)
        if op == 0x80:
            value = ~value & self.mask
        elif op == 0x81:
            value = value.bit_length()
        else:
            value = (value & -value).bit_length()
        target, behind = self.place(behind, end, scope, frame)
        target.put(value)
        return value, behind

    def count(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        target, behind = self.place(behind, end, scope, frame)
        value = self.to_integer(target.get(), at) + (1 if op == 0x75 else -1) & self.mask
        target.put(value)
        return value, behind

    def logic(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        if op == 0x92:
            only, behind = self.integer(behind, end, scope, frame)
            return 0 if only else self.mask, behind
        left, behind = self.term(behind, end, scope, frame)
        right, behind = self.term(behind, end, scope, frame)
        left = left.get() if isinstance(left, Place) else left
        right = right.get() if isinstance(right, Place) else right
        if op in (0x90, 0x91):
            first, second = self.to_integer(left, at), self.to_integer(right, at)
            value = (first and second) if op == 0x90 else (first or second)
        else:
            a: Any
            b: Any
            if isinstance(left, str):
                a, b = left, self.to_string(right, at)
            elif isinstance(left, Buffer):
                a, b = bytes(left.data), bytes(self.to_buffer(right, at).data)
            else:
                a, b = self.to_integer(left, at), self.to_integer(right, at)
            value = a == b if op == 0x93 else a > b if op == 0x94 else a < b
        return self.mask if value else 0, behind

    def convert(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        made: Any
        if op == 0x96:
            made = self.copy(self.to_buffer(value, at), at)
        elif op == 0x97:
            made = self.to_string(value, at, decimal=True)
        elif op == 0x98:
            made = self.to_string(value, at)
        elif op == 0x99:
            if isinstance(value, str) and not value.lower().startswith("0x"):
                made = int("".join(c for c in value.strip()[:20] if c.isdecimal() and c.isascii()) or "0") & self.mask
            else:
                made = self.to_integer(value, at)
        else:
            length, behind = self.integer(behind, end, scope, frame)
            raw = bytes(self.to_buffer(value, at).data).split(b"\0")[0]
            made = raw[:length].decode("latin-1")
        target, behind = self.place(behind, end, scope, frame)
        target.put(made)
        return made, behind

    def concatenate(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                    op: int) -> tuple[Any, int]:
        left, behind = self.term(behind, end, scope, frame)
        right, behind = self.term(behind, end, scope, frame)
        left = left.get() if isinstance(left, Place) else left
        made: Any
        if op == 0x84:
            first, second = bytes(self.to_buffer(left, at).data), bytes(self.to_buffer(right, at).data)
            made = Buffer(bytearray(_templates(first) + _templates(second) + b"\x79\0"))
        elif isinstance(left, str):
            made = left + self.to_string(right, at)
        else:
            made = Buffer(bytearray(self.to_buffer(left, at).data + self.to_buffer(right, at).data))
        self.small(len(made if isinstance(made, str) else made.data), at)
        target, behind = self.place(behind, end, scope, frame)
        target.put(made)
        return made, behind

    def mid(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        index, behind = self.integer(behind, end, scope, frame)
        length, behind = self.integer(behind, end, scope, frame)
        made: Any
        if isinstance(value, str):
            made = value[index:index + length]
        else:
            made = Buffer(self.to_buffer(value, at).data[index:index + length])
        target, behind = self.place(behind, end, scope, frame)
        target.put(made)
        return made, behind

    def index(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        if isinstance(value, Place):
            value = value.get()
        number, behind = self.integer(behind, end, scope, frame)
        target, behind = self.place(behind, end, scope, frame)
        if isinstance(value, Package):
            elements = value
            if number >= len(elements):
                raise self.bad(at, f"element {number} of a package of {len(elements)} does not exist")

            def put_element(new: Any) -> None:
                elements[number] = self.copy(new, at)

            def get_element() -> Any:
                element = elements[number]
                if isinstance(element, Name):
                    node = self.find(element.text, element.scope)
                    if node is None:
                        raise self.bad(element.offset, f"{_asl(element.text)} is named and declared nowhere")
                    return node.value if node.kind == "name" else node
                return element

            place = Place(get_element, put_element)
        elif isinstance(value, Buffer):
            raw = value.data
            if number >= len(raw):
                raise self.bad(at, f"byte {number} of a buffer of {len(raw)} does not exist")

            def put_byte(new: Any) -> None:
                raw[number] = self.to_integer(new, at) & 0xFF

            place = Place(lambda: raw[number], put_byte)
        else:
            raise self.bad(at, f"an element of {_what(value)} is asked for; packages and buffers have elements")
        if target is not NOWHERE:
            target.put(place)
        return place, behind

    def match(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        package, behind = self.term(behind, end, scope, frame)
        if isinstance(package, Place):
            package = package.get()
        if not isinstance(package, Package):
            raise self.bad(at, f"{_what(package)} is searched; packages are")
        tests = []
        for _ in range(2):
            kind = self.number(behind, end, 1)
            if kind > 5:
                raise self.bad(behind, f"{kind} is no comparison of Match; it is 0 to 5")
            wanted, behind = self.integer(behind + 1, end, scope, frame)
            tests.append((kind, wanted))
        start, behind = self.integer(behind, end, scope, frame)
        for number in range(start, len(package)):
            self.step(at)
            element = package[number]
            if isinstance(element, int) and all(
                    (True, element == wanted, element <= wanted, element < wanted, element >= wanted,
                     element > wanted)[kind] for kind, wanted in tests):
                return number, behind
        return self.mask, behind

    def bcd(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        value, behind = self.integer(behind, end, scope, frame)
        if op == 0x5B29:
            value = int(str(value), 16)
            if value > self.mask:
                raise self.bad(at, "a number has more digits than an integer holds in BCD")
        elif not f"{value:x}".isdecimal():
            raise self.bad(at, f"{value:#x} is no number in BCD")
        else:
            value = int(f"{value:x}")
        target, behind = self.place(behind, end, scope, frame)
        target.put(value)
        return value, behind

    def reference(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        """RefOf and CondRefOf."""
        if op == 0x5B12:
            lead = self.number(behind, end, 1)
            if self.starts_name(lead):
                text, after = self.name(behind, end)
                if self.find(text, scope) is None:
                    _, after = self.place(after, end, scope, frame)
                    return 0, after
            place, behind = self.place(behind, end, scope, frame)
            target, behind = self.place(behind, end, scope, frame)
            target.put(place)
            return self.mask, behind
        return self.place(behind, end, scope, frame)

    def dereference(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                    op: int) -> tuple[Any, int]:
        value, behind = self.term(behind, end, scope, frame)
        if isinstance(value, str):
            node = self.find(".".join(part.ljust(4, "_") if part and part != "\\" else part
                                      for part in value.split(".")), scope)
            if node is None:
                raise self.bad(at, f"{value} is named and declared nowhere")
            value = self.named(node, at)
        if not isinstance(value, Place):
            raise self.bad(at, f"{_what(value)} stands where a reference is needed")
        found = value.get()
        if found is None:
            raise self.bad(at, "a reference leads to an element that was never set")
        return found, behind

    def size_of(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        place, behind = self.place(behind, end, scope, frame)
        if op == 0x8E and place.node is not None and place.node.kind != "name":
            return TYPES.get(place.node.kind, 0), behind
        value = place.get()
        while isinstance(value, Place):
            self.step(at)
            value = value.get()
        if op == 0x8E:
            kinds = ((int, 1), (str, 2), (Buffer, 3), (Package, 4))
            return next((number for kind, number in kinds if isinstance(value, kind)),
                        TYPES.get(value.kind, 0) if isinstance(value, Object) else 0), behind
        if isinstance(value, Buffer):
            return len(value.data), behind
        if isinstance(value, (str, Package)):
            return len(value), behind
        raise self.bad(at, f"SizeOf is asked of {_what(value)}; strings, buffers and packages have a size")

    def synchronise(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None,
                    op: int) -> tuple[Any, int]:
        """Acquire, Release, Sleep, Stall and Notify: nobody else runs, and nobody is told."""
        if op == 0x5B23:
            _, behind = self.place(behind, end, scope, frame)
            self.number(behind, end, 2)
            return 0, behind + 2
        if op in (0x5B27, 0x86):
            _, behind = self.place(behind, end, scope, frame)
        if op != 0x5B27:
            _, behind = self.integer(behind, end, scope, frame)
        return None, behind

    def debug(self, at: int, behind: int, end: int, scope: Object, frame: Frame | None, op: int) -> tuple[Any, int]:
        return NOWHERE, behind


Handler = Callable[[Interpreter, int, int, int, Object, "Frame | None", int], tuple[Any, int]]
HANDLERS: dict[int, Handler] = {
    **dict.fromkeys((0x00, 0x01, 0x0A, 0x0B, 0x0C, 0x0E, 0xFF, 0x5B30), Interpreter.constant),
    **dict.fromkeys(range(0x60, 0x6F), Interpreter.local),
    **dict.fromkeys((0x5B82, 0x5B83, 0x5B84, 0x5B85), Interpreter.device),
    **dict.fromkeys((0x5B01, 0x5B02, 0x5B80), Interpreter.simple),
    **dict.fromkeys((0x5B81, 0x5B86, 0x5B87), Interpreter.fields),
    **dict.fromkeys((0x8A, 0x8B, 0x8C, 0x8D, 0x8F, 0x5B13), Interpreter.create_field),
    **dict.fromkeys((0x9F, 0xA3, 0xA4, 0xA5, 0xCC), Interpreter.flow),
    **dict.fromkeys((0x70, 0x9D), Interpreter.store),
    **dict.fromkeys((0x72, 0x74, 0x77, 0x78, 0x79, 0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F, 0x85), Interpreter.binary),
    **dict.fromkeys((0x80, 0x81, 0x82), Interpreter.unary),
    **dict.fromkeys((0x75, 0x76), Interpreter.count),
    **dict.fromkeys((0x90, 0x91, 0x92, 0x93, 0x94, 0x95), Interpreter.logic),
    **dict.fromkeys((0x96, 0x97, 0x98, 0x99, 0x9C), Interpreter.convert),
    **dict.fromkeys((0x73, 0x84), Interpreter.concatenate),
    **dict.fromkeys((0x71, 0x5B12), Interpreter.reference),
    **dict.fromkeys((0x87, 0x8E), Interpreter.size_of),
    **dict.fromkeys((0x86, 0x5B21, 0x5B22, 0x5B23, 0x5B27), Interpreter.synchronise),
    **dict.fromkeys((0x5B28, 0x5B29), Interpreter.bcd),
    0x06: Interpreter.alias,
    0x08: Interpreter.name_op,
    0x0D: Interpreter.string,
    0x10: Interpreter.scope_op,
    0x11: Interpreter.buffer,
    0x12: Interpreter.package,
    0x13: Interpreter.package,
    0x14: Interpreter.method,
    0x15: Interpreter.external,
    0x83: Interpreter.dereference,
    0x88: Interpreter.index,
    0x89: Interpreter.match,
    0x9E: Interpreter.mid,
    0xA0: Interpreter.if_op,
    0xA2: Interpreter.while_op,
    0x5B31: Interpreter.debug,
}
"""What executes each opcode; one of two bytes is 0x5B00 plus the second."""


def _templates(raw: bytes) -> bytes:
    """A resource template without its end tag."""
    return raw[:-2] if len(raw) >= 2 and raw[-2] == 0x79 else raw


def _is_name(raw: bytes) -> bool:
    return not 0x30 <= raw[0] <= 0x39 and all(c == 0x5F or 0x30 <= c <= 0x39 or 0x41 <= c <= 0x5A for c in raw)


def _opcode(op: int) -> str:
    return f"0x{op:04x}" if op > 0xFF else f"0x{op:02x}"


def _asl(text: str) -> str:
    """A name as ASL writes it."""
    bare = text.lstrip("\\^")
    return text[:len(text) - len(bare)] + ".".join(trimmed(part) for part in bare.split(".") if part)


def _what(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Object):
        return f"the {value.kind} {value.path}"
    names = {int: "an integer", str: "a string", Buffer: "a buffer", Package: "a package", Place: "a reference"}
    return names.get(type(value), "a name")
