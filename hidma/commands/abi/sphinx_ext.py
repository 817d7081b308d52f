# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx: the directives ``abi`` and ``abi-index`` and the role ``abi``.

``.. abi:: hidma-mgmt`` renders every entry of a driver (``core``, ``hidma``, ``hidma-mgmt``) or with a path; ``.. abi-index::
path`` (or ``driver``) lists all of them; ``:abi:`/sys/devices/platform/*/power/control``` links to the entry that means
the path, wildcards on either side. The setting ``abi_row_role`` names the role that links to a row of V14's oddities.
Examples are what reading the file gives on a machine booted while the pages are built.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

import hidma
from hidma.commands.abi import tree
from hidma.commands.abi.entries import NAMES, matches, warning, whats
from hidma.commands.abi.texts import AbiDoc

logger = logging.getLogger(__name__)


def label(doc: AbiDoc) -> str:
    """The label of an entry."""
    return "abi-" + re.sub(r"[^a-z0-9]+", "-", doc.what[0].lower()).strip("-")


def fields(doc: AbiDoc) -> list[tuple[str, str]]:
    """Name and text (reStructuredText) of every field of an entry."""
    rows = [(NAMES["what"], "\n".join(f"| ``{path}``" for path in whats(doc)))]
    for name, value in (
        (NAMES["date"], doc.date),
        (NAMES["kernelversion"], doc.kernel_version),
        (NAMES["contact"], doc.contact.strip('"')),
        (NAMES["users"], doc.users),
    ):
        if value:
            rows.append((name, value))
    rows.append(("Mode", f"``0{doc.mode:o}``"))
    rows.append(("Driver", "the kernel's core" if doc.driver == "core" else f"``{doc.driver}``"))
    if doc.values:
        rows.append(("Accepts", doc.values))
    if doc.errors:
        rows.append(("Errors", "\n".join(f"| ``{name}``: {reason}" for name, reason in doc.errors)))
    return rows


def escape(text: str) -> str:
    """Text as it stands, in reStructuredText."""
    return re.sub(r"([*_`|\\])", r"\\\1", text)


def prose(text: str, role: str) -> str:
    """A paragraph, in which a row of V14's oddities is a link when there is a role for it."""
    out = escape(" ".join(text.split()))
    if not role:
        return out
    # the role says "row" itself
    return re.sub(r"\brows? ([0-9]+(?:, [0-9]+)*)", lambda rows: re.sub("[0-9]+", rf":{role}:`\g<0>`", rows[1]), out)


def lines_of(doc: AbiDoc, role: str = "") -> list[str]:
    """An entry as reStructuredText.

    :param role: the role that links to a row of V14's oddities; empty when there is none
    """
    out = [f".. _{label(doc)}:", "", f".. rubric:: {escape(doc.what[0])}", ""]
    for paragraph in doc.description.split("\n\n"):
        out += [prose(paragraph, role), ""]
    note = warning(doc)
    if note:
        out += [".. warning::", "", f"   {prose(note, role)}", ""]
    for name, text in fields(doc):
        first, *rest = text.split("\n")
        if text.startswith("| "):
            out += [f":{name}:", *(f"   {line}" for line in (first, *rest))]
        else:
            out.append(f":{name}: {text if name in ('Mode', 'Driver') else escape(text)}")
    out.append("")
    for command, lines in tree.examples(doc):
        out += ["Right after boot::", "", f"    # {command}"]
        out += [f"    {line}".rstrip() for line in lines] + [""]
    return out


class AbiDirective(SphinxDirective):
    """``.. abi:: driver or path``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        wanted = self.arguments[0]
        docs = [d for d in tree.declared() if d.driver == wanted] or tree.find(wanted)
        if not docs:
            raise self.error(f"no driver and no file of the tree is called {wanted!r}")
        text = StringList()
        for doc in docs:
            for line in lines_of(doc, self.config.abi_row_role):
                text.append(line, f"<entry {doc.what[0]}>")
        holder = nodes.container(classes=["abi"])
        self.state.nested_parse(text, self.content_offset, holder)
        return [holder]


class AbiIndex(SphinxDirective):
    """``.. abi-index:: path`` or ``driver``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        by = self.arguments[0]
        if by not in ("path", "driver"):
            raise self.error(f"an index is by path or by driver, not by {by!r}")
        text = StringList()
        rows: list[tuple[str, str]] = []
        for doc in tree.declared():
            for path in whats(doc):
                rows.append((doc.driver if by == "driver" else "", f":abi:`{path} <{doc.what[0]}>`"))
        group = None
        for head, line in sorted(rows):
            if by == "driver" and head != group:
                group = head
                for added in ("", f".. rubric:: {'the core of the kernel' if head == 'core' else head}", ""):
                    text.append(added, "<index>")
            text.append(f"- {line}", "<index>")
        holder = nodes.container()
        self.state.nested_parse(text, self.content_offset, holder)
        return list(holder.children)


class AbiRole(SphinxRole):
    """``:abi:`path``` or ``:abi:`text <path>```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = re.fullmatch(r"(.*?)\s*<(/.*)>", self.text, re.DOTALL)
        text, path = (found[1], found[2]) if found is not None else (self.text, self.text)
        docs = [
            d
            for d in tree.declared()
            if path in whats(d) or any(matches(w, path) or matches(path, w) for w in whats(d))
        ]
        literal = nodes.literal(text, text)
        if not docs:
            logger.warning("no entry of the ABI means %s", path, location=self.get_location())
            return [literal], []
        node = addnodes.pending_xref(
            "",
            literal,
            refdomain="std",
            reftype="ref",
            reftarget=label(docs[0]),
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        return [node], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("abi", AbiDirective)
    app.add_directive("abi-index", AbiIndex)
    app.add_role("abi", AbiRole())
    app.add_config_value("abi_row_role", "", "env", str)
    return {"version": hidma.__version__, "parallel_read_safe": True, "parallel_write_safe": True}
