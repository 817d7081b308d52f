# SPDX-License-Identifier: GPL-2.0-only
"""What proves a reset plugin, for its author and for ``hidma reset-plugins check``: a device model, a small machine to run a
reset function on, and the kit of checks. It stands for no C file. It is stable for plugins, as ``hidma.hookspecs`` is.

In a plugin's own tests (pytest collects the inherited checks)::

    from hidma.testing import ResetPluginTests
    import acme_reset

    class TestAcme(ResetPluginTests):
        plugin = acme_reset

Each check runs in a process of its own, with a limit on its time, so that a reset function that hangs, exits or crashes fails one
check and the next one runs.

A plugin that imports this module, ``hidma.linux`` or ``hidma.vfio_platform`` is bound by GPL-2.0-only, as they are.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hidma.hw import registers as hw
from hidma.hw.bus import Block, Bus
from hidma.hw.channel import Channel
from hidma.hw.clock import Clock
from hidma.hw.core import HidmaCore
from hidma.hw.device import DeviceModel, Region, Row
from hidma.hw.faults import parse
from hidma.hw.line import Line
from hidma.hw.memory import Memory
from hidma.hw.smmu import Smmu, Stream
from hidma.hw.trace import Trace
from hidma.hw.xgbe import Xgbe
from hidma.hw.xgmac import Xgmac
from hidma.linux import sched
from hidma.linux.device import Device
from hidma.linux.dma_mapping import DmaOps
from hidma.linux.errno import errname
from hidma.linux.kernel import Kernel
from hidma.linux.sched import KernelOops
from hidma.linux.slab import Array
from hidma.plugin.hookspecs import hookimpl
from hidma.plugin.loading import Plugin, held, is_errno, plugin
from hidma.plugin.sources import NAMED, PluginError, Source, in_one_line, quiet
from hidma.plugin.watchdog import NeverEnds
from hidma.vfio_platform import VFIO_PLATFORM_REGION_TYPE_MMIO, ResetModule, VfioPlatformDevice, VfioPlatformRegion

__all__ = ["CHECKS", "Bench", "DeviceModel", "HidmaChannelModel", "Region", "ResetPluginTests", "Result", "Row", "Xgbe",
           "Xgmac", "check", "hookimpl"]

RAM = 0x8000_0000
RAM_SIZE = 1 << 20
BUFFER = RAM + 0x80000
REGISTERS = 0x1000_0000
IRQ = 40

#: A reset that takes longer than this (virtual time), or more accesses, does not end.
LONGEST_NS = 60_000_000_000
MOST_ACCESSES = 100_000
#: How long the device is watched after the reset has returned.
WATCH_NS = 5_000_000
#: Seconds of processor time that one check may take, and how many times as long it may take in all.
CHECK_S = 10.0
REAL_TIME_FACTOR = 6


class HidmaChannelModel(DeviceModel):
    """A HIDMA channel as a device of its own: TRCA and EVCA. Its traffic is a ring of copies that it works off without end;
    it is stuck when neither side ends its reset."""

    name = "hidma"
    sizes = (0x1000, 0x1000)
    registers = ((), ())

    def place(self, bus: Bus, bases: list[int], line: Line, stream: Stream) -> list[Block]:
        self.bus, self.line, self.stream = bus, line, stream
        core = HidmaCore(bus, Smmu(bus), channels=1)
        self.channel: Channel = core.add_channel(0, bases[0], bases[1], line, stream)
        if self.stuck:
            parse("reset-stuck:trca; reset-stuck:evca").attach([self.channel])
        self.regions = [self.channel.trca, self.channel.evca]
        return self.regions

    def running(self) -> bool:
        return True

    def beat(self) -> None:
        """Its own engine moves the data."""

    def start_traffic(self, address: int) -> None:
        # 63 copies of 64 KiB: about half a millisecond
        view = self.bus.memory.slice(address, 0x2000)
        entries = 64
        for number in range(entries):
            words = (hw.TRE_MEMCPY | hw.TRE_IEOB, 0x10000, address + 0x10000, 0, address + 0x20000, 0, 0, 0)
            view[32 * number : 32 * number + 32] = b"".join(word.to_bytes(4, "little") for word in words)
        trca, evca = self.regions
        for block, ring, length in ((trca, address, 32 * entries), (evca, address + 0x1000, 16 * entries)):
            block.write32(hw.RING_LOW, ring & 0xFFFFFFFF)
            block.write32(hw.RING_HIGH, ring >> 32)
            block.write32(hw.RING_LEN, length)
        evca.write32(hw.INTCTRL, hw.DELIVER_LINE)
        evca.write32(hw.IRQ_EN, 0x4E03)
        evca.write32(hw.CTRLSTS, hw.ENABLE << 16)
        trca.write32(hw.CTRLSTS, hw.ENABLE << 16)
        trca.write32(hw.DOORBELL, 32 * (entries - 1))


class Bench:
    """A small machine with one device, and the ``struct vfio_platform_device`` that a reset function gets.

    :param model: the device
    :param regions: how many regions the device shows, in place of those that it has

    Use it as a context: inside, the caller runs on the CPU of its kernel.
    """

    def __init__(self, model: DeviceModel, regions: int | None = None) -> None:
        self.model = model
        self.clock = Clock()
        self.memory = Memory(RAM, RAM_SIZE)
        self.bus = Bus(self.clock, self.memory, Trace(self.clock))
        self.smmu = Smmu(self.bus)
        self.stream = self.smmu.stream(1, model.name)
        self.line = Line(IRQ, model.name)
        self.kernel = Kernel("bench", self.bus, 1)
        self.kernel.dma_ops = DmaOps(self.memory)
        bases = []
        base = REGISTERS
        for size in model.sizes:
            bases.append(base)
            base += max(0x10000, (size + 0xFFFF) & ~0xFFFF)
        model.place(self.bus, bases, self.line, self.stream)
        self.accesses = 0
        count = len(bases) if regions is None else regions
        self.vdev = VfioPlatformDevice()
        self.vdev.name = model.name
        self.vdev.device = Device(model.name)
        self.vdev.regions = Array(VfioPlatformRegion() for _ in range(count))
        self.vdev.num_regions = count
        for region, start, size in zip(self.vdev.regions, bases, model.sizes, strict=False):
            region.addr, region.size, region.type = start, size, VFIO_PLATFORM_REGION_TYPE_MMIO
        for extra in range(len(bases), count):
            region = self.vdev.regions[extra]
            region.addr, region.size, region.type = base + 0x10000 * extra, 0x1000, VFIO_PLATFORM_REGION_TYPE_MMIO

    def __enter__(self) -> Bench:
        self.kernel.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.kernel.close()

    @property
    def log(self) -> list[str]:
        """The kernel log."""
        return [line.text for line in self.kernel.log]

    def start_traffic(self) -> None:
        """Let the device work, and see that it does.

        :raises AssertionError: when it moves no data
        """
        self.model.start_traffic(BUFFER)
        before = self.snapshot()
        self.run(WATCH_NS // 50)
        if self.snapshot() == before:
            raise AssertionError(f"the model of {self.model.name} moves no data after start_traffic(), so that nothing can be "
                                 "proved on it")

    def snapshot(self) -> bytes:
        """All RAM: what the device could have written to."""
        return bytes(self.memory.view)

    def run(self, ns: int) -> None:
        """Let ``ns`` nanoseconds pass."""
        sched.schedule_timeout(ns)

    def call(self, reset: Callable[[VfioPlatformDevice], int]) -> int:
        """Call ``reset``; what it returns.

        :raises AssertionError: when it raises something, does not end, or returns no number
        """
        begun = self.clock.now
        accesses = 0

        def count(event: tuple[Any, ...]) -> None:
            nonlocal accesses
            if event[0] in ("read", "write"):
                accesses += 1
                if accesses > MOST_ACCESSES or self.clock.now - begun > LONGEST_NS:
                    raise AssertionError(f"the reset does not end: {accesses} register accesses in "
                                         f"{(self.clock.now - begun) / 1e9:.1f} s of virtual time, and it goes on")

        self.bus.trace.open(count)
        try:
            with quiet():
                rc: Any = reset(self.vdev)
        except KernelOops as oops:
            raise AssertionError(f"the reset stops the kernel: {in_one_line(oops)}") from oops
        except AssertionError:
            raise
        except NeverEnds as error:
            raise AssertionError(f"the reset: {in_one_line(error)}") from error
        except BaseException as error:
            raise AssertionError(f"the reset raises {in_one_line(error)}") from error
        finally:
            self.bus.trace.close()
        self.accesses += accesses
        if not is_errno(rc):
            raise AssertionError(f"the reset returns {rc!r} in place of 0 or a negative errno")
        return int(rc)

    def watch(self, why: str) -> None:
        """After the reset has returned nothing moves and the line is low.

        :raises AssertionError: when that is not so
        """
        before = self.snapshot()
        self.run(WATCH_NS)
        if self.snapshot() != before:
            raise AssertionError(f"the device goes on writing to memory after {why}")
        if self.line.level:
            raise AssertionError(f"the interrupt line is up after {why}")


@dataclass(frozen=True)
class Result:
    """How one check went: ``status`` is ``ok``, ``note`` (it holds, with something to know) or ``failed``."""

    name: str
    status: str
    text: str = ""


class Note(Exception):
    """A check that holds, with something to know."""


class Case:
    """What a check is given: the plugin's reset function and its device."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        assert plugin.declared is not None and plugin.declared.reset is not None and plugin.module is not None
        self.module = plugin.module
        self.reset: Callable[[VfioPlatformDevice], int] = plugin.declared.reset

    @contextmanager
    def bench(self, stuck: bool = False, regions: int | None = None) -> Iterator[Bench]:
        """A machine with the device."""
        with Bench(self.plugin.model(stuck), regions) as bench:
            yield bench

    def succeed(self, bench: Bench, when: str) -> None:
        """The reset returns 0."""
        rc = bench.call(self.reset)
        if rc:
            raise AssertionError(f"{when} the reset returns {said(rc)}")


