# SPDX-License-Identifier: GPL-2.0-only
"""``hidma step``: runs something one event at a time. It stands for no C file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

import click

from hidma.commands.extras import requires
from hidma.commands.options import interpret
from hidma.commands.step.engine import Break, BreakError, Session
from hidma.commands.trace.run import runner


def reader(out: TextIO) -> Callable[[], str | None]:
    """Lines of stdin; on a terminal with a prompt.

    :param out: where the answers go; ``sys.stdout`` is the job's while it runs
    """
    source = sys.stdin
    prompt = "step> " if source is not None and source.isatty() else ""

    def ask() -> str | None:
        out.write(prompt)
        out.flush()
        try:
            return (source.readline() or None) if source is not None else None
        except KeyboardInterrupt:
            return None

    return ask


@click.command("step", context_settings={"allow_interspersed_args": False})
@click.option("--plain", is_flag=True, help="A dialogue of lines, also on a terminal.")
@click.option("--break", "breaks", multiple=True, metavar="WHAT",
              help="A break from the start: 'function hidma_ll_setup', 'register EVCA_IRQ_*', 'state ERROR', fault.")
@click.argument("words", nargs=-1, metavar="COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def step(ctx: click.Context, plain: bool, breaks: tuple[str, ...], words: tuple[str, ...]) -> int:
    """Run something one register access, interrupt, tasklet or hardware step at a time.

    COMMAND is a command of hidma with its options (hidma step -- dmatest --iterations 1), a Python script with its
    arguments, or a recorded scenario (.json). At each stop it shows the line of the port with its C function, registers
    with what just changed, both rings with their pointers, and what the driver keeps. It goes forward, to a break, a
    function, a time or an event, and back, by running again.
    """
    if not words:
        raise click.ClickException("step through what? A command of hidma, a Python script or a recorded scenario, as in "
                                   "`hidma step -- dmatest --iterations 1`")
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    group, whole = root.command, root.obj or sys.argv[1:]
    runner(group, words, whole)  # says now what it would say later
    session = Session(lambda: runner(group, words, whole))
    for text in breaks:
        try:
            session.breaks.append(Break.parse(text.split()))
        except BreakError as error:
            raise click.ClickException(str(error)) from None
    interpret(ctx)  # entries of functions and lines are of functions that run as Python
    full = not plain and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        if full:
            with requires("step", "--plain works without it"):
                from hidma.commands.step import screen
            return screen.run(session)
        from hidma.commands.step.plain import run

        out = sys.stdout  # what the job prints is kept apart while it runs

        def say(text: str) -> None:
            out.write(text + "\n")
            out.flush()

        return run(session, reader(out), say)
    finally:
        session.close()
