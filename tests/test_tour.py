# SPDX-License-Identifier: GPL-2.0-only
"""The guided tour: every command, script and snippet of its pages is run here, in the mode of the suite, as the pages run
them when they are built; and the pages are chained."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOUR = ROOT / "docs" / "tour"

pytestmark = pytest.mark.skipif(not TOUR.is_dir(), reason="the tests run outside of a checkout")

CHAPTERS = ["concepts", "map", "power-up", "channel", "descriptor", "two-passes", "errors", "terminate", "qos", "guest", "later"]


@dataclass
class Directive:
    """One directive of a page."""

    name: str
    argument: str
    options: dict[str, str] = field(default_factory=dict)
    content: list[str] = field(default_factory=list)


def directives(text: str) -> Iterator[Directive]:
    """Those of a page that run something, or that the others need."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        head = re.match(r"\.\. ([\w-]+):: ?(.*)", lines[at])
        at += 1
        if head is None:
            continue
        found = Directive(head[1], head[2])
        while at < len(lines) and (option := re.match(r"   :([\w-]+): ?(.*)", lines[at])):
            found.options[option[1]] = option[2]
            at += 1
        while at < len(lines) and (not lines[at].strip() or lines[at].startswith("   ")):
            found.content.append(lines[at][3:])
            at += 1
        yield found


def hidma(arguments: list[str], directory: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """`hidma ARGUMENTS`."""
    return subprocess.run([sys.executable, "-P", "-m", "hidma", *arguments], cwd=directory, input=typed, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}, timeout=300)


def test_chapters_are_there_and_lead_to_each_other() -> None:
    assert {path.stem for path in TOUR.glob("*.rst")} == {"index", *CHAPTERS}
    index = (TOUR / "index.rst").read_text()
    assert re.findall(r"^   tour/([\w-]+)$", index, re.MULTILINE) == CHAPTERS
    for here, following in zip(CHAPTERS, CHAPTERS[1:], strict=False):
        assert f":doc:`{following}`" in (TOUR / f"{here}.rst").read_text(), here


def test_no_example_has_the_name_of_a_module() -> None:
    """A script called copy.py would be imported by what it runs in place of the library's copy."""
    names = [found.argument for path in sorted((ROOT / "docs").rglob("*.rst")) for found in directives(path.read_text())
             if found.name == "example-file"]
    assert len(names) > 8
    for name in names:
        assert name.removesuffix(".py") not in sys.stdlib_module_names, name


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_commands_of_a_chapter(chapter: str, tmp_path: Path) -> None:
    snippets = []
    ran = 0
    for found in directives((TOUR / f"{chapter}.rst").read_text()):
        if found.name == "example-file":
            (tmp_path / found.argument).write_text("\n".join(found.content) + "\n")
        elif found.name == "run-hidma":
            typed = "".join(f"{line.strip()}\n" for line in found.options.get("input", "").split("/") if line.strip())
            done = hidma(shlex.split(found.argument), tmp_path, typed)
            assert done.returncode == int(found.options.get("status", 0)), (found.argument, done.stderr)
            assert done.stdout.strip() and "Traceback" not in done.stderr
            ran += 1
        elif found.name == "run-trace":
            done = hidma(["trace", "--format", "svg", *shlex.split(found.argument)], tmp_path)
            assert done.returncode == 0 and done.stdout.startswith("<svg"), (found.argument, done.stderr)
            ran += 1
        elif found.name == "explain-writes":
            done = hidma(["trace", "--kind", "write", *shlex.split(found.argument)], tmp_path)
            assert done.returncode == 0, (found.argument, done.stderr)
            written = [f"{name} = {int(value, 16):#x}" for name, value in re.findall(r"write +(\w+) = (0x\w+)", done.stdout)]
            explained = [line.partition(": ")[0] for line in found.content if line[:1] not in ("", " ")]
            assert written == explained
            ran += 1
        elif found.name == "run-python":
            snippets += found.content
            ran += 1
    if snippets:
        (tmp_path / "snippets.py").write_text("\n".join(snippets) + "\n")
        done = subprocess.run([sys.executable, "-P", "snippets.py"], cwd=tmp_path, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr
    assert ran


@pytest.mark.slow
def test_what_the_chapters_say_is_so(tmp_path: Path) -> None:
    """Sentences of the pages that no directive checks."""
    def page(name: str) -> dict[str, str]:
        return {d.argument: "\n".join(d.content) + "\n" for d in directives((TOUR / f"{name}.rst").read_text())
                if d.name == "example-file"}

    for name in ("errors", "terminate", "two-passes"):
        for file, text in page(name).items():
            (tmp_path / file).write_text(text)

    def output(script: str) -> str:
        return subprocess.run([sys.executable, "-P", script], cwd=tmp_path, capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}).stdout

    assert "transfer 0: failed; the driver says DMA_COMPLETE" in output("faulty.py")
    assert "5 ms later: ['pending', 'pending']\nresumed: ['completed', 'completed']\n" == output("pause.py")
    looks = hidma(["trace", "--register", "EVCA_IRQ_STAT", "--after", "hidma_ll_inthandler", "--", "second.json"], tmp_path)
    assert len(looks.stdout.splitlines()) == 3
    once = hidma(["trace", "--kind", "interrupt", "--after", "hidma_chirq_handler", "--", "two.py"], tmp_path)
    assert len(once.stdout.splitlines()) == 1  # it begins inside the one interrupt, which returns
