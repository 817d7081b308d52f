# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU process with memory, console, interrupt lines and monitor that this process holds the other ends of.

All of them are file descriptors handed down: nothing of a guest has a name in the file system, and QEMU dies with this process
whatever ends it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hidma.commands.output import Scratch, undisturbed
from hidma.commands.qemu.errors import QemuError
from hidma.vm.process import has_ended

PROGRAM = "qemu-system-aarch64"
OLDEST = (5, 0)
PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
REPLY_SECONDS = 10.0
CONSOLE_BYTES = 1 << 20
AHEAD = 15
GIC = "child<arm_gic>"
INSTALL = "install it (Debian: apt-get install qemu-system-arm)"

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(parent: int) -> Any:
    """For the child between fork and exec: it is killed when its parent's thread ends, and ends if that has happened already."""

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def sharp_sleep(on: bool) -> None:
    """Let this thread's short sleeps end when they should (the kernel may add 50 us else)."""
    _libc.prctl(PR_SET_TIMERSLACK, 1 if on else 0, 0, 0, 0)


@contextmanager
def ahead() -> Iterator[None]:
    """Run this thread ahead of others, where that is allowed (root is).

    The drivers wait for the hardware for no more than 10 ms: on a busy machine the watcher must not wait that long for a CPU. The
    guest, started before, does not come along.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(-20, before - AHEAD))
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


def program(given: str | None = None) -> str:
    """The path of QEMU.

    :raises QemuError: when there is none, or it is too old
    """
    name = given or PROGRAM
    path = shutil.which(name)
    if path is None:
        raise QemuError(f"{name} is not there; {INSTALL}" if given is None else
                        f"{name}: no such program; name the {PROGRAM} that is to run")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"{path} cannot be run: {getattr(error, 'strerror', None) or 'it does not end'}") from None
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found is None:
        raise QemuError(f"{path} does not say which version of QEMU it is; {INSTALL}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise QemuError(f"{path} is QEMU {version[0]}.{version[1]}, too old; {OLDEST[0]}.{OLDEST[1]} or newer is needed")
    return path


def available_memory() -> int | None:
    """Bytes of memory that this machine can still give, as far as it says."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """``size`` bytes that another process can map: the descriptor and our mapping.

    :raises QemuError: no permission, no space
    """
    there = available_memory()
    if there is not None and there < size:
        raise QemuError(f"the guest's RAM of {size >> 20} MiB does not fit the {there >> 20} MiB that are free here; give less "
                        "with --memory")
    fd = -1
    try:
        fd = os.memfd_create("hidma-guest-ram", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        return fd, mmap.mmap(fd, size, mmap.MAP_SHARED)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise QemuError(f"no shared memory of {size >> 20} MiB for the guest's RAM: {error.strerror}; the limits of this "
                        "process (ulimit -f, ulimit -v) or of its container may forbid it") from None


def file_of(data: bytes, name: str) -> int:
    """A descriptor of an anonymous file with ``data`` in it."""
    try:
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
    except OSError as error:
        raise QemuError(f"no memory for the guest's {name} of {len(data) >> 10} KiB: {error.strerror}") from None
    return fd


def dump_dtb(path: str, machine: Sequence[str]) -> bytes:
    """The device tree that QEMU would give this machine."""
    try:
        with Scratch(prefix="hidma-qemu-") as directory:
            target = Path(directory, "virt.dtb")
            options = list(machine)
            options[options.index("-machine") + 1] += f",dumpdtb={target}"
            done = subprocess.run([path, *options], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                  preexec_fn=_die_with_parent(os.getpid()))
            if target.is_file():
                return target.read_bytes()
    except subprocess.TimeoutExpired:
        raise QemuError(f"{path} does not write the device tree of its machine within a minute") from None
    except OSError as error:
        raise QemuError(f"no place for QEMU's device tree in {tempfile.gettempdir()}: {error.strerror}") from None
    raise QemuError(f"{path} does not write the device tree of its machine: it {ending(done.returncode)}, "
                    f"{last_line(done.stderr)}")


def ending(code: int) -> str:
    """How a program ended, for a sentence about it."""
    return f"ended with status {code}" if code >= 0 else f"was ended by signal {-code} ({signal.Signals(-code).name})"


def last_line(text: str) -> str:
    """The last line of what a program complained about."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "and says nothing"


