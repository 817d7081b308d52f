# SPDX-License-Identifier: GPL-2.0-only
"""ACPI tables: DSDT and SSDT as compiled AML, read into a namespace whose objects can be evaluated.

It stands for what ACPICA does in Linux 4.5 before the ACPI bus is scanned: tables checked, named objects created, _INI
run, methods interpreted. It knows no device and decodes no resources; :mod:`hidma.firmware.acpi` does. A table is
somebody else's file: every length is checked before it is used, work and depth are limited, and whatever is wrong with it
ends in one :class:`FirmwareError` with the offset in the file, never in another exception. There is no hardware behind it:
what reads or writes an operation region is refused, and so are Load, Unload, LoadTable, Fatal, Wait and Timer.

As in ACPICA, the arguments of an operation region, and a buffer or a package whose size cannot be evaluated yet, wait until
every table is loaded, and an error there loses that object only; an SSDT that cannot be loaded is left out with a remark, and
what it declared goes with it. Without the DSDT, the first table, there is no namespace.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hidma.firmware.amlobjects import (
    NOWHERE,
    Buffer,
    Code,
    Deferred,
    Frame,
    Name,
    Object,
    Package,
    Place,
    Table,
    asl,
    is_name,
    opcode,
    what,
)
from hidma.firmware.fdt import ACPI_SIGNATURES, FirmwareError

Handler = Callable[["Interpreter", int, int, int, Object, "Frame | None", int], tuple[Any, int]]
HANDLERS: dict[int, Handler] = {}
"""What executes each opcode; one of two bytes is 0x5B00 plus the second. :mod:`hidma.firmware.amlterms` fills it."""

HEADER_BYTES = 36
DATA_TABLES = (b"IORT",)
"""Tables without AML that are read, behind the first of AML."""
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
    0x5B2A: "Unload", 0x5B32: "Fatal", 0x5B33: "Timer",
}
"""Opcodes that exist and are not executed here."""


@dataclass(eq=False)
class Namespace:
    """What the tables of a file declare; ``source`` is the file name that sentences use."""

    source: str
    tables: tuple[Table, ...]
    root: Object
    data: bytes = field(repr=False)
    remarks: list[str] = field(default_factory=list, repr=False)
    """What was left out, and why."""
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
        below = node.child(name.ljust(4, "_")) if name is not None else None
        offset = below.offset if below is not None else node.offset
        path = node.path if name is None else f"{node.path}.{name}" if node.parent is not None else f"\\{name}"
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


def parse(data: bytes, source: str = "ACPI table") -> Namespace:
    """Read a file of one DSDT or SSDT, or of several tables behind one another, and load them in this order.

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
        if table.signature.encode() in ACPI_SIGNATURES:
            interpreter.load(table)
    interpreter.initialise()
    return namespace


