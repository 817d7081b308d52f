# SPDX-License-Identifier: GPL-2.0-only
"""What every command is made of: its name in the table, its options, its usage errors, its input files."""

from __future__ import annotations

import getopt
import re
from collections.abc import Callable, Iterator

from hidma.commands.shell.interp import COMMANDS, Builtin, Shell
from hidma.commands.shell.io import Io

HELP: dict[str, str] = {}
OF_COREUTILS = frozenset({"hidma.commands.shell.files", "hidma.commands.shell.text"})
OTHERS = frozenset({"echo", "printf", "find", "tree", "grep", "hexdump", "xxd"})
#: Complaints after which a program of coreutils says where there is more.
HELPED = ("missing ", "extra operand", "invalid option", "unrecognized option", "option requires", "you must")


class Usage(Exception):
    """Arguments that a command does not take: the message, and the status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def command(*names: str, help: str = "") -> Callable[[Builtin], Builtin]:
    """Make a function known under ``names``."""

    def add(function: Builtin) -> Builtin:
        def run(shell: Shell, args: list[str], io: Io) -> int:
            helpful = function.__module__ in OF_COREUTILS and args[0] not in OTHERS
            if helpful and args[1:2] == ["--help"]:
                io.print(f"Usage: {args[0]} [OPTION]... [ARGUMENT]...\n{HELP[names[0]]}")
                return 0
            try:
                return function(shell, args, io)
            except Usage as error:
                io.complain(f"{args[0]}: {error}")
                if helpful and str(error).startswith(HELPED):
                    io.complain(f"Try '{args[0]} --help' for more information.")
                return error.status

        run.__doc__ = function.__doc__
        for name in names:
            COMMANDS[name] = run
        HELP[names[0]] = help
        return function

    return add


def options(
    args: list[str], short: str, long: tuple[str, ...] = (), status: int = 1
) -> tuple[dict[str, str], list[str]]:
    """The options (``{"-n": "5"}``) and the rest."""
    try:
        found, rest = getopt.gnu_getopt(args[1:], short, list(long))
    except getopt.GetoptError as error:
        if "requires argument" in error.msg:
            raise Usage(f"option requires an argument -- '{error.opt}'", status) from None
        kind = f"invalid option -- '{error.opt}'" if len(error.opt) == 1 else f"unrecognized option '--{error.opt}'"
        raise Usage(kind, status) from None
    return dict(found), rest


def number(text: str, what: str) -> int:
    """A decimal number that an option takes."""
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise Usage(f"invalid number of {what}: ‘{text}’")
    return int(text)


def lines_of(data: bytes) -> list[bytes]:
    """Lines with their ends."""
    return data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+$", data)


def inputs(shell: Shell, names: list[str], io: Io) -> Iterator[tuple[str, bytes | int]]:
    """Name and text, or errno, of each file; of the standard input for ``-`` and without a name."""
    for name in names or ["-"]:
        yield name, io.stdin.rest() if name == "-" else shell.read(name)


def joined(base: str, name: str) -> str:
    """A name in a directory."""
    return f"{base}{name}" if base.endswith("/") else f"{base}/{name}"
