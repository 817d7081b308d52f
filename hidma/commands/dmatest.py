# SPDX-License-Identifier: GPL-2.0-only
"""``hidma dmatest``: the kernel's DMA test on the channels of a board. It stands for no C file; the module itself is
:mod:`hidma.linux.dmatest`.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from hidma.commands.options import (
    FAILED,
    Decorator,
    boot,
    boot_log,
    errors,
    interpret,
    machine_options,
    oops_sentence,
    plural,
    print_error,
    printed,
)
from hidma.machine import _mode

if TYPE_CHECKING:
    from hidma.linux.dmaengine import DmaAsyncTxDescriptor
    from hidma.linux.dmatest import DmatestThread
    from hidma.machine.boot import KernelOops, Machine
    from hidma.machine.client import Channel, Transfer

    NumberType = click.ParamType[int]
else:
    NumberType = click.ParamType

ITERATIONS = 100


class Parameter(NumberType):
    """A number as the kernel reads module parameters: decimal, 0x hexadecimal, 0 octal; from ``low`` to ``high``."""

    name = "number"

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        digits = text.removeprefix("-")
        try:
            if not digits.isascii() or not digits[:1].isdigit() or "_" in digits:
                raise ValueError
            number = int(digits, 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10)
        except ValueError:
            self.fail(f"{str(value)!r} is no number.", param, ctx)
        number = number if digits == text else -number
        if not self.low <= number <= self.high:
            self.fail(f"{number} is not between {self.low} and {self.high}.", param, ctx)
        return number


UINT = Parameter(0, (1 << 32) - 1)
BUFFER = Parameter(1, (1 << 22) - 32)  # kmalloc gives 4 MiB at most, and the module asks for a little more than this
MSECS = Parameter(-1, (1 << 31) - 1)
EXPONENT = Parameter(-1, 30)
THREADS = Parameter(1, 1000)


def module_option(name: str, kind: Parameter | None, help: str) -> Decorator:
    """An option for the module parameter ``name``, written with hyphens or with the underscores of the kernel."""
    names = [f"--{name.replace('_', '-')}"]
    if "_" in name:
        names.append(f"--{name}")
    if kind is None:
        return click.option(*names, name, is_flag=True, default=None, help=help)
    return click.option(*names, name, type=kind, metavar="N", help=help)


class TestLedger:
    """Records the transfers of a dmatest run in the ledgers of :mod:`hidma.machine.client`, as if the machine's client had
    made them, and checks each at the end of its test.

    :ivar problems: a sentence for each transfer that the driver or the hardware did not end well, by test
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.channels: dict[str, Channel] = {}
        self.last: dict[DmatestThread, Transfer] = {}
        self.problems: list[str] = []

    def submitted(self, thread: DmatestThread, tx: DmaAsyncTxDescriptor, cookie: int, dest: int, src: int,
                  length: int) -> None:
        from hidma.machine.client import Channel, Transfer
        from hidma.machine.ledger import PENDING

        chan = thread.chan
        channel = self.channels.get(chan.name)
        if channel is None:
            hw = self.machine.hw_channels[chan.container.dmadev.trca_resource.start]
            channel = self.channels[chan.name] = Channel(self.machine, chan, hw)
            self.machine.dma.requested[channel] = None
        transfer = Transfer(channel, dest, src, length, None)
        transfer.desc = tx.container
        transfer.cookie = cookie
        transfer.sequence, transfer.epoch = channel._numbers(tx, 1, len(channel._hw.epochs))[-1][1:]
        channel.open[transfer] = None
        channel._ledger[PENDING] += 1
        self.last[thread] = transfer
        callback = tx.callback

        def called(param: Any) -> None:
            transfer._done()
            if callback is not None:
                callback(param)

        called.__qualname__ = getattr(callback, "__qualname__", called.__qualname__)  # as traces are to call it
        tx.callback = called

    def tested(self, thread: DmatestThread) -> None:
        from hidma.machine.ledger import COMPLETED

        transfer = self.last[thread]
        done = thread.test_done.done
        transfer._settle()
        if not done or transfer.end != COMPLETED:
            outcome = transfer.channel._outcome(transfer.sequence, transfer.epoch)
            called = "" if thread.info.params.polled else " and called back" if done else " and did not call back"
            self.problems.append(f"{thread.task.name} test {thread.total_tests}: the driver says {transfer.driver}{called}, "
                            f"the hardware {outcome.end}{f': {outcome.cause}' if outcome.cause else ''}")

    def close(self) -> None:
        """Settle the transfers that are still open, as the machine's own client would."""
        for channel in self.channels.values():
            channel._look_now(channel._settle_all)

    def release(self) -> None:
        for channel in self.channels.values():
            channel.released = True
            self.machine.dma.released(channel)

    def counts(self) -> dict[str, dict[str, int]]:
        """By channel, how many transfers ended how."""
        return {name: dict(channel._ledger) for name, channel in self.channels.items()}

    def incomplete(self) -> int:
        """Number of transfers that did not complete."""
        from hidma.machine.ledger import COMPLETED

        return sum(count for channel in self.channels.values() for end, count in channel._ledger.items()
                   if end != COMPLETED)


