# SPDX-License-Identifier: GPL-2.0-only
"""``hidma info``: version, mode and what is installed. It stands for no C file."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hidma import __version__
from hidma.machine import _mode

OPTIONAL = (
    ("numpy", "numpy", "arrays of addresses and buffers as numpy arrays"),
    ("tree-sitter-c", "tree_sitter_c", "reading your C files (hidma portmap, hidma sidebyside)"),
    ("unidiff", "unidiff", "reading the series as patches"),
    ("pyvcd", "vcd", "waves (hidma trace --format vcd)"),
    ("textual", "textual", "the full screen of hidma step"),
    ("Cython", "Cython", "compiling the hot modules"),
)
PROGRAMS = (
    ("dtc", "boards as .dts"),
    ("iasl", "boards as .asl"),
    ("gcc", "compiling the hot modules"),
    ("qemu-system-aarch64", "guests with a real kernel"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def info(as_json: bool) -> int:
    """Show version, mode and what is installed."""
    import shutil
    from importlib.util import find_spec

    from hidma.firmware import BOARDS

    modules = list(_mode._modules())
    facts: dict[str, Any] = {
        "version": __version__,
        "mode": _mode.why(),
        "compiled": _mode.compiled(),
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "extension_modules": sum(there for _, there in modules),
        "extension_modules_meant": len(modules),
        "boards": list(BOARDS),
        "optional": {name: find_spec(module) is not None for name, module, _ in OPTIONAL}
        | {name: shutil.which(name) is not None for name, _ in PROGRAMS},
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return 0
    click.echo(f"hidma {facts['version']}")
    click.echo(f"mode: {facts['mode']}")
    click.echo(f"Python: {facts['python']} ({facts['executable']})")
    click.echo(f"extension modules: {facts['extension_modules']} of {facts['extension_modules_meant']}")
    click.echo(f"boards: {', '.join(BOARDS)}")
    for name, purpose in [*((name, purpose) for name, _, purpose in OPTIONAL), *PROGRAMS]:
        click.echo(f"{name}: {'there' if facts['optional'][name] else 'not there'}, for {purpose}")
    return 0
