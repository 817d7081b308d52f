# SPDX-License-Identifier: GPL-2.0-only
"""The compiled modules are plain Cython: no directive, option or source of its own is needed, and no fact differs in the two
sources of a module.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAIRS = sorted(p for p in (ROOT / "hidma").rglob("*.pxd") if p.name != "__init__.pxd" and p.with_suffix(".py").is_file())
ENUM = re.compile(r"^(?:cdef|cpdef) enum:\n((?:[ \t]+[^\n]*\n|\n)*)", re.MULTILINE)
ITEM = re.compile(r"^[ \t]+(\w+)[ \t]*=[ \t]*([^#\n]+)", re.MULTILINE)


def module(pxd: Path) -> str:
    return ".".join(pxd.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.slow
def test_plain_cython_takes_every_pair(tmp_path: Path) -> None:
    pytest.importorskip("Cython")
    sources = [str(pxd.with_suffix(".py").relative_to(ROOT)) for pxd in PAIRS]
    headers = {"hidma/hw/cmem.py", "hidma/hw/realtime.py", "hidma/hw/registers.py", "hidma/hw/faults.py",
               "hidma/linux/jiffies.py"}
    for source in sources:
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((ROOT / source).read_text())
    for file in [*(ROOT / "hidma").rglob("*.pxd"), *(ROOT / "hidma").rglob("__init__.py")]:
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text() if file.suffix == ".pxd" else "")
    done = subprocess.run([sys.executable, "-m", "cython", "-3", *(s for s in sources if s not in headers)], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("pxd", PAIRS, ids=module)
def test_a_constant_has_one_value(pxd: Path) -> None:
    """An enum of the .pxd is what the .py, which defines or imports the name for interpreted runs, says."""
    items = {name: value.strip() for block in ENUM.findall(pxd.read_text() + "\n") for name, value in ITEM.findall(block)}
    if not items:
        return
    tree = ast.parse(pxd.with_suffix(".py").read_text())
    values: dict[str, object] = {}
    for node in tree.body:
        guarded = isinstance(node, ast.If) and "cython.compiled" in ast.unparse(node.test)
        body = [node] if not guarded else node.body + node.orelse  # type: ignore[attr-defined]
        for statement in body:
            if isinstance(statement, ast.ImportFrom) and statement.module and not statement.module.startswith("cython"):
                source = ROOT / (statement.module.replace(".", "/") + ".py")
                for alias in statement.names if source.is_file() else ():
                    found = getattr(importlib.import_module(statement.module), alias.name, None)
                    if isinstance(found, int):
                        values[alias.name] = found
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                scope = {**vars(importlib.import_module("hidma.linux.bitops")), **values}
                try:
                    values[name] = eval(compile(ast.Expression(statement.value), str(pxd), "eval"), scope)
                except Exception:
                    continue
    for name, value in items.items():
        assert name in values, f"{module(pxd)}: {name} is in the .pxd only"
        assert values[name] == eval(value, {}, dict(values)), f"{module(pxd)}: {name}"


@pytest.mark.parametrize("name", ["PAGE_OFFSET", "IO_OFFSET"])
def test_a_constant_above_63_bits_has_one_value(name: str) -> None:
    header = "mm_inline.pxd" if name == "PAGE_OFFSET" else "io_inline.pxd"
    text = (ROOT / "hidma" / "linux" / header).read_text()
    found = re.search(rf"#define HIDMA_{name} (0x[0-9A-F]+)ULL", text)
    assert found is not None
    there = importlib.import_module("hidma.linux.mm" if name == "PAGE_OFFSET" else "hidma.linux.io")
    assert int(found[1], 16) == getattr(there, name)


@pytest.mark.parametrize("pxd", PAIRS, ids=module)
def test_no_mark_in_a_comment_means_anything(pxd: Path) -> None:
    for line in (pxd.read_text() + pxd.with_suffix(".py").read_text()).splitlines():
        assert not re.search(r"# (struct|inline|in bounds|steady|inline-only)\b(?! [a-z])", line), line