def said(rc: int) -> str:
    """A return value, as a person reads it."""
    return f"-{errname(rc)}" if rc < 0 else str(rc)


def regions_are_mapped_when_they_are_not(case: Case) -> None:
    """The regions are not mapped when it is called first: it maps them, and leaves the mapping where VFIO finds it."""
    with case.bench() as bench:
        case.succeed(bench, "with regions that nobody has mapped")
        if not any(region.ioaddr for region in bench.vdev.regions):
            raise AssertionError("the reset leaves no mapping in region.ioaddr, so that VFIO cannot drop it again")
        if bench.accesses == 0:
            raise AssertionError("the reset touches no register")


def mapping_that_fails_is_an_error(case: Case) -> None:
    """The registers cannot be mapped: a negative errno."""
    with case.bench() as bench:
        bench.bus.blocks.clear()
        rc = bench.call(case.reset)
        if rc >= 0:
            raise AssertionError(f"the registers cannot be mapped, and the reset returns {said(rc)}; return "
                                 "-ENOMEM when ioremap() or ioremap_nocache() gives 0")


def wrong_number_of_regions_is_an_error(case: Case) -> None:
    """The device shows fewer regions than it has: a negative errno."""
    count = len(case.plugin.model().sizes)
    guard = case.module.reset
    assert guard is not None
    caught = False
    for regions in range(count):
        with case.bench(regions=regions) as bench:
            rc = guard(bench.vdev)
            caught |= any(str(case.plugin.source) in line for line in bench.log)
            if rc >= 0:
                raise AssertionError(f"with {regions} of {count} regions the reset returns {said(rc)}; look at "
                                     "vdev.num_regions first")
    with case.bench(regions=count + 1) as bench:
        rc = guard(bench.vdev)
        if rc == 0:
            bench.watch(f"a reset with {count + 1} regions")
    if caught:
        raise Note("only because hidma catches what the function raises there: it does not look at vdev.num_regions")


