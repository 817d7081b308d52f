# SPDX-License-Identifier: GPL-2.0-only
"""The guest of :class:`hidma.vm.GuestProcess`, in its own process: a machine with its own clock and Linux slice, whose RAM and
register pages are the host's and whose interrupts are eventfds.

An access to a register is a load or a store in a page; nothing traps. As with memory of a device, a store has reached the device
before the next access is made: the host's look at the page is waited for. The guest's time is a counter that the host moves: here
it never gets ahead of it, so that no time-out is over before the hardware had its chance. It stands for no C file.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hidma import firmware
from hidma.firmware.fdt import parse
from hidma.firmware.guest import MEMORY_BASE
from hidma.hw.block import ACCESS_NS
from hidma.hw.bus import Block, Bus
from hidma.hw.clock import Clock, Event
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.registers import ALL_ONES
from hidma.hw.smmu import Smmu
from hidma.hw.trace import Trace
from hidma.linux import dmaengine
from hidma.linux.errno import EINVAL, ENODEV, ENOMEM
from hidma.linux.eventfd import EventfdCtx, eventfd_signal
from hidma.linux.kthread import WaitQueueHead, wait_event_timeout, wake_up
from hidma.linux.sched import KernelOops
from hidma.machine.boot import os_error
from hidma.machine.ledger import FLAGS
from hidma.vm.guest import SPI, GuestMachine, Irqfd
from hidma.vm.shared import LOOKS, TIME, Words, die_with

BEAT_NS = 10_000
IDLE_NS = 100_000
SPINS = 20
NAP_S = 0.00005
LONG_NAP_S = 0.001
LONG = 200
LONGEST_WAIT_NS = 200_000_000
CALLBACK_NS = 1_000_000


class Outside:
    """The host, as far as the guest sees it: its time, and how often it has looked at the pages."""

    def __init__(self, fd: int, parent: int) -> None:
        self.words = memoryview(mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ)).cast("Q")
        self.parent = parent
        self.seen = 0

    @property
    def now(self) -> int:
        """The host's time, ns."""
        return self.words[TIME]

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait, in real time, until ``ready()``; for as long as the host takes."""
        rounds = 0
        while not ready():
            rounds += 1
            if rounds > SPINS:
                time.sleep(NAP_S if rounds < LONG else LONG_NAP_S)
                if os.getppid() != self.parent:
                    os._exit(1)
            else:
                os.sched_yield()

    def wrote(self) -> None:
        """A register was written: the look that is under way may have missed it, the next one does not."""
        self.seen = self.words[LOOKS] + 2

    def flush(self) -> None:
        """What was written has reached the device."""
        if self.words[LOOKS] < self.seen:
            self.until(lambda: self.words[LOOKS] >= self.seen)


class MappedPage(Block):
    """A page of registers that is memory here."""

    def __init__(self, name: str, base: int, size: int, fd: int, outside: Outside, clock: Clock) -> None:
        super().__init__(name, base, size)
        self.words = memoryview(mmap.mmap(fd, size)).cast("I")
        self.outside = outside
        self.clock = clock

    def read32(self, offset: int) -> int:
        self.outside.flush()
        value = ALL_ONES if offset & 3 or offset >= self.size else self.words[offset >> 2]
        self.clock.tick(ACCESS_NS)
        return value

    def write32(self, offset: int, value: int) -> int:
        self.outside.flush()
        if not offset & 3 and offset < self.size:
            self.words[offset >> 2] = value
            self.outside.wrote()
        # whoever waits for what comes of it counts from here
        self.clock.tick(max(ACCESS_NS, self.outside.now - self.clock.now))
        return 0


class Beat(Event):
    """Ties the guest's clock to the host's, and looks for interrupts."""

    def __init__(self, clock: Clock, outside: Outside, triggers: list[tuple[int, EventfdCtx]]) -> None:
        Event.__init__(self)
        self.clock = clock
        self.outside = outside
        self.triggers = triggers

    def fire(self) -> int:
        due = self.time
        if self.outside.now < due:
            self.outside.until(lambda: self.outside.now >= due)
        for fd, ctx in self.triggers:
            try:
                count = os.eventfd_read(fd)
            except BlockingIOError:
                continue
            eventfd_signal(ctx, count)
        self.clock.schedule(self, max(due + BEAT_NS, self.outside.now))
        return 0


class Unmask:
    """The eventfd by which the host unmasks a line."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.todo: list[Irqfd] = []

    def post(self, irqfd: Irqfd) -> None:
        """``irqfd`` has ended."""
        irqfd.unmasks += 1
        os.eventfd_write(self.fd, 1)


