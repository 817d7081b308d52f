# SPDX-License-Identifier: GPL-2.0-only
"""The command line: ``hidma COMMAND``. It stands for no C file; it boots machines and shows what they say.

Commands are found by name in :data:`COMMANDS` and imported when they are called for, so that a start costs no more
than it must. Exit status: 0, 1 when what was asked for failed, 2 when it could not be begun (usage, firmware, fault
texts), 130 after Ctrl-C. An error is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hidma import __version__
from hidma.machine import _mode

if TYPE_CHECKING:
    from hidma.linux.dmaengine import DmaAsyncTxDescriptor
    from hidma.linux.dmatest import DmatestThread
    from hidma.linux.printk import LogLine
    from hidma.machine.boot import KernelOops, Machine
    from hidma.machine.client import Channel, Transfer

    NumberType = click.ParamType[int]
else:
    NumberType = click.ParamType

FAILED = 1
UNUSABLE = 2
STOPPED = 130
BROKEN_PIPE = 141

ITERATIONS = 100


class Lazy(NamedTuple):
    """A command that is imported when somebody wants it: ``module:object``, and its line in ``hidma --help``."""

    place: str
    help: str


COMMANDS: dict[str, Lazy] = {
    "dmatest": Lazy("hidma.commands.main:dmatest", "Run the kernel's DMA test on the channels of a board."),
    "dmesg": Lazy("hidma.commands.main:dmesg", "Boot a board and print the kernel log."),
    "boards": Lazy("hidma.commands.main:boards", "Show the bundled boards, and what --board takes."),
    "shell": Lazy("hidma.commands.shell.app:command",
                  "Open a shell on a booted board: /sys, /proc, debugfs, modprobe, dmatest."),
    "mount": Lazy("hidma.commands.mount:mount", "Mount the files of a booted board on a directory."),
    "qos": Lazy("hidma.commands.qos:qos", "Show how weight and priority share the bus, while sysfs changes them."),
    "abi": Lazy("hidma.commands.abi.cli:abi", "Look up and check the documentation of every file of the tree."),
    "assign": Lazy("hidma.commands.assign:assign", "Give a channel to a guest, step by step."),
    "reset-plugins": Lazy("hidma.commands.reset_plugins:reset_plugins",
                          "Reset functions of devices that are given to guests: list, explain, check, new."),
    "qemu": Lazy("hidma.commands.qemu.cli:qemu", "Boot a real Linux in QEMU, with its own driver on the model."),
    "trace": Lazy("hidma.commands.trace.cli:trace", "Run something and show what happened: text, Perfetto, waves, a diagram."),
    "step": Lazy("hidma.commands.step.cli:step", "Run something one register access or interrupt at a time, forward and back."),
    "portmap": Lazy("hidma.commands.portmap.cli:portmap", "Show where everything of the C files stands in the port."),
    "sidebyside": Lazy("hidma.commands.sidebyside.cli:sidebyside", "Write pages with your C files beside the port."),
    "faults": Lazy("hidma.commands.main:faults", "Show the faults that can be injected, and how they are written."),
    "info": Lazy("hidma.commands.main:info", "Show version, mode and what is installed."),
}


class LazyGroup(click.Group):
    """A group whose commands stand in :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        lazy = COMMANDS.get(name)
        if lazy is None:
            return None
        module, _, attribute = lazy.place.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            why = f"{name} needs the Python module {error.name}, which is not installed."
            raise click.ClickException(why) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="hidma %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> int:
    """The Qualcomm HIDMA driver series of Linux (V14) in Python, on a model of the hardware."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


def complain(sentence: str) -> None:
    """One line on stderr."""
    click.echo("hidma: " + " ".join(sentence.split()), err=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param argv: arguments without the program's name; those of the process when it is left out
    :returns: the exit status
    """
    if argv is None:
        take_signals()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            with cli.make_context("hidma", list(arguments), obj=arguments) as ctx:
                code = cli.invoke(ctx)
        except click.exceptions.Exit as end:
            code = end.exit_code
        sys.stdout.flush()
        return int(code or 0)
    except click.ClickException as error:
        message = error.format_message()
        complain(message[:1].lower() + message[1:] if message[1:2].islower() else message)
        return UNUSABLE
    except KeyboardInterrupt:
        complain("stopped")
        return STOPPED
    except BrokenPipeError:  # whoever read has gone
        forsake_stdout()
        return BROKEN_PIPE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
        forsake_stdout()
        return UNUSABLE


def take_signals() -> None:
    """Let this process be stopped, whatever the signal state that it inherited.

    A blocked signal is nobody's wish. An ignored SIGINT is how a shell starts what shall go on in the background; on a
    terminal in the foreground it is a leftover as well.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        with suppress(OSError, ValueError):
            if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
                signal.signal(signal.SIGINT, signal.default_int_handler)


def forsake_stdout() -> None:
    """Python flushes stdout once more when it ends; what cannot be written then is not to be complained about again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- options that several commands share ------------------------------------------------------------------------------

