# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx: the directives ``abi`` and ``abi-index`` and the role ``abi``, for the entries of this tree or of your own.

A project documents its own files with two lines of its conf.py, the second of which names a directory of entries in the kernel's
format, relative to conf.py::

    extensions = ["hidma.commands.abi.sphinx_ext"]
    abi_directory = "abi"

``.. abi::`` renders every entry, ``.. abi:: NAME`` those of a driver (``core``, ``hidma``, ``hidma-mgmt``, ``dmatest``,
``vfio``; of your own: the name of a file) or with a path; ``.. abi-index:: path`` (or ``driver``) lists all of them;
``:abi:`/sys/devices/platform/*/power/control``` links to the entry that means the path, wildcards on either side. The setting
``abi_row_role`` names the role that links to a row of V14's oddities. Examples are what reading the file gives on a machine
booted while the pages are built; entries of your own have none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

import hidma
from hidma.commands.abi import tree
from hidma.commands.abi.entries import NAMES, entry_files, facts, matches, warning, whats
from hidma.commands.abi.texts import AbiDoc

logger = logging.getLogger(__name__)


def label(doc: AbiDoc) -> str:
    return "abi-" + re.sub(r"[^a-z0-9]+", "-", doc.what[0].lower()).strip("-")


def fields(doc: AbiDoc) -> list[tuple[str, str]]:
    """Name and text (reStructuredText) of every field of an entry."""
    rows = [(NAMES["what"], "\n".join(f"| ``{path}``" for path in whats(doc)))]
    for name, value in (("date", doc.date), ("kernelversion", doc.kernel_version), ("contact", doc.contact.strip('"')),
                        ("users", doc.users)):
        rows += [(NAMES[name], escape(" ".join(value.split())))] * bool(value)
    rows += [(name, f"``{text}``" if name in ("Mode", "Request") else escape(text)) for name, text in facts(doc)]
    rows.append(("Driver", "the kernel's core" if doc.driver == "core" else f"``{doc.driver}``"))
    errors = "\n".join(f"| ``{name}``: {escape(reason)}" for name, reason in doc.errors())
    lines = "\n".join(f"| ``{name}``: {escape(meaning)}" for name, meaning in doc.lines.items())
    return [*rows, *(row for row in (("Errors", errors), ("Lines", lines)) if row[1])]


def escape(text: str) -> str:
    """Text as it stands, in reStructuredText."""
    return re.sub(r"([*_`|\\])", r"\\\1", text)


def prose(text: str, role: str) -> str:
    """A paragraph, in which a row of V14's oddities is a link when there is a role for it. Lines of a list stay lines."""
    if re.search(r"^([-+*=]|\d+[.):]?) ?", text, re.MULTILINE) and "\n" in text.strip():
        return "\n".join(f"| {escape(line)}" for line in text.splitlines())
    out = escape(" ".join(text.split()))
    if not role:
        return out
    # the role says "row" itself
    return re.sub(r"\brows? ([0-9]+(?:, [0-9]+)*)", lambda rows: re.sub("[0-9]+", rf":{role}:`\g<0>`", rows[1]), out)


def lines_of(doc: AbiDoc, role: str = "", examples: bool = True) -> list[str]:
    """An entry as reStructuredText.

    :param role: the role that links to a row of V14's oddities; empty when there is none
    :param examples: whether it has examples of this tree
    """
    out: list[str] = []
    for paragraph in doc.description.split("\n\n"):
        out += [*prose(paragraph, role).split("\n"), ""]
    note = warning(doc)
    if note:
        out += [".. warning::", "", f"   {prose(note, role)}", ""]
    for name, text in fields(doc):
        lines = text.split("\n")
        out += [f":{name}:", *(f"   {line}" for line in lines)] if text.startswith("| ") else [f":{name}: {text}"]
    out.append("")
    for command, lines in tree.examples(doc) if examples else ():
        out += ["Right after boot::", "", f"    # {command}"]
        out += [f"    {line}".rstrip() for line in lines] + [""]
    return out


class AbiDirective(SphinxDirective):
    """``.. abi::``, or ``.. abi:: driver or path``. Each entry is a section, with a heading that can be linked to."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        config, every = self.config, entries(self.config, self.env)
        wanted = self.arguments[0] if self.arguments else ""
        docs = [d for d in every if wanted in ("", d.driver)] or tree.find(wanted, every if config.abi_directory else None)
        if not every:
            raise self.error(f"the directory {config.abi_directory} has no entry")
        if not docs:
            raise self.error(f"no driver and no file of the tree is called {wanted!r}")
        out: list[nodes.Node] = []
        for doc in docs:
            section = nodes.section(ids=[label(doc)], names=[label(doc)], classes=["abi"])
            section += nodes.title(doc.what[0], doc.what[0])
            self.state.document.note_explicit_target(section, section)
            text = StringList(lines_of(doc, config.abi_row_role, not config.abi_directory), f"<entry {doc.what[0]}>")
            self.state.nested_parse(text, self.content_offset, section)
            out.append(section)
        return out


class AbiIndex(SphinxDirective):
    """``.. abi-index:: path`` or ``driver``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        by = self.arguments[0]
        if by not in ("path", "driver"):
            raise self.error(f"an index is by path or by driver, not by {by!r}")
        rows = sorted((doc.driver if by == "driver" else "", f":abi:`{path} <{doc.what[0]}>`")
                      for doc in entries(self.config, self.env) for path in whats(doc))
        text = StringList()
        group = ""
        for head, line in rows:
            if head != group:
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
        every = entries(self.config, self.env)
        docs = [d for d in every if path in whats(d)] or [
            d for d in every if any(matches(w, path) or matches(path, w) for w in whats(d))]
        literal = nodes.literal(text, text)
        if not docs:
            logger.warning("no entry of the ABI means %s", path, location=self.get_location())
            return [literal], []
        return [addnodes.pending_xref("", literal, refdomain="std", reftype="ref", reftarget=label(docs[0]), refexplicit=True,
                                      refwarn=True, refdoc=self.env.docname)], []


def entries(config: Any, env: Any) -> tuple[AbiDoc, ...]:
    """The entries that the project documents; its pages are read again when one of their files has changed."""
    if not config.abi_directory:
        return tree.declared()
    directory = Path(env.app.confdir, config.abi_directory)
    for path in entry_files(directory):
        env.note_dependency(str(path))
    return tree.declared(directory)


def check_directory(app: Sphinx, config: Any) -> None:
    """A directory that is not there is a mistake of conf.py."""
    if config.abi_directory and not Path(app.confdir, config.abi_directory).is_dir():
        raise ConfigError(f"abi_directory = {config.abi_directory!r}: {app.confdir} has no such directory")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("abi", AbiDirective)
    app.add_directive("abi-index", AbiIndex)
    app.add_role("abi", AbiRole())
    app.add_config_value("abi_row_role", "", "env", str)
    app.add_config_value("abi_directory", "", "env", str)
    app.connect("config-inited", check_directory)
    return {"version": hidma.__version__, "parallel_read_safe": True, "parallel_write_safe": True}
