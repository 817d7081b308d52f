# SPDX-License-Identifier: GPL-2.0-only
"""``hidma mount DIR``: the files of a booted machine's kernel as a file system of the computer that it runs on, through
FUSE. It stands for no C file.

The machine lives in this process, and every request reaches it from one thread (FUSE without threads), one after the
other, as system calls would on CPU 0. Nothing is cached: each look goes to the kernel of the machine.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import click

import hidma
from hidma.commands.extras import requires
from hidma.linux.base import mount_root
from hidma.linux.fs import Dir, File, Inode, Link, OpenFile
from hidma.machine.boot import KernelOops, Machine

FAILED = 1
UNUSABLE = 2
DEVICE = "/dev/fuse"
FUSE_LOOP_ENDED = 8  # libfuse: the loop ended by a signal
T = TypeVar("T")


class Unusable(Exception):
    """The mount cannot be begun: a sentence."""


def binding() -> ModuleType:
    """The Python binding of libfuse.

    :raises Unusable: when it, or the library, is missing
    """
    try:
        with requires("fuse"):
            import mfusepy  # type: ignore[import-untyped]
    except ImportError as error:
        raise Unusable(f"the Python package mfusepy cannot be used: {error}") from None
    except OSError:
        raise Unusable("the library libfuse3 is missing; install it with: apt install libfuse3-3 fuse3") from None
    module: ModuleType = mfusepy
    return module


def look_over(where: Path) -> None:
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
    if not os.path.exists(DEVICE):
        raise Unusable(
            f"there is no {DEVICE} here; load the kernel module with: modprobe fuse (a container has to be given it: "
            f"--device {DEVICE} --cap-add SYS_ADMIN)"
        )
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        raise Unusable(
            f"{DEVICE} cannot be opened: {error.strerror}; a container has to be given it with --device {DEVICE}"
        ) from None
    if os.geteuid() != 0 and shutil.which("fusermount3") is None and shutil.which("fusermount") is None:
        raise Unusable("only root mounts without the program fusermount3; install it with: apt install fuse3")


class Tree:
    """What FUSE asks, answered by the kernel of the machine. An error is an OSError.

    :param machine: a booted machine
    :param real: whether virtual time keeps pace with the clock on the wall
    :param own: whether the files belong to who mounts, who is the machine's root then
    :ivar oops: what stopped the kernel
    """

    def __init__(self, machine: Machine, real: bool, own: bool, context: Any, stop: Any) -> None:
        self.machine = machine
        self.real = real
        self.owner = (os.getuid(), os.getgid()) if own else (0, 0)
        self.context = context
        self.stop = stop
        self.files: dict[int, OpenFile] = {}
        self.next_file = 1
        self.oops: KernelOops | None = None
        self.mounted_at = time.time()
        self.began = time.monotonic_ns()
        self.virtual_began = machine.now
        self.links: dict[str, int] = {}
        with machine.running() as kernel:
            self.vfs = mount_root(kernel)

    # --- the machine ----------------------------------------------------------------------------------------------

    def call(self, function: Any, *args: Any) -> Any:
        """Run ``function`` in the kernel; a negative errno becomes an OSError, a kernel that stopped EIO."""
        try:
            self.pass_time()
            with self.machine.running():
                result = function(*args)
                self.machine.settle()
        except KernelOops as oops:
            if self.oops is None:
                self.oops = oops
                self.stop()
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from None
        if isinstance(result, int) and result < 0:
            # errnos that only the kernel knows are not for user space
            number = -result if -result < 512 else errno.EIO
            raise OSError(number, os.strerror(number))
        return result

    def pass_time(self) -> None:
        """Let the machine catch up with the clock on the wall."""
        if self.real:
            behind = time.monotonic_ns() - self.began - (self.machine.now - self.virtual_began)
            if behind > 0:
                self.machine.run(behind)

    def is_root(self) -> bool:
        """Whether the process that asks is root in the machine."""
        return bool(self.context()[0] == self.owner[0])

    def node(self, path: str) -> Inode:
        """What is at ``path``; the kernel of this computer has followed links and looked at the directories' modes."""

        def find() -> int:
            rc, _, found[0] = self.vfs.lookup(path, follow=False)
            return rc

        found: list[Any] = [None]
        self.call(find)
        node: Inode = found[0]
        return node

    # --- requests -------------------------------------------------------------------------------------------------

    def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
        """``stat()``."""
        if fh is not None and fh.fh in self.files:
            node: Inode = self.files[fh.fh].file
        else:
            node = self.node(path)
        moment = int(self.mounted_at * 1e9)
        links = 1
        if isinstance(node, Dir):
            links = 2 + sum(isinstance(entry, Dir) for entry in self.call(node.entries).values())
        return {
            "st_mode": node.mode,
            "st_nlink": links,
            "st_size": node.size,
            "st_uid": self.owner[0],
            "st_gid": self.owner[1],
            "st_atime": moment,
            "st_mtime": moment,
            "st_ctime": moment,
            "st_blksize": 4096,
        }

    def readdir(self, path: str, fh: Any) -> list[Any]:
        """``getdents()``."""
        node = self.node(path)
        if not isinstance(node, Dir):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        entries = self.call(node.entries)
        return [".", "..", *((name, {"st_mode": entry.mode}, 0) for name, entry in entries.items())]

    def readlink(self, path: str) -> str:
        """``readlink()``; what is absolute in the machine stays inside the mount."""
        node = self.node(path)
        if not isinstance(node, Link):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return node.target

    def open(self, path: str, info: Any) -> int:
        """``open()``."""
        file = self.call(self.vfs.open, path, info.flags, self.is_root())
        assert isinstance(file, OpenFile)
        info.fh = self.next_file
        # reads and writes go to the file as they are made: sizes of 4096, or 0, say nothing of what can be read
        info.direct_io = 1
        self.files[self.next_file] = file
        self.next_file += 1
        return 0

    def read(self, path: str, size: int, offset: int, info: Any) -> bytes:
        """``read()``."""
        text: bytes = self.call(self.files[info.fh].read, size, offset)
        return text

    def write(self, path: str, data: bytes, offset: int, info: Any) -> int:
        """``write()``: the bytes of one call reach the file together."""
        taken: int = self.call(self.files[info.fh].write, data)
        return taken

    def truncate(self, path: str, length: int, fh: Any = None) -> int:
        """``truncate()``, and what O_TRUNC leads to: files of this kind have nothing to cut off."""
        if not isinstance(self.node(path), File):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return 0

    def release(self, path: str, info: Any) -> int:
        """The last ``close()``."""
        self.files.pop(info.fh, None)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        """``touch``."""
        return 0

    def create(self, path: str, mode: int, info: Any = None) -> int:
        """``open()`` of a file that is not there."""
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    def refuse(self, *_: Any) -> int:
        """Nothing is made, renamed or removed by hand in these trees."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    chmod = chown = mkdir = rmdir = unlink = rename = link = symlink = mknod = refuse

    def statfs(self, path: str) -> dict[str, int]:
        """``df``."""
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}


class Quiet:
    """Keeps what libfuse says on stderr while it mounts, to be told in one sentence."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()
        sys.stderr.flush()
        self.saved = os.dup(2)
        os.dup2(self.file.fileno(), 2)

    def end(self) -> str:
        """Give stderr back; what was said meanwhile."""
        if self.saved >= 0:
            sys.stderr.flush()
            os.dup2(self.saved, 2)
            os.close(self.saved)
            self.saved = -1
            self.file.seek(0)
        return self.file.read().decode(errors="replace").strip()


