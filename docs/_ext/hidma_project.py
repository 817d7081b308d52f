# SPDX-License-Identifier: GPL-2.0-only
"""Directives that print what the project says about itself.

``pages``: a table of contents of those of the named pages that there are; ``*`` stands for all that no earlier one of
the same page names. ``dependencies EXTRA``: the requirements of pyproject.toml, each with the reason that the content
gives for it (``name: reason``); one without a reason, or a reason without one, is an error. ``port-map`` and
``linux-map``: the modules of the port and of the Linux slice with what their docstrings say they stand for. ``layers``: the
layers of the import contract. ``walk``: the functions of a run in their order, each of which must exist.
``golden-runs``: how many recorded scenarios there are of each layer. ``bundled-boards``: the boards. ``declared FILE
NAME``: a list that a test keeps. ``v14-sources``: where the C files of V14 can be read. The role ``row``
links to a row of the page about V14's oddities.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives.other import TocTree
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from hidma import firmware
from hidma.commands.portmap.series import SOURCES

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
QUIRKS = ROOT / "tests" / "data" / "quirks"
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def list_table(header: list[str], rows: list[list[str]], widths: list[int]) -> str:
    """A table in reStructuredText."""
    out = [".. list-table::", "   :header-rows: 1", "   :widths: " + " ".join(map(str, widths)), ""]
    for row in [header, *rows]:
        for number, cell in enumerate(row):
            out.append(("   * - " if number == 0 else "     - ") + " ".join(cell.split()))
    return "\n".join([*out, ""])


class TextDirective(SphinxDirective):
    """A directive whose content is text of ours in reStructuredText."""

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.container()
        self.state.nested_parse(StringList(text.splitlines(), self.name), 0, holder)
        return holder.children


class Pages(TocTree):
    """A toctree that passes over pages that are not there."""

    def run(self) -> list[nodes.Node]:
        here = self.env.docname
        named = NAMED.setdefault(here, {here})
        wanted: list[str] = []
        for entry in self.content:
            if entry == "*":
                wanted += sorted(name for name in self.env.found_docs if "/" not in name)
            elif entry.endswith("/*"):
                wanted += sorted(name for name in self.env.found_docs if name.startswith(entry[:-1]))
            elif entry:
                wanted.append(entry)
        there = [name for name in dict.fromkeys(wanted) if name in self.env.found_docs and name not in named]
        named.update(there)
        self.env.glob_toctrees.add(here)
        if not there:
            return []
        self.content = StringList([f"/{name}" for name in there], self.name)
        return super().run()


NAMED: dict[str, set[str]] = {}


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """A page is read again."""
    NAMED.pop(docname, None)


class Dependencies(TextDirective):
    """``dependencies EXTRA``, EXTRA being ``runtime``, ``build`` or the name of an extra."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = ROOT / "pyproject.toml"
        self.env.note_dependency(str(path))
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        extra = self.arguments[0]
        project = data["project"]
        named = {"runtime": project["dependencies"], "build": data["build-system"]["requires"]}
        named |= project["optional-dependencies"]
        if extra not in named:
            raise self.error(f"pyproject.toml has no extra '{extra}'; there are {', '.join(named)}")
        reasons: dict[str, str] = {}
        for line in " \n".join(self.content).split("\n"):
            name, colon, reason = line.partition(":")
            if colon and NAME.fullmatch(name):
                reasons[name] = reason.strip()
            elif line.strip():
                last = next(reversed(reasons))
                reasons[last] += " " + line.strip()
        rows = []
        for requirement in named[extra]:
            if requirement.startswith("hidma["):
                continue
            name = NAME.match(requirement)[0]
            reason = reasons.pop(name, None)
            if reason is None:
                raise self.error(f"{requirement} of '{extra}' in pyproject.toml has no reason on this page")
            rows.append([f"``{name}``", f"``{requirement[len(name):]}``", reason])
        if reasons:
            raise self.error(f"pyproject.toml does not ask for {', '.join(reasons)} in '{extra}'")
        return self.parsed(list_table(["Package", "Range", "What for"], rows, [20, 18, 62]))


