# SPDX-License-Identifier: GPL-2.0-only
"""The public face of a machine used in random orders; prints what was done and how each call ended.

    python api_orders.py FIRST LAST

An order has callbacks that raise, recurse, terminate or close the machine, waits with a limit, batches that are given up,
and KeyboardInterrupt at any moment. Each call must return, with a value or with a documented exception, and the ledger must
add up. Exit status 1 and the order otherwise.
"""

from __future__ import annotations

import random
import signal
import sys
import traceback
from typing import Any

import hidma
from hidma.linux.sched import KernelOops

LIMIT = 120  # real seconds for one call, on a machine that does other things as well


class Wrong(Exception):
    """The client's own mistake, in its callback."""


class Stuck(BaseException):
    """A call does not return."""


def late(number: int, frame: Any) -> None:
    raise Stuck


class Order:
    """One machine, and what was done to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = hidma.boot(instant=self.random.random() < 0.3, cpus=self.random.choice((1, 1, 2, 4)))
        self.channels: list[Any] = []
        self.items: list[Any] = []
        self.buffers: list[Any] = []
        self.log: list[str] = []
        self.accepted: dict[int, int] = {}
        self.depth = 0
        self.plans: list[Any] = []

    # --- in a callback ---

    def callback(self, kind: str) -> Any:
        def called(item: Any) -> None:
            self.log.append(f"    callback {kind}")
            if kind == "raise":
                raise Wrong
            if kind == "interrupt":
                raise KeyboardInterrupt
            if kind == "sigint":
                signal.raise_signal(signal.SIGINT)
            elif kind == "recurse" and self.depth < 3:
                self.depth += 1
                try:
                    self.do_memcpy()
                finally:
                    self.depth -= 1
            elif kind == "terminate":
                item.channel.terminate_all()
            elif kind == "close":
                self.machine.close()
            elif kind == "release":
                item.channel.release()
            elif kind == "wait":
                item.wait(0.1)
            elif kind == "batch":
                self.do_batch()
            elif kind == "run":
                self.machine.run(1000)
        return None if kind == "none" else called

    def kind(self) -> str:
        return self.random.choice(("none", "none", "plain", "plain", "raise", "interrupt", "sigint", "recurse", "terminate",
                                   "close", "release", "wait", "batch", "run"))

    # --- outside ---

    def channel(self) -> Any:
        return self.random.choice(self.channels) if self.channels else self.do_request()

    def buffer(self) -> Any:
        if len(self.buffers) < 4:
            self.buffers.append(self.machine.alloc(self.random.choice((64, 4096, 65536))))
        return self.random.choice(self.buffers)

    def do_request(self) -> Any:
        channel = self.machine.dma.request_channel()
        self.channels.append(channel)
        return channel

    def do_memcpy(self) -> None:
        channel = self.channel()
        dest = self.random.choice((self.buffer, lambda: bytearray(64), lambda: 0xDEAD0000))()
        src = self.random.choice((self.buffer, lambda: b"x" * 64, lambda: 0xDEAD0000))()
        length = 64 if isinstance(dest, int) and isinstance(src, int) else self.random.choice((None, 1, 64))
        item = channel.memcpy(dest, src, length, callback=self.callback(self.kind()))
        self.items.append(item)

    def do_batch(self) -> None:
        channel = self.channel()
        n = self.random.choice((0, 1, 3, 70, 300))
        a, b = self.buffer().address, self.buffer().address
        if self.random.random() < 0.2:
            a = 0xDEAD0000
        item = channel.memcpy_batch([a] * n, [b] * n, [64] * n)
        self.items.append(item)

    def do_wait(self) -> None:
        if self.items:
            self.random.choice(self.items).wait(self.random.choice((None, 0, 1e-6, 1e-3, 1)))

    def do_done(self) -> None:
        if self.items:
            self.random.choice(self.items).done()

    def do_pause(self) -> None:
        self.channel().pause()

    def do_resume(self) -> None:
        self.channel().resume()

    def do_terminate(self) -> None:
        self.channel().terminate_all()

    def do_status(self) -> None:
        self.channel().status(self.random.randrange(0, 100))

    def do_release(self) -> None:
        self.channel().release(self.random.random() < 0.7)

    def do_run(self) -> None:
        self.machine.run(self.random.choice((0, 1, 1000, 1000000, 1000000000)))

    def do_ledger(self) -> None:
        ledger = self.channel().ledger
        assert all(count >= 0 for count in ledger.values()), ledger

    def do_free(self) -> None:
        if self.buffers:
            self.buffers.pop(self.random.randrange(len(self.buffers))).free()

    def do_close(self) -> None:
        if self.random.random() < 0.2:
            self.machine.close()

    def do_unbind(self) -> None:
        if self.random.random() < 0.4:
            n = self.random.randrange(6)
            self.machine.sysfs["/sys/bus/platform/drivers/hidma/unbind"] = f"hidma.{n}"

    def do_bind(self) -> None:
        self.machine.sysfs["/sys/bus/platform/drivers/hidma/bind"] = f"hidma.{self.random.randrange(6)}"

    def do_fault(self) -> None:
        kind = self.random.choice(("read-burst", "write-burst", "tre-fetch", "evre-write", "irq-lost", "irq-spurious", "irq-dup",
                                   "reset-stuck", "enable-stuck", "suspend-stuck"))
        self.plans.append(self.machine.inject(f"{kind}:{self.random.choice(('1', '2', '*', '3+'))}"))

    def do_heal(self) -> None:
        if self.plans:
            self.machine.heal(self.plans.pop())

    def step(self, name: str) -> None:
        self.log.append(name)
        if self.random.random() < 0.05:
            signal.setitimer(signal.ITIMER_PROF, self.random.random() * 0.002)
        signal.alarm(LIMIT)
        try:
            getattr(self, "do_" + name)()
        except (OSError, KernelOops, Wrong, KeyboardInterrupt) as error:
            self.log.append(f"  {type(error).__name__}: {str(error)[:150]}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)

    def run(self) -> None:
        names = [name[3:] for name in dir(self) if name.startswith("do_")]
        weights = [6 if name in ("memcpy", "batch", "wait") else 1 for name in names]
        for _ in range(self.random.randrange(5, 40)):
            self.step(self.random.choices(names, weights)[0])
        signal.alarm(LIMIT)
        for channel in self.channels:
            try:
                ledger = channel.ledger
            except (OSError, KernelOops, Wrong, KeyboardInterrupt):
                ledger = channel._ledger
            assert all(count >= 0 for count in ledger.values()), ledger
            total = sum(item.accepted if hasattr(item, "accepted") else 1 for item in self.items if item.channel is channel)
            assert sum(ledger.values()) >= total, (ledger, total)
        try:
            self.machine.close()
        except (OSError, KernelOops, Wrong, KeyboardInterrupt) as error:
            self.log.append(f"  close: {type(error).__name__}: {error}")
        for channel in self.channels:
            assert channel._ledger["pending"] == 0, (channel, channel._ledger)
        signal.alarm(0)


def main() -> int:
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGPROF, lambda number, frame: signal.raise_signal(signal.SIGINT))
    bad = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        order = None
        try:
            order = Order(seed)
            order.run()
        except BaseException as error:
            signal.alarm(0)
            bad += 1
            print(f"--- seed {seed}: {type(error).__name__}: {error}")
            print("\n".join(order.log[-40:] if order else ()))
            traceback.print_exc(file=sys.stdout)
    print(f"{bad} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
