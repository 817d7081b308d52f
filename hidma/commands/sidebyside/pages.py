# SPDX-License-Identifier: GPL-2.0-only
"""The pages: C on the left, the port on the right, the same height where they say the same thing, and notes between.
Without a tree of the user's only the port is shown, with links to a public cross reference in place of the C. Static
files, no network; every page is whole without its script. It stands for no C file.
"""

from __future__ import annotations

import ast
import html
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from pygments.lexers import get_lexer_by_name
from pygments.token import Token

from hidma.commands.portmap import port, report
from hidma.commands.portmap.compare import Comparison, Difference, compare
from hidma.commands.portmap.series import CROSS_REFERENCE, PATCHES, SOURCES, Function, Source, v14
from hidma.commands.portmap.tree import Tree
from hidma.commands.sidebyside.align import chunks, rising
from hidma.quirks import BY_NUMBER

IDENTIFIER = CROSS_REFERENCE.removesuffix("source/") + "A/ident/"
ASSETS = ("style.css", "script.js")


def asset(name: str) -> str:
    return files("hidma.commands.sidebyside").joinpath(name).read_text(encoding="utf-8")


#: What the blocks of each function do and why: C function to paragraphs.
COMMENTARY: dict[str, list[str]] = {name: text.split("\n\n") for name, text in tomllib.loads(asset("commentary.toml")).items()}

_COLOURS = ((Token.Comment.Preproc, "k"), (Token.Comment, "m"), (Token.Literal.String.Doc, "m"), (Token.Literal.String, "s"),
            (Token.Literal.Number, "n"), (Token.Keyword, "k"), (Token.Operator.Word, "k"))


def esc(text: str) -> str:
    return html.escape(text, quote=True)


def page_name(source: Source) -> str:
    return source.name + ".html"


def highlight(text: str, language: str, link: Callable[[str, bool], str | None]) -> list[str]:
    """Lines of code as HTML.

    :param link: the address behind a name; its second argument says whether the name stands after ``.`` or ``->``
    """
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    lines: list[list[str]] = [[]]
    before = ""
    for kind, value in lexer.get_tokens(text):
        colour = next((name for token, name in _COLOURS if kind in token), "")
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append([])
            if not part:
                continue
            shown = _linked(part, kind, before, link)
            lines[-1].append(f'<span class="{colour}">{shown}</span>' if colour else shown)
        before = (before + value)[-2:] if value.strip() else before
    return ["".join(parts) for parts in lines]


def _linked(part: str, kind: Any, before: str, link: Callable[[str, bool], str | None]) -> str:
    if kind in Token.Comment.Preproc:
        # names in a macro are one token with the rest of its line
        def name(match: re.Match[str]) -> str:
            to = link(match[0], False)
            return f'<a href="{esc(to)}">{match[0]}</a>' if to else match[0]
        return re.sub(r"\b[A-Za-z_]\w*\b(?![;])", name, esc(part)) if "&" not in esc(part) else esc(part)
    if kind in Token.Name.Namespace:
        return esc(part)
    if kind in Token.Name or kind in Token.Keyword.Type:
        to = link(part, before.endswith(".") or before.endswith("->"))
        if to:
            return f'<a href="{esc(to)}">{esc(part)}</a>'
    return esc(part)


def _rows_linked(text: str) -> str:
    """A sentence whose rows show their titles."""
    def row(match: re.Match[str]) -> str:
        title = BY_NUMBER[int(match[0])].title
        return f'<abbr title="{esc(title)}">{match[0]}</abbr>'
    return re.sub(r"(?<=row )\d+|(?<=rows )\d+|(?<=\d and )\d+", row, text)


@dataclass
class Names:
    """Where every name is defined, on both sides.

    :ivar c: functions, constants, macros, structs and parameters of the user's copy
    :ivar c_fields: fields of its structs
    :ivar port: the same in the port; structs by the names of their classes
    :ivar kinds: what a name is
    """

    c: dict[str, str] = field(default_factory=dict)
    c_fields: dict[str, str] = field(default_factory=dict)
    port: dict[str, str] = field(default_factory=dict)
    port_fields: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def in_c(self, name: str, member: bool) -> str | None:
        """For :func:`highlight`."""
        return self.c_fields.get(name) if member else self.c.get(name)

    def in_port(self, name: str, member: bool) -> str | None:
        """For :func:`highlight`."""
        return self.port_fields.get(name) if member else self.port.get(name)


