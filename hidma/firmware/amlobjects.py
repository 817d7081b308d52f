# SPDX-License-Identifier: GPL-2.0-only
"""Objects of an ACPI namespace, and the values that they have while AML is executed.

They stand for ``union acpi_operand_object`` and ``struct acpi_namespace_node`` of ACPICA. :mod:`hidma.firmware.aml` makes
and evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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


class Deferred(NamedTuple):
    """What could not be evaluated where it stands in a table, and is once every table is loaded: the value of ``node``, or the
    arguments of an operation region."""

    node: Object
    evaluate: Callable[[Any], None]


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
    """Bits of a buffer, as CreateDWordField makes them; those of CreateField, and those that are longer than an integer, are read
    as a buffer (``as_buffer``), as ACPICA does since 2020."""

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


class Place(NamedTuple):
    """Somewhere a value can be read and stored: a local, an argument, a named object, an element."""

    get: Callable[[], Any]
    put: Callable[[Any], None]
    node: Object | None = None


NOWHERE = Place(lambda: 0, lambda value: None)


@dataclass(eq=False, slots=True)
class Frame:
    """One call of a method. ``state`` is "" while it goes on, "return", "break" or "continue"."""

    method: Object
    arguments: list[Any]
    locals: list[Any] = field(default_factory=lambda: [None] * 8)
    state: str = ""
    result: Any = None


def trimmed(name: str) -> str:
    """A name without the underscores that fill it up to four characters."""
    return name.rstrip("_") or "_"


def is_name(raw: bytes) -> bool:
    return not 0x30 <= raw[0] <= 0x39 and all(c == 0x5F or 0x30 <= c <= 0x39 or 0x41 <= c <= 0x5A for c in raw)


def opcode(op: int) -> str:
    return f"0x{op:04x}" if op > 0xFF else f"0x{op:02x}"


def asl(text: str) -> str:
    """A name as ASL writes it."""
    bare = text.lstrip("\\^")
    return text[:len(text) - len(bare)] + ".".join(trimmed(part) for part in bare.split(".") if part)


def what(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Object):
        return f"the {value.kind} {value.path}"
    names = {int: "an integer", str: "a string", Buffer: "a buffer", Package: "a package", Place: "a reference"}
    return names.get(type(value), "a name")