def _table(data: bytes, at: int, source: str) -> Table:
    def bad(offset: int, what: str) -> FirmwareError:
        return FirmwareError(f"{source}: offset {offset:#x}: {what}.")

    if len(data) > MAX_BYTES:
        raise bad(MAX_BYTES, f"the file goes on beyond {MAX_BYTES} bytes, which is more than any firmware has")
    signature = data[at:at + 4]
    if signature not in ACPI_SIGNATURES and not (at and signature in DATA_TABLES):
        if len(signature) == 4 and all(c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_!" for c in signature):
            raise bad(at, f"the table {signature.decode()} is not read{' before a DSDT' if signature in DATA_TABLES else ''}; give "
                          "the DSDT, then SSDT and IORT")
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
    if revision < 1 and signature in ACPI_SIGNATURES:
        raise bad(at + 8, "revision 0 is none of a DSDT or SSDT; it is 1 (32-bit integers) or 2")
    oem, oem_table, oem_revision, creator, creator_revision = struct.unpack_from("<6s8sI4sI", data, at + 10)

    def text(raw: bytes) -> str:
        read = raw.split(b"\0")[0].decode("ascii", "replace").rstrip()
        return "".join(char if char.isprintable() else "?" for char in read)

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
        self.declared: list[Object] = []
        """What the table that is being loaded has declared."""
        self.waiting: list[Deferred] = []
        """What is evaluated when every table is loaded."""

    def load(self, table: Table) -> None:
        """Load a table of AML. An SSDT behind the first table that cannot be loaded is left out, with what it has declared.

        Raises FirmwareError: it is the first table.
        """
        self.declared = []
        waiting = len(self.waiting)
        try:
            self.block(table.offset + HEADER_BYTES, table.offset + table.length, self.root, None)
        except FirmwareError as error:
            if not table.offset:
                raise
            self.nesting = 0
            del self.waiting[waiting:]
            for node in reversed(self.declared):
                if node.parent is not None and node.parent.children.get(node.name) is node:
                    del node.parent.children[node.name]
            self.namespace.remarks.append(f"{error.sentence.rstrip('.')}; the table {table.signature} {table.oem_table_id} at "
                                          f"offset {table.offset:#x} cannot be loaded and is left out.")

    def settle(self) -> None:
        """Evaluate what had to wait for the last table; what cannot be evaluated is lost, with a remark."""
        for deferred in self.waiting:
            try:
                deferred.evaluate(self)
            except FirmwareError as error:
                self.nesting = 0
                self.namespace.remarks.append(f"{error.sentence.rstrip('.')}; Linux goes on from here, and {deferred.node.path} "
                                              "is left out.")
        self.waiting = []

    # --- reading ----------------------------------------------------------------------------------------------

    def bad(self, at: int, what: str) -> FirmwareError:
        """What is wrong, with its offset."""
        return FirmwareError(f"{self.namespace.source}: offset {at:#x}: {what}.")

    def number(self, at: int, end: int, size: int) -> int:
        """``size`` bytes as a number, the lowest first."""
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
            if len(raw) < 4 or not is_name(raw):
                raise self.bad(at, f"{raw.hex(' ') or 'nothing'} is no name; one has four of A to Z, 0 to 9 and _, and "
                                   "begins with no digit")
            parts.append(raw.decode("ascii"))
            at += 4
        return prefix + ".".join(parts), at

    def starts_name(self, op: int) -> bool:
        """Whether a byte begins a name."""
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
        """A new object in the namespace; what stands above it must be there."""
        bare = text.lstrip("\\^")
        *above, own = bare.split(".")
        if not own:
            raise self.bad(at, "an object is declared without a name")
        prefix = text[:len(text) - len(bare)]
        parent = self.find(prefix, scope) if prefix else scope
        for part in above:
            parent = parent.child(part) if parent is not None else None
        if parent is None:
            raise self.bad(at, f"{asl(text)} is declared and what stands above it is not")
        before = parent.children.get(own)
        if before is not None:
            raise self.bad(at, f"{before.path} is declared a second time; it was at {before.offset:#x}"
                               if before.offset else f"{before.path} is declared and every namespace has it already")
        node = Object(own, kind, parent, at, value)
        parent.children[own] = node
        self.declared.append(node)
        return node

    def initialise(self) -> None:
        """Evaluate what waits, then run _INI of what is there, from the top, as acpi_initialize_objects() does."""
        self.settle()
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
                raise self.bad(value.offset, f"{asl(value.text)} is named and declared nowhere")
            return self.plain(self.value_of(node, at, []), at, depth + 1) if node.kind == "name" else node
        if isinstance(value, Place):
            return value.node if value.node is not None else self.plain(value.get(), at, depth + 1)
        return value

    def value_of(self, node: Object, at: int, arguments: list[Any]) -> Any:
        """What reading an object gives; a method is called."""
        if node.kind == "name":
            if isinstance(node.value, Deferred):
                node.value.evaluate(self)
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
        """Run a method: what it returns, None if nothing."""
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
        """One more term was executed."""
        self.steps -= 1
        if self.steps < 0:
            raise self.bad(at, f"it does not end within {MAX_STEPS} terms; a loop that waits for something?")

    def deeper(self, at: int) -> None:
        """One level of terms more."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.bad(at, f"terms lie more than {MAX_NESTING} deep")

    def block(self, at: int, end: int, scope: Object, frame: Frame | None) -> None:
        """Execute terms up to ``end``, or until the frame leaves."""
        self.deeper(at)
        while at < end and not (frame is not None and frame.state):
            at = self.term(at, end, scope, frame)[1]
        self.nesting -= 1

    def integer(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[int, int]:
        """A term whose value is an integer, or becomes one."""
        value, behind = self.term(at, end, scope, frame)
        return self.to_integer(value, at), behind

    def fetched(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Any, int]:
        """A term; of a reference, what it leads to."""
        value, behind = self.term(at, end, scope, frame)
        return value.get() if isinstance(value, Place) else value, behind

    def stored(self, value: Any, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Any, int]:
        """Store ``value`` in the target at ``at``, which ends a term; the value and the offset behind."""
        target, behind = self.place(at, end, scope, frame)
        target.put(value)
        return value, behind

    def to_integer(self, value: Any, at: int) -> int:
        """The implicit conversion to an integer: a string is hexadecimal."""
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
        raise self.bad(at, f"{what(value)} stands where an integer is needed")

    def to_buffer(self, value: Any, at: int) -> Buffer:
        """The implicit conversion to a buffer."""
        if isinstance(value, Place):
            value = value.get()
        if isinstance(value, Buffer):
            return value
        if isinstance(value, int):
            return Buffer(bytearray((value & self.mask).to_bytes(self.mask.bit_length() // 8, "little")))
        if isinstance(value, str):
            return Buffer(bytearray(value.encode("latin-1", "replace") + b"\0"))
        raise self.bad(at, f"{what(value)} stands where a buffer is needed")

    def to_string(self, value: Any, at: int, decimal: bool = False) -> str:
        """The implicit conversion to a string, hexadecimal unless said."""
        if isinstance(value, Place):
            value = value.get()
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return str(value & self.mask) if decimal else f"{value & self.mask:0{self.mask.bit_length() // 4}X}"
        if isinstance(value, Buffer):
            self.small(5 * len(value.data), at)
            return ",".join(str(b) if decimal else f"0x{b:02X}" for b in value.data)
        raise self.bad(at, f"{what(value)} stands where a string is needed")

    def small(self, size: int, at: int) -> int:
        """An object of this size may be made; all sizes are counted together."""
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
                    self.nesting += 1
                    if self.nesting > MAX_NESTING:
                        raise self.bad(at, "a reference leads to itself")
                    old.put(value)
                    self.nesting -= 1
                else:
                    values[index] = self.copy(value, at)

            return Place(lambda: values[index], put), at + 1
        if op == 0x5B and self.number(at + 1, end, 1) == 0x31:
            return NOWHERE, at + 2
        if self.starts_name(op):
            text, behind = self.name(at, end)
            node = self.find(text, scope)
            if node is None:
                raise self.bad(at, f"{asl(text)} is named and declared nowhere")
            return self.named(node, at), behind
        value, behind = self.term(at + 1 if op == 0x83 else at, end, scope, frame)
        if isinstance(value, Place):
            return value, behind
        if isinstance(value, Object):
            return self.named(value, at), behind
        raise self.bad(at, f"{what(value)} stands where something can be stored")

    def named(self, node: Object, at: int) -> Place:
        """A named object as a place."""
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

    def bits(self, at: int, end: int) -> tuple[int, int]:
        """A count of bits, written as a package length is."""
        lead = self.number(at, end, 1)
        more = lead >> 6
        if not more:
            return lead, at + 1
        return lead & 0xF | self.number(at + 1, end, more) << 4, at + 1 + more

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
                raise self.bad(at, f"{REFUSED[op]} (opcode {opcode(op)}) is not supported")
            raise self.bad(at, f"{opcode(op)} is no opcode of AML")
        self.deeper(at)
        result = handler(self, at, at + (2 if op > 0xFF else 1), end, scope, frame, op)
        self.nesting -= 1
        return result

    def use(self, at: int, end: int, scope: Object, frame: Frame | None) -> tuple[Any, int]:
        """A name where a term may stand: a value, or a call."""
        text, behind = self.name(at, end)
        node = self.find(text, scope)
        if node is None:
            raise self.bad(at, f"{asl(text) or 'an empty name'} is named and declared nowhere")
        if node.kind != "method":
            return self.value_of(node, at, []), behind
        arguments = []
        self.deeper(at)
        for _ in range(node.value.arguments):
            value, behind = self.term(behind, end, scope, frame)
            arguments.append(value)
        value = self.call(node, at, arguments)
        self.nesting -= 1
        return value, behind
