# SPDX-License-Identifier: GPL-2.0-only
"""``hidma shell``: the prompt with its history and completion, scripts, ``-c``."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType

import click

import hidma
from hidma.commands.shell.commands import COMMANDS, LOADABLE
from hidma.commands.shell.files import columns
from hidma.commands.shell.interp import INTERRUPTED, Exit, Shell
from hidma.commands.shell.io import Input, Io, Stream
from hidma.commands.shell.parser import RESERVED, Incomplete, Parser, ShellSyntaxError
from hidma.commands.shell.system import reset_plugins
from hidma.linux.fs import Dir
from hidma.machine.boot import KernelOops, Machine

FAILED = 1
UNUSABLE = 2
HISTORY_LINES = 1000
HEAR = 0.1  # seconds until Ctrl-C is heard while a command reads
PIECE = 65536
DELIMITERS = " \t\n;&|<>()\"'=$"


def readline_module() -> ModuleType | None:
    """The module readline, where Python was built with it."""
    try:
        import readline
    except ImportError:
        return None
    return readline


def history_file() -> Path:
    """Where lines are kept from one session to the next."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "hidma" / "shell_history"


def completions(shell: Shell, line: str, begin: int, text: str) -> list[str]:
    """What ``text``, which begins at ``begin`` of ``line``, may become: commands at the beginning of a command, else
    modules and their parameters, else files."""
    before = line[:begin].rstrip()
    first = not before or before[-1] in "|;&(" or before.split()[-1] in RESERVED
    if text.startswith("$") or line[:begin].endswith("$"):
        return sorted(name for name in shell.variables if name.startswith(text.lstrip("$")))
    if first and "/" not in text:
        return sorted(name + " " for name in {*COMMANDS, *RESERVED, *shell.functions} if name.startswith(text))
    if line[:begin].endswith("channel="):
        channels = shell.listdir("/sys/class/dma")
        return sorted(f"{name} " for name in channels if name.startswith(text)) if isinstance(channels, list) else []
    words = before.replace("|", ";").split(";")[-1].split()
    if words and words[0] in ("modprobe", "rmmod", "modinfo") and len(words) == 1:
        plugins = [] if words[0] == "rmmod" else [plugin.name for plugin in reset_plugins()]
        return sorted(name + " " for name in {*LOADABLE, *plugins} if name.startswith(text))
    parameters = LOADABLE.get(words[1].replace("-", "_")) if words[:1] == ["modprobe"] and len(words) > 1 else None
    if words[:1] == ["dmatest"]:
        parameters = LOADABLE["dmatest"]
    if parameters is not None and "/" not in text:
        return sorted(f"{p.name}=" for p in parameters.params if p.name.startswith(text))
    above, slash, start = text.rpartition("/")
    names = shell.listdir((above + slash) or ".")
    found = []
    for name in sorted(names) if isinstance(names, list) else ():
        if name.startswith(start):
            path = above + slash + name
            directory = isinstance(shell.lookup(path)[2], Dir)
            if directory or words[:1] != ["cd"]:
                found.append(path + ("/" if directory else " "))
    return found


def last_part(path: str) -> str:
    """What a list of completions shows of a path."""
    name = path.rstrip("/ ").rpartition("/")[2]
    return name + "/" if path.endswith("/") else name


class Prompt:
    """The terminal.

    :param shell: whose lines are read
    :param io: where output goes
    """

    def __init__(self, shell: Shell, io: Io) -> None:
        self.shell = shell
        self.io = io
        self.readline = readline_module()
        self.waiting = False

    def start(self) -> None:
        """Prepare line editing."""
        if self.readline is None:
            return
        self.readline.set_completer_delims(DELIMITERS)
        self.readline.set_completer(self.complete)
        editline = "libedit" in (self.readline.__doc__ or "")
        self.readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
        with suppress(AttributeError):
            self.readline.set_completion_display_matches_hook(self.show_matches)
        with suppress(OSError):
            self.readline.read_history_file(history_file())
        self.readline.set_history_length(HISTORY_LINES)

    def end(self) -> None:
        """Keep the history."""
        if self.readline is not None:
            with suppress(OSError):
                history_file().parent.mkdir(parents=True, exist_ok=True)
                self.readline.write_history_file(history_file())

    def complete(self, text: str, state: int) -> str | None:
        """As readline asks."""
        assert self.readline is not None
        with suppress(KernelOops):
            found = completions(self.shell, self.readline.get_line_buffer(), self.readline.get_begidx(), text)
            return found[state] if state < len(found) else None
        return None

    def show_matches(self, typed: str, found: list[str], longest: int) -> None:
        """What a second Tab shows: names without the directories that all of them are in."""
        assert self.readline is not None
        lines = columns([last_part(path) for path in found], self.shell.width())
        self.io.out.write("".join(f"\n{line}" for line in lines).encode() + b"\n")
        self.io.out.write((self.text("PS1") + self.readline.get_line_buffer()).encode())
        self.io.out.flush()

    def text(self, name: str) -> str:
        """A prompt."""
        text = self.shell.variables.get(name, "")
        return (
            text.replace("\\w", self.shell.cwd)
            .replace("\\$", "#" if self.shell.root else "$")
            .replace("\\u", self.shell.variables.get("USER", ""))
        )

    def line(self, name: str) -> str:
        """One line.

        :raises EOFError: at the end
        :raises KeyboardInterrupt: Ctrl-C
        """
        self.waiting = True
        try:
            if self.shell.interrupted:
                raise KeyboardInterrupt
            return input(self.text(name))
        finally:
            self.waiting = False

    def run(self) -> int:
        """Read and run until the end."""
        self.start()
        try:
            while True:
                self.shell.interrupted = False  # not later: Ctrl-C may come right behind the line that it shall end
                try:
                    text = self.line("PS1")
                    while unfinished(text):
                        text += "\n" + self.line("PS2")
                except KeyboardInterrupt:
                    self.io.err.write(b"^C\n")
                    self.io.err.flush()
                    self.shell.status = INTERRUPTED
                    continue
                except EOFError:
                    self.io.print("exit")
                    self.io.out.flush()
                    return self.shell.status
                if text.strip():
                    self.shell.history.append(text)
                self.shell.execute(text, self.io)
                if self.shell.interrupted:
                    self.io.complain("")  # the terminal has printed ^C
                self.io.out.flush()
        finally:
            self.end()


