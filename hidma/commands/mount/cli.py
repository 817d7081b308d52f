# SPDX-License-Identifier: GPL-2.0-only
"""``hidma mount DIR``: a booted machine's files on a directory, and the clients that steer it. It stands for no C file."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from hidma.commands.mount.fuse import Fuse, Unusable, binding, check_device, check_mounter
from hidma.commands.mount.server import Server
from hidma.commands.mount.tree import Tree
from hidma.commands.options import FAILED, UNUSABLE, boot, boot_log, ended_by, oops_sentence, print_error
from hidma.commands.output import Scratch, undisturbed
from hidma.commands.shell.programs import client_directory, find_program
from hidma.linux.fs import Dir, Link
from hidma.machine.boot import KernelOops, Machine

MNT_DETACH = 2
ENDING = 1.0  # seconds that libfuse is waited for


def check_directory(where: Path) -> None:
    """Whether ``where`` can become a mount.

    :raises Unusable: with the reason, and what to do
    """
    try:
        if not where.exists():
            raise Unusable(f"{where} does not exist; make the directory first")
        if not where.is_dir():
            raise Unusable(f"{where} is no directory")
        if any(where.iterdir()):
            raise Unusable(f"{where} is not empty; its files could not be reached while something is mounted there")
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise Unusable(
                f"{where} still has a mount whose process was killed; unmount it with: fusermount3 -u {where} "
                f"(or, as root, umount {where})"
            ) from None
        raise Unusable(f"{where} cannot be used: {error.strerror}") from None
    if not os.access(where, os.W_OK):
        raise Unusable(f"{where} cannot be used: you may not write there, which a mount point needs")


def explain(where: Path, said: str) -> str:
    """Why libfuse did not mount, from its own words."""
    if "allow_other" in said:
        return "--allow-other needs the line user_allow_other in /etc/fuse.conf when somebody else than root mounts"
    if "Operation not permitted" in said or "Permission denied" in said:
        return (
            f"the kernel refuses to mount on {where} ({said.splitlines()[-1]}); a container needs SYS_ADMIN, "
            "a user the program fusermount3: apt install fuse3"
        )
    return f"{where} could not be mounted: {said.splitlines()[-1] if said else 'libfuse gives no reason'}"


def unmount(where: Path) -> None:
    """Unmount at once, whoever holds a file."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).umount2(os.fsencode(where), MNT_DETACH)
        return
    for program in ("fusermount3", "fusermount"):
        with suppress(OSError):
            subprocess.run([program, "-u", "-z", where], stderr=subprocess.DEVNULL)
            return


