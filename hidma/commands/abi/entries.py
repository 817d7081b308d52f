# SPDX-License-Identifier: GPL-2.0-only
"""Entries in the format of Documentation/ABI: written from ``texts``, read, and checked.

The format is that of Documentation/ABI/README: What, Date, KernelVersion, Contact, Description, Users. What it has no
field for (mode, accepted values, errors) stands in the description, in lines that begin alike in every entry.
"""

from __future__ import annotations

import difflib
import re
import textwrap
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hidma.commands.abi.texts import AbiDoc

NAMES = {name.lower(): name for name in ("What", "Date", "KernelVersion", "Contact", "Description", "Users")}
TAGS = tuple(NAMES)
TAG = re.compile(r"(\S+):(\s*)(.*)")
MONTHS = tuple("January February March April May June July August September October November December".split())
SHORT = (*(month[:3] for month in MONTHS), "Sept")
DATE = re.compile(rf"({'|'.join((*MONTHS, *SHORT))}) \d{{4}}")
#: A tag with another sign than its colon, or none: "What;", "Date  ", but not "Date :".
MISTYPED = re.compile(r"([A-Za-z]+)(?:\s*[;.,=](?=\s)\s*|[ \t]{2,}(?=[^\s:]))")
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
    mode = [f"Mode: 0{doc.mode:o}."] * (doc.mode >= 0)
    parts = [_entry(doc, first, paragraphs(doc))]
    parts += [_entry(doc, path, [f"The same file under another name: see {first}.", *mode]) for path in others]
    return "\n".join(parts)


def _entry(doc: AbiDoc, path: str, text: list[str]) -> str:
    head = {"What": path, "Date": doc.date, "KernelVersion": doc.kernel_version, "Contact": doc.contact}
    lines = [f"{name}:{tabs(name)}{value}" for name, value in head.items() if value] + ["Description:"]
    for number, paragraph in enumerate(text):
        lines += [""] * bool(number)
        for part in paragraph.split("\n"):
            lines += ["\t\t" + line for line in textwrap.wrap(part, 64, break_long_words=False, break_on_hyphens=False)]
    if doc.users:
        lines.append(f"Users:{tabs('Users')}{doc.users}")
    return "\n".join(lines) + "\n"


def tabs(name: str) -> str:
    """What stands between a tag and its text."""
    return "\t" if len(name) > 6 else "\t\t"


def facts(doc: AbiDoc) -> list[tuple[str, str]]:
    """Name and text of all that an entry says beside its description, for the fields of a page and the lines of a file."""
    out = []
    if doc.mode >= 0:
        out += [("Mode", f"0{doc.mode:o}"), ("Read by", doc.readers()), ("Written by", doc.writers())]
    if doc.ioctl is not None:
        out.append(("Request", f"0x{doc.ioctl.number:x}"))
        argument = f"pointer to struct {doc.ioctl.struct}" if doc.ioctl.struct else doc.ioctl.argument
        out += [("Argument", argument or "none"), ("Returns", doc.ioctl.returns or "0")]
    out += [(name, text) for name, text in (("Type", doc.value.type()), ("Accepts", doc.values())) if text]
    return out


def paragraphs(doc: AbiDoc) -> list[str]:
    """The description, with what the format has no field for, and the warning."""
    parts = doc.description.split("\n\n")
    if doc.driver == "core":
        parts.insert(0, "A file of the kernel's core, not of the HIDMA drivers.")
    if warning(doc):
        parts.append(f"Warning: {warning(doc)}")
    said = [*facts(doc), *((f"Error {name}", reason) for name, reason in doc.errors())]
    for rows in (doc.lines.items(), said):
        parts += ["\n".join(f"{name}: {text}." for name, text in rows)] * bool(rows)
    return parts


def entry_files(directory: Path) -> list[Path]:
    """The files of entries below a directory, without READMEs; a file is itself."""
    found = sorted(directory.rglob("*")) if directory.is_dir() else [directory]
    return [path for path in found if not path.is_dir() and path.name != "README"]


