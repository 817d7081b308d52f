# SPDX-License-Identifier: GPL-2.0-only
"""What several commands of ``hidma`` share: the options that describe a machine, exit statuses, and sentences about
kernels that stopped. It stands for no C file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from hidma.machine import _mode

if TYPE_CHECKING:
    from hidma.linux.printk import LogBuf, LogLine
    from hidma.machine.boot import KernelOops, Machine

FAILED = 1
UNUSABLE = 2
STOPPED = 130
#: The first of SIGTERM and SIGHUP that has come.
ended_by: list[int] = []
BROKEN_PIPE = 141

Decorator = Callable[[Any], Any]


def print_error(sentence: str, program: str = "hidma") -> None:
    """One line on stderr."""
    click.echo(f"{program}: " + " ".join(sentence.split()), err=True)


def time_of(text: str) -> int | None:
    """A time in ns: ``12021500``, ``12021500ns``, ``12.0215ms``, ``3us``, ``0.5s``; None when it is none."""
    for unit, factor in (("ns", 1), ("us", 1000), ("ms", 1000000), ("s", 1000000000), ("", 1)):
        if text.endswith(unit):
            number = text.removesuffix(unit).strip()
            if re.fullmatch(r"[0-9]+(\.[0-9]+)?", number, re.ASCII) and len(number) < 30:
                whole, _, part = number.partition(".")
                return int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)
            return None
    return None


def machine_options(command: Any) -> Any:
    """Add the options that describe a machine: --board, --fault, --instant, --seed, --interpreted."""
    options: list[Decorator] = [
        click.option("--board", default="host", metavar="FILE|NAME", show_default=True,
                     help="A .dtb or .aml, a .dts (dtc) or .asl (iasl), or a bundled board (see hidma boards)."),
        click.option("--fault", "fault", multiple=True, metavar="TEXT",
                     help="A fault to inject from power-on (see hidma faults); may be repeated."),
        click.option("--instant", is_flag=True, help="The hardware's work takes no virtual time."),
        click.option("--seed", default=0, show_default=True, metavar="N",
                     help="Seed of the random numbers and of the order of CPUs at equal times."),
        click.option("--interpreted", is_flag=True, help="Run the Python sources, not the compiled modules."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def interpret(ctx: click.Context) -> None:
    """Replace this process by the same command on the Python sources; returns if they run already."""
    if _mode.asked or not _mode.compiled():
        return
    sys.stdout.flush()
    # pass on the options that change what the interpreter imports; -P unless hidma lies in the working directory
    flags = [flag for name, flag in (("isolated", "-I"), ("no_user_site", "-s"), ("ignore_environment", "-E"))
             if getattr(sys.flags, name)]
    if sys.flags.safe_path or not os.path.samefile(os.path.dirname(os.path.dirname(_mode.__file__)), os.getcwd()):
        flags.append("-P")
    os.environ["HIDMA_INTERPRETED"] = "1"
    os.execv(sys.executable, [sys.executable, *flags, "-m", "hidma", *ctx.find_root().obj])


def boot(board: str, faults: Sequence[str], instant: bool, seed: int) -> Machine:
    """A machine, as the options describe it."""
    import hidma

    text = ";".join(fault or " " for fault in faults)
    machine: Machine = hidma.boot(board, instant=instant, seed=seed, faults=text or None)
    return machine


def oops_sentence(oops: KernelOops) -> str:
    """One sentence on a kernel that stopped; its log has the details."""
    row = f" (row {oops.row} of docs/quirks)" if oops.row is not None else ""
    return f"the kernel stopped: {oops.message}{row}"


def boot_log(oops: KernelOops) -> str:
    """The log of a kernel that stopped while it booted."""
    return "".join(getattr(oops, "__notes__", []))


def errors(log: Sequence[LogLine]) -> list[str]:
    """The distinct error lines of the kernel log."""
    from hidma.linux.printk import KERN_ERR

    return list(dict.fromkeys(line.text for line in log if line.level <= KERN_ERR))


def printed(log: LogBuf, since: int = 0) -> list[str]:
    """Messages from number ``since`` on as dmesg prints them; a repeated one is printed once, with a count of its repetitions.
    First is how many of them were dropped.
    """
    lines = log.dropped(since)
    text, again = "", 0
    for line in [*log[since:], None]:
        if line is not None and line.text == text:
            again += 1
            last = line
            continue
        if again:
            lines.append(str(last) if again == 1 else str(replace(last, text=f"last message repeated {again} times")))
        if line is not None:
            lines.append(str(line))
            text, again = line.text, 0
    return lines


def plural(count: int, noun: str) -> str:
    """``1 CPU``, ``8 CPUs``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Rows as lines, the first one the head, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join((indent + "  ".join(map(str.ljust, row, widths))).rstrip() for row in rows)
