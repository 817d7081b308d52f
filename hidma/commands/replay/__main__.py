# SPDX-License-Identifier: GPL-2.0-only
"""``tools/replay [--check] [--interpreted] FILE...``: runs recorded scenarios against the port.

Each file's list of events goes to the standard output as JSON, one line for each file, in the order given. With
``--check`` they are compared with what was recorded instead. Exit status: 0, 1 when something differs, 2 when a file
could not be run (the others are).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import click

from hidma.commands.main import main
from hidma.commands.options import print_error
from hidma.commands.replay.device import ScenarioError
from hidma.commands.replay.layers import replay
from hidma.commands.replay.runner import Mismatch, Scenario, compare, load
from hidma.machine import _mode

MANY = 20  # from so many files on a terminal gets a bar


def say(text: str) -> None:
    print_error(text, "replay")


@contextmanager
def bar(total: int) -> Any:
    """A progress bar on the terminal behind the standard error; what it yields is called after each file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    above = sys.stdout.isatty()  # what is printed to the same terminal goes above the bar
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=above) as progress:
        task = progress.add_task("scenarios", total=total)
        yield lambda: progress.advance(task)


def progress(total: int, check: bool) -> AbstractContextManager[Callable[[], None]]:
    """A bar when there is a terminal to draw it on that does not show the lists, and enough to wait for."""
    if total >= MANY and sys.stderr.isatty() and (check or not sys.stdout.isatty()):
        return bar(total)
    return nullcontext(lambda: None)


def events_of(path: str) -> tuple[Scenario, list[Any]]:
    """The scenario at ``path``, and its events.

    :raises ScenarioError: with a sentence that names the file
    """
    try:
        scenario = load(path)
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return scenario, replay(scenario)
    except (ScenarioError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ScenarioError(f"{path}: the replay stopped at what it does not understand: "
                            f"{type(error).__name__}: {error}") from error


def difference(scenario: Scenario, events: list[Any]) -> Mismatch | None:
    """What ``--check`` found.

    :raises ScenarioError: when nothing was recorded
    """
    if scenario.expected is None and not scenario.runs:
        raise ScenarioError(f"{scenario.path}: nothing to compare with: it has neither 'expected' nor 'runs'")
    return compare(scenario, events)


def step_of(events: list[Any], index: int) -> str:
    """Which step was running at event ``index``."""
    for event in reversed(events[: index + 1]):
        if event[0] == "step":
            return f"step {event[1]}"
    return "the start"


def run(paths: Iterable[str], check: bool) -> int:
    files = list(paths)
    differ = broken = 0
    with progress(len(files), check) as done:
        for path in files:
            try:
                scenario, events = events_of(path)
                if not check:
                    sys.stdout.write(json.dumps(events, separators=(",", ":")) + "\n")
                    sys.stdout.flush()
                else:
                    found = difference(scenario, events)
                    if found is not None:
                        differ += 1
                        print(f"{path}: the first difference, in {step_of(events, found.index)}:\n{found}", flush=True)
            except ScenarioError as error:
                broken += 1
                say(str(error))
            done()
    if check:
        agree = len(files) - differ - broken
        mode = "compiled" if _mode.compiled() else "interpreted"
        parts = [f"{agree} of {len(files)} agree with the recording ({mode})"]
        if differ:
            parts.append(f"{differ} {'differs' if differ == 1 else 'differ'}")
        if broken:
            parts.append(f"{broken} could not be run")
        print(", ".join(parts))
    return 2 if broken else 1 if differ else 0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Compare with the recording and show the first difference of each file.")
@click.option("--interpreted", is_flag=True, help="Run the sources, not the compiled modules.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def command(check: bool, interpreted: bool, files: tuple[str, ...]) -> int:
    """Run recorded scenarios against the port and print each one's events as a line of JSON."""
    if interpreted and not _mode.asked:
        # which modules run was decided when hidma was imported: start again
        os.environ["HIDMA_INTERPRETED"] = "1"
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return run(files, check)


if __name__ == "__main__":
    sys.exit(main(command=command, name="replay"))
