# SPDX-License-Identifier: GPL-2.0-only
"""Makes a link of every word that is a name of the series or of the hardware, in literals and in running text:
``hidma_ll_setup()`` leads to the page of the port that has the function, ``TRCA_DOORBELL`` to the row of the register. Nothing has
to be marked in the pages.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from hidma.commands.portmap import port
from hidma.commands.portmap.series import SOURCES, v14
from hidma.commands.sidebyside.pages import page_name
from hidma.hw import registers

REGISTERS = "registers"
WORD = re.compile(r"\b[A-Za-z]\w*_\w+(?:\(\))?")
NO_LINKS = (nodes.reference, nodes.title, nodes.literal_block, nodes.raw, addnodes.desc_signature, addnodes.index)


@functools.cache
def port_names() -> dict[str, str]:
    """Functions, constants, macros, structs and parameters of the series, to their places in the pages of the port."""
    found = {}
    for source in SOURCES:
        module, facts, page = port.read(source.module), v14()[source.path], page_name(source)
        if module is None:
            continue
        for name in (*facts.constants, *facts.macros, *facts.module_params, *(f.name for f in facts.functions)):
            where = module.functions.get(name) or module.values.get(name)
            if where is not None and "_" in name:
                found.setdefault(name, f"{page}#p{where.first}")
        for name in facts.structs:
            if name in module.structs:
                found[f"struct {name}"] = f"{page}#p{module.structs[name].first}"
    return found


@functools.cache
def register_names() -> dict[str, str]:
    """Registers, with the name of their block and, where only one block has it, without, to their anchors."""
    found: dict[str, list[str]] = {}
    for label, _, rows in registers.BLOCKS:
        for row in rows:
            anchor = f"{label}-{row.name.lower()}"
            found.setdefault(f"{label.upper()}_{row.name}", []).append(anchor)
            found.setdefault(row.name, []).append(anchor)
    return {name: anchors[0] for name, anchors in found.items() if len(anchors) == 1 and ("_" in name or name.isupper())}


def place(text: str, root: str) -> str | None:
    """The address of a name, relative to the top of the pages, or None."""
    name = text.removesuffix("()")
    if name in port_names():
        return f"{root}port/{port_names()[name]}"
    if name in register_names():
        return f"{root}{REGISTERS}.html#{register_names()[name]}"
    return None


class Link(SphinxPostTransform):
    """Names in a link, in a title, in a program or in a signature stay as they are."""

    default_priority = 700
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        root = "../" * self.env.docname.count("/")
        for literal in list(self.document.findall(nodes.literal)):
            to = None if inside(literal, NO_LINKS) else place(re.sub(r"\s+", " ", literal.astext()), root)
            if to is not None:
                link = nodes.reference("", "", refuri=to, internal=True, classes=["name"])
                literal.replace_self(link)
                link += literal
        for text in list(self.document.findall(nodes.Text)):
            # a path is one thing: its parts are no links
            if not inside(text, NO_LINKS) and not (inside(text, (nodes.literal,)) and "/" in text):
                self.words(text, root)

    def words(self, text: nodes.Text, root: str) -> None:
        """Make links of the names in running text."""
        parts: list[nodes.Node] = []
        at = 0
        for word in WORD.finditer(text):
            to = place(word[0], root)
            if to is not None:
                parts += [nodes.Text(text[at:word.start()]),
                          nodes.reference("", word[0], refuri=to, internal=True, classes=["name"])]
                at = word.end()
        if parts:
            text.parent.replace(text, [part for part in (*parts, nodes.Text(text[at:])) if part.astext()])


def inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    """Whether a node stands in one of some kinds."""
    return any(isinstance(above, kinds) for above in ancestors(node))


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    """What a node stands in, innermost first."""
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(Link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
