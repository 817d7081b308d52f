# SPDX-License-Identifier: GPL-2.0-only
"""Writes the port, file by file, beside the other pages (``port/``): what ``hidma sidebyside`` makes, without the C side,
which is not ours to publish; in its place are links to a public cross reference. The role ``port`` links to one of its
pages, by the name of the C file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from hidma.commands.portmap.series import SOURCES
from hidma.commands.sidebyside.cli import write

PAGES = {"index": "index.html"} | {source.name: f"{source.name}.html" for source in SOURCES}


class Port(SphinxRole):
    """``:port:`hidma_ll.c```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if self.text not in PAGES:
            message = self.inliner.reporter.error(f"the series has no file {self.text!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        up = "../" * self.env.docname.count("/")
        text = "the port, file by file" if self.text == "index" else self.text
        return [nodes.reference("", text, refuri=f"{up}port/{PAGES[self.text]}")], []


def finish(app: Sphinx, error: Exception | None) -> None:
    """The pages of Sphinx are written; here come ours."""
    if error is None and app.builder.format == "html":
        write(Path(app.outdir) / "port", None)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("port", Port())
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
