# SPDX-License-Identifier: GPL-2.0-only
"""Resource templates: what _CRS of an ACPI device returns, decoded into memory, interrupts and the rest.

It stands for ``drivers/acpi/acpica/rs*.c`` and ``drivers/acpi/resource.c`` of Linux 4.5, as far as devices with memory
and interrupts need it. Other descriptors are named and kept as what they are; one that is malformed raises ValueError
with its offset in the template.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SMALL = {0x04: "IRQ", 0x05: "DMA", 0x06: "StartDependentFn", 0x07: "EndDependentFn", 0x08: "IO", 0x09: "FixedIO",
         0x0A: "FixedDMA", 0x0E: "VendorShort", 0x0F: "EndTag"}
LARGE = {0x01: "Memory24", 0x02: "Register", 0x04: "VendorLong", 0x05: "Memory32", 0x06: "Memory32Fixed", 0x07: "DWord",
         0x08: "Word", 0x09: "Interrupt", 0x0A: "QWord", 0x0B: "Extended", 0x0C: "GpioInt", 0x0D: "PinFunction",
         0x0E: "SerialBus", 0x0F: "PinConfig", 0x10: "PinGroup", 0x11: "PinGroupFunction", 0x12: "PinGroupConfig"}
LENGTHS = {"IRQ": (2, 3), "DMA": (2, 2), "StartDependentFn": (0, 1), "EndDependentFn": (0, 0), "IO": (7, 7),
           "FixedIO": (3, 3), "FixedDMA": (5, 5), "EndTag": (1, 1), "Memory24": (9, 9), "Register": (12, 12),
           "Memory32": (17, 17), "Memory32Fixed": (9, 9), "Word": (13, 0xFFFF), "DWord": (23, 0xFFFF),
           "QWord": (43, 0xFFFF), "Extended": (53, 53), "Interrupt": (6, 0xFFFF)}
"""Bytes behind the header of a descriptor, from and to."""
SPACES = ("Memory", "IO", "BusNumber")


class Descriptor(NamedTuple):
    """One descriptor.

    ``kind`` is as ASL calls it without what every one of a family shares; ``offset`` is in the template. ``memory`` is
    (base, bytes) or None; ``irqs`` are interrupt numbers, with ``edge``, ``low`` (polarity) and ``shared``.
    """

    kind: str
    offset: int
    memory: tuple[int, int] | None = None
    irqs: tuple[int, ...] = ()
    edge: bool = False
    low: bool = False
    shared: bool = False


def decode(template: bytes) -> list[Descriptor]:
    """The descriptors of a template, up to its end tag.

    Raises ValueError(offset, sentence) if it is malformed.
    """
    found: list[Descriptor] = []
    at = 0
    while at < len(template):
        kind, body, length = _header(template, at)
        if kind == "EndTag":
            if template[at + 1] and sum(template[:at + 2]) & 0xFF:
                raise ValueError(at, f"the checksum of its end tag is wrong ({template[at + 1]:#04x})")
            return found
        raw = template[body:body + length]
        found.append(_descriptor(kind, at, raw))
        at = body + length
    raise ValueError(len(template), "it has no end tag")


def _header(template: bytes, at: int) -> tuple[str, int, int]:
    """(kind, offset of the body, its length)."""
    tag = template[at]
    if tag & 0x80:
        if at + 3 > len(template):
            raise ValueError(at, "it ends inside a descriptor")
        kind, body, length = LARGE.get(tag & 0x7F), at + 3, int.from_bytes(template[at + 1:at + 3], "little")
    else:
        kind, body, length = SMALL.get(tag >> 3), at + 1, tag & 7
    if kind is None:
        raise ValueError(at, f"{tag:#04x} begins no descriptor")
    if body + length > len(template):
        raise ValueError(at, f"a descriptor ({kind}) has {length} bytes and {len(template) - body} are there")
    least, most = LENGTHS.get(kind, (0, 0xFFFF))
    if not least <= length <= most:
        raise ValueError(at, f"a descriptor ({kind}) has {length} bytes where "
                             f"{least if least == most else f'{least} or more'} are right")
    return kind, body, length


def _descriptor(kind: str, at: int, raw: bytes) -> Descriptor:
    if kind == "Memory32Fixed":
        return Descriptor(kind, at, struct.unpack_from("<II", raw, 1))
    if kind in ("Memory32", "Memory24"):
        low, high, _, size = struct.unpack_from("<IIII" if kind == "Memory32" else "<HHHH", raw, 1)
        scale = 0 if kind == "Memory32" else 8
        if low != high:
            raise ValueError(at, f"a descriptor ({kind}) leaves its address open ({low << scale:#x} to "
                                 f"{high << scale:#x}); current resources have one")
        return Descriptor(kind, at, (low << scale, size << scale))
    if kind in ("Word", "DWord", "QWord", "Extended"):
        return _space(kind, at, raw)
    if kind == "IRQ":
        mask = int.from_bytes(raw[:2], "little")
        flags = raw[2] if len(raw) > 2 else 1
        return Descriptor(kind, at, None, tuple(n for n in range(16) if mask >> n & 1), bool(flags & 1),
                          bool(flags & 8), bool(flags & 0x10))
    if kind == "Interrupt":
        flags, count = raw[0], raw[1]
        if not count or 2 + 4 * count > len(raw):
            raise ValueError(at, f"a descriptor ({kind}) says {count} interrupts and has {len(raw)} bytes")
        if len(raw) > 2 + 4 * count + 1:
            raise ValueError(at, f"a descriptor ({kind}) names a source of its interrupts; only those of the system's own "
                                 "interrupt controller are known here")
        return Descriptor(kind, at, None, struct.unpack_from(f"<{count}I", raw, 2), bool(flags & 2), bool(flags & 4),
                          bool(flags & 8))
    return Descriptor(kind, at)


def _space(kind: str, at: int, raw: bytes) -> Descriptor:
    """An address space descriptor; what is no memory is kept without its address."""
    code = {"Word": "H", "DWord": "I", "QWord": "Q", "Extended": "Q"}[kind]
    space, general = raw[0], raw[1]
    name = kind + (SPACES[space] if space < len(SPACES) else "Space")
    if space:
        return Descriptor(name, at)
    start = 5 if kind == "Extended" else 3
    _, low, high, moved, size = struct.unpack_from(f"<5{code}", raw, start)
    if moved:
        raise ValueError(at, f"a descriptor ({name}) translates addresses by {moved:#x}, which is not known here")
    if general & 0xC == 0xC and size and low + size - 1 != high:
        raise ValueError(at, f"a descriptor ({name}) goes from {low:#x} to {high:#x} and says {size:#x} bytes")
    return Descriptor(name, at, (low, size))