@contextmanager
def progress(total: int, done: Callable[[], int]) -> Iterator[None]:
    """A progress bar on a terminal; elsewhere a line on stderr every five seconds.

    A Python thread polls ``done()``; the machine is not affected.
    """
    over = threading.Event()

    def lines() -> None:
        while not over.wait(5):
            click.echo(f"hidma: {done()} of {total} tests", err=True)

    def bar() -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        with Progress(TextColumn("dmatest"), BarColumn(), MofNCompleteColumn(), TextColumn("tests"),
                      TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task("", total=total)
            while not over.wait(0.1):
                shown.update(task, completed=done())
            shown.update(task, completed=done())

    thread = threading.Thread(target=bar if sys.stderr.isatty() else lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Tests:
    """One run of the module on a machine.

    :ivar threads: what each of its threads counted
    :ivar oops: what stopped the kernel meanwhile
    :ivar first: where the run begins in the kernel log
    """

    def __init__(self, machine: Machine, iterations: int) -> None:
        self.machine = machine
        self.iterations = iterations
        self.ledger = TestLedger(machine)
        self.threads: list[DmatestThread] = []
        self.oops: KernelOops | None = None
        self.first = len(machine.kernel.log)

    def run(self, channels: Sequence[str], parameters: dict[str, str], quiet: bool) -> None:
        """Load the module, add ``channels`` (without one: any), start, wait for the end, unload."""
        from hidma.linux import dmatest as module
        from hidma.linux.module import load_module, unload_module
        from hidma.machine.boot import KernelOops, os_error

        try:
            with self.machine.running() as kernel:
                rc = load_module(kernel, module.module, parameters)
                if rc:
                    raise os_error(rc, f"dmatest was not loaded: {kernel.log[-1].text}")
                info = module.test_info()
                info.observer = self.ledger
                for name in channels or ("",):
                    rc = module.dmatest_chan_set(name)
                    if rc:
                        of = f" of {parameters['device']}" if "device" in parameters else ""
                        raise os_error(rc, f"dmatest gets no channel {name}{of}")
                self.threads = [thread for dtc in info.channels for thread in dtc.threads]
                total = self.iterations * len(self.threads)
                with nullcontext() if quiet else progress(total, lambda: sum(t.total_tests for t in self.threads)):
                    module.dmatest_run_set("1")
                    module.dmatest_wait_get()
                self.ledger.close()
                if not module.is_threaded_test_run(info):
                    unload_module(kernel, "dmatest")
                    self.ledger.release()
        except KernelOops as oops:
            self.oops = oops

    def problems(self) -> list[str]:
        """The problems found, a sentence each; empty when the test passed."""
        from hidma.linux.errno import errname

        said = []
        for thread in self.threads:
            name = thread.task.name
            if thread.done and thread.ret:
                said.append(f"{name} ended with {thread.ret} ({errname(thread.ret)}) after {thread.total_tests} tests")
            elif not thread.done and self.oops is None:
                said.append(f"{name} waits for ever in test {thread.total_tests}, whose time-out is infinite")
            elif thread.done and thread.total_tests < self.iterations:
                said.append(f"{name} made {thread.total_tests} of {self.iterations} tests")
        tests = sum(thread.total_tests for thread in self.threads)
        failures = sum(thread.failed_tests for thread in self.threads)
        first = f"; the first: {self.ledger.problems[0]}" if self.ledger.problems else ""
        if failures:
            said.append(f"{failures} of {tests} tests failed{first}")
        elif self.ledger.incomplete() and not said and self.oops is None:
            said.append(f"dmatest saw no failure, but {self.ledger.incomplete()} of {tests} transfers did not end "
                        f"well{first}")
        if self.oops is not None:
            said.append(oops_sentence(self.oops))
        reported = errors(self.machine.kernel.log[self.first :])
        if reported and self.threads and not failures and self.oops is None:
            said.append(f"the kernel log has {plural(len(reported), 'error')}; the first: {reported[0]}")
        return said

    def as_json(self) -> list[dict[str, Any]]:
        from hidma.linux.dmatest import FIXPT_TO_INT, dmatest_KBs, dmatest_persec

        rows = []
        for thread in self.threads:
            usecs = thread.runtime // 1000
            iops = dmatest_persec(usecs, thread.total_tests)
            rows.append({"name": thread.task.name, "channel": thread.chan.name, "device": thread.chan.device.dev.name,
                         "tests": thread.total_tests, "failures": thread.failed_tests,
                         "iops": FIXPT_TO_INT(iops * 100) / 100, "KBs": dmatest_KBs(usecs, thread.total_len),
                         "rc": thread.ret, "done": thread.done, "bytes": thread.total_len,
                         "virtual_ns": thread.runtime})
        return rows


@click.command(epilog="Exit status: 0 when every test passed, 1 when one failed or could not run, 2 for a wrong "
               "command line, board or fault.")
@machine_options
@click.option("--channel", multiple=True, metavar="NAME",
              help="A channel to test, such as dma0chan0; may be repeated. Default: all.")
@click.option("--device", metavar="NAME", help="Only channels of this device, such as hidma.0.")
@module_option("iterations", UINT, f"Tests of each thread. 0, the module's default, is for ever: {ITERATIONS} here.")
@module_option("threads_per_chan", THREADS, "Threads for each channel (default 1).")
@module_option("max_channels", UINT, "Channels to use at most (default 0: all).")
@module_option("test_buf_size", BUFFER, "Bytes of each buffer, to just below 4 MiB (default 16384).")
@module_option("transfer_size", UINT, "Bytes of every transfer, less than the buffer (default 0: random).")
@module_option("alignment", EXPONENT, "Lengths and offsets are multiples of 2^N (default -1: as the driver asks, 8).")
@module_option("timeout", MSECS, "Milliseconds of virtual time to wait for a transfer, -1 for ever (default 3000).")
@module_option("noverify", None, "Do not compare the data.")
@module_option("norandom", None, "Whole buffers, no random lengths and offsets.")
@module_option("verbose", None, "A line for each test that passes.")
@module_option("polled", None, "Poll for completion instead of being called back.")
@module_option("dmatest", UINT, "0 tests memcpy, which is all that V14 has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the lines.")
@click.option("--dmesg", "whole", is_flag=True, help="Print the kernel log from power-on, not from the test on.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def dmatest(ctx: click.Context, board: str, fault: tuple[str, ...], instant: bool, seed: int, interpreted: bool,
            channel: tuple[str, ...], device: str | None, as_json: bool, whole: bool, quiet: bool,
            **options: int | bool | None) -> int:
    """Run the kernel's DMA test on the channels of a board.

    The test is the module dmatest of Linux 6.1: each thread fills two buffers with patterns, lets its channel copy a
    random part of one into the other, and compares every byte. Its parameters are options here, and its lines are
    printed as dmesg shows them, times being virtual.
    """
    iterations = int(options["iterations"] or ITERATIONS)
    options["iterations"] = iterations
    if options["dmatest"]:
        raise click.UsageError("V14's driver has no memset (row 19), so --dmatest takes 0 only, which is memcpy.")
    size = options["test_buf_size"] or 16384
    if (options["transfer_size"] or 0) >= size:
        raise click.UsageError(f"--transfer-size {options['transfer_size']} must be less than the buffer of {size} "
                               "bytes (--test-buf-size).")
    if interpreted:
        interpret(ctx)

    from hidma.machine.boot import KernelOops

    parameters = {name: str(int(value)) for name, value in options.items() if value is not None}
    if device is not None:
        parameters["device"] = device
    shown = {"board": board, "mode": "compiled" if _mode.compiled() else "interpreted", "seed": seed,
             "instant": instant, "faults": list(fault), "channels": list(channel), "parameters": parameters}
    try:
        machine = boot(board, fault, instant, seed)
    except KernelOops as oops:
        if as_json:
            click.echo(json.dumps({
                **shown, "passed": False, "problems": [oops_sentence(oops)], "threads": [], "ledger": {},
                "virtual_ns": None, "notes": [], "dmesg": boot_log(oops).splitlines()}, indent=2))
        elif not quiet:
            click.echo(boot_log(oops), nl=False)
        print_error(oops_sentence(oops))
        return FAILED

    with machine:
        tests = Tests(machine, iterations)
        names = machine.dma.names()
        problems = missing(machine, names, bool(channel or device or options["max_channels"]))
        if names:
            check_names(machine, names, channel, device)
            tests.run(channel, parameters, quiet)
        else:
            tests.first = 0
        problems = [*tests.problems(), *problems]
        log = printed(machine.kernel.log, 0 if whole else tests.first)
        if as_json:
            click.echo(json.dumps({
                **shown, "passed": not problems, "problems": problems, "threads": tests.as_json(),
                "ledger": tests.ledger.counts(), "virtual_ns": machine.now, "notes": machine.notes,
                "dmesg": log}, indent=2))
        elif not quiet:
            click.echo("".join(f"{line}\n" for line in log), nl=False)
        for sentence in problems[:10]:
            print_error(sentence)
    return FAILED if problems else 0


def missing(machine: Machine, names: Sequence[str], chosen: bool) -> list[str]:
    """A sentence when some channels of the board have no driver, unless the caller selected from the others."""
    wanted = len(machine.board.channels)
    if len(names) == wanted != 0 or (names and chosen):
        return []
    why = machine.notes or errors(machine.kernel.log)[:1] or ["the kernel log (--dmesg) may say why"]
    return [f"{len(names) or 'none'} of the board's {plural(wanted, 'channel')} came up: {' '.join(why)}"]


def check_names(machine: Machine, names: Sequence[str], channels: Sequence[str], device: str | None) -> None:
    """Check before the test that the named channels and the device exist."""
    devices = [name for name, driver in machine.devices() if driver == "hidma"]
    if device is not None and device not in devices:
        raise click.UsageError(f"there is no DMA device {device!r} on this board; there are {', '.join(devices)}.")
    for name in channels:
        if name not in names:
            raise click.UsageError(f"there is no channel {name!r} on this board; there are {', '.join(names)}.")
        if channels.count(name) > 1:
            raise click.UsageError(f"--channel {name} is given twice.")
