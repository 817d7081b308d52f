# SPDX-License-Identifier: GPL-2.0-only
"""The small prompt of ``hidma shell``, where there is no FUSE or no mount namespace: a few commands on the files of the machine,
one behind the other. It stands for no C file, and is no shell: no pipes, no variables, no loops.
"""

from __future__ import annotations

import cmd
import fnmatch
import posixpath
import shlex
import subprocess
import sys
from pathlib import Path

from hidma.commands.mount.cli import oops_lines
from hidma.commands.mount.server import EXECUTE, Interrupted, Output, Server
from hidma.commands.options import FAILED, print_error
from hidma.commands.shell.programs import PROGRAMS, find_program
from hidma.linux.base import mount_root
from hidma.linux.errno import ENOTDIR, strerror
from hidma.linux.fs import O_CREAT, O_WRONLY, Dir, File, Link, OpenFile
from hidma.machine.boot import Machine

USAGE = 2
NO_SHELL = "the small prompt has none; a real shell has, where FUSE and mount namespaces are there"


class Failed(Exception):
    """A command that failed: the message."""


class Print(Output):
    """Prints at once."""

    def print(self, text: str) -> None:
        print(text)

    def error(self, text: str) -> None:
        sys.stdout.flush()
        print(text, file=sys.stderr)


