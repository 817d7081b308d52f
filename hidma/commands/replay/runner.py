# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario: the steps that all layers share, the list of events, and the comparison."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hidma.commands.replay.device import ScenarioError, ScriptedDevice, duration, number, rows, s32, shown, table, u32
from hidma.linux import sched
from hidma.linux.interrupt import IRQ_HANDLED, handle_irq
from hidma.linux.kernel import Kernel, is_kernel_fault
from hidma.linux.sched import KernelOops, as_oops
from hidma.quirks import ROWS, oops_row

CHANNEL_RESOURCES = [["trca", 0x5C050000, 0x1000], ["evca", 0x5C0B0000, 0x1000]]
MGMT_RESOURCES = [["mgmt", 0xF9984000, 0x15000]]
KEPT = frozenset((
    "pm", "dma_mask", "coherent", "alloc_fail", "request_irq", "free_irq", "dma_register", "dma_unregister", "debugfs",
    "debugfs_remove", "sysfs", "kobject", "log", "platform_device", "of_dma_configure", "driver_register",
    "module", "request_module", "iommu_group", "vfio_add_group_dev", "vfio_del_group_dev", "reset_fn", "ioremap",
    "iounmap", "remap_pfn_range"))


#: More than this and a scenario does not end.
MOST_EVENTS = 200_000


#: Options of steps that are texts, and what they may be.
TEXTS: dict[str, Any] = dict.fromkeys(("as", "compat", "acpihid", "hid", "name"), str | None) | {"cb": str | bool | None}


@dataclass(frozen=True)
class Scenario:
    """One file: what to do, and what happened when it was recorded."""

    path: str
    scenario: dict[str, Any]
    expected: list[Any] | None
    runs: dict[str, Any] | None
    sanitizer: str = ""

    @property
    def name(self) -> str:
        return f"{self.scenario.get('layer', '?')}_{self.scenario.get('name', '?')}"

    @property
    def tags(self) -> list[str]:
        """``oom``, ``corrupt``."""
        return list(self.scenario.get("tags", []))