def collect(tree: Tree | None) -> Names:
    names = Names()
    for source in SOURCES:
        page = page_name(source)
        facts = v14()[source.path]
        if tree is not None and source.path in tree.files:
            theirs = tree.files[source.path]
            for function in theirs.functions:
                names.c.setdefault(function.name, f"{page}#c{function.first}")
                names.kinds.setdefault(function.name, "function")
            for name, line in theirs.places.items():
                struct, _, member = name.partition(".")
                if member:
                    names.c_fields.setdefault(member, f"{page}#c{line}")
                    names.kinds.setdefault(member, f"field of {struct}")
                else:
                    names.c.setdefault(name, f"{page}#c{line}")
        module = port.read(source.module)
        if module is None:
            continue
        for name, function in ((f.name, f) for f in facts.functions):
            place = module.functions.get(name) or module.values.get(name)
            names.kinds.setdefault(name, f"function made by {function.macro}" if function.macro else "function")
            if place is not None:
                names.port.setdefault(name, f"{page}#p{place.first}")
        for kind, group in (("constant", facts.constants), ("macro", facts.macros), ("parameter", facts.module_params)):
            for name in group:
                place = module.values.get(name) or module.functions.get(name)
                names.kinds.setdefault(name, kind)
                if place is not None:
                    names.port.setdefault(name, f"{page}#p{place.first}")
        for struct in facts.structs:
            place = module.structs.get(struct)
            names.kinds.setdefault(struct, "struct")
            if place is not None:
                names.port.setdefault(port.camel(struct), f"{page}#p{place.first}")
                names.port.setdefault(struct, f"{page}#p{place.first}")
        for struct, member, line in fields(module):
            names.port_fields.setdefault(member, f"{page}#p{line}")
            names.kinds.setdefault(member, f"field of {struct}")
    if tree is not None:
        for file in tree.files.values():
            names.kinds.update({n: "constant" for n in file.constants if n not in names.kinds})
            names.kinds.update({n: "macro" for n in file.macros if n not in names.kinds})
            names.kinds.update({n: "struct" for n in file.structs if n not in names.kinds})
    return names