class Mount:
    """One mount, from its beginning to its end.

    :param where: the directory
    :param arguments: a program that runs while it is mounted, and whose end is the mount's; none: until a signal comes
    """

    def __init__(
        self, machine: Machine, where: Path, real: bool, own: bool, others: bool, arguments: tuple[str, ...]
    ) -> None:
        self.fuse = binding()
        self.where = where
        self.others = others
        self.arguments = arguments
        self.directory = os.getcwd()  # libfuse goes to /
        self.mounted = False
        self.status = 0
        self.quiet: Quiet | None = None
        self.tree = Tree(machine, real, own, self.fuse.fuse_get_context, self.fuse.fuse_exit)

    def operations(self) -> Any:
        """The object that the binding wants."""
        tree, mount = self.tree, self

        class Requests(self.fuse.Operations):  # type: ignore[name-defined]
            use_ns = True
            getattr = staticmethod(tree.getattr)
            readdir = staticmethod(tree.readdir)
            readlink = staticmethod(tree.readlink)
            open = staticmethod(tree.open)
            read = staticmethod(tree.read)
            write = staticmethod(tree.write)
            truncate = staticmethod(tree.truncate)
            release = staticmethod(tree.release)
            utimens = staticmethod(tree.utimens)
            create = staticmethod(tree.create)
            chmod = chown = mkdir = rmdir = unlink = rename = link = symlink = mknod = staticmethod(tree.refuse)
            statfs = staticmethod(tree.statfs)

            def init(self, path: str) -> None:
                mount.begun()

        return Requests()

    def begun(self) -> None:
        """The kernel of this computer has taken the mount."""
        assert self.quiet is not None
        self.quiet.end()
        self.mounted = True
        if self.arguments:
            threading.Thread(target=self.program, daemon=True).start()
        else:
            print(
                f"The files of the machine are below {self.where}; Ctrl-C or 'fusermount3 -u {self.where}' ends it.",
                flush=True,
            )

    def program(self) -> None:
        """Run the program, then end the mount. In a thread of its own: it touches nothing of the machine."""
        try:
            self.status = subprocess.run(self.arguments, cwd=self.directory).returncode
        except OSError as error:
            print(f"hidma: {self.arguments[0]} cannot be run: {error.strerror}", file=sys.stderr)
            self.status = 127 if error.errno == errno.ENOENT else 126
        # the way that libfuse itself offers: its handler ends the loop, which waits in the kernel
        os.kill(os.getpid(), signal.SIGTERM)

    def run(self) -> int:
        """Mount, serve, unmount: the exit status.

        :raises Unusable: when it could not be mounted
        """
        options: dict[str, Any] = {
            "default_permissions": True,
            "entry_timeout": 0,
            "attr_timeout": 0,
            "negative_timeout": 0,
            "fsname": "hidma",
            "subtype": "hidma",
        }
        if self.others:
            options["allow_other"] = True
        self.quiet = Quiet()
        if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # libfuse leaves alone what is ignored, and nothing would end it
        try:
            self.fuse.FUSE(self.operations(), str(self.where), raw_fi=True, nothreads=True, foreground=True, **options)
        except RuntimeError as error:
            said = self.quiet.end()
            if not self.mounted:
                raise Unusable(explain(self.where, said)) from None
            if error.args != (FUSE_LOOP_ENDED,):
                raise Unusable(f"libfuse ended with error {error}") from None
        finally:
            self.quiet.end()
        if self.tree.oops is not None:
            log = self.tree.machine.kernel.log
            begin = next(
                (at for at in range(len(log) - 1, -1, -1) if log[at].text.startswith("Internal error: Oops")), 0
            )
            sys.stderr.write("".join(f"{line}\n" for line in log[begin:]))
            return FAILED
        return self.status if self.status >= 0 else 128 - self.status


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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("program", nargs=-1, metavar="[-- PROGRAM [ARGUMENT]...]")
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
@click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Decides the random numbers, and who goes first among CPUs at the same moment.",
)
@click.option(
    "--time",
    "pace",
    type=click.Choice(["real", "step"]),
    default="real",
    show_default=True,
    help="real: virtual time keeps pace with the clock on the wall; step: it passes only while the machine works.",
)
@click.option("--own", is_flag=True, help="The files are yours, not root's, and you are the machine's root.")
@click.option("--allow-other", is_flag=True, help="Let other users look at the mount too.")
def mount(
    directory: Path,
    program: tuple[str, ...],
    board: str,
    fault: tuple[str, ...],
    seed: int,
    pace: str,
    own: bool,
    allow_other: bool,
) -> int:
    """Mount the files of a booted machine (/sys, /proc, debugfs) on DIR, until Ctrl-C or SIGTERM.

    With PROGRAM it is run meanwhile, and its end is the end of the mount. Any program can use the tree: cat, echo,
    grep, a shell. It needs libfuse: apt install libfuse3-3 fuse3.

    Exit status: 0, or that of PROGRAM; 1 when the kernel of the machine stopped, 2 when it could not be mounted.
    """
    try:
        where = directory.absolute()
        look_over(where)
        binding()
        try:
            machine = hidma.boot(board, faults=";".join(fault) or None, seed=seed)
        except KernelOops as oops:
            click.echo("".join(getattr(oops, "__notes__", [])), nl=False, err=True)
            click.echo(f"hidma: the kernel stopped while it booted: {oops.message}", err=True)
            return FAILED
        with machine:
            return Mount(machine, where, pace == "real", own, allow_other, program).run()
    except Unusable as error:
        click.echo(f"hidma: {error}", err=True)
        return UNUSABLE