class Prompt(cmd.Cmd):
    """The commands; each method ``do_NAME`` gets its words.

    :ivar status: exit status of the last command
    """

    prompt = "hidma:/# "

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self.server = Server(machine)
        self.cwd = "/"
        self.status = 0
        with machine.running() as kernel:
            self.vfs = mount_root(kernel)

    def onecmd(self, line: str) -> bool:
        """Run the commands of a line; True ends the prompt."""
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        try:
            words = [*lexer, ";"]
        except ValueError as error:
            print_error(str(error).lower())
            self.status = USAGE
            return False
        while words and not self.server.oops:
            end = next(number for number, word in enumerate(words) if word in (";", "&&"))
            command, separator, words = words[:end], words[end], words[end + 1 :]
            if command[:1] in (["exit"], ["EOF"]):
                return True
            if command:
                self.run(command)
            if separator == "&&" and self.status:
                return False
        return self.server.oops is not None

    def emptyline(self) -> bool:
        return False

    def run(self, words: list[str]) -> None:
        name = words[0]
        self.status = 1
        try:
            for word in words:
                if set(word) <= set("|<>&") and word not in (">", ">>"):
                    raise Failed(f"{word}: {NO_SHELL}")
            target = words[-1] if len(words) > 2 and words[-2] in (">", ">>") else None
            if target is not None and name != "echo":
                raise Failed(f"{name} > {target}: only echo writes to a file here")
            words = [path for word in (words if target is None else words[:-2]) for path in self.glob(word)]
            if target is not None:
                self.write(target, echo(words[1:]))
            elif hasattr(self, f"do_{name}"):
                getattr(self, f"do_{name}")(words[1:])
            elif name in PROGRAMS:
                self.program(words)
                return
            else:
                raise Failed(f"{name}: there is no such command here; help shows what there is")
            self.status = 0
        except Failed as error:
            Print().error(str(error))
        except Interrupted:
            self.status = 130
        except OSError as error:
            if self.server.oops is None:
                Print().error(f"{name}: {error.strerror}")
        sys.stdout.flush()

    def program(self, words: list[str]) -> None:
        output = Print()
        status = find_program(words)(self.server, words, output)
        self.status = status if isinstance(status, int) else status(lambda: False)
        if not output.frames.empty() and (frame := output.frames.get()) is not None and frame[0] == EXECUTE:
            self.status = subprocess.run(frame[1].decode().split("\0")).returncode

    # --- files ----------------------------------------------------------------------------------------------------

    def path(self, word: str) -> str:
        return posixpath.join(self.cwd, word)

    def names(self, path: str) -> list[str]:
        """What is in a directory, sorted; nothing where there is none."""
        with self.machine.calling():
            listed = self.vfs.listdir(self.path(path))
        return [] if isinstance(listed, int) else sorted(listed)

    def glob(self, word: str) -> list[str]:
        """The paths that a pattern matches; the word itself when there is none."""
        if not any(char in word for char in "*?["):
            return [word]
        found = ["/" if word.startswith("/") else ""]
        for part in word.strip("/").split("/"):
            found = [f"{above}{name}/" for above in found
                     for name in ([part] if part in (".", "..") else fnmatch.filter(self.names(above or "."), part))]
        return [path.rstrip("/") for path in found] or [word]

    def look_up(self, word: str, follow: bool = True) -> Dir | File | Link:
        with self.machine.calling():
            rc, _, node = self.vfs.lookup(self.path(word), follow)
        if rc or not isinstance(node, Dir | File | Link):
            raise Failed(f"{word}: {strerror(rc)}")
        return node

    def write(self, word: str, text: str) -> None:
        """Write to a file as echo does."""
        with self.machine.calling():
            file = self.vfs.open(self.path(word), O_WRONLY | O_CREAT)
        if not isinstance(file, OpenFile):
            raise Failed(f"{word}: {strerror(file)}")
        try:
            self.server.call(file.write, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise Failed(f"echo: write error: {error.strerror}") from None

    # --- commands -------------------------------------------------------------------------------------------------

    def do_ls(self, words: list[str]) -> None:
        """the names in directories"""
        for word in words or ["."]:
            directory = isinstance(self.look_up(word), Dir)
            if len(words) > 1 or not directory:
                print(f"{word}:" if directory else word)
            for name in self.names(word):
                print(name)

    def do_cat(self, words: list[str]) -> None:
        """the text of files"""
        for word in words:
            with self.machine.calling():
                text = self.vfs.read(self.path(word))
            if isinstance(text, int):
                raise Failed(f"cat: {word}: {strerror(text)}")
            sys.stdout.write(text.decode("utf-8", "replace"))

    def do_readlink(self, words: list[str]) -> None:
        """where links point"""
        for word in words:
            node = self.look_up(word, follow=False)
            print(node.target if isinstance(node, Link) else f"{word} is no link")

    def do_echo(self, words: list[str]) -> None:
        """words; echo VALUE > FILE writes to a file"""
        sys.stdout.write(echo(words))

    def do_cd(self, words: list[str]) -> None:
        """another working directory"""
        word = words[0] if words else "/"
        if not isinstance(self.look_up(word), Dir):
            raise Failed(f"cd: {word}: {strerror(-ENOTDIR)}")
        with self.machine.calling():
            self.cwd = self.vfs.lookup(self.path(word))[1]
        self.prompt = f"hidma:{self.cwd}# "

    def do_pwd(self, words: list[str]) -> None:
        """the working directory"""
        print(self.cwd)

    def do_help(self, words: list[str]) -> None:  # type: ignore[override]
        """this list"""
        own = {name.removeprefix("do_"): getattr(self, name).__doc__ for name in dir(self) if name.startswith("do_")}
        for name, text in sorted({**own, **{name: text for name, (_, text) in PROGRAMS.items()}, "exit": "the end"}.items()):
            print(f"{name:<10} {text}")


def echo(words: list[str]) -> str:
    return " ".join(words[1:]) if words[:1] == ["-n"] else " ".join(words) + "\n"


def prompt(machine: Machine, commands: str | None, script: tuple[str, ...]) -> int:
    """Run the small prompt: commands, the lines of a script, or what is typed. Returns the exit status."""
    self = Prompt(machine)
    if commands is None and (script or not sys.stdin.isatty()):
        commands = Path(script[0]).read_text(encoding="utf-8", errors="surrogateescape") if script else sys.stdin.read()
    if commands is None:
        self.cmdloop("This is the small prompt; help shows what there is.")
    for line in (commands or "").splitlines():
        if not line.lstrip().startswith("#") and self.onecmd(line):
            break
    if self.server.oops is not None:
        Print().error(oops_lines(machine).rstrip("\n"))
        return FAILED
    return self.status
