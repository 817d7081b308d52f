# SPDX-License-Identifier: GPL-2.0-only
"""``hidma portmap``: prints the map. It stands for no C file."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hidma.commands.portmap import port, report
from hidma.commands.portmap.compare import Comparison, compare, show
from hidma.commands.portmap.series import ARCHIVE, RECORDED, SOURCES, Source, v14
from hidma.commands.portmap.tree import Tree, TreeError, from_kernel, from_patch

WIDTH = 118


def find(name: str) -> tuple[Source | None, list[tuple[Source, str]]]:
    """What the user named: a C file or its module here, or every place of a name.

    :raises click.ClickException: nothing has that name
    """
    wanted = name.removeprefix("./").rstrip("/")
    for source in SOURCES:
        module = port.read(source.module)
        names = {source.path, source.name, source.module, source.module.rpartition(".")[2]}
        if module is not None:
            names |= {module.path, module.path.rpartition("/")[2]}
        if wanted in names:
            return source, []
    places: list[tuple[Source, str]] = []
    everything: list[str] = []
    for source in SOURCES:
        mine = v14()[source.path]
        names_here = [*(f.name for f in mine.functions), *mine.constants, *mine.macros, *mine.structs, *mine.module_params,
                      *(field for fields in mine.structs.values() for field, _ in fields)]
        everything += names_here
        if wanted in names_here:
            places.append((source, wanted))
    if places:
        return None, places
    close = difflib.get_close_matches(wanted, [*everything, *(s.name for s in SOURCES)], 1, 0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise click.ClickException(f"the series has no file, function, constant, struct or parameter called {name!r}{hint}")


def wrapped(text: str, indent: str) -> str:
    """A paragraph."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def here(place: dict[str, Any] | None) -> str:
    """A place in the port."""
    if place is None:
        return "-"
    return f"{place['path']}:{place['first']}" + (f"-{place['last']}" if place["last"] != place["first"] else "")


