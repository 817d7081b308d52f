# SPDX-License-Identifier: GPL-2.0-only
"""A guest in a process of its own: the registers of its channels are memory that both processes map, so is its RAM, and its
interrupts are eventfds. Nothing else passes between guest and hardware, and no access of the guest can be an exit.

The host watches the pages (:mod:`hidma.hw.watch`): it looks at them, lets :data:`QUANTUM_NS` of its time pass, and so on. The
guest's time is the host's, so the guest stands still while nobody runs the host for it. It stands for no C file.
"""

from __future__ import annotations

import operator
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import ESRCH
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from weakref import finalize

import hidma
from hidma.firmware.fdt import parse
from hidma.firmware.guest import MEMORY_BASE
from hidma.hw.channel import Channel
from hidma.hw.watch import WatchedChannel
from hidma.linux.errno import EBUSY, EINVAL, ENODEV, EOPNOTSUPP, EPROTO, ETIMEDOUT
from hidma.linux.eventfd import EventfdCtx, eventfd_signal
from hidma.linux.sched import KernelOops
from hidma.linux.vfio import VFIO_REGION_INFO_FLAG_MMAP
from hidma.machine.boot import Machine
from hidma.vm.guest import DEFAULT_MEMORY, Owner, seen_by
from hidma.vm.shared import LONGEST, LOOKS, TIME, Pages, TimePage, Words

QUANTUM_NS = 10_000
QUIET_NS = 100_000
ANSWER_S = 120.0
QUIET_S = 0.002
NAP_S = 0.0002
MAX_LENGTH = 0xFFFFFFFF
MAX_ADDRESS = 0xFFFFFFFFFFFFFFFF


class Status(NamedTuple):
    """What the guest's driver said of one copy: ``driver`` is ``DMA_COMPLETE`` or another status, ``called`` how often it has
    called back."""

    driver: str
    called: int


class Memory:
    """RAM of the guest, as both sides see it. ``address`` is the guest's, ``view`` the bytes."""

    def __init__(self, address: int, view: memoryview) -> None:
        self.address = address
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def __bytes__(self) -> bytes:
        return bytes(self.view)


class Forward:
    """One interrupt: the host's eventfd and that of the guest's process, and the same back."""

    def __init__(self, trigger: EventfdCtx, resample: EventfdCtx) -> None:
        self.resample = resample
        self.forwarded = 0
        self.unmasks = 0
        self.trigger_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.unmask_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        trigger.waiters.append(self.signalled)

    def signalled(self) -> None:
        """The host's interrupt came; its line is masked until the guest has handled it."""
        self.forwarded += 1
        if self.trigger_fd >= 0:
            os.eventfd_write(self.trigger_fd, 1)

    def ended(self) -> bool:
        """Whether the guest has handled it since it was asked last."""
        try:
            os.eventfd_read(self.unmask_fd)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Nothing passes any more."""
        if self.trigger_fd >= 0:
            os.close(self.trigger_fd)
            os.close(self.unmask_fd)
            self.trigger_fd = self.unmask_fd = -1


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended. ``Popen.poll()`` is not for callers that ask often: when the handler of a signal raises between
    the two instructions that take its lock and enter its ``try``, the lock stays taken and ``wait()`` never returns."""
    return process.returncode is not None or os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def let_go(held: list[Any]) -> None:
    """Nobody holds the guest any more, which was not closed: its process ends and its files are closed."""
    for each in held:
        if isinstance(each, subprocess.Popen):
            each.kill()
            each.wait()
        elif isinstance(each, int):
            os.close(each)
        else:
            each.close()