def capital(text: str) -> str:
    """``text`` with a capital letter, unless it begins with a C name."""
    first = text.split(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def stands_for(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


class PortMap(TextDirective):
    """Modules of the port and the C files that they stand for."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for path in [*sorted((ROOT / "hidma").glob("*.py")), *sorted((ROOT / "hidma" / "vfio_platform").glob("*.py")),
                     *sorted((ROOT / "reset_plugins").glob("*.py"))]:
            self.env.note_dependency(str(path))
            found = re.match(r"Stands for (``drivers/(?:dma/qcom|vfio)/[^`]*``)[^:]*: (.*?)\.(?: |$)", stands_for(path))
            if found:
                rows.append([f"``{path.relative_to(ROOT)}``", found[1], capital(found[2]) + "."])
        if not rows:
            raise self.error("no module of the port says what it stands for")
        return self.parsed(list_table(["Module", "C file", "What is in it"], rows, [24, 34, 42]))


class V14Sources(TextDirective):
    """Where each C file can be read."""

    def run(self) -> list[nodes.Node]:
        rows = [[f"``{source.path}``", f"``{source.repository}``", f"``{source.commit}``" if source.commit else "",
                 source.remark.replace("_", "\\_")] for source in SOURCES]
        return self.parsed(list_table(["File", "Repository", "Commit", "Remark"], rows, [34, 20, 28, 18]))


class Layers(TextDirective):
    """The layers of the import contract, from the top down, each package with what its docstring says."""

    def run(self) -> list[nodes.Node]:
        path = ROOT / "pyproject.toml"
        self.env.note_dependency(str(path))
        contracts = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
        layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
        rows = []
        for layer in layers:
            names = [name.strip("() ") for name in layer.split("|")]
            known = [path for path in map(source_of, names) if path is not None]
            for path in known:
                self.env.note_dependency(str(path))
            said = [first_sentence(path) for path in known]
            rows.append([", ".join(f"``{name}``" for name in names), " ".join(dict.fromkeys(said))])
        return self.parsed(list_table(["Layer", "What is in it"], rows, [40, 60]))


def source_of(module: str) -> Path | None:
    """The file of a module or a package of this checkout."""
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring."""
    return re.split(r"(?<=\.) (?=[A-Z])|::$", stands_for(path))[0].removesuffix(":") if stands_for(path) else ""


class Walk(TextDirective):
    """A walk through the code: lines ``caller | module.function | what it does``. A function that does not exist is an error."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        rows = []
        for line in self.content:
            if line.strip():
                caller, name, what = (part.strip() for part in line.split("|"))
                module, _, function = name.rpartition(".")
                try:
                    there = importlib.import_module(f"hidma.{name}") if source_of(f"hidma.{name}") else getattr(
                        importlib.import_module(f"hidma.{module}"), function)
                except (ImportError, AttributeError):
                    raise self.error(f"the walk names hidma.{name}, which does not exist") from None
                shown = f"``{function}()``" if callable(there) else f"``hidma.{name}``"
                rows.append([caller, shown, capital(what) + "."])
        return self.parsed(list_table(["Called by", "Function", "What it does"], rows, [14, 38, 48]))


class LinuxMap(TextDirective):
    """Modules of the Linux slice and the headers that they stand for."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for path in sorted((ROOT / "hidma" / "linux").glob("*.py")):
            self.env.note_dependency(str(path))
            if path.name != "__init__.py":
                what, _, rest = stands_for(path).partition(": ")
                rows.append([f"``{path.stem}``", what, capital(rest)])
        return self.parsed(list_table(["Module", "Stands for", "What is in it"], rows, [18, 32, 50]))


class GoldenRuns(TextDirective):
    """How many recorded runs there are, by layer."""

    def run(self) -> list[nodes.Node]:
        scenarios: Counter[str] = Counter()
        quirks: Counter[str] = Counter()
        events: Counter[str] = Counter()
        for counter, directory in ((scenarios, GOLDEN), (quirks, QUIRKS)):
            for path in sorted(directory.glob("*.json")):
                data = json.loads(path.read_text(encoding="utf-8"))
                layer = data["scenario"]["layer"]
                counter[layer] += 1
                events[layer] += len(data.get("expected") or [])
        if not scenarios and not quirks:
            return []
        order = ("ll", "channel", "dbg", "mgmt", "mgmt_sys", "reset", "vfio")
        rows = [[f"``{layer}``", LAYERS[layer], str(scenarios[layer]), str(events[layer]), str(quirks[layer])]
                for layer in order if scenarios[layer] or quirks[layer]]
        header = ["Layer", "What is driven", "Runs", "Events", "Quirks"]
        return self.parsed(list_table(header, rows, [14, 50, 12, 12, 12]))


LAYERS = {
    "ll": "the functions of ``hidma_ll.c``, one by one",
    "channel": "the channel driver through the operations of the DMA engine",
    "dbg": "the debugfs files of a channel",
    "mgmt": "probe, setup, and the object hierarchy from a device tree",
    "mgmt_sys": "the sysfs files of the management driver",
    "reset": "the VFIO reset driver of HIDMA",
    "vfio": "the VFIO platform core",
}


class Declared(TextDirective):
    """``declared FILE NAME``: a constant of a test, a dict of reasons or a tuple of names, as a list."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == self.arguments[1] for target in targets):
                value = ast.literal_eval(node.value)
                break
        else:
            raise self.error(f"{self.arguments[0]} has no {self.arguments[1]}")
        if not value:
            return self.parsed("None.")
        lines = []
        for name in value:
            label = ".".join(name) if isinstance(name, tuple) else name
            reason = f": {value[name]}" if isinstance(value, dict) else ""
            lines.append(f"- ``{label}``{reason}")
        return self.parsed("\n".join(lines))


class BundledBoards(TextDirective):
    """The boards that come with the package."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for name in firmware.BOARDS:
            path = firmware.bundled(name)
            self.env.note_dependency(str(path))
            board = firmware.describe(firmware.load(path))
            memory = ", ".join(f"{region.size >> 20} MiB at ``{region.base:#x}``" for region in board.memory)
            bound = len(board.channels) - len(firmware.explain_unbound(board))
            translated = sum(channel.iommu is not None for channel in board.channels)
            rows.append([f"``{name}``", str(board.cpus), memory, "yes" if board.managements else "no",
                         f"{len(board.channels)}, {bound} with a driver", f"{translated} of {len(board.channels)}"])
        header = ["Board", "CPUs", "RAM", "Management", "Channels", "Behind an IOMMU"]
        return self.parsed(list_table(header, rows, [18, 8, 26, 16, 18, 14]))


class Row(SphinxRole):
    """``:row:`27```: a link to that row of the page about V14's oddities, once the page has it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        text = f"row {self.text}"
        reference = addnodes.pending_xref(
            "", nodes.inline(text, text), refdomain="std", reftype="ref", reftarget=f"quirk-{self.text}",
            refexplicit=True, refwarn=False, refdoc=self.env.docname, hidma_optional=True)
        return [reference], []


class Page(SphinxRole):
    """``:page:`quirks```: a link to a page, or the title that is given alone when there is no such page."""

    inliner: Inliner

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = re.fullmatch(r"(.*?)\s*<(.*)>", self.text)
        title, name = (found[1], found[2]) if found else ("", self.text)
        if name not in self.env.found_docs:
            return [nodes.inline(title or name, title or name)], []
        reference = addnodes.pending_xref(
            "", nodes.inline(title, title), refdomain="std", reftype="doc", reftarget=f"/{name}",
            refexplicit=bool(title), refwarn=True, refdoc=self.env.docname)
        return [reference], []


def plain(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node) -> nodes.Node | None:
    """A name that no page describes is text, if there is such a thing at all; else Sphinx complains about it."""
    if node.get("hidma_optional"):
        return content
    if node.get("refdomain") == "py" and exists(node["reftarget"], node.get("py:module") or ""):
        return content
    return None


def exists(target: str, module: str) -> bool:
    """Whether ``target``, as written in ``module``, names something of ours."""
    places = [target] if target.startswith("hidma.") else []
    if module.startswith("hidma"):
        places.append(f"{module}.{target}")
    for place in places:
        parts = place.split(".")
        for length in range(len(parts), 0, -1):
            try:
                thing = importlib.import_module(".".join(parts[:length]))
            except ImportError:
                continue
            for part in parts[length:]:
                thing = getattr(thing, part, None)
            if thing is not None:
                return True
            break
    # an annotation does not say in which module it stands
    return any(name.startswith("hidma.") and hasattr(there, target) for name, there in list(sys.modules.items()))


def label_cells(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.Node) -> None:
    """Each cell of a table gets the head of its column, which a phone shows where the row is a list."""
    def labelled(table: re.Match[str]) -> str:
        heads = [re.sub(r"<[^>]+>", "", head).strip() for head in re.findall(r"<th\b[^>]*>(.*?)</th>", table[0], re.DOTALL)]
        number = iter(range(table[0].count("<td")))
        return re.sub(r"<td\b", lambda _: f'<td data-label="{heads[next(number) % len(heads)]}"', table[0]) if heads else table[0]

    if "body" in context:
        context["body"] = re.sub(r'<table class="[^"]*\bdocutils\b.*?</table>', labelled, context["body"], flags=re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", label_cells)
    app.add_directive("pages", Pages)
    app.add_directive("dependencies", Dependencies)
    app.add_directive("port-map", PortMap)
    app.add_directive("linux-map", LinuxMap)
    app.add_directive("layers", Layers)
    app.add_directive("v14-sources", V14Sources)
    app.add_directive("walk", Walk)
    app.add_directive("golden-runs", GoldenRuns)
    app.add_directive("bundled-boards", BundledBoards)
    app.add_directive("declared", Declared)
    app.add_role("row", Row())
    app.add_role("page", Page())
    app.connect("env-purge-doc", forget)
    app.connect("missing-reference", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
