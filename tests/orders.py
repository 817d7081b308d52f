# SPDX-License-Identifier: GPL-2.0-only
"""Whatever may be done to a machine, in any order: ``python orders.py FIRST LAST`` prints for each seed what came of it.

Clients, files of sysfs, modules, faults, the operations of the DMA engine without a client, and functions of the low level
past the driver. Nothing but an OSError and a KernelOops may come out.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from typing import Any

import hidma
from hidma import Channel, KernelOops, Machine, Transfer, ll
from hidma.channel import lldev_of
from hidma.linux import dmaengine
from hidma.linux.list import list_for_each_entry

FAULTS = (
    "burst", "read-burst", "write-burst", "tre-fetch", "evre-write", "reset-stuck:trca", "reset-stuck:evca",
    "enable-stuck:trca", "enable-stuck:evca", "suspend-stuck:trca", "suspend-stuck:evca", "irq-lost", "irq-late:2us",
    "irq-late:3ms", "irq-dup", "irq-spurious", "write-ptr:80", "write-ptr:16", "evre:code=4,info=9", "evre:code=5",
    "evre:code=0",
)
DRIVERS = "/sys/bus/platform/drivers"
DEVICES = ("hidma.0", "hidma.1", "hidma.5", "f9984000.hidma-mgmt")
TOPS = ("/sys/devices/platform", "/sys/kernel/debug", "/sys/module", "/sys/class", "/proc")
SRC, DEST = 0x80200000, 0x80100000


def void(_: object) -> None:
    """What a function returned that is void in C."""


class Orders:
    """One machine and what is done to it."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.machine: Machine = hidma.boot(dice.choice(["host", "host", "guest"]), seed=seed, instant=dice.random() < 0.5,
                                           cpus=dice.choice([1, 2, None]))
        self.said: list[str] = []
        self.chans: list[Channel] = []
        self.prepared: list[Any] = []
        with self.machine.running():
            self.raw = [chan for device in dmaengine.dma_device_list() for chan in list_for_each_entry(device.channels)]
        self.files = self.find()

    def find(self) -> list[str]:
        """Files that are there now."""
        found, left = [], list(TOPS)
        while left and len(found) < 500:
            path = left.pop()
            try:
                left += [f"{path}/{name}" for name in self.machine.sysfs.listdir(path) if path.count("/") < 8]
            except OSError:
                found.append(path)
        return found

    def fault(self) -> None:
        self.machine.inject(self.dice.choice(FAULTS) + self.dice.choice(["", ":1", ":2+", ":1-3"]))

    def bind(self) -> None:
        dice = self.dice
        driver, what = dice.choice(["hidma", "hidma-mgmt"]), dice.choice(["bind", "unbind"])
        self.machine.sysfs[f"{DRIVERS}/{driver}/{what}"] = dice.choice(DEVICES)

    def load(self) -> None:
        self.machine.modprobe(self.dice.choice(["hidma", "hidma_mgmt"]))

    def unload(self) -> None:
        self.machine.rmmod(self.dice.choice(["hidma", "hidma_mgmt"]))

    def request(self) -> None:
        self.chans.append(self.machine.dma.request_channel())

    def copy(self) -> None:
        if self.chans:
            chan = self.dice.choice(self.chans)
            calls: list[Callable[[Transfer], Any] | None] = [
                None, lambda _: None, lambda _: chan.terminate_all(), lambda _: chan.memcpy(DEST, SRC, 64)]
            chan.memcpy(DEST, SRC, self.dice.choice([64, 4096, 65536]), self.dice.choice(calls))

    def steer(self) -> None:
        if self.chans:
            chan = self.dice.choice(self.chans)
            self.dice.choice([chan.pause, chan.resume, chan.terminate_all, chan.release,
                              lambda: chan.release(terminate=False)])()

    def wait(self) -> None:
        self.machine.run(self.dice.choice([100, 10_000, 1_000_000, 10_000_000]))

    def read(self) -> None:
        path = self.dice.choice(self.files)
        self.say(path, self.machine.sysfs[path])

    def write(self) -> None:
        self.machine.sysfs[self.dice.choice(self.files)] = self.dice.choice(["1", "0", "15", "99999999999", "x", ""])

    def look(self) -> None:
        self.files = self.find()

    def engine(self) -> None:
        """The DMA engine's operations, as a client without manners calls them."""
        dice, chan = self.dice, self.dice.choice(self.raw)
        what = dice.randrange(6)
        with self.machine.running():
            if what == 0:
                self.say(dmaengine.alloc_chan_resources(chan))
            elif what == 1:
                dmaengine.free_chan_resources(chan)
            elif what == 2:
                tx = dmaengine.dmaengine_prep_dma_memcpy(chan, DEST, SRC, dice.choice([64, 4096]), 3)
                self.prepared += [tx] if tx is not None else []
            elif what == 3 and self.prepared:
                self.say(dmaengine.dmaengine_submit(dice.choice(self.prepared)))
            elif what == 4:
                dmaengine.dma_async_issue_pending(chan)
            else:
                self.say(dice.choice([dmaengine.dmaengine_pause, dmaengine.dmaengine_resume,
                                      dmaengine.dmaengine_terminate_all])(chan))
            self.machine.settle()

    def low(self) -> None:
        """Functions of the low level, past the driver."""
        dice, lldev = self.dice, lldev_of(self.dice.choice(self.raw))
        tre = dice.randrange(20)
        with self.machine.running():
            self.say(dice.choice([
                lambda: ll.hidma_ll_uninit(lldev), lambda: void(ll.hidma_ll_free(lldev, tre)), lambda: ll.hidma_ll_setup(lldev),
                lambda: void(ll.hidma_ll_queue_request(lldev, tre)), lambda: void(ll.hidma_ll_start(lldev)),
                lambda: ll.hidma_ll_status(lldev, tre), lambda: ll.hidma_ll_isenabled(lldev)])())
            self.machine.settle()

    def say(self, *things: object) -> None:
        self.said.append(repr(things))

    def run(self) -> list[str]:
        """Some steps; what they said and the kernel's log."""
        acts = [self.fault, self.bind, self.bind, self.load, self.unload, self.request, *[self.copy] * 3, self.steer,
                self.wait, self.read, self.read, self.write, self.look, *[self.engine] * 6, self.low]
        try:
            for _ in range(self.dice.randrange(5, 60)):
                act = self.dice.choice(acts)
                self.said.append(act.__name__)
                try:
                    act()
                except KernelOops as oops:
                    self.say("oops", oops.message, oops.row)
                    break
                except OSError as error:
                    self.say(str(error))
            self.say(self.machine.now)
        finally:
            self.machine.close()
        return [*self.said, *self.machine.dmesg().splitlines()]


def main(first: int, last: int) -> None:
    """Run the seeds from ``first`` to ``last``."""
    for seed in range(first, last + 1):
        print(f"--- seed {seed}", flush=True)
        # addresses of functions and the way from one to the other depend on how they were compiled
        lines = [line for line in Orders(seed).run() if not re.match(r"\[[ \d.]+\]  \w+$", line)]
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
