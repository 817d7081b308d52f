# SPDX-License-Identifier: GPL-2.0-only
"""The documentation of every file of the tree, and of every ioctl of VFIO, as data: ``entries.toml``, whose head explains it.

The files themselves are made by the port and by ``hidma.linux.base``, which know nothing of these texts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

#: Sentences that several descriptions have.
SENTENCES = {
    "CUT": "A number of 64 bits is cut to 32 bits before it is looked at: 4294967304 is taken for 8 (V14 row 49).",
    "WHOLE": "Every write checks and writes all parameters of the device anew, so a value that another write has spoilt "
             "refuses this one too (V14 row 26).",
}
SPELLING = "no number: 0x before hexadecimal digits, 0 before octal ones, one + before and one newline after are taken"
DECIMAL = "no decimal number"
BOOL = "N, n, 0, Y, y or 1; the characters after the first do not count"


@dataclass(frozen=True)
class Value:
    """What a file shows, and what a write to it takes.

    :ivar kind: number, word, bool, text or bytes; empty where nothing is known (the entry of a third party)
    :ivar low: least number
    :ivar high: greatest number, None for the greatest of ``bits``
    :ivar values: the only numbers, or words
    :ivar unit: of the number
    :ivar base: 0 for C's spellings, 10 for decimal digits only
    :ivar bits: width that is parsed; what does not fit is refused with ``wide``
    :ivar cut: bits to which a number is cut before its range is looked at, 0 if it is not
    :ivar beyond: errno of a number outside of the range
    :ivar bad: errno of what is no number, or no such word, or a text longer than ``most`` bytes
    :ivar accepts: what a text means
    :ivar shown: numbers that are shown as others
    """

    kind: str = ""
    low: int = 0
    high: int | None = None
    values: tuple[Any, ...] = ()
    unit: str = ""
    base: int = 0
    bits: int = 64
    cut: int = 0
    beyond: str = ""
    bad: str = "EINVAL"
    wide: str = "ERANGE"
    most: int = 0
    accepts: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)

    def type(self) -> str:
        """The type, with the range and the unit."""
        if self.kind == "number":
            if self.values:
                text = "number: " + listed(self.values)
            elif self.high is not None:
                text = f"number, {self.low} to {self.high}"
            else:
                text = f"number, {self.low} or more"
            return f"{text}; unit: {self.unit}" if self.unit else text
        if self.kind == "word":
            words = [value or "an empty line" for value in self.values]
            return "word: " + listed(words)
        if self.kind == "bool":
            return "Y or N"
        return f"text; unit: {self.unit}" if self.unit else self.kind

    def taken(self) -> str:
        """What a write takes."""
        if self.kind == "number":
            return listed(self.values) if self.values else f"{self.low} to {self.high}"
        if self.kind == "word":
            return listed(self.values)
        if self.kind == "bool":
            return BOOL
        return f"{self.accepts}; {self.most} bytes at most" if self.most else self.accepts

    def errors(self) -> list[tuple[str, str]]:
        """Errno and reason of each write that is refused for its text alone."""
        if self.kind == "number":
            out = []
            if self.beyond:
                reason = "any other number" if self.values else f"above {self.high}" if not self.low else "outside of the range"
                out.append((self.beyond, reason))
            out.append((self.bad, SPELLING if not self.base else DECIMAL))
            if self.wide != self.beyond:
                out.append((self.wide, f"beyond {self.bits} bits"))
            return out
        if self.kind == "word":
            return [(self.bad, "any other word")]
        if self.kind == "bool":
            return [(self.bad, "any other first character")]
        return [(self.bad, f"more than {self.most} bytes")] if self.most else []


def listed(values: tuple[Any, ...] | list[Any]) -> str:
    """``1, 2 or 3``."""
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True)
class Ioctl:
    """How a request is made, and what is tried for it (see the head of the entries).

    :ivar name: its name in ``<linux/vfio.h>``
    :ivar number: the request itself
    :ivar struct: the structure that the argument points to, ``argsz`` the least that this must say
    """

    name: str
    file: str
    number: int
    struct: str = ""
    argsz: int = 0
    argument: str = ""
    returns: str = ""
    good: Any = None
    wrong: tuple[tuple[Any, str], ...] = ()


@dataclass(frozen=True)
class AbiDoc:
    """One entry.

    :ivar what: paths with wildcards, as the entry's ``What:`` lists them
    :ivar mode: permission bits, -1 where they are not known
    :ivar description: plain text, paragraphs separated by empty lines
    :ivar date: ``Date:``, month and year
    :ivar kernel_version: ``KernelVersion:``
    :ivar contact: ``Contact:``
    :ivar users: ``Users:``
    :ivar value: what it shows and takes
    :ivar refused: errno and reason of writes that are refused for another reason than their text
    :ivar driver: whose file it is: ``hidma-mgmt``, ``hidma``, ``dmatest``, ``vfio``, or ``core`` for those of the kernel's core
    :ivar documented: paths under which the series documents the file, where they differ from the paths that the tree has
    :ivar kernel: the kernel's own entry, which gives date, version and contact
    :ivar lines: the lines of a text, and what they mean
    :ivar at: pattern of the file that is tried
    :ivar tries: what is written, errno or "", the file (the one that is tried if ""), what it shows then
    :ivar ioctl: the request, if it is none of a file
    """

    what: tuple[str, ...]
    mode: int = -1
    description: str = ""
    date: str = ""
    kernel_version: str = ""
    contact: str = ""
    users: str = ""
    value: Value = field(default_factory=Value)
    refused: tuple[tuple[str, str], ...] = ()
    driver: str = "core"
    documented: tuple[str, ...] = ()
    kernel: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    tries: tuple[tuple[str, ...], ...] = ()
    ioctl: Ioctl | None = None

    def readers(self) -> str:
        """Who may read: everybody, root or nobody."""
        # the directory of debugfs is root's
        mine = any(path.startswith("/sys/kernel/debug") for path in self.what)
        return "everybody" if self.mode & 0o004 and not mine else "root" if self.mode & 0o444 else "nobody"

    def writers(self) -> str:
        return "everybody" if self.mode & 0o002 else "root" if self.mode & 0o222 else "nobody"

    def values(self) -> str:
        """What a write accepts; empty for a file that is only read."""
        return self.value.taken() if self.mode > 0 and self.mode & 0o222 else ""

    def errors(self) -> tuple[tuple[str, str], ...]:
        """Errno and reason of each refusal."""
        if self.ioctl is not None and self.ioctl.argsz:
            argument = ("EINVAL", f"argsz is below {self.ioctl.argsz}"), ("EFAULT", "the pointer is bad")
            return (*argument, *self.refused)
        return (*self.refused, *(self.value.errors() if self.values() else ()))


def expand(row: dict[str, Any], tables: Mapping[str, Any]) -> AbiDoc:
    """The entry of a row of ``entries.toml``."""
    row = dict(row)
    name, paths = row.pop("name"), tables["paths"]
    kernel = row.pop("kernel", "")
    known = tables["kernel"][kernel] if kernel else {}
    parts: dict[str, Any] = {
        "what": tuple(f"{path}/{name}" for group in row.pop("in") for path in paths[group]),
        "documented": tuple(f"{path}/{name}" for path in paths.get(row.pop("series", ""), ())),
        "description": described(row.pop("description")),
        "refused": tuple(map(tuple, row.pop("errors", ()))),
        "tries": tuple(map(tuple, row.pop("try", ()))),
    }
    for key in ("mode", "driver", "lines", "at"):
        if key in row:
            parts[key] = row.pop(key)
    values = tuple(row.pop("values", ()))
    return AbiDoc(**parts, kernel=kernel, date=known.get("date", ""), kernel_version=known.get("version", ""),
                  contact=known.get("contact", ""), value=Value(values=values, **row))


def described(text: str) -> str:
    """A description, its line breaks within paragraphs undone."""
    text = re.sub(r"\{(\w+)\}", lambda found: SENTENCES[found[1]], text)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def request(row: dict[str, Any]) -> AbiDoc:
    row = dict(row)
    description, errors = described(row.pop("description")), tuple(map(tuple, row.pop("errors", ())))
    ioctl = Ioctl(**row | {"wrong": tuple(map(tuple, row.pop("wrong", ())))})
    file = "/dev/vfio/*: device" if ioctl.file == "device" else ioctl.file
    return AbiDoc((f"{file}: {ioctl.name}",), description=description, refused=errors, driver="vfio", ioctl=ioctl)


@cache
def load() -> tuple[AbiDoc, ...]:
    """Every entry of the tree and of VFIO, sorted by path."""
    tables = tomllib.loads(files(__package__).joinpath("entries.toml").read_text(encoding="utf-8"))
    docs = [expand(row, tables) for row in tables["entry"]] + [request(row) for row in tables["ioctl"]]
    return tuple(sorted(docs, key=lambda doc: doc.what))


def from_directory(directory: Path) -> tuple[AbiDoc, ...]:
    """The entries of the files below a directory, in the format of Documentation/ABI, sorted by path. The mode is that of a line
    ``Mode: 0644.``, the driver the name of the file."""
    from hidma.commands.abi.entries import entry_files, read_file

    docs = []
    for path in entry_files(directory):
        for entry in read_file(path)[0]:
            text = entry.fields.get("description", "")
            mode = re.search(r"^Mode: (0[0-7]{3})\.\n?", text, re.MULTILINE)
            if mode:
                text = text.replace(mode[0], "")
            docs.append(AbiDoc(
                tuple(entry.what), int(mode[1], 8) if mode else -1, re.sub(r"\n{2,}", "\n\n", text.strip("\n")),
                entry.fields.get("date", ""), entry.fields.get("kernelversion", ""), entry.fields.get("contact", ""),
                entry.fields.get("users", ""), driver=path.name))
    return tuple(sorted(docs, key=lambda doc: doc.what))
