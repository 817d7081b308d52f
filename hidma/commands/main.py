# SPDX-License-Identifier: GPL-2.0-only
"""The command line: ``hidma COMMAND``. It stands for no C file; it boots machines and shows what they say.

Commands are found by name in :data:`COMMANDS` and imported on first use, which keeps the start fast. Exit status: 0, 1 when
the command failed, 2 when it could not start (usage, firmware, fault texts), 130 after Ctrl-C, 143 after SIGTERM. An error is
one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, NamedTuple

import click

from hidma import __version__
from hidma.commands.options import BROKEN_PIPE, STOPPED, UNUSABLE, ended_by, print_error
from hidma.commands.output import SIGNALS


class Lazy(NamedTuple):
    """A command that is imported on first use: ``module:object``, and its line in ``hidma --help``."""

    place: str
    help: str


COMMANDS: dict[str, Lazy] = {
    "dmatest": Lazy("hidma.commands.dmatest:dmatest", "Run the kernel's DMA test on the channels of a board."),
    "dmesg": Lazy("hidma.commands.dmesg:dmesg", "Boot a board and print the kernel log."),
    "boards": Lazy("hidma.commands.boards:boards", "Show the bundled boards, and what --board takes."),
    "shell": Lazy("hidma.commands.shell.cli:command",
                  "Run the system's shell on a booted board: /sys, /proc, debugfs, modprobe, dmatest."),
    "mount": Lazy("hidma.commands.mount.cli:mount", "Mount the files of a booted board on a directory."),
    "ctl": Lazy("hidma.commands.ctl:ctl", "Steer a mounted machine: modprobe, dmesg, dmatest."),
    "qos": Lazy("hidma.commands.qos:qos", "Show how weight and priority share the bus, while sysfs changes them."),
    "abi": Lazy("hidma.commands.abi.cli:abi", "Look up and check the documentation of every file of the tree."),
    "assign": Lazy("hidma.commands.assign:assign", "Give a channel to a guest, step by step."),
    "reset-plugins": Lazy("hidma.commands.reset_plugins:reset_plugins",
                          "Reset functions of devices that are given to guests: list, explain, check, new."),
    "qemu": Lazy("hidma.commands.qemu.cli:qemu", "Boot a real Linux in QEMU, with its own driver on the model."),
    "trace": Lazy("hidma.commands.trace.cli:trace", "Run something and show what happened: text, Perfetto, waves, a diagram."),
    "step": Lazy("hidma.commands.step.cli:step", "Run something one register access or interrupt at a time, forward and back."),
    "portmap": Lazy("hidma.commands.portmap.cli:portmap", "Show where everything of the C files stands in the port."),
    "sidebyside": Lazy("hidma.commands.sidebyside.cli:sidebyside", "Write pages with your C files beside the port."),
    "faults": Lazy("hidma.commands.faults:faults", "Show the faults that can be injected, and how they are written."),
    "info": Lazy("hidma.commands.info:info", "Show version, mode and what is installed."),
}


class LazyGroup(click.Group):
    """A group whose commands stand in :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        lazy = COMMANDS.get(name)
        if lazy is None:
            return None
        module, _, attribute = lazy.place.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            why = f"{name} needs the Python module {error.name}, which is not installed."
            raise click.ClickException(why) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="hidma %(version)s")
@click.option("--plugin", "plugins", multiple=True, metavar="FILE|DIR",
              help="Take the reset plugin of a file, a package or a project that is not installed; may be repeated, the last one "
                   "wins.")
@click.option("--no-plugin", "disabled", multiple=True, metavar="NAME", help="Leave a reset plugin alone; may be repeated.")
@click.option("--memory", metavar="SIZE[@ADDRESS]", help="RAM of the board, in place of what its firmware names: 512M@0x80000000.")
@click.pass_context
def cli(ctx: click.Context, plugins: tuple[str, ...], disabled: tuple[str, ...], memory: str | None) -> int:
    """The Qualcomm HIDMA driver series of Linux (V14) in Python, on a model of the hardware."""
    if plugins or disabled:
        from hidma.plugin.sources import choose

        choose(plugins, disabled)
    if memory is not None:
        os.environ["HIDMA_MEMORY"] = memory
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


def main(argv: Sequence[str] | None = None, command: click.Command = cli, name: str = "hidma") -> int:
    """Run a command line.

    :param argv: arguments without the program's name; those of the process when it is left out
    :param command: what they are given to
    :param name: what the program is called
    :returns: the exit status
    """
    try:
        if argv is None:
            prepare_signals()
            prepare_streams()
        code = run(command, name, list(sys.argv[1:] if argv is None else argv))
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has closed its end
            code = BROKEN_PIPE
        except OSError as error:
            print_error(f"{Stdout.NAME}: {error.strerror}", name)
            code = UNUSABLE
    except KeyboardInterrupt:
        print_error("stopped", name)
        code = STOPPED
    finally:
        discard_stdout()
    if argv is None:
        for number in SIGNALS:  # all is done: no Python code runs any more when one comes
            signal.signal(number, signal.SIG_DFL)
    return 128 + ended_by[0] if ended_by and code == STOPPED else code


def run(command: click.Command, name: str, arguments: list[str]) -> int:
    """Run it, and make a sentence and an exit status of every exception that is documented."""
    try:
        with command.make_context(name, list(arguments), obj=arguments) as ctx:
            return int(command.invoke(ctx) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print_error(str(end.code), name)
        return 1
    except click.ClickException as error:
        message = error.format_message()
        print_error(message[:1].lower() + message[1:] if message[1:2].islower() else message, name)
        return UNUSABLE
    except click.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        if error.filename == Stdout.NAME:
            discard_stdout()
        sentence = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        if not error.filename and error.errno in OF_DISK and sentence == os.strerror(error.errno):
            sentence = f"a file cannot be written: {sentence}"
        print_error(sentence, name)
        return UNUSABLE


#: Errors of a write, which name no file.
OF_DISK = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT)


def end(number: int, frame: FrameType | None) -> None:
    """SIGTERM or SIGHUP came: the command ends as it does on Ctrl-C, so that it cleans up as well."""
    ended_by.append(number)
    stop = signal.getsignal(signal.SIGINT)
    (stop if callable(stop) else signal.default_int_handler)(signal.SIGINT, frame)


def prepare_signals() -> None:
    """Make SIGINT, SIGTERM and SIGHUP work whatever signal state the process inherited.

    A signal mask is inherited by accident. A shell starts background jobs with SIGINT ignored; in the foreground of a
    terminal that state is inherited by accident too.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup has SIGHUP ignored
            signal.signal(number, end)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        with suppress(OSError, ValueError):
            if os.tcgetpgrp(0) == os.getpgrp():
                signal.signal(signal.SIGINT, signal.default_int_handler)


class Stdout(io.FileIO):
    """Standard output, whose errors name it."""

    NAME = "standard output"

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.NAME
            raise


def prepare_streams() -> None:
    """Make the standard streams usable whatever the process inherited.

    A stream that is closed has /dev/null in its place, so that no file that is opened later becomes it: reads find the end, writes
    to standard output fail. A character that the encoding of standard output has not is written with its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        errors = "backslashreplace" if sys.stdout.errors == "strict" else sys.stdout.errors
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(Stdout(1, "wb", closefd=False)), sys.stdout.encoding, errors,
                                      line_buffering=sys.stdout.line_buffering)


def discard_stdout() -> None:
    """Drop what stdout still holds: Python flushes it again at exit and would report the same error a second time."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