def traffic_is_stopped(case: Case) -> None:
    """The device is in the middle of its work: after the reset it writes nothing more, and its line is low."""
    with case.bench() as bench:
        bench.start_traffic()
        case.succeed(bench, "while data flows")
        bench.watch("a reset during traffic")


def second_reset_is_as_good(case: Case) -> None:
    """Twice in a row, and once more after new traffic."""
    with case.bench() as bench:
        case.succeed(bench, "the first time")
        case.succeed(bench, "the second time")
        bench.start_traffic()
        case.succeed(bench, "after new traffic")
        bench.watch("the third reset")


def stuck_device_is_given_up(case: Case) -> None:
    """The device never ends its reset: the function does all the same, with a negative errno or a line in the log."""
    with case.bench(stuck=True) as bench:
        with_traffic = True
        try:
            bench.start_traffic()
        except AssertionError:
            with_traffic = False
        before = len(bench.log)
        rc = bench.call(case.reset)
        if rc < 0:
            return
        if len(bench.log) > before:
            raise Note(f"it returns 0 and says: {bench.log[-1]}")
        state = "goes on writing to memory" if with_traffic and bench.model.running() else "never ends its reset"
        raise Note(f"it returns 0 and says nothing, although the device {state}")


def nothing_is_touched_beside_the_device(case: Case) -> None:
    """No access outside of the regions, of an odd width or alignment, and none with the kernel's log in complaint."""
    with case.bench() as bench:
        bench.start_traffic()
        refused = bench.bus.faults.count
        case.succeed(bench, "while data flows")
        if bench.bus.faults.count != refused:
            raise AssertionError(f"the bus refuses an access: {bench.bus.faults.records[-1]}")


