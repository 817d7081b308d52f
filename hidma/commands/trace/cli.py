# SPDX-License-Identifier: GPL-2.0-only
"""``hidma trace``: runs something and shows what happened. It stands for no C file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hidma.commands.extras import requires
from hidma.commands.options import ended_by, time_of
from hidma.commands.output import write_file
from hidma.commands.trace import formats
from hidma.commands.trace.events import KINDS, Event, channels_of
from hidma.commands.trace.recorder import Filter, FilterError, Recorder, squeeze
from hidma.commands.trace.run import runner, stdout_to_stderr
from hidma.machine import _mode

FORMATS = ("text", "chrome", "vcd", "svg", "json")
STOPPED = 130


def nanoseconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An option that is a time."""
    if value is None:
        return None
    found = time_of(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time: 12021500 (ns), 12.0215ms, 3us and 0.5s are.", ctx, param)
    return found


def render(kind: str, machines: Sequence[Sequence[Event]], name: str) -> tuple[str, str]:
    """The trace in a format, and a file that goes beside it (GTKWave's), or "".

    :raises click.ClickException: the format cannot show it, or needs what is not installed
    """
    if kind == "vcd":
        with requires("trace"):
            from hidma.commands.trace import vcd
        return vcd.write(machines, name)
    if kind == "svg":
        from hidma.commands.trace import svg

        try:
            return svg.draw(machines), ""
        except svg.TooMany as error:
            raise click.ClickException(str(error)) from None
    make: Callable[[Any], str] = {"text": formats.text, "json": formats.as_json, "chrome": formats.chrome}[kind]
    return make(machines), ""


def interpreted(words: Sequence[str]) -> int:
    """The same command in a process that runs the sources, whose functions report; its exit status."""
    flags = ["-P"] if sys.flags.safe_path else []
    with subprocess.Popen([sys.executable, *flags, "-m", "hidma", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "HIDMA_INTERPRETED": "1"}, encoding="utf-8", errors="surrogateescape") as child:
        assert child.stdout is not None and child.stderr is not None
        errors = threading.Thread(target=sys.stderr.writelines, args=(child.stderr,))
        errors.start()
        while True:
            try:
                sys.stdout.writelines(child.stdout)
                errors.join()
                return child.wait()
            except KeyboardInterrupt:
                if ended_by:  # Ctrl-C comes to both processes
                    child.terminate()


def refuse_unknown(channels: Sequence[str], machines: Sequence[Sequence[Event]], wanted: Filter) -> None:
    """:raises click.ClickException: a channel that the run does not have"""
    known = channels_of(event for events in machines for event in events)
    for channel in channels:
        if not any(wanted.is_channel(name, channel) for name in known):
            raise click.ClickException(f"the run has no channel {channel}; it has {', '.join(known) or 'none'}")


def check_writable(path: Path) -> None:
    """:raises click.ClickException: nothing can be written there; better said before a long run than after it"""
    if path.is_dir():
        raise click.ClickException(f"{path} is a directory; -o names a file")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def show_kinds() -> None:
    for name, kind in KINDS.items():
        click.echo(f"{name:<10} {kind.about}")
        click.echo(f"{'':<10} {', '.join(kind.fields)}")


@click.command("trace", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--format", "kind", type=click.Choice(FORMATS), default="text", show_default=True, help="What to make of it.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; without it, stdout (and what is run prints to "
                                                      "stderr). With vcd a .gtkw is written beside it.")
@click.option("--channel", "channels", multiple=True, metavar="N", help="Only this channel's; may be repeated.")
@click.option("--function", "functions", multiple=True, metavar="PATTERN", help="Functions with such a name.")
@click.option("--register", "registers", multiple=True, metavar="PATTERN", help="Registers with such a name: EVCA_IRQ_*.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only events of this kind (see --kinds).")
@click.option("--after", default="", metavar="FUNCTION", help="Begin where this function is entered first.")
@click.option("--until", default="", metavar="FUNCTION", help="End where this function is entered first, after that.")
@click.option("--from", "start", callback=nanoseconds, metavar="TIME", help="Begin at this time (12.02ms, 300us, ns).")
@click.option("--to", "end", callback=nanoseconds, metavar="TIME", help="End at this time.")
@click.option("--squeeze", "squeezed", is_flag=True, help="Show once what is repeated, as by a driver that polls, and how often.")
@click.option("--kinds", "vocabulary", is_flag=True, is_eager=True, help="Show the kinds of events and what they carry.")
@click.argument("words", nargs=-1, metavar="COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def trace(ctx: click.Context, kind: str, output: str | None, channels: tuple[str, ...], functions: tuple[str, ...],
          registers: tuple[str, ...], kinds: tuple[str, ...], after: str, until: str, start: int | None, end: int | None,
          squeezed: bool, vocabulary: bool, words: tuple[str, ...]) -> int:
    """Run something and show what happened, one line an event, in the order of virtual time.

    COMMAND is a command of hidma with its options (hidma trace -- dmatest --iterations 1), a Python script with its
    arguments, or a recorded scenario (.json). Whatever machine it boots is recorded from power-on. The same run gives the
    same bytes.

    chrome opens in Perfetto (ui.perfetto.dev); vcd opens in GTKWave; svg is a diagram of some hundred events.
    """
    if vocabulary:
        show_kinds()
        return 0
    if not words:
        raise click.ClickException("trace what? A command of hidma, a Python script or a recorded scenario, as in "
                                   "`hidma trace -- dmatest --iterations 1`")
    wanted = Filter(channels, functions, registers, kinds, after, until, start, end)
    try:
        wanted.check()
    except FilterError as error:
        raise click.ClickException(str(error)) from None
    if kind == "vcd":  # better said before a long run than after it
        with requires("trace"):
            import hidma.commands.trace.vcd  # noqa: F401
    if output is not None:
        check_writable(Path(output))
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    if _mode.compiled() and wanted.of_functions():
        return interpreted(root.obj or sys.argv[1:])
    run = runner(root.command, words, root.obj or sys.argv[1:])
    with Recorder() as recorder, stdout_to_stderr(output is None):
        try:
            status = run()
        except KeyboardInterrupt:
            status = STOPPED
            click.echo("hidma: stopped; this is the trace up to here", err=True)
    machines = recorder.machines()
    if not machines:
        raise click.ClickException(f"the trace has no event: {words[0]} booted no machine")
    refuse_unknown(channels, machines, wanted)
    count = sum(len(events) for events in machines)
    machines = [found for events in machines if (found := wanted.apply(events))]
    if not machines:
        raise click.ClickException(f"the trace has no event: none of {count} passes the filters")
    if squeezed:
        machines = [squeeze(events) for events in machines]
    made, beside = render(kind, machines, "" if output is None else Path(output).name)
    if output is None:
        sys.stdout.write(made)
        return status
    path = Path(output)
    try:
        if beside:
            write_file(path.with_suffix(".gtkw"), beside)
        write_file(path, made)
    except OSError as error:
        raise click.ClickException(f"{error.filename or path} cannot be written: {error.strerror}") from None
    shown = sum(len(events) for events in machines)
    click.echo(f"{shown} event{'s' if shown != 1 else ''} in {path}" + (f", groups in {path.with_suffix('.gtkw')}" if beside
                                                                     else ""), err=True)
    return status
