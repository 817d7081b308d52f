# SPDX-License-Identifier: GPL-2.0-only
"""Directives that print what the sources declare as rows: ``register-reference``, ``fault-reference``, ``quirks``,
``driver-names`` and ``word-layout TRE|EVRE`` (a drawing of a descriptor). Nothing is listed a second time here.
"""

from __future__ import annotations

import functools
import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hidma import ll, mgmt, quirks
from hidma.commands.portmap.series import inventory, v14
from hidma.hw import faults, registers

DESCRIPTORS = {"TRE": (registers.TRE, registers.TRE_SIZE), "EVRE": (registers.EVRE, registers.EVRE_SIZE)}


def parse(directive: Directive, text: str, source: str) -> list[nodes.Node]:
    """Sections and tables of ``text``, as if they stood where the directive stands."""
    holder = nodes.section()
    holder.document = directive.state.document
    memo = directive.state.memo
    titles, level = memo.title_styles, memo.section_level
    memo.title_styles, memo.section_level = [], 0
    try:
        directive.state.nested_parse(StringList(text.splitlines(), source), 0, holder, match_titles=True)
    finally:
        memo.title_styles, memo.section_level = titles, level
    return holder.children


class RowsDirective(SphinxDirective):
    """What the two references share."""

    module: Any

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(self.module.__file__)
        return self.made(parse(self, self.module.reference(), self.module.__name__))

    def made(self, content: list[nodes.Node]) -> list[nodes.Node]:
        return content


class RegisterReference(RowsDirective):
    """The registers; each row of a table gets an anchor (``#evca-irq_stat``), an entry of the index, and where it is known
    from.
    """

    module = registers

    def made(self, content: list[nodes.Node]) -> list[nodes.Node]:
        titles = {title: label for label, title, _ in registers.BLOCKS}
        for section in content:
            if not isinstance(section, nodes.section):
                continue
            title = section.next_node(nodes.title)
            block = titles.get(title.astext()) if title is not None else None
            if block is None:
                continue
            group = section.next_node(nodes.tgroup)
            group.parent["classes"].append("registers")
            group["cols"] += 1
            group.insert(group.index(group.next_node(nodes.thead)), nodes.colspec(colwidth=12))
            for row in section.findall(nodes.row):
                cells = list(row.findall(nodes.entry))
                name = cells[1].astext() if len(cells) > 1 else ""
                source = self.source_of(block, cells[0].astext(), name)
                row += nodes.entry("", *[nodes.paragraph(text=source)] * bool(source))
                if not name.isupper() and "_" not in name or name.startswith("["):
                    continue
                anchor = f"{block}-{name.lower()}"
                entry = (("single", f"{name} ({block} register)", anchor, "", None),)
                index = nodes.paragraph("", "", *cells[1].next_node(nodes.paragraph).children)
                mark = nodes.target("", "", ids=[anchor])
                cells[1].children = []
                cells[1] += [addnodes.index(entries=list(entry)), mark, index]
        return content


    @staticmethod
    def source_of(block: str, offset: str, name: str) -> str:
        """What a register is known from; the head of the column for the head of the table."""
        if name == "Register":
            return "Known from"
        row = next((row for label, _, rows in registers.BLOCKS if label == block for row in rows if row.name == name), None)
        if row is None:
            return ""
        if (block, row.offset) in driver_offsets():
            return "V14" if row.alias < 0 else "V14; 6.1"
        return "model"


@functools.cache
def driver_offsets() -> frozenset[tuple[str, int]]:
    """Block and offset of every register that V14 uses, those without a name of their own too."""
    blocks = {"TRCA": "trca", "EVCA": "evca", "HIDMA": "management"}
    found = {(blocks[name.split("_")[0]], value) for file in v14().values() for name, value in file.defines.items()
             if name.endswith("_OFFSET") and name.split("_")[0] in blocks}
    unnamed = inventory()["raw_register_offsets_without_define"].values()
    return frozenset(found | {(what.split()[0], value) for file in unnamed for what, value in file.items()})


class FaultReference(RowsDirective):
    """The kinds of faults that can be injected."""

    module = faults