class Mount:
    """One mount, from its beginning to its end.

    :param where: the directory
    :param arguments: a program that runs while it is mounted, and whose end is the mount's; none: until a signal comes
    """

    def __init__(self, machine: Machine, where: Path, real: bool, own: bool, arguments: tuple[str, ...]) -> None:
        self.where = where
        self.arguments = arguments
        self.status = 0
        self.server = Server(machine, real)
        self.private = Scratch(prefix="hidma-")
        self.socket = Path(self.private.name, "control")
        self.bin = client_directory(Path(self.private.name))
        run = Dir(lambda: {"control": Link(str(self.socket)), "bin": Link(str(self.bin))})
        self.tree = Tree(self.server, own, lambda: self.fuse.context(), lambda: self.fuse.interrupted(), {"run": run})
        self.fuse = Fuse(str(where), self.tree.operations(), self.server.stop)

    def program(self) -> None:
        """Run the program, then end the mount. In a thread of its own: it touches nothing of the machine."""
        environment = {**os.environ, "HIDMA_CONTROL": str(self.socket), "PATH": f"{self.bin}:{os.environ.get('PATH', '')}"}
        try:
            status = subprocess.run(self.arguments, env=environment).returncode
            self.status = status if status >= 0 else 128 - status
        except OSError as error:
            print_error(f"{self.arguments[0]} cannot be run: {error.strerror}")
            self.status = 127 if error.errno == errno.ENOENT else 126
        self.server.stop()

    def run(self, others: bool) -> int:
        """Mount, serve, unmount: the exit status.

        :raises Unusable: when it could not be mounted
        """

        def end(number: int, frame: Any) -> None:
            if number != signal.SIGINT:
                ended_by.append(number)
            if self.server.machine.depth or self.server.closed:
                raise KeyboardInterrupt  # the machine is busy; a first SIGINT waits for it
            self.server.stop()

        before = [(number, signal.signal(number, end)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        try:
            with undisturbed():
                said = self.fuse.start(**({"allow_other": True} if others else {}))
            if said is not None:
                raise Unusable(explain(self.where, said))
            self.server.listen(self.socket, find_program)
            if self.arguments:
                threading.Thread(target=self.program, daemon=True).start()
            else:
                print(f"The files of the machine are below {self.where}; Ctrl-C or 'fusermount3 -u {self.where}' ends it, "
                      f"'hidma ctl {self.where} modprobe dmatest' loads a module.", flush=True)
            with suppress(KeyboardInterrupt):
                self.server.serve()
        finally:
            with undisturbed():
                self.server.close()
                if self.fuse.mounted:
                    unmount(self.where)
                    self.fuse.join(ENDING)
                self.private.cleanup()
            for number, handler in before:
                signal.signal(number, handler)
        if self.server.oops is not None:
            sys.stderr.write(oops_lines(self.server.machine))
            return FAILED
        return self.status


def oops_lines(machine: Machine) -> str:
    """The end of a kernel, as its console shows it."""
    log = machine.kernel.log
    begin = next((at for at in range(len(log) - 1, log.first - 1, -1) if log[at].text.startswith("Internal error: Oops")), 0)
    return "".join(f"{line}\n" for line in log[begin:])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("program", nargs=-1, metavar="[-- PROGRAM [ARGUMENT]...]")
@click.option("--board", default="host", metavar="FILE|NAME", show_default=True,
              help="A .dtb or .aml, a .dts (dtc) or .asl (iasl), or a bundled board (see hidma boards).")
@click.option("--fault", multiple=True, metavar="TEXT",
              help="A fault to inject from power-on (see hidma faults); may be repeated.")
@click.option("--seed", default=0, show_default=True, metavar="N",
              help="Seed of the random numbers and of the order of CPUs at equal times.")
@click.option("--time", "pace", type=click.Choice(["real", "step"]), default="real", show_default=True,
              help="real: virtual time keeps pace with the clock on the wall; step: it passes only while the machine works.")
@click.option("--own", is_flag=True, help="The files are yours, not root's, and you are the machine's root.")
@click.option("--allow-other", is_flag=True, help="Let other users look at the mount too.")
def mount(directory: Path, program: tuple[str, ...], board: str, fault: tuple[str, ...], seed: int, pace: str, own: bool,
          allow_other: bool) -> int:
    """Mount the files of a booted machine (/sys, /proc, /dev/kmsg, debugfs) on DIR, until Ctrl-C or SIGTERM.

    With PROGRAM it is run meanwhile, and its end is the end of the mount. Any program can use the tree: cat, echo, grep, a
    shell. modprobe, dmesg, dmatest, sleep and others that PROGRAM calls reach the machine; elsewhere, `hidma ctl DIR
    modprobe dmatest` does. It needs libfuse: apt install libfuse3-3 fuse3.

    Exit status: 0, or that of PROGRAM; 1 when the kernel of the machine stopped, 2 when it could not be mounted.
    """
    try:
        where = directory.absolute()
        check_directory(where)
        check_device()
        check_mounter()
        binding()
        try:
            machine = boot(board, fault, False, seed)
        except KernelOops as oops:
            click.echo(boot_log(oops), nl=False, err=True)
            print_error(oops_sentence(oops))
            return FAILED
        with machine:
            return Mount(machine, where, pace == "real", own, program).run(allow_other)
    except Unusable as error:
        print_error(str(error))
        return UNUSABLE
