# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario: the steps that all layers share, the list of events, and the comparison."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hidma.linux import sched
from hidma.linux.interrupt import IRQ_HANDLED, handle_irq
from hidma.linux.kernel import Kernel
from hidma.linux.sched import KernelOops, as_oops
from hidma.quirks import oops_row
from hidma.replay.device import COMMANDS, ScriptedDevice, number

CHANNEL_RESOURCES = [["trca", 0x5C050000, 0x1000], ["evca", 0x5C0B0000, 0x1000]]
MGMT_RESOURCES = [["mgmt", 0xF9984000, 0x15000]]
KEPT = frozenset((
    "pm", "dma_mask", "coherent", "alloc_fail", "request_irq", "free_irq", "dma_register", "dma_unregister", "debugfs",
    "debugfs_remove", "sysfs", "kobject", "log", "platform_device", "of_dma_configure", "driver_register",
    "module", "request_module", "iommu_group", "vfio_add_group_dev", "vfio_del_group_dev", "reset_fn", "ioremap",
    "iounmap", "irq_init", "irq_cleanup", "set_irqs", "remap_pfn_range"))


class ScenarioError(ValueError):
    """A scenario that cannot be run; the message says what is wrong with it."""


@dataclass(frozen=True)
class Scenario:
    """One file: what to do, and what happened when it was recorded."""

    path: str
    scenario: dict[str, Any]
    expected: list[Any] | None
    runs: dict[str, Any] | None

    @property
    def name(self) -> str:
        """Layer and name."""
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
    text = Path(path).read_text()
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ScenarioError(f"{path} is not a scenario: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("scenario"), dict):
        raise ScenarioError(f"{path} is not a scenario: it has no object named 'scenario'")
    scenario = data["scenario"]
    if not isinstance(scenario.get("steps"), list):
        raise ScenarioError(f"{path} is not a scenario: it has no list named 'steps'")
    return Scenario(str(path), scenario, data.get("expected"), data.get("runs"))


class Player:
    """Plays a scenario; a subclass for each layer adds its steps as methods ``do_<step>``."""

    resources = CHANNEL_RESOURCES
    device_name = "QCOM8061:00"

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.scenario = scenario
        self.events: list[Any] = []
        self.on_cb: dict[str, list[list[Any]]] = {}
        self.irq = number(scenario.get("irq", 5))
        resources = scenario.get("resources", self.resources)
        self.device = ScriptedDevice(scenario, self.event, self.run_steps, resources)
        self.resource_list = [(number(start), number(size)) for _, start, size in resources]
        self.kernel = Kernel("replay", self.device.bus, 1)
        self.kernel.hide_pointers = True
        self.kernel.config_bug = False  # as recorded: a BUG_ON is noted and passed over
        self.kernel.oops_row = lambda oops: oops_row(oops, self.kernel)
        self.kernel.dma_ops = self.device.dma
        self.kernel.trace.open(self.sink)
        self.kernel.cpus[0].hold_softirq = 1
        self.desc = self.kernel.gic.wire(self.irq if self.irq > 0 else 5, None)
        self.setup_faults(scenario.get("faults", {}))
        self.kernel.enter()

    def setup_faults(self, faults: dict[str, Any]) -> None:
        """Make kernel calls fail."""
        inject = self.kernel.fault_inject
        for name, value in faults.items():
            self.add_fault(name, number(value))
        inject.allocations = 0

    def add_fault(self, name: str, value: int) -> None:
        """One forced failure."""
        inject = self.kernel.fault_inject
        if name == "alloc":
            inject.alloc_fails = value
        elif name in ("kobject_create", "debugfs", "copy"):
            inject.nth[name] = value
        else:
            inject.values[name] = value

    # --- events -----------------------------------------------------------------------------------------------

    def event(self, event: list[Any]) -> None:
        """Append to the list."""
        self.events.append(event)

    def sink(self, event: tuple[Any, ...]) -> None:
        """What the kernel traces; the surroundings that the recorder had too."""
        if event[0] in KEPT:
            self.event(list(event))

    def callback(self, name: str) -> None:
        """The callback of ``name`` is called."""
        self.event(["cb", name])
        queue = self.on_cb.get(name)
        if queue:
            self.run_steps(queue.pop(0))

    # --- steps ------------------------------------------------------------------------------------------------

    def play(self) -> list[Any]:
        """Run all steps; an Oops ends the list."""
        try:
            for index, step in enumerate(self.scenario["steps"]):
                self.event(["step", index])
                self.run_step(step)
        except (KernelOops, IndexError) as error:
            oops = as_oops(error)
            self.kernel.die(oops)
            self.event(["oops", oops.row])
        finally:
            self.kernel.leave()
        return self.events

    def run_steps(self, steps: list[Any]) -> None:
        """Nested steps, of a hook or a callback."""
        for step in steps:
            self.run_step(step)

    def run_step(self, step: list[Any]) -> None:
        """One step."""
        if not isinstance(step, list) or not step or not isinstance(step[0], str):
            raise ScenarioError(f"a step is a list that begins with its name, not {step!r}")
        method = getattr(self, f"do_{step[0]}", None)
        if method is None:
            raise ScenarioError(f"the layer {self.scenario.get('layer')!r} has no step {step[0]!r}")
        args = step[1:]
        options = args.pop() if args and isinstance(args[-1], dict) else {}
        method(*args, **({"options": options} if options else {}))

    def do_complete(self, n: Any, code: Any, info: Any) -> None:
        self.device.complete(number(n), number(code), number(info))

    def do_raise(self, bits: Any) -> None:
        regs = self.device.blocks["evca"].regs
        regs[0x100] = regs.get(0x100, 0) | number(bits)

    def do_poke(self, block: str, offset: Any, value: Any) -> None:
        self.device.blocks[block].regs[number(offset)] = number(value) & 0xFFFFFFFF

    def do_peek(self, block: str, offset: Any) -> None:
        self.event(["ret", "peek", self.device.blocks[block].regs.get(number(offset), 0)])

    def do_advance(self, us: Any) -> None:
        self.device.clock.tick(number(us) * 1000)

    def do_access_ns(self, ns: Any) -> None:
        self.device.access_ns = number(ns)

    def do_latency(self, block: str, command: str, count: Any) -> None:
        self.device.blocks[block].latency[COMMANDS[command]] = number(count)

    def do_now(self) -> None:
        self.event(["ret", "now", self.device.clock.now])

    def do_ring(self, which: str, index: Any) -> None:
        size, block, words = (32, "trca", 8) if which == "tre" else (16, "evca", 4)
        at = self.device.ring_base(block) + size * number(index)
        self.event(["ring", which, number(index), self.device.read_words(at, words)])

    def do_fault(self, name: str, value: Any) -> None:
        self.add_fault(name, number(value))

    def do_tasklet(self) -> None:
        cpu = sched.running_cpu()
        self.kernel.gic.softirq(cpu)

    def do_hook(self, kind: str, block: str, offset: Any, k: Any, steps: list[Any]) -> None:
        self.device.blocks[block].hooks.append([kind, number(offset), number(k), steps])

    def do_on_cb(self, name: str, steps: list[Any]) -> None:
        self.on_cb.setdefault(name, []).append(steps)

    def do_irq(self) -> None:
        if not self.desc.actions:
            self.event(["ret", "irq", None])
            return
        handled = handle_irq(self.desc, sched.running_cpu())
        self.event(["ret", "irq", IRQ_HANDLED if handled else 0])
        if self.scenario.get("tasklet") == "after_irq":
            self.do_tasklet()

    def ring_event(self, slot: int) -> None:
        """What the recorder wrote after a TRE was queued."""
        self.event(["ring", "tre", slot, self.device.read_words(self.device.ring_base("trca") + 32 * slot, 8)])


def replay(scenario: Scenario) -> list[Any]:
    """The events of ``scenario``, run against the port.

    :raises ScenarioError: when it asks for what cannot be done
    """
    from hidma.replay import layers

    layer = scenario.scenario.get("layer")
    player = layers.PLAYERS.get(str(layer))
    if player is None:
        raise ScenarioError(f"{scenario.path}: layer {layer!r} is not one of {', '.join(sorted(layers.PLAYERS))}")
    try:
        return player(scenario.scenario).play()
    except (TypeError, KeyError) as error:
        raise ScenarioError(f"{scenario.path}: a step does not fit the format: {error}") from error


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
    """Where ``got`` departs from ``wanted``."""
    for index in range(max(len(got), len(wanted))):
        a = got[index] if index < len(got) else NOTHING
        b = wanted[index] if index < len(wanted) else NOTHING
        if a != b:
            return Mismatch(index, got[max(0, index - 5):index], a, b)
    return None


def quirk_expectation(runs: dict[str, Any] | list[Any]) -> tuple[bool, list[list[Any]]]:
    """Whether the native runs define a result, and their lists of events."""
    each = list(runs.values()) if isinstance(runs, dict) else list(runs)
    lists = [r.get("expected") or [] for r in each]
    broken = any(word in text for r in each for text in r.get("violations", []) for word in ("kfree", "bytes written"))
    defined = all(r.get("status") == "ok" for r in each) and all(e == lists[0] for e in lists) and not broken
    return defined, lists


def compare(scenario: Scenario, got: list[Any]) -> Mismatch | None:
    """The first difference between ``got`` and what was recorded; None when they agree."""
    got = json.loads(json.dumps(got))
    if scenario.expected is not None:
        return first_difference(got, scenario.expected)
    defined, lists = quirk_expectation(scenario.runs or {})
    if defined and lists:
        return first_difference(got, lists[0])
    # an Oops is wanted; before it, whatever the native runs have must agree
    if not got or got[-1][0] != "oops":
        return Mismatch(len(got), got[-5:], NOTHING, ["oops", "a row of docs/quirks"])
    for native in lists:
        count = min(len(native), len(got) - 1)
        difference = first_difference(got[:count], native[:count])
        if difference is not None:
            return difference
    return None