def c_lines(function: dict[str, Any]) -> str:
    """Lines in the C file."""
    return f"{function['first']}-{function['last']}" if function["first"] else "macro"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], indent: str) -> list[str]:
    """Columns."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return [(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
            for row in [head, *rows]]


def covered(lines: dict[str, Any] | None) -> str:
    """Lines of the port that recorded runs reach."""
    if lines is None:
        return "-"
    if lines["stale"]:
        return "changed"
    return f"{lines['code'] - len(lines['missed'])} of {lines['code']}"


def read_at(read: dict[str, Any]) -> str:
    """Where the C file can be read."""
    text = read["repository"] + (f", commit {read['commit']}" if read["commit"] else "")
    return text + (f" ({read['remark']})" if read["remark"] else "")


def print_rows(rows: list[dict[str, Any]], indent: str) -> None:
    """What docs/quirks says."""
    for row in rows:
        click.echo(wrapped(f"row {row['row']}, V14: {row['v14']}", indent))
        click.echo(wrapped(f"later: {row['later']}", indent + "    "))


def print_differences(found: list[dict[str, Any]], indent: str) -> None:
    """What the tree has otherwise; moved functions in one paragraph."""
    moved = [d for d in found if d["kind"] == "moved" and d["what"] == "function" and "line" in (d["v14"] or "")]
    explained: set[int] = set()
    for d in found:
        if d in moved:
            continue
        change = {"missing": d["v14"] or "", "new": d["there"] or ""}.get(
            d["kind"], d["there"] if d["kind"] == "renamed" else f"{d['v14']} -> {d['there']}")
        click.echo(wrapped(f"{d['kind']} {d['what']} {d['name']}" + (f": {change}" if change else ""), indent))
        again = [row["row"] for row in d["rows"] if row["row"] in explained]
        if again:
            click.echo(f"{indent}    (row{'s' if len(again) > 1 else ''} {', '.join(map(str, again))} above)")
        print_rows([row for row in d["rows"] if row["row"] not in explained], indent + "    ")
        explained.update(row["row"] for row in d["rows"])
    if moved:
        each = "; ".join(f"{d['name']} {d['v14'].removeprefix('lines ')} -> {d['there'].removeprefix('lines ')}" for d in moved)
        click.echo(wrapped(f"moved functions (lines): {each}", indent))


def print_file(facts: dict[str, Any]) -> None:
    """One C file."""
    place = facts["here"] or f"not ported yet ({facts['module']})"
    click.echo(f"{facts['path']}: {facts['lines']} lines -> {place}")
    for patch in facts["patches"]:
        click.echo(f"    patch {patch['number']} of 9: {patch['title']}")
    click.echo(f"    read it at {read_at(facts['read'])}")
    if facts["c_lines_covered_percent"] is not None:
        click.echo(f"    recorded runs reach {facts['c_lines_covered_percent']:g} % of the C file's lines")
    there = facts.get("there")
    compared = "differences" in facts
    if compared:
        if there is None:
            click.echo("    there: no such file")
        else:
            made = f" and {there['made_by_macros']} made by macros" if there["made_by_macros"] else ""
            part = "; only the parts that the patches show" if there["partial"] else ""
            click.echo(f"    there: {there['lines']} lines, {there['functions']} functions{made}{part}")
    if facts["functions"]:
        head = ("FUNCTION", "C LINES", *(("THERE",) if compared else ()), "HERE", "RUNS", "LINES", "ROWS")
        rows = []
        for function in facts["functions"]:
            at: tuple[str, ...] = ()
            if compared:
                twin = function.get("there")
                other = "" if twin is None or twin["name"] == function["name"] else f" {twin['name']}"
                at = ("-" if twin is None else f"{twin['first']}-{twin['last']}{other}",)
            rows.append((function["name"], c_lines(function), *at, here(function["here"]),
                         str(len(function["runs"])), covered(function["lines"]),
                         " ".join(str(row["row"]) for row in function["v14"])))
        click.echo("\n".join(table(head, rows, "    ")))
    constants = [(c["name"], show(c["value"]), c["enum"] or "", here(c["here"])) for c in facts["constants"]]
    constants += [(f"{m['name']}({', '.join(m['parameters'])})", "", "", here(m["here"])) for m in facts["macros"]]
    if constants:
        click.echo("\n".join(table(("CONSTANT", "VALUE", "ENUM", "HERE"), constants, "    ")))
    for struct in facts["structs"]:
        click.echo(f"    struct {struct['name']}  {here(struct['here'])}")
        click.echo(wrapped("; ".join(f"{f['name']}: {f['type']}" for f in struct["fields"]), "        "))
    for p in facts["parameters"]:
        click.echo(f"    parameter {p['name']}: {p['type']}, mode {p['mode']:#o}, {p['default']} unless given  "
                   f"{here(p['here'])}")
    names = {"device_tree": "device tree", "acpi": "ACPI", "properties": "properties", "exported": "exported",
             "driver": "driver"}
    for key, name in names.items():
        value = facts["ids"][key]
        if value:
            click.echo(wrapped(f"{name}: {value if isinstance(value, str) else ', '.join(value)}", "    "))
    if compared:
        click.echo("    differences:" if facts["differences"] else "    no differences")
        print_differences(facts["differences"], "        ")
        print_inside(facts)
    click.echo()


def print_inside(facts: dict[str, Any]) -> None:
    """What docs/quirks knows of functions that both have, beyond what was explained."""
    told = {row["row"] for d in facts["differences"] for row in d["rows"]}
    rows: dict[int, tuple[dict[str, Any], list[str]]] = {}
    for function in facts["functions"]:
        if function.get("there"):
            for row in function["v14"]:
                if row["row"] not in told:
                    rows.setdefault(row["row"], (row, []))[1].append(function["name"])
    if rows:
        click.echo("    inside functions that both have (by Linux 6.1):")
    for _, (row, names) in sorted(rows.items()):
        click.echo(wrapped(", ".join(names), "        "))
        print_rows([row], "            ")


def print_name(source: Source, name: str, facts: dict[str, Any]) -> None:
    """One function, constant, struct or parameter of a C file."""
    for function in facts["functions"]:
        if function["name"] == name:
            print_function(source, function, facts)
            return
    for kind in ("constants", "macros", "structs", "parameters"):
        for thing in facts[kind]:
            if thing["name"] == name:
                value = f" = {show(thing['value'])}" if kind == "constants" else ""
                click.echo(f"{kind[:-1]} {name}{value}")
                click.echo(f"    C     {source.path}")
                click.echo(f"    here  {here(thing['here'])}")
                for field in thing.get("fields", ()):
                    click.echo(f"    {field['name']}: {field['type']}")
    for struct in facts["structs"]:
        for field in struct["fields"]:
            if field["name"] == name:
                click.echo(f"field {name}: {field['type']}")
                click.echo(f"    C     {source.path}, struct {struct['name']}")
                click.echo(f"    here  {here(struct['here'])}")
    about = [d for d in facts.get("differences", ()) if d["name"] == name or d["name"].endswith(f".{name}")]
    print_differences(about, "    ")


def print_function(source: Source, function: dict[str, Any], facts: dict[str, Any]) -> None:
    """All about one function."""
    click.echo(function["signature"])
    where = f"lines {c_lines(function)}" if function["first"] else f"made by {function['macro']}"
    click.echo(f"    C      {source.path}, {where}")
    click.echo(f"           read it at {read_at(facts['read'])}")
    if function["without"]:
        click.echo(f"    here   nowhere: {function['without']}")
    else:
        click.echo(f"    here   {here(function['here']) if function['here'] else 'not ported yet'}")
    lines = function["lines"]
    if lines is not None:
        missed = ", ".join(map(str, lines["missed"]))
        text = "changed since it was measured" if lines["stale"] else (
            f"recorded runs reach {covered(lines)}" + (f", not {missed}" if missed else ""))
        click.echo(f"    lines  {text}")
    runs = function["runs"]
    click.echo(f"    runs   {len(runs)} recorded runs of the series' own C pass through it")
    if runs:
        click.echo(wrapped(", ".join(runs), "           "))
    if function["v14"]:
        click.echo("    V14")
        print_rows(function["v14"], "        ")
    if "there" in function:
        twin = function["there"]
        click.echo("    there  " + ("nowhere" if twin is None else f"{twin['signature']}, lines {twin['first']}-{twin['last']}"))
        about = [d for d in facts["differences"] if d["name"] == function["name"]]
        print_differences([d | {"rows": []} for d in about], "        ")


def load_tree(kernel: str | None, patch: str | None) -> Tree | None:
    """The user's copy, if one was named.

    :raises click.ClickException: it is not the series
    """
    if kernel is not None and patch is not None:
        raise click.ClickException("--kernel and --patch name two copies of the series; give one of them")
    try:
        tree = from_kernel(Path(kernel)) if kernel is not None else from_patch(Path(patch)) if patch is not None else None
    except TreeError as error:
        raise click.ClickException(str(error)) from None
    if tree is not None:
        for note in tree.notes:
            click.echo(f"hidma: {note}", err=True)
    return tree


def copy_options(command: Any) -> Any:
    """--kernel and --patch."""
    command = click.option("--patch", metavar="FILE|DIR",
                           help="Your copy as posted: an mbox, a patch, or a directory of patches.")(command)
    return click.option("--kernel", metavar="DIR", help="Your copy: a kernel tree of any version.")(command)


@click.command("portmap")
@click.argument("name", required=False, metavar="[FUNCTION|FILE]")
@copy_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def portmap(name: str | None, kernel: str | None, patch: str | None, as_json: bool) -> int:
    """Show where everything of the C files stands in the port.

    For each file of the series: every function with its lines in C, its place here, the recorded runs that pass through
    it, the lines of it that they reach, and the rows of docs/quirks; then constants, structs, parameters and ids. With
    the name of a function, a constant, a struct or a file: only that.

    With --kernel or --patch it reads your copy of the C files (extra `source`) and shows what is missing there, renamed,
    moved, or has another value or type, and why.
    """
    source, places = find(name) if name is not None else (None, [])
    tree = load_tree(kernel, patch)
    comparison: Comparison | None = None if tree is None else compare(tree)
    sources = (source,) if source is not None else tuple(dict.fromkeys(s for s, _ in places)) or SOURCES
    facts = report.report(sources, tree, comparison)
    if as_json:
        if places:
            for file, (_, wanted) in zip(facts["files"], places, strict=True):
                for kind in ("functions", "constants", "macros", "structs", "parameters"):
                    file[kind] = [thing for thing in file[kind] if thing["name"] == wanted
                                  or any(field["name"] == wanted for field in thing.get("fields", ()))]
        click.echo(json.dumps(facts, indent=1))
        return 0
    if tree is not None:
        click.echo(f"compared with {tree.where}: {tree.called}\n")
    for found, file in zip(sources, facts["files"], strict=True):
        if places:
            print_name(found, places[0][1], file)
        else:
            print_file(file)
    if name is None:
        click.echo(wrapped(RECORDED, ""))
        click.echo()
        click.echo(wrapped(ARCHIVE, ""))
    return 0
