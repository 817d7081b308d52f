# SPDX-License-Identifier: GPL-2.0-only
"""AML for tests: a small assembler, so that a broken table can be made without iasl, and what acpiexec says of one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

UUID = bytes.fromhex("14d8ffdaba6e8c4d8a91bc9bbf4aa301")
END_TAG = b"\x79\0"


class Reference(str):
    """A reference to an object, by the last part of its name."""


def spanned(body: bytes) -> bytes:
    """``body`` behind a package length."""
    for size in (1, 2, 3, 4):
        total = len(body) + size
        if size == 1 and total < 0x40:
            return bytes([total]) + body
        if size > 1 and total < 1 << 4 + 8 * (size - 1):
            return bytes([(size - 1) << 6 | total & 0xF]) + (total >> 4).to_bytes(size - 1, "little") + body
    raise ValueError("too long")


def integer(value: int) -> bytes:
    """An integer."""
    for lead, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if value < 1 << 8 * size:
            return bytes([lead]) + value.to_bytes(size, "little")
    raise ValueError("too large")


def term(value: Any) -> bytes:
    """A constant of AML: int, str, bytes (a buffer), a list (a package), or a Reference."""
    if isinstance(value, Reference):
        return path(value)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, str):
        return b"\x0d" + value.encode() + b"\0"
    if isinstance(value, bytes):
        return b"\x11" + spanned(integer(len(value)) + value)
    return b"\x12" + spanned(bytes([len(value)]) + b"".join(term(element) for element in value))


def path(text: str) -> bytes:
    """A name, such as ``\\_SB.DMA0``."""
    bare = text.lstrip("\\^")
    parts = [part.ljust(4, "_").encode() for part in bare.split(".") if part]
    lead = b"" if len(parts) == 1 else b"\0" if not parts else b"\x2e" if len(parts) == 2 else b"\x2f" + bytes([len(parts)])
    return text[:len(text) - len(bare)].encode() + lead + b"".join(parts)


def name(called: str, value: Any) -> bytes:
    """``Name (called, value)``; bytes that begin with an opcode can be given by :func:`raw_name`."""
    return raw_name(called, term(value))


def raw_name(called: str, code: bytes) -> bytes:
    """``Name`` with the code of its value."""
    return b"\x08" + path(called) + code


def device(called: str, *body: bytes) -> bytes:
    """``Device (called) { body }``."""
    return b"\x5b\x82" + spanned(path(called) + b"".join(body))


def scope(called: str, *body: bytes) -> bytes:
    """``Scope (called) { body }``."""
    return b"\x10" + spanned(path(called) + b"".join(body))


def method(called: str, *body: bytes, arguments: int = 0) -> bytes:
    """``Method (called, arguments) { body }``."""
    return b"\x14" + spanned(path(called) + bytes([arguments]) + b"".join(body))


def table(*body: bytes, signature: bytes = b"DSDT", revision: int = 2, checksum: int | None = None,
          length: int | None = None) -> bytes:
    """A table around its terms; the checksum and the length can be given."""
    code = b"".join(body)
    raw = bytearray(signature + (36 + len(code) if length is None else length).to_bytes(4, "little") + bytes([revision, 0])
                    + b"HIDMA TEST    " + (1).to_bytes(4, "little") + b"TEST" + (1).to_bytes(4, "little") + code)
    raw[9] = -sum(raw) & 0xFF if checksum is None else checksum
    return bytes(raw)


def memory(base: int, size: int) -> bytes:
    """``Memory32Fixed``."""
    return b"\x86\x09\0\x01" + base.to_bytes(4, "little") + size.to_bytes(4, "little")


def interrupt(*numbers: int, edge: bool = False) -> bytes:
    """``Interrupt``."""
    raw = bytes([3 if edge else 1, len(numbers)]) + b"".join(n.to_bytes(4, "little") for n in numbers)
    return b"\x89" + len(raw).to_bytes(2, "little") + raw


def crs(*descriptors: bytes) -> bytes:
    """``Name (_CRS, ResourceTemplate () { descriptors })``."""
    return name("_CRS", b"".join(descriptors) + END_TAG)


def dsd(**properties: Any) -> bytes:
    """``Name (_DSD, ...)`` with device properties; an underscore of a name stands for a hyphen."""
    return name("_DSD", [UUID, [[key.replace("_", "-"), value] for key, value in properties.items()]])


def rechecked(raw: bytes) -> bytes:
    """The table with a right checksum."""
    made = bytearray(raw)
    if len(made) > 9:
        made[9] = made[9] - sum(made[:int.from_bytes(made[4:8], "little")]) & 0xFF
    return bytes(made)


# --- acpiexec -----------------------------------------------------------------------------------------------------

FAILED = object()
LINE = re.compile(r"^( *)\[(Integer|String|Buffer|Package|Object Reference|Null Object)\](.*)$")
DUMP = re.compile(r"[0-9A-F]{4}: ((?:[0-9A-F]{2} ){1,16})")


def acpiexec(file: Path, commands: list[str], directory: Path) -> str:
    """What acpiexec says to some commands."""
    done = subprocess.run(["acpiexec", "-dr", str(file)], capture_output=True, timeout=60, cwd=directory, check=False,
                          input="".join(f"{command}\n" for command in [*commands, "quit"]).encode())
    return done.stdout.decode("latin-1") + done.stderr.decode("latin-1")


def evaluated(file: Path, paths: list[str], directory: Path) -> dict[str, Any]:
    """The value of each object as acpiexec says it: int, str, bytes, list, Reference, None, or FAILED.

    One process evaluates them in this order, so that what a method changes is seen by those after it.
    """
    text = acpiexec(file, [f"evaluate {one}" for one in paths], directory)
    found: dict[str, Any] = {}
    for part in re.split(r"^Evaluating ", text, flags=re.M)[1:]:
        lines = part.splitlines()
        assert lines[0] in paths, lines[0]
        if any(line.startswith(f"No object was returned from evaluation of {lines[0]}") for line in lines):
            found[lines[0]] = None
        elif any(line.startswith(f"Evaluation of {lines[0]} failed") for line in lines):
            found[lines[0]] = FAILED
        else:
            start = next(i for i, line in enumerate(lines) if line.startswith(f"Evaluation of {lines[0]} returned"))
            found[lines[0]] = value(lines[start + 1:])
    return found


def value(lines: list[str]) -> Any:
    """The first value that some lines print."""
    values: list[tuple[int, Any]] = []
    for line in lines:
        match = LINE.match(line)
        dump = DUMP.search(line)
        if match is not None:
            depth, kind, rest = len(match[1]), match[2], match[3]
            if kind == "Integer":
                values.append((depth, int(rest.split("=")[1], 16)))
            elif kind == "String":
                values.append((depth, re.sub(r"\\(.)", r"\1", rest[rest.index('"') + 1:rest.rindex('"')])))
            elif kind == "Buffer":
                values.append((depth, bytearray()))
            elif kind == "Package":
                values.append((depth, []))
            elif kind == "Null Object":
                values.append((depth, None))
            else:
                values.append((depth, Reference(rest.split("Name ")[1].split()[0])))
        if dump is not None and values and isinstance(values[-1][1], bytearray):
            values[-1][1].extend(bytes.fromhex(dump[1]))
    stack: list[tuple[int, list[Any]]] = []
    for depth, one in values:
        one = bytes(one) if isinstance(one, bytearray) else one
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            stack[-1][1].append(one)
        if isinstance(one, list):
            stack.append((depth, one))
    first = values[0][1]
    return bytes(first) if isinstance(first, bytearray) else first


def resources(file: Path, device_path: str, directory: Path) -> list[tuple[str, dict[str, str]]]:
    """The descriptors of _CRS of a device as acpiexec decodes them: kind, and the fields of the print."""
    text = acpiexec(file, [f"resources {device_path}"], directory)
    text = text[text.index("Evaluating _CRS"):]
    text = text[:text.index("Resource Conversion Comparison")]
    found: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        head = re.match(r"^\[[0-9A-F]{2}\] (.*) Resource$", line)
        if head is not None:
            found.append((head[1], {}))
        elif found and " : " in line:
            key, _, said = line.partition(" : ")
            found[-1][1][key.strip()] = said.strip()
    return found


def needs(program: str) -> pytest.MarkDecorator:
    """A mark for tests that need a program of acpica-tools."""
    import shutil

    return pytest.mark.skipif(shutil.which(program) is None,
                              reason=f"{program} is not installed (apt-get install acpica-tools)")