def kernel_rules_are_kept(case: Case) -> None:
    """It leaves interrupts as they were and the kernel without a complaint."""
    with case.bench() as bench:
        case.succeed(bench, "at first")
        cpu = sched.running_cpu()
        if cpu.irqs_off or cpu.bh_off:
            raise AssertionError("the reset returns with interrupts or softirqs disabled")
        if held(bench.kernel):
            raise AssertionError(f"the reset returns with {held(bench.kernel)[0].name} held")
        complaints = [text for text in bench.log if text.startswith(("BUG", "WARNING", "INFO: possible"))]
        if complaints:
            raise AssertionError(f"the kernel complains: {complaints[0]}")


def registration_is_undone(case: Case) -> None:
    """The module registers the function when it is loaded, under what it says, and takes it back when it goes."""
    from hidma.linux.list import list_for_each_entry
    from hidma.vfio_platform import reset_list

    module = case.module
    with case.bench():
        module.init()
        nodes = [(node.compat, node.acpihid) for node in list_for_each_entry(reset_list())]
        if nodes != [(module.compat, module.acpihid)]:
            raise AssertionError(f"after loading, {nodes} are registered")
        assert module.exit is not None
        module.exit()
        if list(list_for_each_entry(reset_list())):
            raise AssertionError("the function is still registered after the module has gone")


#: The kit, in the order in which it is run.
CHECKS: tuple[Callable[[Case], None], ...] = (
    registration_is_undone,
    regions_are_mapped_when_they_are_not,
    mapping_that_fails_is_an_error,
    wrong_number_of_regions_is_an_error,
    traffic_is_stopped,
    second_reset_is_as_good,
    stuck_device_is_given_up,
    nothing_is_touched_beside_the_device,
    kernel_rules_are_kept,
)


def as_plugin(thing: Any) -> Plugin:
    """A :class:`hidma.plugin.loading.Plugin` of what implements the hooks: a module, an object, or a
    :class:`hidma.plugin.sources.Source`, which is imported.

    :raises PluginError: with what is wrong with it
    """
    if isinstance(thing, Plugin):
        return thing
    if isinstance(thing, Source):
        return plugin(thing)
    declared = getattr(thing, "module", None)
    name = getattr(thing, "__name__", type(thing).__name__)
    match = name
    if isinstance(declared, ResetModule):
        match = declared.compat or declared.acpihid or name
    return Plugin(Source(match, name, "no distribution", origin=NAMED), thing)


def opened(thing: Any) -> Plugin:
    """:func:`as_plugin`, with a model and a reset function to check.

    :raises PluginError: when it lacks one
    """
    found = as_plugin(thing)
    if not found.has_model:
        raise PluginError(f"{found.source} implements no hook hidma_device_model(), so that nothing can be proved: let it "
                          "return a hidma.testing.DeviceModel")
    if found.module is None:
        raise PluginError(f"{found.source} has no reset function to check")
    return found


def run_here(thing: Any, function: Callable[[Case], None]) -> Result:
    """One check, in this process."""
    name = function.__name__.replace("_", " ")
    try:
        function(Case(opened(thing)))
    except Note as note:
        return Result(name, "note", str(note))
    except (AssertionError, PluginError) as error:
        return Result(name, "failed", str(error))
    except BaseException as error:
        return Result(name, "failed", in_one_line(error))
    return Result(name, "ok")


