# SPDX-License-Identifier: GPL-2.0-only
"""The map as data: everything that ``hidma portmap`` prints, file by file, in the form that ``--json`` prints too. It
stands for no C file.
"""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any

from hidma.commands.portmap import port
from hidma.commands.portmap.compare import Comparison, Difference, rows_of
from hidma.commands.portmap.series import ARCHIVE, PATCHES, RECORDED, SOURCES, CFile, Function, Source, v14
from hidma.commands.portmap.tree import Tree
from hidma.quirks import BY_NUMBER


@functools.cache
def measured() -> dict[str, Any]:
    text = files("hidma.commands.portmap").joinpath("runs.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def url(source: Source) -> str:
    """Where the C file can be read, as an address."""
    top = f"https://github.com/{source.repository}"
    return f"{top}/blob/{source.commit}/{source.path}" if source.commit else top


def read_where(source: Source) -> dict[str, Any]:
    """Where the C file can be read: repository, commit, remark and address."""
    return {"repository": source.repository, "commit": source.commit or None, "remark": source.remark or None,
            "url": url(source)}


def row(number: int) -> dict[str, Any]:
    found = BY_NUMBER[number]
    return {"row": number, "title": found.title, "v14": found.v14, "later": found.later}


def _place(place: port.Place | None) -> dict[str, Any] | None:
    return None if place is None else {"path": place.path, "first": place.first, "last": place.last}


def place_of(source: Source, name: str) -> port.Place | None:
    """Where a function, a constant or a struct of a C file stands in the port."""
    module = port.read(source.module)
    if module is None:
        return None
    return module.functions.get(name) or module.values.get(name) or module.structs.get(name)


def function_rows(source: Source, function: Function) -> list[int]:
    """Rows of docs/quirks about a function: those that name it, and those that its marks name."""
    found = set(rows_of(function.name))
    module, place = port.read(source.module), place_of(source, function.name)
    if module is not None and place is not None:
        found.update(module.rows(place))
    if function.macro:
        found.update(rows_of(function.macro))
    return sorted(found & set(BY_NUMBER))


def _lines(source: Source, name: str, maker: str) -> dict[str, Any] | None:
    """How many lines of the port's function are code, and which no recorded run reaches."""
    facts = measured()["functions"].get(source.path, {}).get(name)
    module = port.read(source.module)
    if facts is None and maker:
        return _lines(source, maker, "")
    if facts is None or module is None or name not in module.functions:
        return None
    place = module.functions[name]
    return {"code": facts["code"], "missed": [place.first + offset for offset in facts["missed"]],
            "stale": facts["digest"] != module.digest(place)}


def runs_of(source: Source, name: str, maker: str = "") -> list[str]:
    facts = measured()["functions"].get(source.path, {})
    found = facts.get(name) or facts.get(maker) or {"runs": []}
    return [measured()["runs"][number] for number in found["runs"]]


def _function(source: Source, function: Function, comparison: Comparison | None) -> dict[str, Any]:
    out: dict[str, Any] = {"name": function.name, "signature": function.signature, "first": function.first or None,
                           "last": function.last or None, "macro": function.macro or None,
                           "here": _place(place_of(source, function.name)),
                           "without": port.NO_FUNCTION.get(function.name),
                           "v14": [row(number) for number in function_rows(source, function)],
                           "runs": runs_of(source, function.name, function.macro),
                           "lines": _lines(source, function.name, function.macro)}
    if comparison is not None:
        there = comparison.pairs.get((source.path, function.name))
        out["there"] = None if there is None else {
            "name": there.name, "signature": there.signature, "first": there.first, "last": there.last,
            "condition": there.condition or None, "macro": there.macro or None,
            "body": "unknown" if not (function.body and there.body) else "same" if function.body == there.body else "changed"}
    return out


def difference(found: Difference) -> dict[str, Any]:
    return {"kind": found.kind, "what": found.what, "name": found.name, "v14": found.v14 or None,
            "there": found.there or None, "rows": [row(number) for number in found.rows]}


def file(source: Source, tree: Tree | None, comparison: Comparison | None) -> dict[str, Any]:
    mine: CFile = v14()[source.path]
    module = port.read(source.module)
    out: dict[str, Any] = {
        "path": source.path,
        "lines": mine.lines,
        "here": None if module is None else module.path,
        "module": source.module,
        "patches": [{"number": p.number, "title": p.title} for p in PATCHES if source.path in p.files],
        "read": read_where(source),
        "c_lines_covered_percent": source.coverage,
        "functions": [_function(source, f, comparison) for f in mine.functions],
        "constants": [{"name": name, "value": value, "enum": next((e for e, m in mine.enums.items() if name in m), None),
                       "here": _place(place_of(source, name))} for name, value in mine.constants.items() if value != ""],
        "macros": [{"name": name, "parameters": list(parameters), "here": _place(place_of(source, name))}
                   for name, parameters in mine.macros.items()],
        "structs": [{"name": name, "fields": [{"name": field, "type": kind} for field, kind in fields],
                     "here": _place(place_of(source, name))} for name, fields in mine.structs.items()],
        "parameters": [{"name": name, "type": kind, "mode": mode, "default": default,
                        "here": _place(place_of(source, name))}
                       for name, (kind, mode, default) in mine.module_params.items()],
        "ids": {"device_tree": mine.dt_ids, "acpi": mine.acpi_ids, "properties": mine.properties,
                "exported": mine.exported, "driver": mine.driver_name or None},
    }
    if tree is not None and comparison is not None:
        theirs = tree.files.get(source.path)
        out["there"] = None if theirs is None else {
            "lines": theirs.lines, "functions": sum(not f.macro for f in theirs.functions),
            "made_by_macros": sum(bool(f.macro) for f in theirs.functions), "partial": theirs.partial}
        out["differences"] = [difference(d) for d in comparison.of(source.path)]
    return out


def report(sources: tuple[Source, ...] = SOURCES, tree: Tree | None = None,
           comparison: Comparison | None = None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "series": "[PATCH V14 0/9] dma: add Qualcomm Technologies HIDMA driver",
        "archive": ARCHIVE,
        "recorded": RECORDED,
        "files": [file(source, tree, comparison) for source in sources],
    }
    if tree is not None:
        out["tree"] = {"where": tree.where, "version": tree.called, "notes": tree.notes}
    return out
