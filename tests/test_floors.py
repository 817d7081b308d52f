# SPDX-License-Identifier: GPL-2.0-only
"""The layers: imports go to the layers below only, and the Linux slice reaches the hardware through its seam."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed (the extra 'test' brings it)")
    shutil.copytree(ROOT / "hidma", tmp_path / "hidma", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copytree(ROOT / "reset_plugins", tmp_path / "reset_plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = subprocess.run(
        [program, "--no-cache", "--config", "pyproject.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_port_imports_nothing_but_the_linux_slice_and_itself() -> None:
    import ast

    port = {"mgmt", "mgmt_sys", "channel", "ll", "dbg", "hidma_h", "hidma_mgmt_h", "vfio_platform"}
    files = [path for name in port for path in (ROOT / "hidma").glob(f"{name}.py")]
    files += (ROOT / "hidma" / "vfio_platform").glob("*.py")
    assert len(files) == 7 + 5
    for path in files:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hidma"):
                package = node.module.split(".")[1] if "." in node.module else ""
                assert package == "linux" or package in port, f"{path.name} imports {node.module}"


def test_reset_plugins_import_nothing_but_what_is_stable_for_plugins() -> None:
    import ast

    for path in (ROOT / "reset_plugins").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hidma"):
                package = node.module.split(".")[1]
                assert package in ("linux", "vfio_platform", "hookspecs", "testing"), f"{path.name} imports {node.module}"