def unfinished(text: str) -> bool:
    """Whether more lines are needed."""
    parser = Parser(text)
    try:
        while parser.line() is not None:
            pass
    except Incomplete:
        return True
    except ShellSyntaxError:
        return False
    return False


@contextmanager
def interrupts(shell: Shell, prompt: Prompt | None) -> Iterator[None]:
    """Ctrl-C never strikes in the middle of the machine: commands look whether it was pressed."""

    def pressed(number: int, frame: FrameType | None) -> None:
        if prompt is not None and prompt.waiting:
            raise KeyboardInterrupt
        shell.interrupted = True

    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def oops_lines(machine: Machine) -> str:
    """The end of a kernel, as its console shows it."""
    log = machine.kernel.log
    begin = next((at for at in range(len(log) - 1, -1, -1) if log[at].text.startswith("Internal error: Oops")), 0)
    return "".join(f"{line}\n" for line in log[begin:])


def typed(shell: Shell) -> bytes:
    """The next piece of what comes through standard input: a line, at a terminal. Empty at the end, when there is none,
    and after Ctrl-C."""
    try:
        while not shell.interrupted:
            if select.select([0], [], [], HEAR)[0]:
                return os.read(0, PIECE)
    except (OSError, ValueError):
        pass  # closed, or no input at all
    return b""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False})
@click.option(
    "--board",
    default="host",
    metavar="FILE|NAME",
    show_default=True,
    help="A .dtb, a .dts (through dtc), or a bundled board (see hidma boards).",
)
@click.option(
    "--fault",
    multiple=True,
    metavar="TEXT",
    help="A fault to inject from power-on (see hidma faults); may be repeated.",
)
@click.option("--instant", is_flag=True, help="Let the hardware's work cost no virtual time.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Decides the random numbers, and who goes first among CPUs at the same moment.",
)
@click.option("--no-modules", is_flag=True, help="Boot without hidma_mgmt and hidma; modprobe loads them.")
@click.option("--user", is_flag=True, help="Not root's shell: what the modes of the files forbid is forbidden.")
@click.option("-c", "commands", metavar="COMMANDS", help="Run COMMANDS and end.")
@click.argument("script", nargs=-1, metavar="[SCRIPT [ARGUMENT]...]")
def command(
    board: str,
    fault: tuple[str, ...],
    instant: bool,
    seed: int,
    no_modules: bool,
    user: bool,
    commands: str | None,
    script: tuple[str, ...],
) -> int:
    """A shell on a booted machine, with its /sys, /proc and debugfs.

    Without SCRIPT and -c it reads commands from the terminal, or from standard input when that is none. `help` shows
    what there is. Time is virtual: it passes while something works, with `sleep 2`, with `run 5ms`, and not while you
    think.

    Exit status: that of the last command; 1 when the kernel stopped with an Oops, 2 when the board could not be
    booted.
    """
    text = None
    if commands is None and script:
        path = Path(script[0])
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        machine = hidma.boot(board, faults=";".join(fault) or None, instant=instant, seed=seed, modules=not no_modules)
    except KernelOops as oops:
        click.echo("".join(getattr(oops, "__notes__", [])), nl=False, err=True)
        click.echo(f"hidma: the kernel stopped while it booted: {oops.message}", err=True)
        return FAILED
    with machine:
        if commands is not None:
            return session(machine, not user, commands, list(script) or ["bash"])
        if text is not None:
            return session(machine, not user, text, list(script))
        if sys.stdin.isatty():
            return session(machine, not user, None, ["bash"])
        return session(
            machine, not user, sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), ["bash"], scripted=True
        )


def session(machine: Machine, root: bool, text: str | None, arguments: list[str], scripted: bool = False) -> int:
    """Run a shell to its end.

    :param text: the commands; None reads them from the terminal
    :param arguments: $0, $1, ...
    :param scripted: the commands came through standard input: nothing is left of it for them to read
    :returns: the exit status
    """
    sys.stdout.flush()
    stdin = Input() if scripted else Input(lambda: typed(shell))
    io = Io(stdin, Stream(sys.stdout.buffer), Stream(sys.stderr.buffer))
    try:
        shell = Shell(machine, root, stdin)
        shell.arguments = arguments
        shell.terminal = text is None and sys.stdout.isatty()
        shell.screen = io.out
        prompt = Prompt(shell, io) if text is None else None
        with interrupts(shell, prompt):
            status = prompt.run() if prompt is not None else shell.execute(text or "", io)
    except Exit as end:
        status = end.status
    except KernelOops:
        io.out.flush()
        io.err.write(oops_lines(machine).encode())
        io.err.flush()
        return FAILED
    io.out.flush()
    return status