Decorator = Callable[[Any], Any]


def machine_options(command: Any) -> Any:
    """What describes a machine: --board, --fault, --instant, --seed, --interpreted."""
    options: list[Decorator] = [
        click.option("--board", default="host", metavar="FILE|NAME", show_default=True,
                     help="A .dtb or .aml, a .dts (dtc) or .asl (iasl), or a bundled board (see hidma boards)."),
        click.option("--fault", "fault", multiple=True, metavar="TEXT",
                     help="A fault to inject from power-on (see hidma faults); may be repeated."),
        click.option("--instant", is_flag=True, help="Let the hardware's work cost no virtual time."),
        click.option("--seed", default=0, show_default=True, metavar="N",
                     help="Decides the random numbers, and who goes first among CPUs at the same moment."),
        click.option("--interpreted", is_flag=True, help="Run the Python sources, not the compiled modules."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def interpret(ctx: click.Context) -> None:
    """Become the same command with the sources, unless they run already. Does not return when it does."""
    if _mode.asked or not _mode.compiled():
        return
    sys.stdout.flush()
    # the options that decide what an interpreter imports; -P unless the working directory is where hidma lies
    flags = [flag for name, flag in (("isolated", "-I"), ("no_user_site", "-s"), ("ignore_environment", "-E"))
             if getattr(sys.flags, name)]
    if sys.flags.safe_path or not os.path.samefile(os.path.dirname(os.path.dirname(_mode.__file__)), os.getcwd()):
        flags.append("-P")
    os.environ["HIDMA_INTERPRETED"] = "1"
    os.execv(sys.executable, [sys.executable, *flags, "-m", "hidma", *ctx.find_root().obj])


# --- dmatest ----------------------------------------------------------------------------------------------------------


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
    """Observes a dmatest: its transfers go into the ledgers of :mod:`hidma.machine.client`, as if the machine's client had made
    them, and each is looked at when its test is over.

    :ivar bad: a sentence for each transfer that the driver or the hardware did not end well, by test
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.channels: dict[str, Channel] = {}
        self.last: dict[DmatestThread, Transfer] = {}
        self.bad: list[str] = []

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
            transfer._done(None)
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
            self.bad.append(f"{thread.task.name} test {thread.total_tests}: the driver says {transfer.driver}{called}, "
                            f"the hardware {outcome.end}{f': {outcome.cause}' if outcome.cause else ''}")

    def close(self) -> None:
        """The test is over: what is still open ends as it would have for the machine's own client."""
        for channel in self.channels.values():
            channel._look_now(channel._settle_all)

    def release(self) -> None:
        """The channels are given back."""
        for channel in self.channels.values():
            channel.released = True
            self.machine.dma.released(channel)

    def counts(self) -> dict[str, dict[str, int]]:
        """By channel, how many transfers ended how."""
        return {name: dict(channel._ledger) for name, channel in self.channels.items()}

    def unwell(self) -> int:
        """How many transfers did not end well."""
        from hidma.machine.ledger import COMPLETED

        return sum(count for channel in self.channels.values() for end, count in channel._ledger.items()
                   if end != COMPLETED)


@contextmanager
def progress(total: int, done: Callable[[], int]) -> Iterator[None]:
    """A bar on a terminal; elsewhere a line on stderr every few seconds, for those who wait long.

    A thread of Python looks at ``done()``: the machine does not know that anybody does, and runs as ever.
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
        """What went wrong, a sentence each; nothing when the test passed."""
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
        first = f"; the first: {self.ledger.bad[0]}" if self.ledger.bad else ""
        if failures:
            said.append(f"{failures} of {tests} tests failed{first}")
        elif self.ledger.unwell() and not said and self.oops is None:
            said.append(f"dmatest saw no failure, but {self.ledger.unwell()} of {tests} transfers did not end "
                        f"well{first}")
        if self.oops is not None:
            said.append(oops_sentence(self.oops))
        reported = errors(self.machine.kernel.log[self.first :])
        if reported and self.threads and not failures and self.oops is None:
            said.append(f"the kernel log has {plural(len(reported), 'error')}; the first: {reported[0]}")
        return said

    def as_json(self) -> list[dict[str, Any]]:
        """What each thread reported."""
        from hidma.linux.dmatest import FIXPT_TO_INT, dmatest_KBs, dmatest_persec

        rows = []
        for thread in self.threads:
            usecs = thread.runtime // 1000
            iops = dmatest_persec(usecs, thread.total_tests)
            rows.append({
                "name": thread.task.name,
                "channel": thread.chan.name,
                "device": thread.chan.device.dev.name,
                "tests": thread.total_tests,
                "failures": thread.failed_tests,
                "iops": FIXPT_TO_INT(iops * 100) / 100,
                "KBs": dmatest_KBs(usecs, thread.total_len),
                "rc": thread.ret,
                "done": thread.done,
                "bytes": thread.total_len,
                "virtual_ns": thread.runtime,
            })
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
        complain(oops_sentence(oops))
        return FAILED

    with machine:
        tests = Tests(machine, iterations)
        names = machine.dma.names()
        problems = missing(machine, names, bool(channel or device or options["max_channels"]))
        if names:
            refuse(machine, names, channel, device)
            tests.run(channel, parameters, quiet)
        else:
            tests.first = 0
        problems = [*tests.problems(), *problems]
        log = machine.kernel.log[0 if whole else tests.first :]
        if as_json:
            click.echo(json.dumps({
                **shown, "passed": not problems, "problems": problems, "threads": tests.as_json(),
                "ledger": tests.ledger.counts(), "virtual_ns": machine.now, "notes": machine.notes,
                "dmesg": printed(log)}, indent=2))
        elif not quiet:
            click.echo("".join(f"{line}\n" for line in printed(log)), nl=False)
        for sentence in problems[:10]:
            complain(sentence)
    return FAILED if problems else 0


def boot(board: str, faults: Sequence[str], instant: bool, seed: int) -> Machine:
    """A machine, as the options describe it."""
    import hidma

    text = ";".join(fault or " " for fault in faults)
    machine: Machine = hidma.boot(board, instant=instant, seed=seed, faults=text or None)
    return machine


def oops_sentence(oops: KernelOops) -> str:
    """One sentence on a kernel that stopped; its log says the same at length."""
    row = f" (row {oops.row} of docs/quirks)" if oops.row is not None else ""
    return f"the kernel stopped: {oops.message}{row}"


def boot_log(oops: KernelOops) -> str:
    """The log of a kernel that stopped while it booted."""
    return "".join(getattr(oops, "__notes__", []))


def errors(log: Sequence[LogLine]) -> list[str]:
    """What the kernel log has of errors, each once."""
    from hidma.linux.printk import KERN_ERR

    return list(dict.fromkeys(line.text for line in log if line.level <= KERN_ERR))


def missing(machine: Machine, names: Sequence[str], chosen: bool) -> list[str]:
    """That no driver took some of the board's channels, and why; no matter when the caller chose among those there."""
    wanted = len(machine.board.channels)
    if len(names) == wanted != 0 or (names and chosen):
        return []
    why = machine.notes or errors(machine.kernel.log)[:1] or ["the kernel log (--dmesg) may say why"]
    return [f"{len(names) or 'none'} of the board's {plural(wanted, 'channel')} came up: {' '.join(why)}"]


def printed(log: Sequence[LogLine]) -> list[str]:
    """Lines as dmesg prints them; of the same text many times over, the first and how often it came again."""
    lines: list[str] = []
    text, again = "", 0
    for line in [*log, None]:
        if line is not None and line.text == text:
            again += 1
            last = line
            continue
        if again:
            lines.append(str(last) if again == 1 else str(replace(last, text=f"last message repeated {again} times")))
        if line is not None:
            lines.append(str(line))
            text, again = line.text, 0
    return lines


def refuse(machine: Machine, names: Sequence[str], channels: Sequence[str], device: str | None) -> None:
    """Channels and devices that are not there, before the test begins."""
    devices = [name for name, driver in machine.devices() if driver == "hidma"]
    if device is not None and device not in devices:
        raise click.UsageError(f"there is no DMA device {device!r} on this board; there are {', '.join(devices)}.")
    for name in channels:
        if name not in names:
            raise click.UsageError(f"there is no channel {name!r} on this board; there are {', '.join(names)}.")
        if channels.count(name) > 1:
            raise click.UsageError(f"--channel {name} is given twice.")


# --- what there is ----------------------------------------------------------------------------------------------------


@click.command()
@machine_options
@click.pass_context
def dmesg(ctx: click.Context, board: str, fault: tuple[str, ...], instant: bool, seed: int, interpreted: bool) -> int:
    """Boot a board, with the drivers, and print the kernel log.

    Below it stands what is remarkable about the firmware: why V14 binds no driver to a channel, for instance.
    """
    if interpreted:
        interpret(ctx)

    from hidma.machine.boot import KernelOops

    try:
        machine = boot(board, fault, instant, seed)
    except KernelOops as oops:
        click.echo(boot_log(oops), nl=False)
        complain(oops_sentence(oops))
        return FAILED
    with machine:
        click.echo("".join(f"{line}\n" for line in printed(machine.kernel.log)), nl=False)
        for note in machine.notes:
            click.echo(f"note: {note}")
    return 0


@click.command()
@click.argument("board", nargs=-1, metavar="[FILE|NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def boards(board: tuple[str, ...], as_json: bool) -> int:
    """Show what a board consists of: those that come with hidma, or those that are named.

    Wherever a command takes --board, it takes the name of a bundled board, a device tree blob (.dtb), ACPI tables (.aml),
    or the source of one (.dts, .asl; the compiler dtc or iasl must be installed). A bundled name wins over a file of that
    name; ./host is the file.
    """
    from hidma import firmware

    rows: list[dict[str, Any]] = []
    for name in board or firmware.BOARDS:
        tree = firmware.load(name)
        described = firmware.describe(tree)
        rows.append({
            "name": name,
            "model": firmware.model(tree),
            "cpus": described.cpus,
            "memory": [{"base": region.base, "size": region.size} for region in described.memory],
            "management": [management.path for management in described.managements],
            "channels": [channel.path for channel in described.channels],
            "iommus": [iommu.path for iommu in described.iommus],
            "notes": [*firmware.check(tree), *firmware.explain_unbound(described)],
        })
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        click.echo(f"{row['name']}: {row['model']}")
        ram = ", ".join(f"{region['size'] >> 20} MiB at {region['base']:#x}" for region in row["memory"])
        click.echo(f"    {plural(row['cpus'], 'CPU')}, {ram}")
        for what in ("management", "channels", "iommus"):
            click.echo(f"    {what}: {', '.join(row[what]) or 'none'}")
        for note in row["notes"]:
            click.echo(textwrap.fill(note, 100, initial_indent="    note: ", subsequent_indent="        "))
    if not board:
        click.echo("\n--board takes one of these names, a .dtb or .aml, a .dts (through dtc) or .asl (through iasl).")
    return 0


def plural(count: int, noun: str) -> str:
    """``1 CPU``, ``8 CPUs``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def faults(as_json: bool) -> int:
    """Show the faults that --fault can inject.

    A fault is written KIND[:ARGUMENT][:WHEN][@chanN]; several are separated by semicolons, or --fault is repeated.
    """
    from hidma.hw.faults import KINDS, SHAPE, WHEN_HELP

    if as_json:
        click.echo(json.dumps([asdict(kind) for kind in KINDS], indent=2))
        return 0
    rows = [("KIND", "EXAMPLE", "WHEN COUNTS", "WHAT HAPPENS")]
    for kind in KINDS:
        rows.append((kind.name, kind.example, kind.counts, kind.description))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))
    stuck = ", ".join(kind.name for kind in KINDS if kind.every)
    click.echo(f"\nA fault is written {SHAPE}, several of them are separated by semicolons.\n"
               f"WHEN: {WHEN_HELP}.\n"
               f"Without WHEN it is the first, and every one for {stuck}.\n"
               "@chanN: only channel N of the core; without it the occurrences on all channels are counted together.")
    return 0


OPTIONAL = (
    ("numpy", "numpy", "arrays of addresses and buffers as numpy arrays"),
    ("tree-sitter-c", "tree_sitter_c", "reading your C files (hidma portmap, hidma sidebyside)"),
    ("unidiff", "unidiff", "reading the series as patches"),
    ("pyvcd", "vcd", "waves (hidma trace --format vcd)"),
    ("textual", "textual", "the full screen of hidma step"),
    ("Cython", "Cython", "compiling the hot modules"),
)
PROGRAMS = (
    ("dtc", "boards as .dts"),
    ("iasl", "boards as .asl"),
    ("gcc", "compiling the hot modules"),
    ("qemu-system-aarch64", "guests with a real kernel"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def info(as_json: bool) -> int:
    """Show version, mode and what is installed."""
    import shutil
    from importlib.util import find_spec

    from hidma.firmware import BOARDS

    modules = list(_mode._modules())
    facts: dict[str, Any] = {
        "version": __version__,
        "mode": _mode.why(),
        "compiled": _mode.compiled(),
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "extension_modules": sum(there for _, there in modules),
        "extension_modules_meant": len(modules),
        "boards": list(BOARDS),
        "optional": {name: find_spec(module) is not None for name, module, _ in OPTIONAL}
        | {name: shutil.which(name) is not None for name, _ in PROGRAMS},
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return 0
    click.echo(f"hidma {facts['version']}")
    click.echo(f"mode: {facts['mode']}")
    click.echo(f"Python: {facts['python']} ({facts['executable']})")
    click.echo(f"extension modules: {facts['extension_modules']} of {facts['extension_modules_meant']}")
    click.echo(f"boards: {', '.join(BOARDS)}")
    for name, purpose in [*((name, purpose) for name, _, purpose in OPTIONAL), *PROGRAMS]:
        click.echo(f"{name}: {'there' if facts['optional'][name] else 'not there'}, for {purpose}")
    return 0
