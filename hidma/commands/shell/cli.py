# SPDX-License-Identifier: GPL-2.0-only
"""``hidma shell``: a machine, and the system's own shell on its files. It stands for no C file."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

import hidma
from hidma.commands.mount import namespace
from hidma.commands.mount.cli import ENDING, oops_lines
from hidma.commands.mount.fuse import Fuse, Unusable, binding, check_device
from hidma.commands.mount.server import Server
from hidma.commands.mount.tree import Tree
from hidma.commands.options import FAILED, boot_log, ended_by, interpret, machine_options, oops_sentence, print_error
from hidma.commands.output import Scratch, undisturbed
from hidma.commands.shell.programs import client_directory, find_program
from hidma.linux.fs import Inode, Link
from hidma.machine.boot import KernelOops, Machine

#: Files of the computer's /proc that say something about its kernel or change it, and so are not for who is in the machine.
HIDDEN = frozenset(("sys", "sysrq-trigger", "kcore", "kallsyms", "config.gz", "bus", "irq", "acpi", "driver", "fb", "keys",
                    "mtrr", "scsi", "timer_list", "vmallocinfo", "kpagecount", "kpageflags", "kpagecgroup", "ioports", "dma"))
STARTUP = """\
[ -r ~/.bashrc ] && . ~/.bashrc
PATH={bin}:$PATH
PS1='hidma:\\w\\$ '
"""


class Session:
    """A program on the files of a machine.

    :param words: the program with its arguments; {} in one is the private directory
    """

    def __init__(self, words: list[str]) -> None:
        binding()
        check_device()
        self.temporary = Scratch(prefix="hidma-")
        self.private = Path(self.temporary.name)
        for name in ("tree", "proc"):
            (self.private / name).mkdir()
        self.bin = client_directory(self.private)
        self.control = self.private / "control"
        (self.private / "bashrc").write_text(STARTUP.format(bin=self.bin), encoding="utf-8")
        environment = {**os.environ, "HIDMA_CONTROL": str(self.control), "HIDMA_DIRECTORY": os.getcwd(),
                       "PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}"}
        self.socket, inside = socket.socketpair()
        self.streams, self.copies = streams()
        words = [word.replace("{}", str(self.private)) if word == "{}/bashrc" else word for word in words]
        with inside:
            # it starts while this process boots the machine
            self.process = subprocess.Popen(
                [sys.executable, "-IS", namespace.__file__, str(self.private), str(inside.fileno()), *words],
                env=environment, pass_fds=(inside.fileno(),), **self.streams)
        for stream in self.streams.values():
            if not isinstance(stream, int):
                stream.close()  # the copy ends with the program

    def descriptor(self) -> int:
        """The descriptor of FUSE that the namespace sends.

        :raises Unusable: with what it says instead
        """
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 1)
        if data == b"F" and fds:
            return fds[0]
        raise Unusable(data.decode() or "the mount namespace ended before it was there")

    def proc(self) -> Mapping[str, Inode]:
        """What /proc has of the computer: the processes, and what belongs to them."""
        return {name: Link(str(self.private / "proc" / name)) for name in os.listdir("/proc") if name not in HIDDEN}

    def run(self, machine: Machine) -> int:
        """Serve the machine until the program has ended: its exit status.

        :raises Unusable: there is no such namespace here
        """
        number = self.descriptor()
        server = Server(machine)
        tree = Tree(server, False, lambda: fuse.context(), lambda: fuse.interrupted(), proc=self.proc)
        fuse = Fuse(f"/dev/fd/{number}", tree.operations(), server.stop)
        said = fuse.start(allow_other=True)
        if said is not None:
            raise Unusable(f"FUSE cannot be used: {said.splitlines()[-1] if said else 'libfuse gives no reason'}")
        server.listen(self.control, find_program)
        with signals(server, self.process):
            self.socket.sendall(b"g")
            threading.Thread(target=self.wait, args=(server,), daemon=True).start()
            try:
                server.serve()
            except KeyboardInterrupt:
                pass
            finally:
                server.close()
                with suppress(subprocess.TimeoutExpired):
                    # the mount ends with its namespace, a moment before or after the program
                    self.process.wait(0 if fuse.thread_alive() else ENDING)
                unmounted = self.process.poll() is None and not fuse.thread_alive()
                self.end()
                fuse.join(ENDING)
        for copy in self.copies:
            copy.join()
        refused = self.refused()
        if refused:
            raise Unusable(refused)
        if server.oops is not None:
            sys.stderr.write(oops_lines(machine))
            return FAILED
        if unmounted:
            print_error("the files of the machine were unmounted from outside")
            return FAILED
        status = self.process.returncode
        return status if status >= 0 else 128 - status

    def refused(self) -> str:
        """What the namespace said about mounts that were refused after FUSE was there."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            return self.socket.recv(4096).decode()
        return ""

    def wait(self, server: Server) -> None:
        self.process.wait()
        server.stop()

    def end(self) -> None:
        """Let the program end, as a terminal would that goes away; then wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)
            try:
                self.process.wait(ENDING)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Nothing stays behind."""
        with undisturbed():
            self.socket.close()
            self.end()
            self.temporary.cleanup()


