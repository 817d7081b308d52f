# SPDX-License-Identifier: GPL-2.0-only
"""``hidma boards``: what the bundled boards, or others, consist of. It stands for no C file."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import click

from hidma.commands.options import plural


@click.command()
@click.argument("board", nargs=-1, metavar="[FILE|NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def boards(board: tuple[str, ...], as_json: bool) -> int:
    """Show what a board consists of: those that come with hidma, or those that are named.

    Wherever a command takes --board, it takes the name of a bundled board, a device tree blob (.dtb), ACPI tables (.aml),
    or the source of one (.dts, .asl; the compiler dtc or iasl must be installed). A bundled name wins over a file of that
    name; ./host is the file.
    """
    from hidma import firmware

    rows: list[dict[str, Any]] = []
    for name in board or firmware.BOARDS:
        tree = firmware.load(name)
        described = firmware.describe(tree)
        rows.append({"name": name, "model": firmware.model(tree), "cpus": described.cpus,
                     "memory": [{"base": region.base, "size": region.size} for region in described.memory],
                     "management": [management.path for management in described.managements],
                     "channels": [channel.path for channel in described.channels],
                     "iommus": [iommu.path for iommu in described.iommus],
                     "notes": [*firmware.check(tree), *firmware.explain_unbound(described)]})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        click.echo(f"{row['name']}: {row['model']}")
        ram = ", ".join(f"{region['size'] >> 20} MiB at {region['base']:#x}" for region in row["memory"])
        click.echo(f"    {plural(row['cpus'], 'CPU')}, {ram}")
        for what in ("management", "channels", "iommus"):
            click.echo(f"    {what}: {', '.join(row[what]) or 'none'}")
        for note in row["notes"]:
            click.echo(textwrap.fill(note, 100, initial_indent="    note: ", subsequent_indent="        "))
    if not board:
        click.echo("\n--board takes one of these names, a .dtb or .aml, a .dts (through dtc) or .asl (through iasl).")
    return 0