class Inside(GuestMachine):
    """The guest.

    :param plan: what the host says of it (see :class:`hidma.vm.GuestProcess`)
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.name = plan["name"]
        self.plan = plan
        self.irqfds: list[Irqfd] = []
        self.outside = Outside(plan["time"], plan["parent"])
        self.started = False
        fdt = parse(bytes.fromhex(plan["blob"]), f"{self.name}.dtb")
        super().__init__(fdt, firmware.describe(fdt), instant=False, seed=plan["seed"], timing=None, debug=plan["debug"],
                         cpus=plan["cpus"])
        triggers = []
        for irq in plan["irqs"]:
            line = Line(SPI + irq["spi"], irq["name"])
            self.lines.append(line)
            desc = self._gic().wire(line.number, line)
            ctx = EventfdCtx()
            irqfd = Irqfd(desc, desc, line, ctx, EventfdCtx(), Unmask(irq["unmask"]))
            self.irqfds.append(irqfd)
            self._gic().forwarded.append(irqfd)
            triggers.append((irq["trigger"], ctx))
        self.clock.schedule(Beat(self.clock, self.outside, triggers), self.outside.now)

    def _buses(self, board: firmware.Board) -> tuple[Bus, Smmu]:
        clock = Clock()
        clock.now = self.outside.now
        size = self.plan["memory"]
        bus = Bus(clock, Memory(MEMORY_BASE, size, mmap.mmap(self.plan["ram"], size)), Trace(clock))
        return bus, Smmu(bus)

    def _build(self, board: firmware.Board, instant: bool, timing: Any) -> None:
        for page in self.plan["pages"]:
            self.bus.add(MappedPage(page["name"], page["base"], page["size"], page["fd"], self.outside, self.clock))

    def boot(self) -> None:
        """Boot the kernel; from then on the guest runs while nothing is asked of it."""
        self.started = True
        self.start(self.plan["modules"], self.plan["params"])

    # --- what it is asked for -----------------------------------------------------------------------------------

    def copy(self, transfers: list[list[int]]) -> list[list[Any]]:
        """Copies, all of them at once as far as the driver has descriptors: of each, what the driver says and how often it called.

        :raises OSError: ENODEV (no channel is free), ENOMEM (the driver takes none)
        """
        with self.calling():
            chan = dmaengine.dma_request_channel(1 << dmaengine.DMA_MEMCPY, lambda *_: True)
            if chan is None:
                raise OSError(ENODEV, f"the guest has no free DMA channel: {self.why_no_channel()}")
            try:
                ends: list[list[Any]] = []
                while len(ends) < len(transfers):
                    ends += self._round(chan, transfers[len(ends) :])
                return ends
            finally:
                dmaengine.dma_release_channel(chan)

    def _round(self, chan: dmaengine.DmaChan, transfers: list[list[int]]) -> list[list[Any]]:
        """As many of the first of ``transfers`` as there are descriptors."""
        queue = WaitQueueHead()
        called: list[int] = []
        cookies: list[int] = []

        def done(number: int) -> None:
            called[number] += 1
            wake_up(queue)

        for dest, src, length in transfers:
            tx = dmaengine.dmaengine_prep_dma_memcpy(chan, dest, src, length, FLAGS)
            if tx is None:
                break
            tx.callback = done
            tx.callback_param = len(cookies)
            called.append(0)
            cookie = dmaengine.dmaengine_submit(tx)
            if cookie < 0:
                raise os_error(cookie, "the guest's driver does not take a copy")
            cookies.append(cookie)
        if not cookies:
            raise OSError(ENOMEM, "the guest's driver has no descriptor for a copy")
        dmaengine.dma_async_issue_pending(chan)

        def status(cookie: int) -> int:
            return dmaengine.dma_async_is_tx_complete(chan, cookie)

        deadline = self.clock.now + LONGEST_WAIT_NS
        while self.clock.now < deadline:
            ended = not any(status(cookie) == dmaengine.DMA_IN_PROGRESS for cookie in cookies)
            if wait_event_timeout(queue, lambda: all(called), CALLBACK_NS) > 0 or ended:
                break  # V14 does not call back for all that it completes (row 17)
        return [[dmaengine.DMA_STATUS_NAMES[status(cookie)], count] for cookie, count in zip(cookies, called, strict=True)]

    def allocate(self, size: int) -> int:
        """RAM of the guest: its address."""
        return self.alloc(size).address

    def read(self, path: str) -> str:
        """A file of its sysfs."""
        return self.sysfs[path]

    def off(self) -> None:
        """Its driver lets go of the channels."""
        if any(module.name == "hdma" for module in self.modules()):
            self.rmmod("hdma")

    def answer(self, what: str, arguments: list[Any]) -> Any:
        """What comes of a word of the host."""
        calls: dict[str, Callable[..., Any]] = {
            "boot": self.boot, "copy": self.copy, "alloc": self.allocate, "read": self.read, "dmesg": self.dmesg,
            "off": self.off,
        }
        if what not in calls:
            raise OSError(EINVAL, f"a guest does not know what {what!r} is")
        return calls[what](*arguments)


def serve(link: socket.socket, words: Words, guest: Inside) -> None:
    """Do what the host asks for, one thing after the other, until it hangs up; the guest runs meanwhile."""
    link.setblocking(False)
    while True:
        word = words.next()
        if word is None:
            try:
                data = link.recv(65536)
            except BlockingIOError:
                if guest.kernel.dead is None and guest.started:
                    with suppress(KernelOops):  # whatever the host asks for next tells of it
                        guest.run(IDLE_NS)
                else:
                    time.sleep(LONG_NAP_S)
                continue
            if not data:
                return
            words.feed(data)
            continue
        number, what, *arguments = word
        said: dict[str, Any] = {"to": number}
        try:
            said["done"] = guest.answer(what, arguments)
        except KernelOops as oops:
            said["oops"] = [oops.message, oops.row, guest.dmesg()]
        except OSError as error:
            said["error"] = [error.errno, error.strerror]
        link.setblocking(True)
        link.sendall(Words.pack(said))
        link.setblocking(False)


def main() -> None:
    """The process: the descriptor of the link and the host's process number are its arguments."""
    number, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    link = socket.socket(fileno=number)
    words = Words()
    while (plan := words.next()) is None:
        data = link.recv(65536)
        if not data:
            return
        words.feed(data)
    guest = Inside(plan)
    link.sendall(Words.pack({"to": 0, "done": None}))
    serve(link, words, guest)


if __name__ == "__main__":
    main()