class Quirks(SphinxDirective):
    """The rows of :mod:`hidma.quirks`: a section for each, with the anchor ``quirk-N``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(quirks.__file__)
        out: list[str] = []
        for row in quirks.ROWS:
            title = f"{row.number}. {literals(row.title)}"
            out += ["", f".. _quirk-{row.number}:", "", title, "-" * len(title), "",
                    ", ".join(f"``{name}``" for name in row.where), ""]
            for term, text in (("V14", row.v14), ("Linux 6.1", row.later), ("Evidence", row.evidence)):
                out += [term, f"    {literals(text)}"]
        return parse(self, "\n".join(out), quirks.__name__)


def literals(text: str) -> str:
    """A sentence of the rows in reStructuredText: names of C are literals, other rows are links."""
    text = re.sub(r"\(row (\d+)\)", r"(:row:`\1`)", text)
    return re.sub(r'(?<![\w`<"])((?:\w*_\w+|[A-Z_]{4,}\b)(?:\(\))?\*?|\w+\(\))(?![\w`>:])', r"``\1``", text)


class WordLayout(SphinxDirective):
    """A descriptor, word by word, as a drawing that follows the colours of the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in DESCRIPTORS:
            raise self.error(f"word-layout draws {' or '.join(DESCRIPTORS)}, not {name}")
        self.env.note_dependency(registers.__file__)
        words, size = DESCRIPTORS[name]
        return [nodes.raw("", drawing(name, size, words), format="html")]


class DriverNames(SphinxDirective):
    """The names that the drivers of the series have for registers, commands, states and causes, with their values."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for module in (ll, mgmt):
            self.env.note_dependency(module.__file__)
            for name, value in vars(module).items():
                if not isinstance(value, int):
                    continue
                what = meaning(name, value)
                if what:
                    shown = f"0x{value:03X}" if name.endswith("_OFFSET") else str(value)
                    rows.append((f"``{name}``", f"``{shown}``", what))
        out = [".. list-table::", "   :header-rows: 1", "   :widths: 45 15 40", ""]
        for row in [("Name", "Value", "What it is"), *rows]:
            out += [("   * - " if number == 0 else "     - ") + cell for number, cell in enumerate(row)]
        return parse(self, "\n".join(out), self.name)


def meaning(name: str, value: int) -> str:
    """What the constant ``name`` of a driver is called here; empty when it is none of the hardware's."""
    if name.endswith("_OFFSET"):
        block = {"TRCA": "trca", "EVCA": "evca"}.get(name.split("_")[0], "management")
        rows = {label: rows for label, _, rows in registers.BLOCKS}[block]
        return f"{block} ``{registers.name_of(rows, value)}``".replace("QOS_0", "QOS_N")
    if name.startswith("IRQ_") and name.endswith("_BIT_POS"):
        return f"cause ``{registers.Cause(1 << value).name}``"
    for kind, named in (("command", registers.COMMANDS), ("state", registers.STATES)):
        for number, text, _ in named:
            if name == f"CH_{text}" and number == value:
                return f"{kind} ``{text}``"
    return ""


BIT, HIGH, LEFT, TOP = 20, 34, 44, 22


def drawing(name: str, size: int, words: tuple[registers.Word, ...]) -> str:
    """The SVG of one descriptor."""
    width, height = LEFT + 32 * BIT + 2, TOP + len(words) * HIGH + 2
    out = [
        f'<div class="drawing"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Layout of the {name}, {size} bytes">',
    ]
    for bit in (31, 24, 23, 16, 15, 8, 7, 0):
        out.append(f'<text class="small" x="{LEFT + (31 - bit) * BIT + BIT / 2}" y="{TOP - 7}">{bit}</text>')
    for word in words:
        y = TOP + word.index * HIGH
        out.append(f'<text class="small" x="{LEFT / 2}" y="{y + HIGH / 2 + 4}">+{4 * word.index}</text>')
        taken = [(field.high, field.low, field.name) for field in word.fields]
        if not taken:
            text = word.description.rstrip(".").split(";")[0]
            taken = [(31, 0, text)]
        at = 31
        boxes: list[tuple[int, int, str | None]] = []
        for high, low, text in taken:
            if high < at:
                boxes.append((at, high + 1, None))
            boxes.append((high, low, text))
            at = low - 1
        if at >= 0:
            boxes.append((at, 0, None))
        for high, low, text in boxes:
            x, wide = LEFT + (31 - high) * BIT, (high - low + 1) * BIT
            out.append(f'<rect class="{"box" if text else "unused"}" x="{x}" y="{y}" width="{wide}" height="{HIGH}"/>')
            if text:
                label = escape(text)
                middle, line = x + wide / 2, y + HIGH / 2 + 4
                if 6.5 * len(text) > wide:
                    out.append(f'<text class="tiny" transform="rotate(-90 {middle} {y + HIGH / 2})" x="{middle}" '
                               f'y="{y + HIGH / 2 + 4}">{label}</text>')
                else:
                    out.append(f'<text x="{middle}" y="{line}">{label}</text>')
    return "\n".join([*out, "</svg></div>"])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("register-reference", RegisterReference)
    app.add_directive("driver-names", DriverNames)
    app.add_directive("fault-reference", FaultReference)
    app.add_directive("quirks", Quirks)
    app.add_directive("word-layout", WordLayout)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