def over_limit(*_: object) -> None:
    """SIGXCPU came."""
    raise NeverEnds("it does not end: its processor time is over")


def bounded(function: Callable[[], list[str]], seconds: float = CHECK_S) -> list[str]:
    """What ``function`` returns, run in a process of its own.

    :param seconds: how much processor time it may take; it may take :data:`REAL_TIME_FACTOR` times as long in all
    :raises PluginError: it raises an exception, takes longer, or its process ends in the middle of it
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of this process do not run in the new one
        child = os.fork()
    if not child:
        try:
            os.close(reading)
            os.dup2(2, 1)
            sys.stdout = sys.stderr
            signal.signal(signal.SIGXCPU, over_limit)
            limit = math.ceil(seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            try:
                said: dict[str, Any] = {"returns": function()}
            except BaseException as error:
                said = {"raises": str(error) if isinstance(error, PluginError) else in_one_line(error)}
            rest = json.dumps(said).encode()
            while rest:
                rest = rest[os.write(writing, rest):]
        finally:
            os._exit(0)
    os.close(writing)
    data = bytearray()
    end = time.monotonic() + REAL_TIME_FACTOR * seconds
    try:
        while select.select([reading], [], [], max(end - time.monotonic(), 0))[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                break
            data += part
        else:
            raise PluginError(f"it has not ended after {REAL_TIME_FACTOR * seconds:g} s: it waits in real time")
    finally:
        os.close(reading)
        ended, status = os.waitpid(child, 0 if data else os.WNOHANG)
        if not ended:
            time.sleep(0.01)  # its end of the pipe is closed a moment before it is gone
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
            raise PluginError(f"it has not ended after {seconds:g} s of processor time, and nothing but its process could be "
                              "ended") from None
        how = f"with status {os.waitstatus_to_exitcode(status)}" if os.WIFEXITED(status) else (
            f"by signal {os.WTERMSIG(status)} ({signal.Signals(os.WTERMSIG(status)).name})")
        raise PluginError(f"its process ends {how} in the middle of it") from None
    if "raises" in answer:
        raise PluginError(answer["raises"])
    returned: list[str] = answer["returns"]
    return returned


def run_check(thing: Any, function: Callable[[Case], None], seconds: float = CHECK_S, strict: bool = False) -> Result:
    """One check, in a process of its own.

    :param strict: whether a note is a failure
    """
    def run() -> list[str]:
        result = run_here(thing, function)
        return [result.name, result.status, result.text]

    try:
        result = Result(*bounded(run, seconds))
    except PluginError as error:
        result = Result(function.__name__.replace("_", " "), "failed", str(error))
    return replace(result, status="failed") if strict and result.status == "note" else result


def check(thing: Any, checks: Iterable[Callable[[Case], None]] = CHECKS, seconds: float = CHECK_S,
          strict: bool = False) -> list[Result]:
    """Run the kit on a plugin, each check in a process of its own.

    :param thing: a module that implements the hooks, a :class:`hidma.plugin.loading.Plugin`, or a
        :class:`hidma.plugin.sources.Source`, which is imported in those processes only
    :param seconds: how much processor time one check may take
    :param strict: whether a note is a failure
    :raises PluginError: when it cannot even be looked at, or brings no model of its device
    """
    try:
        bounded(lambda: [str(opened(thing).source)], seconds)
    except PluginError as error:
        name = "" if str(error).startswith(str(thing)) else f"{thing} cannot be looked at: "
        raise PluginError(f"{name}{error}") from None
    return [run_check(thing, each, seconds, strict) for each in checks]


class ResetPluginTests:
    """The kit as a class of tests for pytest: subclass it and set ``plugin`` to the module with the hooks."""

    plugin: Any = None
    strict: bool = False
    """Whether a note is a failure."""

    def run_check(self, function: Callable[[Case], None]) -> None:
        """One check."""
        result = run_check(self.plugin, function, strict=self.strict)
        assert result.status != "failed", result.text


def _add_tests() -> None:
    def make(function: Callable[[Case], None]) -> Callable[[ResetPluginTests], None]:
        def test(self: ResetPluginTests) -> None:
            self.run_check(function)

        test.__doc__ = function.__doc__
        return test

    for function in CHECKS:
        setattr(ResetPluginTests, f"test_{function.__name__}", make(function))


_add_tests()
