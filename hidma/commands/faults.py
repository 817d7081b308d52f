# SPDX-License-Identifier: GPL-2.0-only
"""``hidma faults``: the faults that can be injected. It stands for no C file."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from hidma.commands.options import table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def faults(as_json: bool) -> int:
    """Show the faults that --fault can inject.

    A fault is written KIND[:ARGUMENT][:WHEN][@chanN]; several are separated by semicolons, or --fault is repeated.
    """
    from hidma.hw.faults import KINDS, SHAPE, WHEN_HELP

    if as_json:
        click.echo(json.dumps([asdict(kind) for kind in KINDS], indent=2))
        return 0
    click.echo(table([("KIND", "EXAMPLE", "WHEN COUNTS", "WHAT HAPPENS"),
                      *((kind.name, kind.example, kind.counts, kind.description) for kind in KINDS)]))
    stuck = ", ".join(kind.name for kind in KINDS if kind.every)
    click.echo(f"\nA fault is written {SHAPE}, several of them are separated by semicolons.\n"
               f"WHEN: {WHEN_HELP}.\n"
               f"Without WHEN it is the first, and every one for {stuck}.\n"
               "@chanN: only channel N of the core; without it the occurrences on all channels are counted together.")
    return 0
