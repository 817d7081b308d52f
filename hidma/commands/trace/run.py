# SPDX-License-Identifier: GPL-2.0-only
"""Runs what is to be traced: a command of ``hidma``, a Python script, or a recorded scenario. It stands for no C file."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import click

from hidma.commands.replay.device import ScenarioError
from hidma.commands.replay.layers import PLAYERS
from hidma.commands.replay.runner import Player, load

#: Commands that boot a machine in a process of their own or for ever.
NOT_TRACED = frozenset(("trace", "step"))


def scenario(path: str) -> Player:
    """The player of a recorded scenario, whose accesses and callbacks go into its trace too.

    :raises click.ClickException: it is no scenario
    """
    try:
        found = load(path)
        layer = found.scenario.get("layer")
        kind = PLAYERS.get(layer) if isinstance(layer, str) else None
        if kind is None:
            raise ScenarioError(f"{path}: its layer is not one of {', '.join(sorted(PLAYERS))}")
        return _traced(kind)(found.scenario)
    except ScenarioError as error:
        raise click.ClickException(str(error)) from None


def _traced(kind: type[Player]) -> type[Player]:
    """A player that sends what its device sees to the trace."""

    class Traced(kind):  # type: ignore[misc,valid-type]
        def event(self, event: list[Any]) -> None:
            super().event(event)
            kernel = getattr(self, "kernel", None)
            trace = self.device.bus.trace if kernel is None and hasattr(self, "device") else getattr(kernel, "trace", None)
            if trace is None or not trace.taps:
                return
            raw: tuple[Any, ...] | None = None
            if event[0] in ("r", "w"):
                raw = ("read" if event[0] == "r" else "write", *event[1:])
            elif event[0] == "cb":
                raw = ("callback", 0, event[1])
            elif event[0] == "step":
                index = event[1]
                step = self.scenario["steps"][index]
                raw = ("scenario", f"step {index}:", list(step) if isinstance(step, list) else [step])
            elif event[0] == "ret":
                raw = ("scenario", "returns", event[1:])
            if raw is not None:
                for tap in trace.taps:
                    tap(raw)

    return Traced


def runner(root: click.Group, words: Sequence[str], whole: Sequence[str]) -> Callable[[], int]:
    """What runs the words.

    :param root: the command line of ``hidma``
    :param words: command, script or scenario, with its arguments
    :param whole: the arguments of this process, for a command that starts it again
    :returns: a function that gives the exit status
    :raises click.ClickException: there is no such thing
    """
    first = words[0]
    if first in root.list_commands(click.Context(root)):
        if first in NOT_TRACED:
            raise click.ClickException(f"{first} cannot be traced: it looks at machines itself")

        def command() -> int:
            try:
                with root.make_context("hidma", list(words), obj=list(whole)) as ctx:
                    return int(root.invoke(ctx) or 0)
            except click.exceptions.Exit as end:
                return int(end.exit_code)

        return command
    if not os.path.exists(first):
        raise click.ClickException(f"{first!r} is neither a command of hidma nor a file (a Python script, or a recorded "
                                   "scenario .json)")
    if first.endswith(".json"):
        player = [scenario]

        def replay() -> int:
            try:
                player[0](first).play()
            except ScenarioError as error:
                raise click.ClickException(f"{first}: {error}") from None
            return 0

        return replay

    def script() -> int:
        before = sys.argv, sys.path[:]
        sys.argv = list(words)
        sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
        try:
            runpy.run_path(first, run_name="__main__")
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            click.echo(end.code, err=True)
            return 1
        except click.ClickException:
            raise
        except Exception as error:
            # the script's own mistake, printed as Python would
            frames = traceback.extract_tb(error.__traceback__)
            here = os.path.realpath(first)
            own = next((n for n, frame in enumerate(frames) if os.path.realpath(frame.filename) == here), len(frames))
            lines = traceback.format_list(frames[own:]) + traceback.format_exception_only(error)
            click.echo("Traceback (most recent call last):\n" + "".join(lines), nl=False, err=True)
            return 1
        finally:
            sys.argv, sys.path[:] = before
        return 0

    return script


@contextlib.contextmanager
def stdout_to_stderr(wanted: bool) -> Any:
    """What the traced command prints goes to stderr, when the trace goes to stdout."""
    if not wanted:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield
