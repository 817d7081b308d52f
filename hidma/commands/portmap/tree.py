# SPDX-License-Identifier: GPL-2.0-only
"""The user's copy of the C files: from a kernel tree of any version, or from the series as patches. Other input is refused with a
sentence that says what it is. It stands for no C file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from hidma.commands.extras import requires
from hidma.commands.portmap.series import ARCHIVE, PATCHES, SOURCES, CFile


class TreeError(Exception):
    """What was given is not the series, or not all of it; the message is one sentence."""


@dataclass
class Tree:
    """A copy of the C files of the series.

    :ivar where: the path that was given
    :ivar called: what it is, ``Linux 6.1.192``
    :ivar texts: lines of each file, by path in the kernel's tree
    :ivar files: what each declares
    :ivar missing: files of the series that it does not have
    :ivar notes: sentences on how it was read
    :ivar change: whether it is a change to some of the files, of which only the lines that it shows are known
    """

    where: str
    called: str
    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, CFile] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    change: bool = False


def kernel_version(directory: Path) -> str:
    """What the Makefile of a kernel tree says it is."""
    try:
        text = (directory / "Makefile").read_text(encoding="utf-8", errors="replace")[:4000]
    except OSError:
        return "a kernel tree without a Makefile"
    parts = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)[ \t]*$", text, re.MULTILINE))
    if "VERSION" not in parts or "PATCHLEVEL" not in parts:
        return "a tree whose Makefile names no version"
    number = f"{parts['VERSION']}.{parts['PATCHLEVEL']}"
    if parts.get("SUBLEVEL", "0") not in ("", "0"):
        number += f".{parts['SUBLEVEL']}"
    return f"Linux {number}{parts.get('EXTRAVERSION', '')}"


def from_kernel(directory: Path) -> Tree:
    """The series in a kernel tree.

    :raises TreeError: no directory, no kernel tree, a tree without the series, half of it, a file that cannot be read
    """
    if not directory.is_dir():
        what = "is a file; --patch reads patches" if directory.exists() else "there is no such directory"
        raise TreeError(f"{directory}: {what}")
    found: dict[str, bytes] = {}
    for source in SOURCES:
        path = directory / source.path
        try:
            found[source.path] = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise TreeError(f"{path} cannot be read: {error.strerror}") from None
    core = [source for source in SOURCES if source.core]
    if not any(source.path in found for source in core):
        inside = [source.name for source in core if (directory / source.name).is_file()]
        if inside:
            raise TreeError(f"{directory} is the directory of {inside[0]}; name the top of the kernel tree, the one that "
                            f"has drivers/ in it")
        if not (directory / "drivers").is_dir():
            raise TreeError(f"{directory} is no kernel tree: it has no directory drivers/")
        raise TreeError(f"{directory} ({kernel_version(directory)}) has not got the series: there is no "
                        f"{core[0].path.rpartition('/')[0]}/hidma*.c. The driver was merged in Linux 4.6 and 4.7; V14 itself is "
                        f"in no release. {ARCHIVE}")
    absent = [source.path for source in core if source.path not in found]
    if absent:
        raise TreeError(f"{directory} has only a part of the series: {_and(absent)} {'is' if len(absent) == 1 else 'are'} missing")
    return _tree(str(directory), kernel_version(directory), {path: (data, frozenset()) for path, data in found.items()})


def from_patch(path: Path) -> Tree:
    """The series as posted.

    :raises TreeError: unreadable, no patches, or another series
    """
    with requires("source"):
        from hidma.commands.portmap import patches
    try:
        files, called = patches.read(path)
    except patches.SourceError as error:
        raise TreeError(str(error)) from None
    core = [source for source in SOURCES if source.core]
    if not any(source.path in files for source in core):
        touched = sorted(files)
        raise TreeError(f"{path} is another series: it changes {_and(touched[:3])}{' and others' if len(touched) > 3 else ''} "
                        f"and none of {core[0].path.rpartition('/')[0]}/hidma*. {ARCHIVE}")
    absent = [source.path for source in core if source.path not in files]
    # the series makes its files anew; a patch that only changes them is a fix of some version of the driver
    change = all(files[source.path].unknown for source in core if source.path in files)
    if absent and not change:
        numbers = sorted({patch.number for patch in PATCHES for name in absent if name in patch.files})
        raise TreeError(f"{path} has only a part of the series: {_and(absent)} {'is' if len(absent) == 1 else 'are'} missing "
                        f"(patch{'es' if len(numbers) > 1 else ''} {_and([str(n) for n in numbers])} of 9). {ARCHIVE}")
    known = {source.path: (files[source.path].data(), files[source.path].unknown) for source in SOURCES
             if source.path in files}
    tree = _tree(str(path), called, known, change)
    if change:
        changed = _and([source.name for source in SOURCES if source.path in known])
        tree.notes.append(f"{path} is not the series but a change to {changed}: only the lines that it shows are compared")
    return tree


def _tree(where: str, called: str, found: dict[str, tuple[bytes, frozenset[int]]], change: bool = False) -> Tree:
    with requires("source"):
        from hidma.commands.portmap.csource import decode, read_file
    tree = Tree(where, called, change=change)
    names: dict[str, object] = {}
    for source in SOURCES:
        if source.path not in found:
            tree.missing.append(source.path)
            continue
        data, unknown = found[source.path]
        text, latin = decode(data)
        if latin:
            tree.notes.append(f"{source.path} is not UTF-8 and was read as Latin-1")
        if "\0" in text:
            raise TreeError(f"{where}: {source.path} is no text: it has NUL bytes in it")
        tree.texts[source.path] = text.splitlines()
        read = read_file(source.path, data, names, unknown)
        read.partial = bool(unknown)
        names |= {name: value for name, value in read.constants.items() if isinstance(value, int)}
        tree.files[source.path] = read
    if not change and not any(file.functions for file in tree.files.values()):
        raise TreeError(f"{where}: no function was found in the files of the series; are they C?")
    return tree


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else "nothing"