def streams() -> tuple[dict[str, Any], list[threading.Thread]]:
    """Where the program's output goes: to the streams of Python, which may be others than those of the process, and the threads
    that copy what has no descriptor."""
    found: dict[str, Any] = {}
    copies = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        stream.flush()
        try:
            found[name] = stream.fileno()
        except (OSError, io.UnsupportedOperation):
            read, write = os.pipe()
            found[name] = os.fdopen(write, "wb")

            def copy(read: int = read, stream: Any = stream) -> None:
                with os.fdopen(read, "r", encoding="utf-8", errors="replace") as source:
                    for line in source:
                        stream.write(line)

            copies.append(threading.Thread(target=copy, daemon=True))
            copies[-1].start()
    return found, copies


@contextmanager
def signals(server: Server, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the program runs, Ctrl-C is its own; SIGTERM and SIGHUP end it. A second Ctrl-C ends a machine that is busy."""

    def pressed(number: int, frame: Any) -> None:
        if server.machine.depth:
            raise KeyboardInterrupt

    def end(number: int, frame: Any) -> None:
        ended_by.append(number)
        pressed(number, frame)
        server.stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signal.SIGINT: pressed, signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def program(commands: str | None, script: tuple[str, ...]) -> list[str]:
    """The words of the program: a command, a script, or a shell.

    :raises click.UsageError: there is no such script or command
    """
    bash = shutil.which("bash") or "/bin/sh"
    if commands is not None:
        return [bash, "-c", commands, *(script or ("hidma",))]
    if script:
        path = Path(script[0])
        if path.is_file():
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
            if path.stat().st_mode & stat.S_IXUSR and os.access(path, os.X_OK):
                return [str(path.absolute()), *script[1:]]
            return [bash, *script]
        if shutil.which(script[0]) is None and "/" not in script[0]:
            raise click.UsageError(f"{script[0]} is neither a script nor a command.")
        if "/" in script[0]:
            raise click.UsageError(f"{path} cannot be read: {'it is a directory' if path.is_dir() else 'no such file'}.")
        return list(script)
    shell = os.environ.get("SHELL", "")
    if sys.stdin is None or not sys.stdin.isatty():
        return [bash]
    if shell and os.access(shell, os.X_OK) and os.path.basename(shell) != "bash":
        return [shell]
    return [bash, "--rcfile", "{}/bashrc"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False})
@machine_options
@click.option("--no-modules", is_flag=True, help="Boot without hdma_mgmt and hdma; modprobe loads them.")
@click.option("--simple", is_flag=True, help="The small prompt, which needs neither FUSE nor namespaces.")
@click.option("-c", "commands", metavar="COMMANDS", help="Run COMMANDS and end.")
@click.argument("script", nargs=-1, metavar="[SCRIPT|COMMAND [ARGUMENT]...]")
@click.pass_context
def command(ctx: click.Context, board: str, fault: tuple[str, ...], instant: bool, seed: int, interpreted: bool, no_modules: bool,
            simple: bool, commands: str | None, script: tuple[str, ...]) -> int:
    """The system's shell on a booted machine, with its /sys, /proc, /dev/kmsg and debugfs.

    Without SCRIPT and -c it is $SHELL, or bash. Programs of the system and scripts run unchanged; modprobe, rmmod, insmod,
    lsmod, modinfo, dmesg, sleep, date and uname are the machine's, and so are dmatest and run. Time is virtual: it passes
    while something works, with `sleep 2`, with `run 5ms`, and not while you think.

    It needs FUSE (apt install libfuse3-3) and mount namespaces; without them a small prompt serves.

    Exit status: that of the shell; 1 when the kernel stopped with an Oops, 2 when the board could not be booted.
    """
    if interpreted:
        interpret(ctx)
    words = program(commands, script)
    session = None
    try:
        if not simple:
            session = Session(words)
    except Unusable as error:
        print_error(f"{error}; the small prompt serves instead")
    try:
        text = ";".join(each or " " for each in fault)
        machine = hidma.boot(board, faults=text or None, instant=instant, seed=seed, modules=not no_modules)
    except BaseException as error:
        if session is not None:
            session.close()
        if not isinstance(error, KernelOops):
            raise
        click.echo(boot_log(error), nl=False, err=True)
        print_error(oops_sentence(error))
        return FAILED
    with machine:
        if session is not None:
            try:
                return session.run(machine)
            except Unusable as error:
                print_error(f"{error}; the small prompt serves instead")
            finally:
                session.close()
        from hidma.commands.shell.prompt import prompt

        return prompt(machine, commands, script)
