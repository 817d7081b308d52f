# SPDX-License-Identifier: GPL-2.0-only
"""``hidma portmap``: prints the map. It stands for no C file."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hidma.commands.options import table
from hidma.commands.portmap import names, port, report
from hidma.commands.portmap.compare import Comparison, Difference, compare, rows_of, show
from hidma.commands.portmap.names import Name
from hidma.commands.portmap.series import ARCHIVE, OTHERS, RECORDED, SOURCES, Source, v14
from hidma.commands.portmap.tree import Tree, TreeError, from_kernel, from_patch

WIDTH = 118

#: Whether the body of a function is that of V14.
BODY = {"same": "the same tokens as in V14", "changed": "other tokens than in V14",
        "unknown": "not compared: not all of its lines are known"}


def wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def here(place: dict[str, Any] | None) -> str:
    if place is None:
        return "-"
    return f"{place['path']}:{place['first']}" + (f"-{place['last']}" if place["last"] != place["first"] else "")


def c_lines(function: dict[str, Any]) -> str:
    return f"{function['first']}-{function['last']}" if function["first"] else "macro"


def covered(lines: dict[str, Any] | None) -> str:
    """Lines of the port that recorded runs reach."""
    if lines is None:
        return "-"
    if lines["stale"]:
        return "changed"
    return f"{lines['code'] - len(lines['missed'])} of {lines['code']}"


def read_at(read: dict[str, Any]) -> str:
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
        change = {"missing": d["v14"] or "", "new": d["there"] or "", "renamed": d["there"], "body": ""}.get(
            d["kind"], f"{d['v14']} -> {d['there']}")
        kind = "changed body of" if d["kind"] == "body" else d["kind"]
        click.echo(wrapped(f"{kind} {d['what']} {d['name']}" + (f": {change}" if change else ""), indent))
        again = [row["row"] for row in d["rows"] if row["row"] in explained]
        if again:
            click.echo(f"{indent}    (row{'s' if len(again) > 1 else ''} {', '.join(map(str, again))} above)")
        print_rows([row for row in d["rows"] if row["row"] not in explained], indent + "    ")
        explained.update(row["row"] for row in d["rows"])
    if moved:
        each = "; ".join(f"{d['name']} {d['v14'].removeprefix('lines ')} -> {d['there'].removeprefix('lines ')}" for d in moved)
        click.echo(wrapped(f"moved functions (lines): {each}", indent))


def print_file(facts: dict[str, Any]) -> None:
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
        head = ("FUNCTION", "C LINES", *(("THERE", "BODY") if compared else ()), "HERE", "RUNS", "LINES", "ROWS")
        rows = []
        for function in facts["functions"]:
            at: tuple[str, ...] = ()
            if compared:
                twin = function.get("there")
                other = "" if twin is None or twin["name"] == function["name"] else f" {twin['name']}"
                at = ("-" if twin is None else f"{twin['first']}-{twin['last']}{other}", "-" if twin is None else twin["body"])
            rows.append((function["name"], c_lines(function), *at, here(function["here"]),
                         str(len(function["runs"])), covered(function["lines"]),
                         " ".join(str(row["row"]) for row in function["v14"])))
        click.echo(table([head, *rows], "    "))
    constants = [(c["name"], show(c["value"]), c["enum"] or "", here(c["here"])) for c in facts["constants"]]
    constants += [(f"{m['name']}({', '.join(m['parameters'])})", "", "", here(m["here"])) for m in facts["macros"]]
    if constants:
        click.echo(table([("CONSTANT", "VALUE", "ENUM", "HERE"), *constants], "    "))
    for struct in facts["structs"]:
        click.echo(f"    struct {struct['name']}  {here(struct['here'])}")
        click.echo(wrapped("; ".join(f"{f['name']}: {f['type']}" for f in struct["fields"]), "        "))
    for p in facts["parameters"]:
        click.echo(f"    parameter {p['name']}: {p['type']}, mode {p['mode']:#o}, {p['default']} unless given  "
                   f"{here(p['here'])}")
    titles = {"device_tree": "device tree", "acpi": "ACPI", "properties": "properties", "exported": "exported",
              "driver": "driver"}
    for key, name in titles.items():
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
    for _, (row, functions) in sorted(rows.items()):
        click.echo(wrapped(", ".join(functions), "        "))
        print_rows([row], "            ")


def print_name(name: Name, facts: dict[str, Any]) -> None:
    if name.kind == "function":
        for function in facts["functions"]:
            if function["name"] == name.name:
                print_function(name.source, function, facts)
        return
    mine = v14()[name.source.path]
    value = f" = {show(mine.constants[name.name])}" if name.kind == "constant" else ""
    value = f": {dict(mine.structs[name.where])[name.name]}" if name.kind == "field" else value
    click.echo(f"{name.kind} {name.name}{value}")
    inside = {"field": f", struct {name.where}", "constant": f", enum {name.where}" if name.where else ""}.get(name.kind, "")
    click.echo(f"    C     {name.source.path}{inside}")
    click.echo(f"    here  {name.place or '-'}")
    for field, kind in mine.structs[name.name] if name.kind == "struct" else ():
        click.echo(f"    {field}: {kind}")
    for member, number in mine.enums[name.name].items() if name.kind == "enum" else ():
        click.echo(f"    {member} = {show(number)}")
    rows = list(rows_of(name.name))
    print_rows([report.row(number) for number in rows], "    ")
    about = [d for d in facts.get("differences", ()) if d["name"] == name.name or d["name"].endswith(f".{name.name}")]
    print_differences([d | {"rows": [row for row in d["rows"] if row["row"] not in rows]} for d in about], "    ")


def print_other(source: Source, only: str = "") -> None:
    """A file that the port has and the series does not change: its functions, or one of them."""
    module = port.read(source.module)
    click.echo(f"{source.path} -> {module.path if module else '-'}")
    click.echo(f"    the series does not change it; read it at {read_at(report.read_where(source))}")
    rows = [(name.name, str(name.place), " ".join(str(n) for n in name_rows(name)))
            for each in names.names().values() for name in each if name.source is source and only in ("", name.name)]
    click.echo(table([("FUNCTION", "HERE", "ROWS"), *rows], "    "))
    click.echo()


def name_rows(name: Name) -> list[int]:
    """Rows of docs/quirks about a function: those that name it, and those that its marks name."""
    module = port.read(name.source.module)
    marked = module.rows(name.place) if module is not None and name.place is not None else []
    return sorted({*rows_of(name.name), *marked})


def print_function(source: Source, function: dict[str, Any], facts: dict[str, Any]) -> None:
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
        click.echo(wrapped(", ".join(families(runs)), "           "))
    if function["v14"]:
        click.echo("    V14")
        print_rows(function["v14"], "        ")
    if "there" in function:
        twin = function["there"]
        click.echo("    there  " + ("nowhere" if twin is None else f"{twin['signature']}, lines {twin['first']}-{twin['last']}"))
        if twin is not None:
            click.echo(f"    body   {BODY[twin['body']]}")
        about = [d for d in facts["differences"] if d["name"] == function["name"]]
        print_differences([d | {"rows": []} for d in about], "        ")


def families(runs: Sequence[str]) -> list[str]:
    """Names of runs; those that differ in their numbers only are one item, ``ll_status_code_* (11)``."""
    found: dict[str, list[str]] = {}
    for run in runs:
        found.setdefault(re.sub(r"(?:_?\d+)+$", "_*", run), []).append(run)
    return [f"{family} ({len(members)})" if len(members) > 1 else members[0] for family, members in found.items()]


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
    command = click.option("--patch", metavar="FILE|DIR",
                           help="Your copy as posted: an mbox, a patch, or a directory of patches.")(command)
    return click.option("--kernel", metavar="DIR", help="Your copy: a kernel tree of any version.")(command)


def as_json_names(name: str | None, found: list[Name], new: list[Difference], chosen: tuple[Source, ...],
                  facts: dict[str, Any]) -> dict[str, Any]:
    """What the JSON object has when a name or a file is asked for; of ``facts``, names of other things are left out."""
    out: dict[str, Any] = {}
    if name is not None and found:
        wanted = {each.name for each in found}
        for file in facts["files"]:
            for kind in ("functions", "constants", "macros", "structs", "parameters"):
                file[kind] = [thing for thing in file[kind] if thing["name"] in wanted
                              or any(field["name"] in wanted for field in thing.get("fields", ()))]
        out["names"] = [{"name": each.name, "kind": each.kind, "path": each.source.path, "here": str(each.place or "") or None}
                        for each in found]
    if new:
        out["new"] = [report.difference(d) for d in new]
    others = [source for source in chosen if source not in SOURCES]
    if others:
        out["others"] = [{"path": source.path, "module": source.module} for source in others]
    return out


@click.command("portmap")
@click.argument("name", required=False, metavar="[NAME|FILE|PATTERN]")
@copy_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def portmap(name: str | None, kernel: str | None, patch: str | None, as_json: bool) -> int:
    """Show where everything of the C files stands in the port.

    For each file of the series: every function with its lines in C, its place here, the recorded runs that pass through
    it, the lines of it that they reach, and the rows of docs/quirks; then constants, structs, parameters and ids. With
    a file (of C or of the port), or a name of V14, of a later kernel or of the port: only that. A pattern
    (`EVCA_*`) lists the names that match.

    With --kernel or --patch it reads your copy of the C files (extra `source`) and shows what is missing there, renamed,
    moved, or has another value, type or body, and why.
    """
    tree = load_tree(kernel, patch)
    comparison: Comparison | None = None if tree is None else compare(tree)
    file = names.files().get(name.removeprefix("./").rstrip("/")) if name is not None else None
    found: list[Name] = []
    remark = ""
    new: list[Difference] = []
    if name is not None and file is None:
        try:
            found, remark = (names.matching(name), "") if names.is_pattern(name) else names.meaning(name)
        except names.NotFound as error:
            new = [d for d in comparison.differences if name in (d.name, d.name.rpartition(".")[2])] if comparison else []
            if not new:
                raise click.ClickException(str(error)) from None
    chosen = tuple(dict.fromkeys(each.source for each in found)) if name is not None and file is None else (
        SOURCES if file is None else (file,))
    facts = report.report(tuple(source for source in chosen if source in SOURCES), tree, comparison)
    if as_json:
        click.echo(json.dumps(facts | as_json_names(name, found, new, chosen, facts), indent=1))
        return 0
    if tree is not None:
        click.echo(f"compared with {tree.where}: {tree.called}\n")
    if remark:
        click.echo(f"{name}: {remark}")
    by_path = {each["path"]: each for each in facts["files"]}
    if name is not None and names.is_pattern(name):
        rows = [(each.name, each.kind, each.source.name, str(each.place or "-")) for each in found]
        click.echo(table([("NAME", "KIND", "C FILE", "HERE"), *rows]))
        return 0
    for each in found:
        if each.source.path in by_path:
            print_name(each, by_path[each.source.path])
        else:
            print_other(each.source, each.name)
    print_differences([report.difference(d) for d in new], "")
    if found or new:
        return 0
    for source in chosen:
        if source.path in by_path:
            print_file(by_path[source.path])
        else:
            print_other(source)
    if name is None:
        click.echo(wrapped("Ported as well, and not changed by the series: "
                           + ", ".join(f"{source.path} -> {source.module}" for source in OTHERS), ""))
        click.echo()
        click.echo(wrapped(RECORDED, ""))
        click.echo()
        click.echo(wrapped(ARCHIVE, ""))
    return 0
