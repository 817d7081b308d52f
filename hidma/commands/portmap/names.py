# SPDX-License-Identifier: GPL-2.0-only
"""Finds what a name means: a file of the series or its module, a name of V14, of a later kernel or of the port, a device id,
an attribute, a register; or a pattern of names. It stands for no C file.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hidma.commands.portmap import port, report
from hidma.commands.portmap.compare import LATER, bare
from hidma.commands.portmap.series import OTHERS, SOURCES, Source, inventory, v14


@dataclass(frozen=True)
class Name:
    """One meaning of a name.

    :ivar kind: ``function``, ``constant``, ``macro``, ``struct``, ``field``, ``enum``, ``parameter``, ``id``, ``property``,
        ``driver``, ``attribute`` or ``initialiser``
    :ivar where: the struct of a field, the enum of a constant, else ""
    """

    name: str
    kind: str
    source: Source
    where: str = ""

    @property
    def place(self) -> port.Place | None:
        """Where it stands in the port."""
        module = port.read(self.source.module)
        if module is None:
            return None
        if self.kind == "field":
            return module.structs.get(self.where)
        if self.kind == "enum":
            members = v14()[self.source.path].enums[self.name]
            places = [module.values[member] for member in members if member in module.values]
            return port.Place(module.path, places[0].first, places[-1].last) if places else None
        return report.place_of(self.source, self.name) or quoted(module, self.name)


class NotFound(Exception):
    """Nothing has the name; the message is one sentence."""


def quoted(module: port.PortModule, text: str) -> port.Place | None:
    """The first line of a module that has ``text`` as a string, or at the end of one that is a path."""
    string = re.compile(rf"[\"'](?:[^\"']*/)?{re.escape(text)}[\"']")
    for number, line in enumerate(module.lines, 1):
        if string.search(line) and not line.lstrip().startswith("#"):
            return port.Place(module.path, number, number)
    return None


def _of_file(source: Source) -> Iterator[Name]:
    mine = v14()[source.path]
    for function in mine.functions:
        yield Name(function.name, "function", source)
    for enum, members in mine.enums.items():
        yield Name(enum, "enum", source)
        for member in members:
            yield Name(member, "constant", source, enum)
    for name, value in mine.defines.items():
        if value != "":
            yield Name(name, "constant", source)
    for name in mine.macros:
        yield Name(name, "macro", source)
    for struct, fields in mine.structs.items():
        yield Name(struct, "struct", source)
        for name, _ in fields:
            yield Name(name, "field", source, struct)
    for name in mine.module_params:
        yield Name(name, "parameter", source)
    for kind, group in (("id", [*mine.dt_ids, *mine.acpi_ids]), ("property", mine.properties),
                        ("driver", [mine.driver_name] if mine.driver_name else []), ("initialiser", mine.initialisers)):
        for name in group:
            yield Name(name, kind, source)


def _of_other(source: Source) -> Iterator[Name]:
    module = port.read(source.module)
    for name, place in module.functions.items() if module is not None else ():
        # the hooks of a plugin are none of the C file's functions
        if not name.startswith("_") and module is not None and not module.lines[place.first - 1].startswith("@"):
            yield Name(name, "function", source)


@functools.cache
def names() -> dict[str, list[Name]]:
    found: dict[str, list[Name]] = {}
    by_file = {source.name: source for source in SOURCES}
    attributes = [(path.rpartition("/")[2], by_file["hidma_mgmt_sys.c"]) for path, _ in inventory()["sysfs"]["mgmt"]]
    attributes += [(path, by_file["hidma.c"]) for path, _ in inventory()["sysfs"]["channel"]]
    everything = [name for source in SOURCES for name in _of_file(source)]
    everything += [name for source in OTHERS for name in _of_other(source)]
    everything += [Name(name, "attribute", source) for name, source in dict.fromkeys(attributes)]
    for name in everything:
        found.setdefault(name.name, []).append(name)
    return found


def files() -> dict[str, Source]:
    """What a file may be called: as in C, or as its module here."""
    found: dict[str, Source] = {}
    for source in (*SOURCES, *OTHERS):
        module = port.read(source.module)
        called = [source.path, source.name, source.module, source.module.rpartition(".")[2]]
        if module is not None:
            called += [module.path, module.path.rpartition("/")[2]]
        for name in called:
            found.setdefault(name, source)
    return found


def is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


def matching(pattern: str) -> list[Name]:
    """Every name that matches a pattern.

    :raises NotFound: none does
    """
    found = [each for name in fnmatch.filter(names(), pattern) for each in names()[name]]
    if not found:
        raise NotFound(f"no name of the series matches {pattern!r}")
    return found


def meaning(name: str) -> tuple[list[Name], str]:
    """What a name means, and a remark when V14 has another name for it.

    :raises NotFound: nothing has that name
    """
    wanted = name.removeprefix("struct ").removeprefix("enum ").removesuffix("()")
    if wanted in names():
        return names()[wanted], ""
    for struct in (each for group in names().values() for each in group if each.kind == "struct"):
        if port.camel(struct.name) == wanted:
            return [struct], f"{wanted} is the class of struct {struct.name}"
    older = [old for old, new in LATER.items() if new == wanted and old in names()]
    older = older or [known for known in names() if bare(known) == bare(wanted)]
    if older:
        return [each for old in older for each in names()[old]], f"V14 has it as {' and '.join(older)}"
    close = difflib.get_close_matches(wanted, [*names(), *files()], 1, 0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise NotFound(f"neither V14 nor the port has a file, function, constant, struct, field, parameter, id or attribute called "
                   f"{name!r}{hint}")