def references() -> dict[str, list[tuple[str, str]]]:
    """For each function, constant and macro of the series: the functions of the port that use it, each with its page."""
    found: dict[str, list[tuple[str, str]]] = {}
    for source in SOURCES:
        module, facts = port.read(source.module), v14()[source.path]
        if module is None:
            continue
        known = {f.name for f in facts.functions} | set(facts.macros)
        for node in ast.parse(module.text).body:
            if isinstance(node, ast.FunctionDef) and node.name in known:
                used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
                used |= {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
                for name in sorted(used):
                    found.setdefault(name, []).append((node.name, page_name(source)))
    return found


def users_table(page: Page) -> str:
    """Where the constants of a file are used."""
    facts = v14()[page.source.path]
    rows = []
    for name in (*facts.constants, *facts.macros):
        users = page.users.get(name, [])
        place = page.module.values.get(name) or page.module.functions.get(name) if page.module is not None else None
        if users and place is not None:
            links = ", ".join(f'<a href="{where}#f-{esc(user)}"><code>{esc(user)}</code></a>' for user, where in users)
            rows.append(f'<tr><td><a href="#p{place.first}"><code>{esc(name)}</code></a></td><td>{links}</td></tr>')
    if not rows:
        return ""
    return (f'<details class="text"><summary>Where {len(rows)} constants and macros are used</summary><div class="wide"><table>'
            f"{''.join(rows)}</table></div></details>")


def fields(module: port.PortModule) -> Iterator[tuple[str, str, int]]:
    """Struct, field and line of each field in a module of the port."""
    places = {place.first: struct for struct, place in module.structs.items()}
    for node in ast.parse(module.text).body:
        if isinstance(node, ast.ClassDef) and node.lineno in places:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and (
                        isinstance(inner.value, ast.Name) and inner.value.id == "self"):
                    yield places[node.lineno], inner.attr, inner.lineno


@dataclass
class Side:
    """One side of a page: numbered lines and their HTML."""

    letter: str
    numbers: list[int]
    text: list[str]
    shown: list[str]

    def html(self, start: int, end: int, css: str) -> str:
        """Lines from ``start`` up to ``end``, as indices."""
        rows = "".join(
            f'<div class="l" id="{self.letter}{n}"><a href="#{self.letter}{n}">{n}</a><code>{code}</code></div>'
            for n, code in zip(self.numbers[start:end], self.shown[start:end], strict=True))
        return f'<div class="side {css}">{rows}</div>'

    def index(self, number: int) -> int:
        low, high = 0, len(self.numbers)
        while low < high:
            middle = (low + high) // 2
            if self.numbers[middle] < number:
                low = middle + 1
            else:
                high = middle
        return low


@dataclass(frozen=True)
class Item:
    """A function on one side: indices of its lines with the comment before it."""

    name: str
    start: int
    end: int
    facts: Function | port.Place


def _with_comment(side: Side, start: int) -> int:
    while start > 0:
        text = side.text[start - 1].strip()
        comment = text.startswith(("/*", "*", "*/")) if side.letter == "c" else text.startswith("#")
        if not (comment or (side.letter == "c" and text.endswith("*/") and "{" not in text and ";" not in text)):
            return start
        start -= 1
    return start


class Page:
    """One C file and what stands for it."""

    def __init__(self, source: Source, tree: Tree | None, comparison: Comparison | None, names: Names,
                 users: dict[str, list[tuple[str, str]]]) -> None:
        self.source = source
        self.users = users
        self.tree = tree
        self.comparison = comparison
        self.module = port.read(source.module)
        self.there = None if tree is None else tree.files.get(source.path)
        lines = [] if tree is None else tree.texts.get(source.path, [])
        self.left = Side("c", list(range(1, len(lines) + 1)), lines, highlight("\n".join(lines), "c", names.in_c)
                         if lines else [])
        numbers = self._right_lines()
        shown = highlight(self.module.text, "python", names.in_port) if self.module is not None else []
        self.right = Side("p", numbers, [self.module.lines[n - 1] for n in numbers] if self.module else [],
                          [shown[n - 1] for n in numbers])
        self.shown: set[int] = set()
        self.anchors: dict[str, int] = {}
        self.out: list[str] = []

    def _right_lines(self) -> list[int]:
        """Lines of the module that are this file's: all of them, unless two C files share the module."""
        if self.module is None:
            return []
        everything = list(range(1, len(self.module.lines) + 1))
        sharing = [s for s in SOURCES if s.module == self.source.module]
        if len(sharing) == 1:
            return everything
        mine: set[int] = set()
        for source in sharing:
            if source.path.endswith(".h"):
                facts = v14()[source.path]
                for name in (*facts.constants, *facts.macros, *facts.structs):
                    place = report.place_of(source, name)
                    if place is not None:
                        mine.update(range(place.first, place.last + 1))
        return [n for n in everything if (n in mine) == self.source.path.endswith(".h")]

    # --- rows -------------------------------------------------------------------------------------------------

    def body(self) -> str:
        left = [Item(f.name, _with_comment(self.left, f.first - 1), f.last, f)
                for f in (self.there.functions if self.there else ()) if not f.macro and f.last <= len(self.left.text)]
        known = {f.name for f in v14()[self.source.path].functions} | set(v14()[self.source.path].macros)
        right = []
        if self.module is not None:
            for name, place in self.module.functions.items():
                start = self.right.index(place.first)
                if name in known and start < len(self.right.numbers) and self.right.numbers[start] == place.first:
                    right.append(Item(name, _with_comment(self.right, start), self.right.index(place.last + 1), place))
        twin = self._twins()
        by_name = {item.name: item for item in right}
        paired = [(item, by_name[twin[item.name]]) for item in left if twin.get(item.name) in by_name]
        anchors = [paired[i] for i in rising([r.start for _, r in paired])]
        at = (0, 0)
        for a, b in anchors:
            self._gap(at, (a.start, b.start), left, right)
            self._function(a, b)
            at = (a.end, b.end)
        self._gap(at, (len(self.left.text), len(self.right.text)), left, right)
        return "".join(self.out)

    def _twins(self) -> dict[str, str]:
        """Names in the user's copy to names here."""
        found = {}
        if self.comparison is not None:
            for (path, name), function in self.comparison.pairs.items():
                if path == self.source.path:
                    found[function.name] = name
        return found

    def _gap(self, start: tuple[int, int], end: tuple[int, int], left: Sequence[Item], right: Sequence[Item]) -> None:
        """What stands between two pairs: lines outside of functions, and functions of one side."""
        alone = [[i for i in items if s <= i.start and i.end <= e and i.end > i.start]
                 for items, s, e in ((left, start[0], end[0]), (right, start[1], end[1]))]
        first = [items[0].start if items else e for items, e in zip(alone, end, strict=True)]
        self._chunks((start[0], first[0]), (start[1], first[1]))
        for side, items in enumerate(alone):
            for item, following in zip(items, [*items[1:], None], strict=False):
                stop = following.start if following else end[side]
                self._title(item if side == 0 else None, item if side == 1 else None)
                self._chunks((item.start, stop) if side == 0 else (0, 0), (item.start, stop) if side == 1 else (0, 0))
                self._close()

    def _function(self, a: Item, b: Item) -> None:
        self._title(a, b)
        self._chunks((a.start, a.end), (b.start, b.end))
        self._close()

    def _close(self) -> None:
        self.shown.clear()

    def _chunks(self, left: tuple[int, int], right: tuple[int, int]) -> None:
        if left[0] >= left[1] and right[0] >= right[1]:
            return
        for chunk in chunks(self.left.text[slice(*left)], self.right.text[slice(*right)]):
            a = left[0] + chunk.left[0], left[0] + chunk.left[1]
            b = right[0] + chunk.right[0], right[0] + chunk.right[1]
            both = self.left.html(*a, "c") + self.right.html(*b, "p")
            self.out.append(f'<div class="rows">{both}{self._marks(*b)}</div>')

    def _marks(self, start: int, end: int) -> str:
        """Notes for the rows of docs/quirks that lines of the port name."""
        if self.module is None or start >= end:
            return ""
        numbers = self.right.numbers
        rows = [n for n in self.module.rows(port.Place("", numbers[start], numbers[end - 1])) if n not in self.shown]
        self.shown.update(rows)
        return "".join(self._row(n) for n in rows if n in BY_NUMBER)

    @staticmethod
    def _row(number: int) -> str:
        row = BY_NUMBER[number]
        return (f'<details class="note"><summary>V14, row {number}: {esc(row.v14)}</summary>'
                f"<p>Linux 6.1: {esc(row.later)}</p><p>Evidence: {esc(row.evidence)}</p></details>")

    def _title(self, a: Item | None, b: Item | None) -> None:
        name = b.name if b is not None else a.name if a is not None else ""
        shown = esc(name)
        if a is not None and b is not None and a.name != b.name:
            shown = f"{esc(a.name)} / {esc(b.name)}"
        function = v14()[self.source.path].function(name)
        about = []
        if a is not None:
            about.append(f'<a href="#{self.left.letter}{self.left.numbers[a.start]}">C, lines {self._span(a.facts)}</a>')
        if function is not None and function.first:
            about.append(f"V14, lines {function.first}-{function.last}")
        if b is not None:
            about.append(f'<a href="#p{b.facts.first}">here, lines {self._span(b.facts)}</a>')
        if self.tree is None:
            about.append(f'<a href="{esc(IDENTIFIER + name)}">C, in Linux 6.1 (cross reference)</a>')
        if b is not None:
            runs = report.runs_of(self.source, name)
            lines = report._lines(self.source, name, "")
            if runs:
                reach = "" if lines is None or lines["stale"] else (
                    f", reach {lines['code'] - len(lines['missed'])} of {lines['code']} lines here")
                about.append(f"{len(runs)} recorded runs pass through it{reach}")
        if b is None:
            moved = None if self.module is None else self.module.functions.get(self._twins().get(name, name))
            about.append(f'<a href="#p{moved.first}">stands elsewhere here</a>' if moved else "only in C")
        elif a is None and self.tree is not None:
            function_there = self.comparison.pairs.get((self.source.path, name)) if self.comparison else None
            about.append(f'<a href="#c{function_there.first}">stands elsewhere in C</a>' if function_there
                         else "not in this copy of C")
        notes = self._users(name) + self._commentary(name) + "".join(self._difference(d) for d in self._about(name))
        rows = [n for n in (report.function_rows(self.source, function) if function else [])
                if b is not None and self.module is not None and n not in self._marked(b)]
        self.shown.update(rows)
        notes += "".join(self._row(n) for n in rows)
        self.anchors[name] = self.anchors.get(name, 0) + 1  # a function may stand on both sides of an #if
        anchor = f"f-{esc(name)}" + (f"-{self.anchors[name]}" if self.anchors[name] > 1 else "")
        self.out.append(f'<div class="rows"><div class="title" id="{anchor}"><h2>{shown}</h2><span>{" · ".join(about)}'
                        f"</span></div>{notes}</div>")

    @staticmethod
    def _commentary(name: str) -> str:
        paragraphs = "".join(f"<p>{_rows_linked(esc(text))}</p>" for text in COMMENTARY.get(name, ()))
        return f'<div class="note why">{paragraphs}</div>' if paragraphs else ""

    def _users(self, name: str) -> str:
        users = [user for user in self.users.get(name, ()) if user[0] != name]
        if not users:
            return ""
        links = ", ".join(f'<a href="{page}#f-{esc(user)}"><code>{esc(user)}</code></a>' for user, page in users)
        return f'<div class="note users"><p>Referenced by {links}</p></div>'

    def _marked(self, item: Item) -> list[int]:
        assert self.module is not None and isinstance(item.facts, port.Place)
        return self.module.rows(item.facts)

    @staticmethod
    def _span(facts: Function | port.Place) -> str:
        return f"{facts.first}-{facts.last}" if facts.last != facts.first else str(facts.first)

    def _about(self, name: str) -> list[Difference]:
        if self.comparison is None:
            return []
        return [d for d in self.comparison.of(self.source.path, name) if not (d.kind == "moved" and d.what == "function")]

    def _difference(self, d: Difference) -> str:
        known = {"missing": "not in this copy", "renamed": f"is called {d.there} in this copy",
                 "type": f"declared otherwise: V14 {d.v14}, this copy {d.there}",
                 "new": f"new in this copy: {d.there}", "body": "other tokens in this copy than in V14"}
        text = known.get(d.kind, f"{d.kind}: V14 {d.v14}, this copy {d.there}")
        rows = "".join(f"<p>Row {n}: {esc(BY_NUMBER[n].v14)} Linux 6.1: {esc(BY_NUMBER[n].later)}</p>" for n in d.rows)
        self.shown.update(d.rows)
        return f'<div class="note"><p>{esc(d.what)} {esc(d.name)}: {esc(text)}</p>{rows}</div>'


def frame(title: str, body: str, css: str = "") -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{esc(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script src="names.js" defer></script>
<script src="script.js" defer></script>
</head>
<body class="{css}">
<header><h1><a href="index.html">hidma</a> {esc(title)}</h1>
<label>Search <input id="search" type="search" autocomplete="off" placeholder="function, constant, field"></label>
<button id="theme" type="button">dark or light</button><button id="keys" type="button">keys</button></header>
<ul id="found"></ul>
<main>
{body}
</main>
<dialog id="help"><p><kbd>/</kbd> search, <kbd>Enter</kbd> goes there · <kbd>n</kbd> <kbd>p</kbd> next and last function ·
<kbd>c</kbd> only C, <kbd>h</kbd> only here, <kbd>b</kbd> both · <kbd>d</kbd> dark or light · <kbd>i</kbd> index</p>
<form method="dialog"><button>close</button></form></dialog>
</body>
</html>
"""


def constants_note(page: Page) -> str:
    """Differences of a file that are none of its functions'."""
    if page.comparison is None or page.there is None:
        return ""
    found = [d for d in page.comparison.of(page.source.path) if d.what != "function"]
    if not found:
        return ""
    rows = []
    for d in found:
        change = {"renamed": d.there, "missing": "not in this copy", "new": d.there,
                  "body": "other tokens than in V14"}.get(d.kind, f"{d.v14} → {d.there}")
        why = " ".join(f'<abbr title="{esc(BY_NUMBER[n].v14)} Linux 6.1: {esc(BY_NUMBER[n].later)}">row {n}</abbr>'
                       for n in d.rows)
        rows.append(f"<tr><td>{d.kind}</td><td>{d.what}</td><td><code>{esc(d.name)}</code></td><td><code>{esc(change)}</code>"
                    f"</td><td>{why}</td></tr>")
    return (f'<details class="text"><summary>{len(found)} differences outside of functions</summary><div class="wide"><table>'
            f"{''.join(rows)}</table></div></details>")


def file_page(page: Page) -> str:
    source = page.source
    patches = ", ".join(f"{p.number} ({p.title})" for p in PATCHES if source.path in p.files)
    here = f"<code>{esc(page.module.path)}</code>" if page.module else f"<code>{esc(source.module)}</code>, not ported yet"
    read = report.url(source)
    lines = [f"<p><code>{esc(source.path)}</code>, {v14()[source.path].lines} lines in V14 → {here}. Patch {esc(patches)}. "
             f'V14 can be read at <a href="{esc(read)}">{esc(source.repository)}</a>'
             + (f" ({esc(source.remark)})" if source.remark else "") + ".</p>"]
    if page.tree is not None:
        if page.there is None:
            lines.append(f"<p>{esc(page.tree.called)} has no such file: only the port is shown.</p>")
        else:
            part = " Only what the patches show of it is known; the rest is empty." if page.there.partial else ""
            lines.append(f"<p>Left: {esc(page.tree.called)}, {len(page.left.text)} lines.{part}</p>")
    body = page.body()
    css = "only-p" if page.there is None else "only-c" if page.module is None else ""
    head = f'<div class="text">{"".join(lines)}</div>{constants_note(page)}{users_table(page)}'
    return frame(source.name, head + body, css)


def index_page(pages: Sequence[Page], tree: Tree | None) -> str:
    by_path = {page.source.path: page for page in pages}
    out = ['<div class="text">']
    if tree is not None:
        out.append(f"<p>The C files of the series, beside the port. Left: {esc(tree.called)}, read from {esc(tree.where)}.</p>")
    else:
        out.append("<p>The port, file by file, with links to a public cross reference for the C side. "
                   "<code>hidma sidebyside</code> sets your own copy of the C files beside it.</p>")
    out += [f"<p>{esc(note)}.</p>" for note in (tree.notes if tree is not None else ())]
    out.append('<div class="wide"><table><tr><th>Patch</th><th>What</th><th>Files</th></tr>')
    for patch in PATCHES:
        cells = []
        for path in patch.files:
            page = by_path[path]
            counts = ""
            if page.there is not None and page.comparison is not None:
                number = len([d for d in page.comparison.of(path) if not (d.kind == "moved" and d.what == "function")])
                functions = sum(not f.macro for f in page.there.functions)
                counts = (f", {functions} functions" if functions else "") + f", {number or 'no'} differences"
            elif tree is not None:
                counts = ", not in this copy"
            where = page.module.path if page.module else "not ported yet"
            cells.append(f'<a href="{page_name(page.source)}">{esc(page.source.name)}</a> → {esc(where)}{counts}')
        out.append(f"<tr><td>{patch.number}</td><td>{esc(patch.title)}</td><td>{'<br>'.join(cells)}</td></tr>")
    out.append("</table></div></div>")
    return frame("side by side" if tree is not None else "the port, file by file", "".join(out))


def build(tree: Tree | None) -> dict[str, str]:
    comparison = None if tree is None else compare(tree)
    names = collect(tree)
    users = references()
    pages = [Page(source, tree, comparison, names, users) for source in SOURCES]
    made = {page_name(page.source): file_page(page) for page in pages}
    made["index.html"] = index_page(pages, tree)
    entries = []
    for name in sorted({*names.c, *names.c_fields, *names.port, *names.port_fields}):
        c = names.c.get(name) or names.c_fields.get(name)
        entries.append([name, names.kinds.get(name, ""), c, names.port.get(name) or names.port_fields.get(name)])
    made["names.js"] = "window.HIDMA_NAMES = " + json.dumps(entries, separators=(",", ":")) + ";\n"
    return made | {name: asset(name) for name in ASSETS}
