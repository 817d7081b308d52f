# SPDX-License-Identifier: GPL-2.0-only
"""AML, written: as much of it as a table that describes devices takes (names, integers, strings, packages, resource templates).

The counterpart of :func:`hidma.firmware.aml.parse`. It encodes what the ACPI specification calls NameOp, PackageOp, BufferOp and
DeviceOp; methods and fields are not its business.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hidma.firmware.acpi import PROPERTIES_UUID

HEADER = struct.Struct("<4sIBB6s8sI4sI")

Value: TypeAlias = "int | str | bytes | Sequence[Value]"


def table(signature: str, oem: str, name: str, *terms: bytes) -> bytes:
    """A definition block with its header and checksum.

    :param signature: four letters, such as ``SSDT``
    :param oem: up to six letters of the table's author
    :param name: up to eight letters, the table's own name
    """
    body = b"".join(terms)
    head = HEADER.pack(signature.encode(), HEADER.size + len(body), 2, 0, oem.encode().ljust(6), name.encode().ljust(8), 1,
                       b"HIDM", 1)
    data = bytearray(head + body)
    data[9] = -sum(data) & 0xFF
    return bytes(data)


def package_length(size: int) -> bytes:
    """The length of a package of ``size`` bytes behind it, which counts itself."""
    if size + 1 < 0x40:
        return bytes([size + 1])
    for more in (1, 2, 3):
        total = size + 1 + more
        if total < 1 << (4 + 8 * more):
            return bytes([more << 6 | total & 0xF]) + (total >> 4).to_bytes(more, "little")
    raise ValueError(f"a package of {size} bytes is larger than AML can say")


def segment(name: str) -> bytes:
    """The four letters of a name; a path begins with ``\\``."""
    root, name = (b"\\", name[1:]) if name.startswith("\\") else (b"", name)
    if not 1 <= len(name) <= 4:
        raise ValueError(f"a name of AML has one to four letters, not {name!r}")
    return root + name.ljust(4, "_").encode("ascii")


def value(item: Value) -> bytes:
    """An integer, a string, a buffer (``bytes``) or a package of these."""
    if isinstance(item, int):
        if item in (0, 1):
            return bytes([item])
        for opcode, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
            if 0 <= item < 1 << 8 * size:
                return bytes([opcode]) + item.to_bytes(size, "little")
        raise ValueError(f"{item:#x} is no integer of 64 bits")
    if isinstance(item, str):
        return b"\x0d" + item.encode("ascii") + b"\0"
    if isinstance(item, bytes):
        body = value(len(item)) + item
        return b"\x11" + package_length(len(body)) + body
    body = bytes([len(item)]) + b"".join(value(element) for element in item)
    return b"\x12" + package_length(len(body)) + body


def name(label: str, item: Value) -> bytes:
    """``Name (label, item)``."""
    return b"\x08" + segment(label) + value(item)


def _block(opcode: bytes, label: str, terms: Sequence[bytes]) -> bytes:
    body = segment(label) + b"".join(terms)
    return opcode + package_length(len(body)) + body


def scope(label: str, *terms: bytes) -> bytes:
    """``Scope (label) { terms }``."""
    return _block(b"\x10", label, terms)


def device(label: str, *terms: bytes) -> bytes:
    """``Device (label) { terms }``."""
    return _block(b"\x5b\x82", label, terms)


def properties(pairs: Mapping[str, Value]) -> bytes:
    """``_DSD`` with device properties."""
    return name("_DSD", [PROPERTIES_UUID, [[key, item] for key, item in pairs.items()]])


def resources(memory: Sequence[tuple[int, int]], interrupts: Sequence[int] = ()) -> bytes:
    """``_CRS``: memory at fixed addresses, level interrupts that are active high.

    :param memory: address and bytes of each region
    :param interrupts: the numbers that the interrupt controller gives them (an SPI's is 32 more)
    """
    out = b"".join(b"\x8a\x2b\0\0\x0d\x01" + struct.pack("<5Q", 0, base, base + size - 1, 0, size) for base, size in memory)
    out += b"".join(b"\x89\x06\0\x01\x01" + struct.pack("<I", number) for number in interrupts)
    return name("_CRS", out + b"\x79\0")