class Emulator:
    """QEMU, running one guest.

    :param path: the program
    :param options: the machine, its memory and what it loads
    :param fds: descriptors that the options name, as /dev/fd/N
    :raises QemuError: when it does not start
    """

    def __init__(self, path: str, options: Sequence[str], fds: Sequence[int]) -> None:
        self.path = path
        self.sockets: list[socket.socket] = []
        self.qtest_waiting = 0
        self.dead = False
        self.gic = ""
        self.complaints = b""
        self.unread = bytearray()
        qtest, qtest_end = self._pair()
        monitor, monitor_end = self._pair()
        self.qtest = qtest
        self.monitor = monitor
        handed = [*fds, qtest_end.fileno(), monitor_end.fileno()]
        command = [
            path, *options, "-no-reboot", "-S",
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-chardev", f"socket,id=qtest,fd={qtest_end.fileno()}", "-qtest", "chardev:qtest", "-qtest-log", "none",
            "-chardev", f"socket,id=monitor,fd={monitor_end.fileno()}", "-mon", "chardev=monitor,mode=control",
        ]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pass_fds=handed,
                preexec_fn=_die_with_parent(os.getpid()), start_new_session=True)
        except OSError as error:
            self._close_sockets()
            raise QemuError(f"{path} cannot be started: {error.strerror}") from None
        for end in (qtest_end, monitor_end):
            end.close()
        assert self.process.stdin is not None and self.process.stdout is not None and self.process.stderr is not None
        self.keyboard = self.process.stdin.fileno()
        self.console = self.process.stdout.fileno()
        self.errors = self.process.stderr.fileno()
        for fd in (self.keyboard, self.console, self.errors):
            os.set_blocking(fd, False)
        with suppress(OSError):
            fcntl.fcntl(self.console, fcntl.F_SETPIPE_SZ, CONSOLE_BYTES)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        self.sockets += [ours, theirs]
        return ours, theirs

    def _greet(self) -> None:
        """The monitor's greeting; find the interrupt controller."""
        self.monitor.settimeout(REPLY_SECONDS)
        self.reader = self.monitor.makefile("rb")
        self._reply()
        self.ask("qmp_capabilities")
        for place in ("/machine/unattached", "/machine"):
            for child in self.ask("qom-list", path=place) or ():
                if child["type"] == GIC:
                    self.gic = f"{place}/{child['name']}"
                    return
        raise QemuError(f"{self.path} has no interrupt controller where it is expected; this QEMU is too different")

    def _reply(self) -> dict[str, Any]:
        try:
            line = self.reader.readline()
        except OSError:
            line = b""
        if not line:
            raise QemuError(self.obituary())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, command: str, **arguments: Any) -> Any:
        """A command of the monitor (QMP) and what it answers; None when it refuses.

        :raises QemuError: when QEMU is gone
        """
        try:
            self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError:
            raise QemuError(self.obituary()) from None
        while True:
            answer = self._reply()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                return None

    def start(self) -> None:
        """Let the guest's CPUs run."""
        self.ask("cont")

    def drive(self, spi: int, level: int) -> None:
        """Raise (1) or lower (0) an interrupt line of the guest. Lowering returns when QEMU has done it."""
        if self.dead:
            return
        try:
            self.qtest.sendall(b"set_irq_in %s unnamed-gpio-in %d %d\n" % (self.gic.encode(), spi, level))
            self.qtest_waiting += 1
            self._answers(wait=not level)
        except OSError:
            self.dead = True

    def register(self, address: int) -> int:
        """A word of 32 bits at a physical address of the guest."""
        self._answers(wait=True)
        try:
            self.qtest.sendall(b"readl %#x\n" % address)
            answer = b""
            while not answer.endswith(b"\n") and select.select([self.qtest], [], [], REPLY_SECONDS)[0]:
                answer += self.qtest.recv(4096)
            return int(answer.split()[1], 16)
        except (OSError, ValueError, IndexError):
            self.dead = True
            return 0

    def _answers(self, wait: bool) -> None:
        """Take QEMU's answers to what was asked of the lines; those to everything if ``wait``."""
        end = time.monotonic() + REPLY_SECONDS
        while self.qtest_waiting > 0:
            if not wait and not select.select([self.qtest], [], [], 0)[0]:
                return
            if wait:
                left = max(0.0, end - time.monotonic())
                ready = select.select([self.qtest.fileno(), self.console], [], [], left)[0]
                if not ready:
                    self.dead = True
                    return
                if self.console in ready and not self._take():
                    self.dead = True
                    return
                if self.qtest.fileno() not in ready:
                    continue
            data = self.qtest.recv(4096)
            if not data:
                self.dead = True
                return
            self.qtest_waiting -= data.count(b"\n")

    def _take(self) -> bool:
        """Take what the guest has printed; False when QEMU's end is closed.

        A guest that prints while nobody reads comes to a stand in the end, with QEMU's big lock held.
        """
        try:
            while data := os.read(self.console, 65536):
                self.unread += data
                if len(self.unread) > CONSOLE_BYTES:
                    return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def read(self) -> bytes:
        """What the guest has printed since the last call."""
        self._take()
        data = bytes(self.unread)
        self.unread.clear()
        return data

    def write(self, data: bytes) -> int:
        """Type ``data`` on the guest's console; how many bytes of it went."""
        try:
            return os.write(self.keyboard, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    @property
    def ended(self) -> bool:
        return has_ended(self.process)

    def said(self) -> str:
        """What QEMU itself has complained about so far."""
        with suppress(OSError):
            while data := os.read(self.errors, 65536):
                self.complaints += data
        return self.complaints.decode(errors="replace")

    def obituary(self) -> str:
        """A sentence on a QEMU that ended when it should not."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        code = self.process.poll()
        said = self.said().strip()
        return f"QEMU {'does not answer' if code is None else ending(code)}" + (f" ({last_line(said)})" if said else "")

    def close(self) -> None:
        """End QEMU, if it has not ended, and give everything back."""
        with undisturbed():
            self.process.kill()
            self.process.wait()
        self.said()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        if hasattr(self, "reader"):
            self.reader.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for each in self.sockets:
            each.close()


def backend(name: str, fd: int, size: int) -> list[str]:
    """The option for memory of ``size`` bytes that lies in a file."""
    return ["-object", f"memory-backend-file,id={name},size={size},mem-path=/dev/fd/{fd},share=on"]


def machine_options(cpus: int, memory: int, extra: str = "") -> list[str]:
    """The options of QEMU that make the machine.

    :param memory: bytes of RAM
    :param extra: more for ``-machine``
    """
    return ["-machine", f"virt,gic-version=2{extra}", "-accel", "tcg", "-cpu", "cortex-a57", "-smp", str(cpus),
            "-m", str(memory >> 20), "-nodefaults", "-no-user-config", "-nic", "none", "-display", "none"]

