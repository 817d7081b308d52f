# SPDX-License-Identifier: GPL-2.0-only
"""``hidma dmesg``: the kernel log of a board's boot. It stands for no C file."""

from __future__ import annotations

import click

from hidma.commands import options


@click.command()
@options.machine_options
@click.pass_context
def dmesg(ctx: click.Context, board: str, fault: tuple[str, ...], instant: bool, seed: int, interpreted: bool) -> int:
    """Boot a board, with the drivers, and print the kernel log.

    Notes on the firmware follow, for instance why V14 binds no driver to a channel.
    """
    if interpreted:
        options.interpret(ctx)

    from hidma.machine.boot import KernelOops

    try:
        machine = options.boot(board, fault, instant, seed)
    except KernelOops as oops:
        click.echo(options.boot_log(oops), nl=False)
        options.print_error(options.oops_sentence(oops))
        return options.FAILED
    with machine:
        click.echo("".join(f"{line}\n" for line in options.printed(machine.kernel.log)), nl=False)
        for note in machine.notes:
            click.echo(f"note: {note}")
    return 0
