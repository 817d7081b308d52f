# SPDX-License-Identifier: GPL-2.0-only
"""Which kind of firmware a file holds, a device tree or ACPI tables, and what both have in common: reading and describing.

It stands for no C file. :mod:`hidma.firmware.fdt` and :mod:`hidma.firmware.aml` read, :mod:`hidma.firmware.board` and
:mod:`hidma.firmware.acpi` describe.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from hidma.firmware import board, fdt
from hidma.firmware.board import Board, RamRequest
from hidma.firmware.fdt import ENOENT, FirmwareError, Tree

if TYPE_CHECKING:
    from hidma.firmware.aml import Namespace

BOARDS = ("host", "guest", "binding-example", "acpi", "acpi-guest")
"""Boards that come with the package: device trees as .dts and .dtb, ACPI tables as .asl and .aml."""
ACPI_BOARDS = ("acpi", "acpi-guest")

ACPIDUMP = re.compile(rb"\s*[A-Z0-9]{4} @ (0x)?[0-9A-Fa-f]{8,16}\s*\n\s+0000: ")

_DIRECTORY = Path(__file__).resolve().parent.parent / "boards"
_IASL_PLACE = re.compile(r"^(?P<file>.+?)\((?P<line>\d+)\) : (?P<kind>error|Error) +\d+ - (?P<text>.*)$")


def bundled(name: str, suffix: str | None = None) -> Path:
    """Path of a bundled board's file; ``suffix`` is ``.dtb`` or ``.aml`` where it is not given, ``.dts`` or ``.asl`` is its
    source."""
    return _DIRECTORY / f"{name}{suffix or ('.aml' if name in ACPI_BOARDS else '.dtb')}"


@overload
def load(path: Literal["host", "guest", "binding-example"]) -> Tree: ...


@overload
def load(path: Literal["acpi", "acpi-guest"]) -> Namespace: ...


@overload
def load(path: str | os.PathLike[str]) -> Tree | Namespace: ...


def load(path: str | os.PathLike[str]) -> Tree | Namespace:
    """Read firmware.

    Parameters:
        path: a .dtb or .aml (read here), a .dts or .asl (compiled by dtc or iasl, which must be installed), or the name of
            a bundled board. The content tells a .dtb and an .aml from a source. An .aml may hold several tables behind one
            another, the DSDT first. A bundled name wins over a file of the same name; ``./host`` is the file.

    Returns a device tree or an ACPI namespace. Raises FirmwareError: no such file (its errno), no firmware, damaged, no
    compiler, or the compiler's refusal.
    """
    name = os.fspath(path)
    if name in BOARDS:
        return parse(bundled(name).read_bytes(), bundled(name).name)
    data = fdt.read_file(name, BOARDS)
    if ACPIDUMP.match(data):
        raise FirmwareError(f"{name}: this is the text of acpidump, which holds tables as hexadecimal digits; acpixtract makes "
                            f"tables of it (acpixtract -a {name}), of which dsdt.dat is given here, or the DSDT and the SSDTs "
                            "behind one another in one .aml.")
    if data[:4] == fdt.FDT_MAGIC.to_bytes(4, "big"):
        return fdt.parse(data, name)
    if data[:4] in fdt.ACPI_SIGNATURES or name.endswith(".aml"):
        return parse_tables(data, name)
    if name.endswith((".dts", ".dtsi")) or (b"/dts-v1/" in data and not name.endswith(".asl")):
        return fdt.parse(fdt.compile_dts(name, data), name)
    if name.endswith(".asl") or b"DefinitionBlock" in data:
        return parse_tables(_compile_asl(name, data), name)
    start = data[:4].hex(" ") or "nothing"
    raise FirmwareError(f"{name}: this is no firmware, it begins with {start}; a .dtb begins with d0 0d fe ed, a .dts "
                        "contains /dts-v1/, an .aml begins with DSDT or SSDT, an .asl contains DefinitionBlock.")


def parse(blob: bytes, source: str | None = None) -> Tree | Namespace:
    """Read the bytes of a device tree blob, or of ACPI tables.

    Parameters:
        blob: the bytes.
        source: file name for sentences; an ``.aml`` is never taken for a device tree.

    Returns a device tree or an ACPI namespace. Raises FirmwareError with the offset of what is wrong.
    """
    blob = bytes(blob)
    if blob[:4] in fdt.ACPI_SIGNATURES or (source is not None and source.endswith(".aml")):
        return parse_tables(blob, source or "ACPI table")
    return fdt.parse(blob, source or "device tree")


def parse_tables(data: bytes, name: str) -> Namespace:
    """:func:`hidma.firmware.aml.parse`. The interpreter takes longer to import than a board to boot, and is for tables only."""
    from hidma.firmware import aml

    return aml.parse(data, name)


def describe(firmware: Tree | Namespace, ram: RamRequest | None = None) -> Board:
    """Say what hardware a device tree, or an ACPI namespace, describes, with ``ram`` in place of the RAM that it names.

    What is disabled, or with ACPI not present, is not built (a channel keeps its place in the numbering of its core).
    Channels that stand under no management device belong to the core of the only one on the board; where there is none, or
    several, they form a core of their own that is set up already.

    Returns the board. Raises FirmwareError: one sentence that says where, and what would be right.
    """
    if isinstance(firmware, Tree):
        return board.describe(firmware, ram)
    from hidma.firmware import acpi

    return acpi.describe(firmware, ram)


def check(firmware: Tree | Namespace, ram: RamRequest | None = None) -> list[str]:
    """Say what V14 will stumble over or do otherwise than the author meant, one sentence each.

    Nothing here keeps a machine from being built, but if :func:`describe` refuses, its sentence is the only one. Rows are
    those of docs/quirks.
    """
    if isinstance(firmware, Tree):
        return board.check(firmware, ram)
    from hidma.firmware import acpi

    return acpi.check(firmware, ram)


def model(firmware: Tree | Namespace) -> str:
    """What the firmware calls the machine: ``model`` of the root, or OEM ID and OEM table ID of the first table."""
    if isinstance(firmware, Tree):
        return (firmware.root.strings("model") or ["unknown"])[0]
    return firmware.model


def _compile_asl(name: str, source: bytes) -> bytes:
    """Table that iasl makes of a source. ``source`` is its content."""
    iasl = shutil.which("iasl")
    if iasl is None:
        raise FirmwareError(f"{name}: an ACPI source needs the compiler iasl, which is not installed; install Debian's "
                            "package acpica-tools (apt-get install acpica-tools), or give the board as an .aml, which "
                            "needs no compiler.", ENOENT)
    if b"DefinitionBlock" not in source:
        raise FirmwareError(f"{name}: this is no ACPI source; an .asl contains DefinitionBlock.")
    with tempfile.TemporaryDirectory(prefix="hidma-") as directory:
        prefix = Path(directory) / "board"
        # iasl reads what begins with a dash as an option
        given = f"./{name}" if name.startswith("-") else name
        status, out, complaint = fdt.run_compiler(name, [iasl, "-vi", "-vs", "-p", str(prefix), given])
        made = prefix.with_suffix(".aml")
        if status == 0 and made.is_file():
            return fdt.read_file(str(made), BOARDS)
    lines = [line.strip() for line in (out + complaint).decode("utf-8", "replace").splitlines()]
    for line in lines:
        place = _IASL_PLACE.match(line[:500])
        if place is not None:
            raise FirmwareError(f"{name}: line {place['line']}: iasl says: {place['text'].rstrip('.')}.")
    said = next((line for line in lines if "error" in line.lower()), "")
    if not said:
        raise FirmwareError(f"{name}: iasl failed with status {status} and said nothing.")
    raise FirmwareError(f"{name}: iasl says: {said[:500].rstrip('.')}.")
