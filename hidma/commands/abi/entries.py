# SPDX-License-Identifier: GPL-2.0-only
"""Entries in the format of Documentation/ABI: written from ``texts``, read, and checked.

The format is that of Documentation/ABI/README: What, Date, KernelVersion, Contact, Description, Users. What it has no
field for (mode, accepted values, errors) stands in the description, in lines that begin alike in every entry.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hidma.commands.abi.texts import AbiDoc

TAGS = ("what", "date", "kernelversion", "contact", "description", "users")
NAMES = {
    "what": "What",
    "date": "Date",
    "kernelversion": "KernelVersion",
    "contact": "Contact",
    "description": "Description",
    "users": "Users",
}
TAG = re.compile(r"(\S+):(\s*)(.*)")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DATE = re.compile(rf"({'|'.join(MONTHS)}|{'|'.join(m[:3] for m in MONTHS)}) \d{{4}}")
NOWHERE = (
    "No kernel makes a device of the name {names} from a device tree: the device of a node is called after its address, "
    "so the file is at {real} (row 27 of docs/quirks)."
)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file of entries."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass
class Entry:
    """One entry as it was read: ``fields`` by lower-case tag, ``what`` its paths."""

    file: str
    line: int
    what: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def whats(doc: AbiDoc) -> list[str]:
    """All paths of an entry: those that the series documents, then those that the tree has."""
    return list(dict.fromkeys([*doc.documented, *doc.what]))


def warning(doc: AbiDoc) -> str:
    """What must be said when the series documents a name that no kernel makes; empty when there is nothing to say."""
    names = [path for path in doc.documented if path not in doc.what]
    if not names:
        return ""
    return NOWHERE.format(names=" or ".join(Path(p).parts[4] for p in names), real=" or ".join(doc.what))


def render(doc: AbiDoc) -> str:
    """``doc`` in the kernel's format: an entry for its first path, and one for each other that refers to it.

    The kernel's own tool finds an entry by its first What only, and stumbles over several of them.
    """
    first, *others = whats(doc)
    parts = [_entry(doc, first, paragraphs(doc))]
    for path in others:
        parts.append(_entry(doc, path, [f"The same file under another name: see {first}.", f"Mode: 0{doc.mode:o}."]))
    return "\n".join(parts)


def _entry(doc: AbiDoc, path: str, text: list[str]) -> str:
    lines = [f"What:\t\t{path}", f"Date:\t\t{doc.date or 'February 2016'}"]
    if doc.kernel_version:
        lines.append(f"KernelVersion:\t{doc.kernel_version}")
    lines.append(f"Contact:\t{doc.contact or 'the maintainers of the file in the kernel'}")
    lines.append("Description:")
    for number, paragraph in enumerate(text):
        if number:
            lines.append("")
        lines += [
            "\t\t" + line for line in textwrap.wrap(paragraph, 64, break_long_words=False, break_on_hyphens=False)
        ]
    if doc.users:
        lines.append(f"Users:\t\t{doc.users}")
    return "\n".join(lines) + "\n"


def paragraphs(doc: AbiDoc) -> list[str]:
    """The description, with mode, accepted values, errors and the warning."""
    parts = [" ".join(p.split()) for p in doc.description.split("\n\n")]
    if doc.driver == "core":
        parts.insert(0, "A file of the kernel's core, not of the HIDMA drivers.")
    text = warning(doc)
    if text:
        parts.append(f"Warning: {text}")
    parts.append(f"Mode: 0{doc.mode:o}.")
    if doc.values:
        parts.append(f"Accepts: {doc.values}.")
    for name, reason in doc.errors:
        parts.append(f"Error {name}: {reason}.")
    return parts


def read_file(path: str | Path) -> tuple[list[Entry], list[Problem]]:
    """The entries of a file, and what is malformed in it."""
    name = str(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    entry: Entry | None = None
    tag = ""
    for number, raw in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        found = TAG.fullmatch(raw)
        new = found[1].lower() if found is not None else ""
        if found is not None and new not in TAGS:
            if tag != "description":
                problems.append(Problem(name, number, f"the tag {found[1]!r} is none of {', '.join(NAMES.values())}"))
                continue
            new = ""
        if new:
            assert found is not None
            content = found[3].strip()
            if new == "what":
                if tag != "what" or entry is None:
                    entry = Entry(name, number)
                    entries.append(entry)
                if not content.startswith("/"):
                    problems.append(Problem(name, number, f"What names a path that begins with /, not {content!r}"))
                entry.what.append(content)
            elif entry is None:
                problems.append(Problem(name, number, f"What comes first, before {NAMES[new]}"))
                continue
            else:
                if new in entry.fields:
                    problems.append(Problem(name, number, f"{NAMES[new]} is there a second time"))
                entry.fields[new] = content
            tag = new
            continue
        if raw.strip() == "":
            if tag == "description" and entry is not None:
                entry.fields[tag] += "\n"
            continue
        if entry is None:
            problems.append(Problem(name, number, f"an entry begins with What, not with {raw.strip()[:40]!r}"))
        elif not raw[0].isspace():
            problems.append(Problem(name, number, "a line that continues a field begins with a tab"))
        elif tag == "what":
            entry.what.append(raw.strip())
        else:
            entry.fields[tag] = (
                (entry.fields.get(tag, "") + "\n" + raw.strip()).strip()
                if tag != "description"
                else entry.fields[tag] + "\n" + raw.strip()
            )
    for one in entries:
        one.fields = {key: value.strip("\n") for key, value in one.fields.items()}
        if not one.fields.get("description", "").strip():
            problems.append(Problem(name, one.line, f"{one.what[0] if one.what else 'the entry'} has no Description"))
        for wanted in ("date", "contact"):
            if not one.fields.get(wanted):
                problems.append(Problem(name, one.line, f"{one.what[0]} has no {NAMES[wanted]}"))
        if one.fields.get("date") and not DATE.fullmatch(one.fields["date"]):
            problems.append(Problem(name, one.line, f"Date is a month and a year, not {one.fields['date']!r}"))
    return entries, sorted(problems, key=lambda p: p.line)


def validate(paths: list[Path]) -> list[Problem]:
    """Everything malformed in some files, and paths that two entries claim."""
    problems: list[Problem] = []
    seen: dict[str, Entry] = {}
    for path in paths:
        try:
            entries, found = read_file(path)
        except OSError as error:
            problems.append(Problem(str(path), 0, f"cannot be read: {error.strerror}"))
            continue
        problems += found
        if not entries and not found:
            problems.append(Problem(str(path), 1, "there is no entry in the file"))
        for entry in entries:
            for what in entry.what:
                if what in seen:
                    other = seen[what]
                    problems.append(
                        Problem(entry.file, entry.line, f"{what} has an entry already, at {other.file}:{other.line}")
                    )
                seen[what] = entry
    return problems


@lru_cache(maxsize=4096)
def pattern(what: str) -> re.Pattern[str]:
    """The paths that ``what`` means.

    ``*`` is anything within a name, ``**`` across names, ``?`` one character, ``[..]`` one of those.
    """
    out = []
    i = 0
    while i < len(what):
        if what.startswith("**", i):
            out.append(".*")
            i += 2
            continue
        char = what[i]
        close = what.find("]", i)
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and close > i + 1:
            out.append(what[i : close + 1])
            i = close
        elif char == "<" and ">" in what[i:]:
            out.append("[^/]+")
            i = what.index(">", i)
        else:
            out.append(re.escape(char))
        i += 1
    return re.compile("".join(out))


def matches(what: str, path: str) -> bool:
    """Whether ``path`` is one that ``what`` means, as a whole."""
    return pattern(what).fullmatch(path) is not None