class GuestProcess(Owner):
    """A guest of ``host`` in another process: what :class:`hidma.vm.Guest` is in this one. Use it in a ``with``.

    :param host: the machine that it runs on
    :param memory: bytes of RAM, whole pages; all of it is pinned while the guest lives
    :param channels: the devices of the host that it gets, such as ``hidma.0``; they are with vfio-platform (:func:`assign`)
    :param name: what to call it
    :param cpus: number of CPUs
    :param modules: whether to load the channel driver
    :param params: module parameters, as :func:`hidma.boot` takes them
    :param seed: decides the guest's random numbers
    :param debug: whether debug messages go to the guest's log
    :param memlock: bytes that it may pin, without a limit by default
    :raises OSError: what :class:`hidma.vm.Guest` raises, and EOPNOTSUPP: a device is no HIDMA channel, whose pages alone are
        watched, or a page cannot be shared
    :raises KernelOops: the guest's kernel stopped while it booted

    :ivar pid: number of its process
    :ivar fdt: its device tree
    :ivar alive: whether it runs
    """

    def __init__(self, host: Machine, *, memory: int = DEFAULT_MEMORY, channels: Sequence[str] = (), name: str = "guest",
                 cpus: int = 1, modules: bool = True, params: Mapping[str, Mapping[str, str]] | None = None, seed: int = 0,
                 debug: bool = False, memlock: int | None = None) -> None:
        self.own(host, memory, channels, name, memlock)
        self.alive = True
        self.job = 0
        self.number = 0
        self.looks = 0
        self.obituary = ""
        self.irqfds: list[Forward] = []
        self.shared: list[Pages] = []
        self.watched: list[WatchedChannel] = []
        self.blocks: list[Any] = []
        self.outgoing = bytearray()
        self.words = Words()
        self.time: TimePage | None = None
        self.link: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = -1
        self.held: list[Any] = []
        self._dropped = finalize(self, let_go, self.held)
        try:
            blob = self._open(channels, memory, cpus)
            self.fdt = parse(blob, f"{name}.dtb")
            plan = {"name": name, "memory": memory, "cpus": cpus, "modules": modules, "params": params or {}, "seed": seed,
                    "debug": debug, "parent": os.getpid(), "blob": blob.hex()}
            self._share(plan)
            self._spawn(plan)
            host.guests.append(self)
            self.touched = self._accesses()
            self._ask("boot")
        except BaseException:
            self._end()
            raise

    # --- what it is made of -------------------------------------------------------------------------------------

    def _share(self, plan: dict[str, Any]) -> None:
        """RAM, register pages, time and interrupts become files."""
        self.time = TimePage()
        self.held.append(self.time)
        plan["time"] = self.time.fd
        self._publish()
        self.shared.append(Pages(self.ram, f"RAM of {self.name}"))
        self.held.append(self.shared[0])
        plan["ram"] = self.shared[0].fd
        plan["pages"], plan["irqs"] = [], []
        for owned in self.owned:
            hardware: list[Channel] = []
            for index, (region, base) in enumerate(zip(owned.regions, owned.bases, strict=True)):
                registers = owned.device.mmap(index) if region.flags & VFIO_REGION_INFO_FLAG_MMAP else None
                channel = self.host.registers.get(registers.block.base) if registers is not None else None
                if registers is None or channel is None:
                    raise OSError(EOPNOTSUPP, f"region {index} of {owned.device.name} is no page of a HIDMA channel, and a guest "
                                              "in another process has nothing else; hidma.vm.Guest takes the device")
                block = channel.trca if registers.block is channel.trca else channel.evca
                pages = Pages(block.view[: registers.size], block.name)
                self.shared.append(pages)
                self.held.append(pages)
                self.blocks.append(block)
                if channel not in hardware:
                    hardware.append(channel)
                plan["pages"].append({"name": block.name, "base": base, "size": registers.size, "fd": pages.fd})
            self.watched += [WatchedChannel(channel) for channel in hardware]
            for index, spi in enumerate(owned.spis):
                trigger, trigger_ctx = self.hypervisor.eventfd()
                unmask, unmask_ctx = self.hypervisor.eventfd()
                forward = Forward(trigger_ctx, unmask_ctx)
                self.irqfds.append(forward)
                self.held.append(forward)
                owned.device.unmask_with(unmask, index)
                owned.device.trigger(trigger, index)
                plan["irqs"].append({"spi": spi, "name": f"{owned.device.name} of {self.name}", "trigger": forward.trigger_fd,
                                     "unmask": forward.unmask_fd})

    def _spawn(self, plan: dict[str, Any]) -> None:
        """The process, up to where its kernel boots."""
        self.link, theirs = socket.socketpair()
        self.errors = os.memfd_create("hidma-guest-errors", os.MFD_CLOEXEC)
        self.held += [self.link, self.errors]
        handed = [theirs.fileno(), plan["time"], *(pages.fd for pages in self.shared),
                  *(fd for forward in self.irqfds for fd in (forward.trigger_fd, forward.unmask_fd))]
        place = str(Path(hidma.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH")]))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hidma.vm.inside", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, pass_fds=handed, start_new_session=True,
                env=os.environ | {"PYTHONPATH": path})
            self.held.insert(0, self.process)
        except OSError as error:
            raise OSError(error.errno, f"no process for the guest {self.name!r}: {error.strerror}") from None
        finally:
            theirs.close()
        self.link.sendall(Words.pack(plan))
        self.link.setblocking(False)
        self._result()

    @property
    def pid(self) -> int:
        """Number of its process, 0 when there is none any more."""
        return self.process.pid if self.alive and self.process is not None else 0

    # --- its hardware -------------------------------------------------------------------------------------------

    def _look(self) -> int:
        """Do what the guest has asked for on its pages; how many things there were."""
        seen = 0
        now = self.host.now
        for watched in self.watched:
            seen += watched.look(now)
        self.looks += 1
        ended = [forward for forward in self.irqfds if forward.ended()]
        if ended:
            with self.host.calling():
                for forward in ended:
                    forward.unmasks += 1
                    eventfd_signal(forward.resample, 1)
        return seen + len(ended)

    def _publish(self) -> None:
        """The guest may go on."""
        if self.time is not None:
            self.time.words[LOOKS] = self.looks
            self.time.words[TIME] = self.host.now

    def _step(self, ns: int = QUANTUM_NS) -> int:
        """A look at the pages of all guests of this kind, and ``ns`` of the host's time; how many things there were."""
        others = [guest for guest in self.host.guests if isinstance(guest, GuestProcess) and guest is not self]
        guests = [self, *others]
        seen = sum(guest._look() for guest in guests)
        self.host.run(ns)
        for guest in guests:
            guest._publish()
            seen += guest._talk()
        for guest in others:
            if guest._died():
                guest._end()
        return seen

    def _talk(self) -> int:
        """Send what is to be sent and take what has come; 1 if there was anything."""
        link = self.link
        if link is None:
            return 0
        moved = 0
        with suppress(BlockingIOError, OSError):
            if self.outgoing:
                sent = link.send(self.outgoing[:65536])
                del self.outgoing[:sent]
                moved = 1
        with suppress(BlockingIOError, OSError):
            data = link.recv(65536) if len(self.words.unread) <= LONGEST else b""
            if data:
                self.words.feed(data)
                moved = 1
        return moved

    def _died(self) -> bool:
        """Whether the process has ended by itself; then ``obituary`` says how."""
        process = self.process
        if process is None or not has_ended(process):
            return False
        code = process.wait()
        names = {number.value: f" ({number.name})" for number in signal.Signals}  # most real-time signals have no name
        how = f"ended with status {code}" if code >= 0 else f"was ended by signal {-code}{names.get(-code, '')}"
        said = os.pread(self.errors, 1 << 16, 0).decode(errors="replace").strip().splitlines()
        self.obituary = f"the process of the guest {self.name!r} {how}" + (f" ({said[-1].strip()})" if said else "")
        return True

    # --- words ------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.alive:
            raise OSError(ESRCH if self.obituary else ENODEV, self._why() if self.obituary else
                          f"the guest {self.name!r} is off; make another one")

    def _why(self) -> str:
        return f"{self.obituary}; VFIO has its channels and has reset them"

    def _say(self, *word: Any) -> None:
        """A word to the guest."""
        self._check()
        if self.job:
            raise OSError(EBUSY, f"the guest {self.name!r} is in the middle of a job; finish() it first")
        self.number += 1
        self.outgoing += Words.pack([self.number, *word])

    def _ask(self, *word: Any, kind: type = object) -> Any:
        """A word to the guest, and what it says to it, which is of this kind."""
        self._say(*word)
        return self._result(kind)

    def _result(self, kind: type = object) -> Any:
        """What the guest says to the last word, which is of this kind. It runs until then, and the host with it."""
        began = busy = time.monotonic()
        while True:
            try:
                word = self.words.next()
                if word is not None and word["to"] == self.number:
                    return self._verdict(word, kind)
            except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
                self._make_no_sense()
            if word is not None:
                continue  # to a word whose answer nobody waited for
            if self._died() and not self._talk():
                self._end()
                raise OSError(ESRCH, self._why())
            quiet = time.monotonic() - busy > QUIET_S
            if quiet:
                time.sleep(NAP_S)  # it computes, or waits for what does not come
            seen = self._step(QUIET_NS if quiet else QUANTUM_NS) if self.number else self._starting()
            now = time.monotonic()
            if seen:
                busy = now
            if now - began > ANSWER_S:
                self.kill()
                raise OSError(ETIMEDOUT, f"the guest {self.name!r} has not answered within {ANSWER_S:g} s, and was killed")

    def _make_no_sense(self) -> NoReturn:
        """:raises OSError: EPROTO"""
        self.kill()
        raise OSError(EPROTO, f"the guest {self.name!r} said what makes no sense, and was killed") from None

    def _starting(self) -> int:
        """Until it is there it needs no time of the host."""
        assert self.link is not None
        select.select([self.link], [], [], 0.05)
        return self._talk()

    def _verdict(self, word: dict[str, Any], kind: type) -> Any:
        """What the guest's word comes to."""
        if "error" in word:
            code, sentence = word["error"]
            raise OSError(int(code), str(sentence))
        if "oops" in word:
            message, row, log = word["oops"]
            oops = KernelOops(str(message), row if row is None else int(row))
            oops.kernel = self.name
            oops.add_note(log)
            raise oops
        done = word["done"]
        if not isinstance(done, kind):
            raise TypeError(f"{done!r} is no {kind.__name__}")
        return done

    # --- what people use --------------------------------------------------------------------------------------

    def run(self, ns: int) -> None:
        """Let ``ns`` nanoseconds of the host's time pass, for host and guest.

        :raises OSError: EINVAL, ENODEV (it is off), ESRCH (its process ended)
        """
        if isinstance(ns, bool) or not isinstance(ns, int) or ns < 0:
            raise OSError(EINVAL, f"time goes forward, by a whole number of nanoseconds, not by {ns!r}")
        self._check()
        end = self.host.now + ns
        while self.host.now < end:
            self._step(min(QUANTUM_NS, end - self.host.now))
            if self._died():
                self._end()
                raise OSError(ESRCH, self._why())

    def alloc(self, size: int) -> Memory:
        """``size`` bytes of the guest's RAM.

        :raises OSError: EINVAL (no such size), ENOMEM (no room), EBUSY (a job is under way)
        """
        address = self._ask("alloc", size, kind=int)
        view = self.ram[max(address - MEMORY_BASE, 0) :][:size]
        if address < MEMORY_BASE or len(view) != size:
            self._make_no_sense()
        return Memory(address, view)

    def begin(self, transfers: Sequence[tuple[int, int, int]]) -> None:
        """Let the guest begin a job: copies of (destination, source, length), by addresses of the guest and bytes.

        It goes on whenever the host's time does: in :meth:`run`, in :meth:`finish`, or while another guest of this kind is waited
        for.

        :raises OSError: EINVAL (a copy is none), EBUSY (a job is under way)
        """
        rows = []
        for number, transfer in enumerate(transfers):
            try:
                dest, src, length = (operator.index(each) for each in transfer)
            except (TypeError, ValueError):
                raise OSError(EINVAL, f"copy {number} is three numbers: destination, source, length; not {transfer!r}") from None
            if not (0 <= dest <= MAX_ADDRESS and 0 <= src <= MAX_ADDRESS and 1 <= length <= MAX_LENGTH):
                raise OSError(EINVAL, f"copy {number} has 64-bit addresses and 1 to {MAX_LENGTH} bytes; not {transfer!r}")
            rows.append([dest, src, length])
        if not rows:
            raise OSError(EINVAL, "a job is one copy or more")
        self._say("copy", rows)
        self.job = len(rows)

    def finish(self) -> list[Status]:
        """Wait for the job that was begun: the status of each copy, in their order.

        :raises OSError: ESRCH (the process ended), EINVAL (nothing was begun), ENODEV, ENOMEM (the guest's driver)
        :raises KernelOops: the guest's kernel stopped
        """
        self._check()
        if not self.job:
            raise OSError(EINVAL, "no job was begun")
        try:
            ends = self._result(list)
            statuses = [Status(str(driver), int(called)) for driver, called in ends]
        except (ValueError, TypeError, OverflowError):
            self._make_no_sense()
        finally:
            self.job = 0
        return statuses

    def copy(self, transfers: Sequence[tuple[int, int, int]]) -> list[Status]:
        """:meth:`begin` and :meth:`finish`."""
        self.begin(transfers)
        return self.finish()

    def read(self, path: str) -> str:
        """A file of the guest's sysfs.

        :raises OSError: ENOENT, EISDIR, EACCES (it cannot be read), or what the driver gives
        """
        text: str = self._ask("read", path, kind=str)
        return text

    def dmesg(self) -> str:
        """The guest's kernel log."""
        text: str = self._ask("dmesg", kind=str)
        return text

    def _accesses(self) -> int:
        return sum(seen_by(block) for block in self.blocks)

    # --- the end ------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Shut the guest down: its driver lets go of the channels, then its process ends.

        :raises OSError: EBUSY, a job is under way
        """
        if self.alive and not self._died():
            self._ask("off")
        self._end()

    def kill(self) -> None:
        """The guest's process is killed, wherever the guest stands: VFIO resets the channels and keeps them."""
        self._end()

    def close(self) -> None:
        """As :meth:`kill`: what the guest has begun is not waited for."""
        self._end()

    def _end(self) -> None:
        """The process ends, then what it had on the host."""
        if not self.alive:
            return
        self.alive = False
        self.job = 0
        self._dropped.detach()
        if self in self.host.guests:
            self.host.guests.remove(self)
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for watched in self.watched:
            watched.trca.watched = watched.evca.watched = 0
            watched.channel.restore()
        ram = self.shared[:1]
        for pages in self.shared[1:]:
            pages.close()
        try:
            if not self.host.closed and self.host.kernel.dead is None:
                with suppress(KernelOops):  # the host has stopped: it knows
                    self.hypervisor.exit()
        finally:
            for pages in ram:  # until the reset the hardware may still have written there
                pages.close(keep=False)
            for forward in self.irqfds:
                forward.close()
            if self.time is not None:
                self.time.close()
                self.time = None
            if self.link is not None:
                self.link.close()
            if self.errors >= 0:
                os.close(self.errors)
                self.errors = -1

    def __enter__(self) -> GuestProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"process {self.pid}" if self.alive else "off"
        return f"<GuestProcess {self.name}, {len(self.owned)} device(s), {state}>"