def load(path: str | Path) -> Scenario:
    """Read a golden file.

    :raises ScenarioError: when it is none
    :raises OSError: when it cannot be read
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ScenarioError(f"{path} is not a scenario: {reason}") from None
    if not isinstance(data, dict) or not isinstance(data.get("scenario"), dict):
        raise ScenarioError(f"{path} is not a scenario: it has no object named 'scenario'")
    scenario = data["scenario"]
    if not isinstance(scenario.get("steps"), list):
        raise ScenarioError(f"{path} is not a scenario: it has no list named 'steps'")
    expected, runs = data.get("expected"), data.get("runs")
    if expected is not None and not isinstance(expected, list):
        raise ScenarioError(f"{path}: what is expected is a list of events, not {shown(expected)}")
    if runs is not None:
        each = list(runs.values()) if isinstance(runs, dict) else runs
        if not isinstance(each, list) or not all(
                isinstance(r, dict) and isinstance(r.get("expected") or [], list) for r in each):
            raise ScenarioError(f"{path}: the native runs are objects with a list named 'expected'")
    return Scenario(str(path), scenario, expected, runs, str(data.get("asan") or ""))


@functools.cache
def usage(method: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(method)


def described(signature: inspect.Signature) -> str:
    """What a step takes, in a message."""
    names = []
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names.append("...")
        else:
            names.append(name if parameter.default is inspect.Parameter.empty else f"[{name}]")
    return " ".join(names) or "nothing"


def oops_of(error: Exception) -> KernelOops | None:
    """``error`` as the Oops that the machine would have had, None when it is a mistake of the replay."""
    if isinstance(error, KernelOops):
        return error
    return as_oops(error) if is_kernel_fault(error) else None


class Player:
    """Plays a scenario; a subclass for each layer adds its steps as methods ``do_<step>``."""

    resources = CHANNEL_RESOURCES
    device_name = "QCOM8061:00"

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.scenario = scenario
        self.events: list[Any] = []
        self.on_cb: dict[str, list[list[Any]]] = {}
        self.irq = s32(scenario.get("irq", 5))
        given = scenario.get("resources")
        resources = [self.resource(r) for r in (self.resources if given is None else rows(given, "resources"))]
        self.device = ScriptedDevice(scenario, self.event, self.run_steps, resources)
        self.resource_list = [(start, size) for _, start, size in resources]
        self.kernel = Kernel("replay", self.device.bus, 1)
        self.kernel.hide_pointers = True
        self.kernel.config_bug = False  # as recorded: a BUG_ON is noted and passed over
        self.kernel.oops_row = lambda oops: oops_row(oops, self.kernel)
        self.kernel.dma_ops = self.device.dma
        self.kernel.trace.open(self.sink)
        self.kernel.cpus[0].hold_softirq = 1
        self.desc = self.kernel.gic.wire(self.irq if self.irq >= 0 else 5, None)
        for name in ("kobject_create", "debugfs", "copy"):  # counted from the first call on, whenever a fault is added
            self.kernel.fault_inject.nth[name] = -1
        for name, value in table(scenario.get("faults"), "faults").items():
            self.add_fault(name, s32(value))
        self.kernel.enter()

    @staticmethod
    def resource(spec: Any) -> tuple[str, int, int]:
        """One memory resource: block, start, size."""
        if not isinstance(spec, list | tuple) or len(spec) != 3 or not isinstance(spec[0], str):
            raise ScenarioError(f"a resource is [block, start, size], not {shown(spec)}")
        start, size = number(spec[1]), number(spec[2])
        if start < 0 or not 0 <= size <= 1 << 30 or start + size > 1 << 64:
            raise ScenarioError(f"a resource lies within 64 bits and has 1 GiB at most, not {shown(spec)}")
        return spec[0], start, size

    def add_fault(self, name: str, value: int) -> None:
        inject = self.kernel.fault_inject
        if name == "alloc":
            inject.alloc_fails = value
        elif name in inject.nth:
            inject.nth[name] = value
        else:
            inject.values[name] = value

    # --- events -----------------------------------------------------------------------------------------------

    def event(self, event: list[Any]) -> None:
        if len(self.events) >= MOST_EVENTS:
            raise ScenarioError(f"it does not end: more than {MOST_EVENTS} events")
        self.events.append(event)

    def sink(self, event: tuple[Any, ...]) -> None:
        """What the kernel traces; the surroundings that the recorder had too."""
        if event[0] in KEPT:
            self.event(list(event))

    def callback(self, name: str) -> None:
        self.event(["cb", name])
        queue = self.on_cb.get(name)
        if queue:
            self.run_steps(queue.pop(0))

    # --- steps ------------------------------------------------------------------------------------------------

    def play(self) -> list[Any]:
        """Run all steps; an Oops ends the list.

        :raises ScenarioError: when a step is none
        """
        index = 0
        try:
            for index, step in enumerate(self.scenario["steps"]):
                self.event(["step", index])
                self.run_step(step)
        except ScenarioError as error:
            raise ScenarioError(f"step {index}: {error}") from None
        except Exception as error:
            oops = oops_of(error)
            if oops is None:
                raise
            self.kernel.die(oops)
            self.events.append(["oops", oops.row])
        finally:
            self.kernel.close()  # else its CPUs keep it for ever
        return self.events

    def run_steps(self, steps: list[Any]) -> None:
        for step in steps:
            self.run_step(step)

    def run_step(self, step: Any) -> None:
        if not isinstance(step, list) or not step or not isinstance(step[0], str):
            raise ScenarioError(f"a step is a list that begins with its name, not {shown(step)}")
        op, *args = step
        method = getattr(type(self), f"do_{op}", None)
        if method is None:
            raise ScenarioError(f"the layer {self.scenario.get('layer')!r} has no step {op!r}")
        options = args.pop() if args and isinstance(args[-1], dict) else {}
        for name, value in options.items():
            if name in TEXTS and not isinstance(value, TEXTS[name]) or isinstance(value, dict):
                raise ScenarioError(f"{op}: {name} cannot be {shown(value)}")
        signature = usage(method)
        named = {"options": options} if "options" in signature.parameters else {}
        try:
            signature.bind(self, *args, **named)
        except TypeError:
            raise ScenarioError(f"{op} takes {described(signature)}; this is {shown(step)}") from None
        try:
            method(self, *args, **named)
        except ScenarioError as error:
            raise ScenarioError(f"{op}: {error}") from None

    @staticmethod
    def name(value: Any) -> str:
        if not isinstance(value, str):
            raise ScenarioError(f"{shown(value)} is not a name")
        return value

    def do_complete(self, n: Any, code: Any, info: Any) -> None:
        self.device.complete(number(n), number(code), number(info))

    def do_raise(self, bits: Any) -> None:
        regs = self.device.blocks["evca"].regs
        regs[0x100] = regs.get(0x100, 0) | u32(bits)

    def do_poke(self, block: Any, offset: Any, value: Any) -> None:
        self.device.block(block).regs[u32(offset)] = u32(value)

    def do_peek(self, block: Any, offset: Any) -> None:
        self.event(["ret", "peek", self.device.block(block).regs.get(u32(offset), 0)])

    def do_advance(self, us: Any) -> None:
        self.device.clock.tick(duration(us) * 1000)

    def do_access_ns(self, ns: Any) -> None:
        self.device.access_ns = duration(ns)

    def do_latency(self, block: Any, command: Any, n: Any) -> None:
        self.device.set_latency(block, command, n)

    def do_now(self) -> None:
        self.event(["ret", "now", self.device.clock.now])

    def do_ring(self, which: Any, index: Any) -> None:
        if which not in ("tre", "evre"):
            raise ScenarioError(f"{shown(which)} is neither 'tre' nor 'evre'")
        size, block, words = (32, "trca", 8) if which == "tre" else (16, "evca", 4)
        at = self.device.ring_base(block) + size * number(index)
        self.event(["ring", which, number(index), self.device.read_words(at, words)])

    def do_fault(self, name: Any, value: Any) -> None:
        self.add_fault(self.name(name), s32(value))

    def do_tasklet(self) -> None:
        # also while another context runs, even the same tasklet: the recorder runs them at this step
        cpu = sched.running_cpu()
        context = cpu.hardirq, cpu.softirq, cpu.bh_off
        cpu.hardirq = cpu.softirq = cpu.bh_off = 0
        for tasklet in cpu.controller.tasklets():
            tasklet.running = 0
        try:
            cpu.controller.softirq(cpu)
        finally:
            cpu.hardirq, cpu.softirq, cpu.bh_off = context

    def do_hook(self, rw: Any, block: Any, offset: Any, k: Any, steps: Any) -> None:
        if rw not in ("r", "w"):
            raise ScenarioError(f"{shown(rw)} is neither 'r' nor 'w'")
        self.device.block(block).hooks.append([rw, u32(offset), number(k), rows(steps, "what a hook does")])

    def do_on_cb(self, name: Any, steps: Any) -> None:
        self.on_cb.setdefault(self.name(name), []).append(rows(steps, "what a callback does"))

    def do_irq(self) -> None:
        if self.desc.actions:
            handled = handle_irq(self.desc, sched.running_cpu())
            self.event(["ret", "irq", IRQ_HANDLED if handled else 0])
        else:
            self.event(["ret", "irq", None])
        if self.scenario.get("tasklet") == "after_irq":
            self.do_tasklet()

    def in_handler(self, function: Callable[..., Any], *args: Any) -> None:
        """Call ``function``, which only an interrupt handler calls, as one: a loop without an end is noticed."""
        cpu = sched.running_cpu()
        sched.hardirq_enter(cpu)
        try:
            function(*args)
        finally:
            sched.hardirq_exit(cpu)

    def ring_event(self, slot: int) -> None:
        """What the recorder wrote after a TRE was queued."""
        self.event(["ring", "tre", slot, self.device.read_words(self.device.ring_base("trca") + 32 * slot, 8)])


@dataclass(frozen=True)
class Mismatch:
    """The first difference between two lists of events."""

    index: int
    before: list[Any]
    got: Any
    wanted: Any

    def __str__(self) -> str:
        lines = [f"  event {self.index - len(self.before) + i}: {json.dumps(e)}" for i, e in enumerate(self.before)]
        lines.append(f"  event {self.index}: got    {json.dumps(self.got)}")
        lines.append(f"  event {self.index}: wanted {json.dumps(self.wanted)}")
        return "\n".join(lines)


NOTHING = "nothing more"


def first_difference(got: list[Any], wanted: list[Any]) -> Mismatch | None:
    """Where ``got`` departs from ``wanted``; true and 1 differ, as they do in JSON."""
    for index in range(max(len(got), len(wanted))):
        a = got[index] if index < len(got) else NOTHING
        b = wanted[index] if index < len(wanted) else NOTHING
        if a != b or json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
            return Mismatch(index, got[max(0, index - 5):index], a, b)
    return None


#: Rows in whose runs C uses a stack frame that is gone, which the recorder did not notice: an Oops is right there as well.
UNDEFINED = {40}
#: Words of a recorded violation that say that memory was touched which was not the driver's.
MEMORY = ("kfree", "heap", "freed", "bytes written", "bytes read")


def quirk_expectation(runs: dict[str, Any] | list[Any], sanitizer: str = "") -> tuple[bool, list[list[Any]]]:
    """Whether the native runs define a result, and their lists of events; ``sanitizer`` is what one that checks has said."""
    each = list(runs.values()) if isinstance(runs, dict) else list(runs)
    lists = [r.get("expected") or [] for r in each]
    broken = any(word in str(text) for r in each for text in r.get("violations") or [] for word in MEMORY)
    broken = broken or "AddressSanitizer" in sanitizer or "runtime error" in sanitizer
    defined = all(r.get("status") == "ok" for r in each) and all(e == lists[0] for e in lists) and not broken
    return defined, lists


def compare(scenario: Scenario, got: list[Any]) -> Mismatch | None:
    """The first difference between ``got`` and what was recorded; None when they agree."""
    got = json.loads(json.dumps(got))
    if scenario.expected is not None:
        return first_difference(got, scenario.expected)
    defined, lists = quirk_expectation(scenario.runs or {}, scenario.sanitizer)
    rows = [row.number for row in ROWS if row.shown_by(scenario.name)]
    if defined and lists and not (got and got[-1][0] == "oops" and got[-1][1] in UNDEFINED.intersection(rows)):
        return first_difference(got, lists[0])
    # the list must end in an Oops with the row that this run is evidence of; the events before it must agree with the native runs
    if not got or got[-1][0] != "oops" or got[-1][1] is None or rows and got[-1][1] not in rows:
        wanted = " or ".join(map(str, rows)) or "a row of docs/quirks"
        return Mismatch(len(got) - 1, got[-6:-1], got[-1] if got else NOTHING, ["oops", wanted])
    for native in lists:
        count = min(len(native), len(got) - 1)
        difference = first_difference(got[:count], native[:count])
        if difference is not None:
            return difference
    return None