def read_file(path: str | Path, strict: bool = False) -> tuple[list[Entry], list[Problem]]:
    """The entries of a file, and what is wrong in it.

    What the kernel's own parser takes is taken: text before the first entry, lines that continue a field without a tab, entries
    without a date or a contact. Certain mistakes are reported all the same: a tag that is none, a mistyped month, a path whose
    pattern means nothing.

    :param strict: also report what is not in the style of Documentation/ABI/README
    """
    name = str(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    entry: Entry | None = None
    tag = ""

    def wrong(line: int, text: str) -> None:
        problems.append(Problem(name, line, text))

    for number, raw in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        found = TAG.fullmatch(raw)
        new = found[1].lower() if found is not None else ""
        mistyped = MISTYPED.match(raw)
        if mistyped and (tag != "description" or mistyped[1] == "What") and mistyped[1].lower() in TAGS:
            wrong(number, f"{mistyped[0].strip()!r} is no tag; {mistyped[1]}: is")
            continue
        if found is not None and new not in TAGS:
            if tag not in ("", "description"):
                wrong(number, f"the tag {found[1]!r} is none of {', '.join(NAMES.values())}")
                continue
            new = ""
        if new:
            assert found is not None
            content = found[3].strip()
            if new == "what":
                if tag != "what" or entry is None:
                    entry = Entry(name, number)
                    entries.append(entry)
                if strict and not content.startswith("/"):
                    wrong(number, f"What names a path that begins with /, not {content!r}")
                entry.what.append(content)
            elif entry is None:
                wrong(number, f"What comes first, before {NAMES[new]}")
                continue
            else:
                if strict and new in entry.fields:
                    wrong(number, f"{NAMES[new]} is there a second time")
                entry.fields[new] = content
            tag = new
            continue
        if raw.strip() == "":
            if tag == "description" and entry is not None:
                entry.fields[tag] += "\n"
            continue
        if entry is None:
            if strict:
                wrong(number, f"an entry begins with What, not with {raw.strip()[:40]!r}")
            continue
        if strict and not raw[0].isspace():
            wrong(number, "a line that continues a field begins with a tab")
        if tag == "what":
            entry.what.append(raw.strip())
        else:
            entry.fields[tag] = (entry.fields.get(tag, "") + "\n" + raw.strip()).lstrip("\n" if tag != "description" else "")
    for one in entries:
        one.fields = {key: value.strip("\n") for key, value in one.fields.items()}
        what = one.what[0] if one.what else "the entry"
        if strict:
            for wanted in ("description", "date", "contact"):
                if not one.fields.get(wanted, "").strip():
                    wrong(one.line, f"{what} has no {NAMES[wanted]}")
        date = one.fields.get("date", "")
        if strict and date and not DATE.fullmatch(date):
            wrong(one.line, f"Date is a month and a year, not {date!r}")
        else:
            for word in re.findall(r"[^\W\d_]{3,}", date):
                month = mistyped_month(word)
                if month:
                    wrong(one.line, f"Date is {date!r}: {month} is meant?")
        for path_of in one.what:
            try:
                tokens(path_of)
            except PatternError as error:
                wrong(one.line, str(error))
    return entries, sorted(problems, key=lambda p: p.line)


def mistyped_month(word: str) -> str:
    """The month that a word is nearly, or "" when it is one, or none."""
    if word.title() in MONTHS or word.title() in SHORT:
        return ""
    close = difflib.get_close_matches(word.title(), MONTHS, 1, 0.66)
    return close[0] if close else ""


def validate(paths: list[Path], strict: bool = False) -> list[Problem]:
    """Everything that is wrong in some files.

    :param strict: also what is not in the style of Documentation/ABI/README, and paths that two entries claim
    """
    problems: list[Problem] = []
    seen: dict[str, Entry] = {}
    for path in paths:
        try:
            entries, found = read_file(path, strict)
        except OSError as error:
            problems.append(Problem(str(path), 0, f"cannot be read: {error.strerror}"))
            continue
        problems += found
        if not entries and not found:
            problems.append(Problem(str(path), 1, "there is no entry in the file"))
        for entry in entries if strict else ():
            for what in entry.what:
                if what in seen:
                    other = seen[what]
                    problems.append(
                        Problem(entry.file, entry.line, f"{what} has an entry already, at {other.file}:{other.line}")
                    )
                seen[what] = entry
    return problems


class PatternError(ValueError):
    """A path with wildcards that means nothing; the message is one sentence."""


#: Part of a pattern: the characters that it takes, and whether it takes one, one or more ("+"), or any number ("*").
Token = tuple[re.Pattern[str], str]

WILDCARDS = {"**": ".", "*": "[^/]", "?": "[^/]"}
ONE_REGEX = 2


@lru_cache(maxsize=8192)
def tokens(what: str) -> tuple[Token, ...]:
    """The parts of a path with wildcards.

    ``*`` is anything within a name, ``**`` and ``...`` across names, ``?`` one character, ``[..]`` one of those (with ``+``: one or
    more), ``<name>`` a name.

    :raises PatternError: a range whose end is before its begin
    """
    out: list[Token] = []
    at = 0
    while at < len(what):
        char = what[at]
        close = what.find("]", at)
        if char == "*":
            stars = len(what[at:]) - len(what[at:].lstrip("*"))
            out.append((re.compile(WILDCARDS["**" if stars > 1 else "*"]), "*"))
            at += stars
        elif char == "[" and close > at + 1:
            many = what[close + 1:close + 2] == "+"
            out.append((_one_of(what, what[at:close + 1]), "+" * many))
            at = close + 1 + many
        elif what.startswith("...", at):
            out.append((re.compile("."), "*"))
            at += 3
        elif char == "<" and ">" in what[at:]:
            out.append((re.compile("[^/]"), "+"))
            at = what.index(">", at) + 1
        else:
            out.append((re.compile(WILDCARDS.get(char, re.escape(char))), ""))
            at += 1
    return tuple(out)


def _one_of(what: str, text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text)
    except re.error:
        raise PatternError(f"{what}: {text} is no range; its begin is behind its end, or it is not complete") from None


@lru_cache(maxsize=8192)
def _regex(what: str) -> re.Pattern[str] | None:
    """A pattern with few wildcards as one regular expression; None for one with many, which would go back and forth."""
    parts = tokens(what)
    if sum(bool(many) for _, many in parts) > ONE_REGEX:
        return None
    return re.compile("".join(part.pattern + many for part, many in parts))


@lru_cache(maxsize=8192)
def _ends(what: str) -> tuple[str, str]:
    """What stands before the first wildcard of a pattern, and after the last one."""
    return re.match(r"[^*?\[<.]*", what)[0], re.search(r"[^*?\]>.+]*$", what)[0]  # type: ignore[index]


def matches(what: str, path: str) -> bool:
    """Whether ``path`` is one that ``what`` means, as a whole; in a time that grows with the product of their lengths."""
    head, tail = _ends(what)
    if not path.startswith(head) or not path.endswith(tail):
        return False
    try:
        whole = _regex(what)
    except PatternError:
        return False
    if whole is not None:
        return whole.fullmatch(path) is not None
    parts = tokens(what)
    here = _skips(parts, {0})
    for char in path:
        following = set()
        for at in here:
            if at < len(parts) and parts[at][0].fullmatch(char):
                following.add(at + 1)
                if parts[at][1]:
                    following.add(at)
        here = _skips(parts, following)
        if not here:
            return False
    return len(parts) in here


def _skips(parts: tuple[Token, ...], places: set[int]) -> set[int]:
    """Places in a pattern, and those that are reached by skipping a part that may be empty."""
    found = set(places)
    for at in sorted(places):
        while at < len(parts) and parts[at][1] == "*":
            at += 1
            found.add(at)
    return found
