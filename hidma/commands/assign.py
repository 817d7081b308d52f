# SPDX-License-Identifier: GPL-2.0-only
"""``hidma assign``: a device goes to a guest, step by step on the terminal, with what each step did to registers, files and the
IOMMU. It stands for no C file; it shows what ``hidma.vm`` does.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hidma.hw.smmu import BLOCKED, BYPASS, Stream
from hidma.linux.iommu import group_of
from hidma.linux.vfio import VFIO_REGION_INFO_FLAG_MMAP
from hidma.plugin import sources

if TYPE_CHECKING:
    from hidma.machine.boot import Machine
    from hidma.vm.guest import Guest

WIDTH = 100
MOST_ACCESSES = 8
MEMORY = 16 << 20
IOVA = 0x4000_0000
BUFFER = 4096
WORK_NS = 1_000_000
DATA = b"a guest's data. "


class Story:
    """Records the steps: what was done, then what it did.

    :param machine: the host
    :param device: the device that goes
    :param stream: what translates its DMA
    :param as_json: keep the steps in place of printing them
    """

    def __init__(self, machine: Machine, device: str, stream: Stream, as_json: bool) -> None:
        self.machine = machine
        self.device = device
        self.stream = stream
        self.as_json = as_json
        self.steps: list[dict[str, Any]] = []
        self.facts: list[str] = []

    def fact(self, text: str) -> None:
        self.facts.append(text)

    @contextmanager
    def step(self, title: str, command: str = "") -> Iterator[None]:
        """One step; inside, it happens."""
        machine = self.machine
        said = len(machine.kernel.log)
        before = self.files()
        stream = self.stream_state()
        events: list[tuple[Any, ...]] = []
        self.facts = []
        machine.watch(events.append)
        try:
            yield
        finally:
            if not machine.closed:
                machine.watch(None)
        after = self.files()
        now = self.stream_state()
        step = {
            "step": len(self.steps) + 1,
            "title": title,
            "command": command,
            "registers": self.accesses(events),
            "modules": [f"{event[1]} {event[2]}" if event[0] == "module" else f"asked for {event[1]}"
                        for event in events if event[0] in ("module", "request_module")],
            "gone": sorted(before - after),
            "new": sorted(after - before),
            "stream": now if now != stream else "",
            "log": [line.text for line in machine.kernel.log[said:]],
            "facts": self.facts,
        }
        self.steps.append(step)
        if not self.as_json:
            self.show(step)

    def files(self) -> set[str]:
        """What of the tree a step may change."""
        found = set()
        sysfs = self.machine.sysfs
        for place in ("/sys/class/dma", "/sys/bus/platform/drivers/hidma", "/sys/bus/platform/drivers/vfio-platform",
                      f"/sys/bus/platform/devices/{self.device}", "/sys/module", "/sys/kernel/debug"):
            if place in sysfs:
                found |= {f"{place}/{name}" for name in sysfs.listdir(place)}
        return found

    def stream_state(self) -> str:
        """What the device's DMA reaches."""
        stream = self.stream
        if stream.mode == BYPASS:
            return "bypass: a bus address is a physical address"
        if stream.mode == BLOCKED or stream.domain is None:
            return "blocked: its DMA reaches nothing"
        return f"translated: {len(stream.domain.pages)} pages of 4 KiB are mapped"

    def accesses(self, events: list[tuple[Any, ...]]) -> list[str]:
        """Register accesses, as a person reads them; polls are one line."""
        lines: list[str] = []
        counts: list[int] = []
        for event in events:
            if event[0] not in ("read", "write"):
                continue
            arrow = "<-" if event[0] == "write" else "->"
            line = f"{event[1]} 0x{event[2]:03x} {arrow} 0x{event[3]:08x}"
            if lines and lines[-1] == line:
                counts[-1] += 1
            else:
                lines.append(line)
                counts.append(1)
        return [f"{line}  ({count} times)" if count > 1 else line for line, count in zip(lines, counts, strict=True)]

    def show(self, step: dict[str, Any]) -> None:
        click.echo(f"{step['step']}. {step['title']}")
        if step["command"]:
            for line in step["command"].splitlines():
                click.echo(f"   $ {line}")
        for kind, word in (("gone", "gone"), ("new", "new")):
            if step[kind]:
                self.wrapped(f"{word}: {', '.join(step[kind])}")
        for line in step["modules"]:
            click.echo(f"   module: {line}")
        registers = step["registers"]
        for line in registers[:MOST_ACCESSES]:
            click.echo(f"   {line}")
        if len(registers) > MOST_ACCESSES:
            click.echo(f"   ... {len(registers) - MOST_ACCESSES} more register accesses")
        if step["stream"]:
            click.echo(f"   stream: {step['stream']}")
        for line in step["log"]:
            self.wrapped(f"dmesg: {line}")
        for line in step["facts"]:
            self.wrapped(line)

    def wrapped(self, text: str) -> None:
        click.echo(textwrap.fill(text, WIDTH, initial_indent="   ", subsequent_indent="     ", break_long_words=False,
                                 break_on_hyphens=False))


@click.command()
@click.argument("device", required=False)
@click.option("--board", default="host", show_default=True, metavar="NAME|FILE", help="The board of the host.")
@click.option("--seed", default=0, show_default=True, help="Seed of the machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as a JSON list.")
def assign(device: str | None, board: str, seed: int, as_json: bool) -> int:
    """Give DEVICE to a guest, and show each step: a channel such as hidma.0 (the first one by default), or any other device that an
    IOMMU of the board translates for.

    The device leaves the host's driver, goes to VFIO, a hypervisor maps memory for it, a guest works with it without an exit,
    is killed in the middle of its work, and the next guest and then the host get the device back, clean.
    """
    from hidma.machine.boot import boot

    with boot(board, seed=seed) as machine:
        for sentence in sources.found_now()[1]:
            click.echo(f"note: {sentence}", err=True)
        drivers = dict(machine.devices())
        channels = [name for name, driver in drivers.items() if driver == "hidma"]
        if device is None and not channels:
            raise click.ClickException(f"no channel of this board is bound to the driver hidma: {machine.why_no_channel()}")
        name = device or channels[0]
        with machine.calling():
            group = group_of(machine.device(name).dev)
        if group is None or group.stream is None:
            raise click.ClickException(f"no IOMMU of this board translates for {name}, so it is in no IOMMU group and "
                                       "vfio-platform refuses it (EINVAL)")
        story = Story(machine, name, group.stream, as_json)
        tell(story)
        if as_json:
            click.echo(json.dumps(story.steps, indent=2))
    return 0


def tell(story: Story) -> None:
    from hidma import vm

    machine, device = story.machine, story.device
    sysfs = machine.sysfs
    devices, drivers = "/sys/bus/platform/devices", "/sys/bus/platform/drivers"
    companion = machine.device(device).dev.acpi_companion
    hid = companion.hid if companion is not None else None
    before = dict(machine.devices())[device]
    channel = before == "hidma"
    what = "channel" if channel else "device"
    chid = sysfs[f"{devices}/{device}/chid"].strip() if channel else ""

    with story.step(f"The host has the {what}.", f"cat {devices}/{device}/{'chid' if channel else 'modalias'}"):
        there = machine.described(device)
        identity = f"driver {before or 'none'}, behind {there.iommu}" if there is not None else (
            f"chid {chid}, stream {story.stream.number} of the IOMMU")
        story.fact(f"{identity}, {story.stream_state()}")
        if not channel and machine.model(device) is None:
            story.fact(machine.why_no_model(device))
    with story.step("VFIO is loaded.", "modprobe vfio_iommu_type1\nmodprobe vfio-platform"):
        machine.modprobe("vfio_iommu_type1")
        machine.modprobe("vfio-platform")
    if before:
        with story.step(f"The {what} leaves the driver of the host.", f"echo {device} > {drivers}/{before}/unbind"):
            sysfs[f"{drivers}/{before}/unbind"] = device
    with story.step("From now on only vfio-platform may bind it.",
                    f"echo vfio-platform > {devices}/{device}/driver_override"):
        sysfs[f"{devices}/{device}/driver_override"] = "vfio-platform"
    bind = f"echo {device} > {drivers}/vfio-platform/bind"
    machine.drivers_before[device] = before
    with story.step("vfio-platform binds it, and looks for its reset function.", bind):
        sysfs[f"{drivers}/vfio-platform/bind"] = device
        if hid is not None:
            helps = "the plugin has to be loaded before" if sources.find(hid) else f"and no plugin is called {hid}"
            story.fact(f"An ACPI device has a hardware ID ({hid}) and no compatible string, so V14 asks for the module "
                       f"vfio-reset:(null), which no module is called (row 32): the {what} has no reset function now. This is not "
                       f"mended; {helps}.")
    if hid is not None and sources.find(hid):
        with story.step("So it is given back, the plugin is loaded, and it is bound again.",
                        f"echo {device} > {drivers}/vfio-platform/unbind\nmodprobe {hid}\n{bind}"):
            sysfs[f"{drivers}/vfio-platform/unbind"] = device
            machine.modprobe(hid)
            sysfs[f"{drivers}/vfio-platform/bind"] = device

    owner = vm.Hypervisor(machine, "hypervisor")
    number = vm.Group.of(machine, device)
    with story.step(f"A hypervisor opens a container and the group of the {what}, and joins them.",
                    f"open /dev/vfio/vfio, /dev/vfio/{number}; VFIO_GROUP_SET_CONTAINER; VFIO_SET_IOMMU"):
        container = vm.Container(owner)
        group = vm.Group(owner, number)
        viable = group.viable()
        group.set_container(container)
        container.set_iommu()
        story.fact(f"Group {number} is {'viable: no driver of the host has a device of it' if viable else 'not viable'}.")
    with story.step(f"It maps the memory of a guest for the {what}.",
                    f"VFIO_IOMMU_MAP_DMA iova 0x{IOVA:x}, {MEMORY >> 20} MiB"):
        address, _ = owner.mmap(MEMORY)
        container.map_dma(IOVA, address, MEMORY)
        story.fact(f"{owner.process.mm.locked_vm} pages are pinned.")
    resets = ": that resets it" if vm.reset_function(machine, device) is not None else ", which no function resets"
    with story.step(f"It opens the {what}{resets}.", "VFIO_GROUP_GET_DEVICE_FD"):
        opened = group.device(device)
        for index in range(opened.info().num_regions):
            region = opened.region(index)
            story.fact(f"Region {index}: {region.size} bytes, read, write"
                       f"{' and mmap' if region.flags & VFIO_REGION_INFO_FLAG_MMAP else '; not made of whole pages, so not mmap'}.")
    with story.step("And closes it again; its memory is unmapped.", "close"):
        owner.exit()

    if channel:
        tell_channel(story, chid)
    else:
        tell_device(story)
    tell_next(story)
    back = f"echo {device} > {drivers}/vfio-platform/unbind\necho > {devices}/{device}/driver_override"
    with story.step(f"The host has the {what} back.", back + (f"\necho {device} > {drivers}/{before}/bind" if before else "")):
        vm.release(machine, device)


def tell_channel(story: Story, chid: str) -> None:
    """What two guests do with a channel."""
    from hidma.vm.guest import Guest

    machine, channel = story.machine, story.device
    sysfs = machine.sysfs
    with story.step("A guest is started with the channel: a machine of its own.", "vm.Guest(machine, channels=[...])"):
        guest = Guest(machine, memory=MEMORY, channels=[channel], name="first guest")
        story.fact(f"Its device tree has {in_tree(guest)}, from memory and interrupts only; its driver says: "
                   f"{guest.kernel.log[-1].text}.")
    with story.step("It copies on the channel; the registers are its own.", "200 copies of 4 KiB in the guest"):
        chan = guest.dma.request_channel()
        source, dest = guest.alloc(4096), guest.alloc(4096)
        source[:] = DATA * 256
        before = guest.exits, guest.interrupts_forwarded, guest.unmasks
        for _ in range(200):
            chan.memcpy(dest, source, 4096).wait()
        guest.run(1_000_000)
        same = bytes(dest[:]) == bytes(source[:])
        story.fact(f"The data are {'right' if same else 'WRONG'}; exits: {guest.exits - before[0]}, interrupts forwarded: "
                   f"{guest.interrupts_forwarded - before[1]}, unmasked: {guest.unmasks - before[2]}.")
    weight = next((f"{place}/weight" for place in weights(machine, chid) if f"{place}/weight" in sysfs), None)
    if weight is not None:
        with story.step("The host changes its share of the bus, by chid.", f"echo 15 > {weight}"):
            sysfs[weight] = "15"
    with story.step("The guest is killed in the middle of a transfer: VFIO resets the channel and keeps it.", "kill -9"):
        large = guest.alloc(0x40000)
        for _ in range(4):
            chan.memcpy(large.address, large.address + 0x20000, 0x20000)
        guest.kill()
        story.fact(f"The driver of {channel} is {dict(machine.devices())[channel]}.")


def in_tree(guest: Guest) -> str:
    return next(node.path for node in guest.fdt.walk() if node.parent is not None and "qemu,platform" in node.parent.compatible)


def tell_device(story: Story) -> None:
    """What two guests do with another device."""
    from hidma import vm
    from hidma.vm.guest import Guest

    machine, device = story.machine, story.device
    model = machine.model(device)
    with story.step("A guest is started with the device: a machine of its own.", "vm.Guest(machine, channels=[...])"):
        guest = Guest(machine, memory=MEMORY, channels=[device], name="first guest", modules=False)
        story.fact(f"Its device tree has {in_tree(guest)}, from memory and interrupts only.")
    if model is not None:
        with story.step("It starts the device's work, as a driver there would; the registers are its own.",
                        f"guest.start_traffic({device!r}, ...), then 1 ms"):
            buffer = guest.alloc(BUFFER)
            buffer[:] = bytes(BUFFER)
            before = guest.exits, guest.interrupts_forwarded
            beats = model.beats
            guest.start_traffic(device, buffer.address)
            guest.run(WORK_NS)
            story.fact(f"Bursts of the device: {model.beats - beats}; its data in the guest's memory: "
                       f"{'there' if any(bytes(buffer[:])) else 'NONE'}; exits: {guest.exits - before[0]}, interrupts forwarded: "
                       f"{guest.interrupts_forwarded - before[1]}, accesses refused by the IOMMU: {story.stream.faults}.")
    busy = " in the middle of that" if model is not None else ""
    resets = " resets the device and" if vm.reset_function(machine, device) is not None else ""
    with story.step(f"The guest is killed{busy}: VFIO{resets} keeps it.", "kill -9"):
        guest.kill()
        beats = getattr(model, "beats", 0)
        machine.run(WORK_NS)
        story.fact(f"The driver of {device} is {dict(machine.devices())[device]}.")
        if model is not None:
            state = "stands still" if model.beats == beats and not model.line.level else "GOES ON"
            story.fact(f"The device {state} in the next millisecond.")


def tell_next(story: Story) -> None:
    """What the next guest finds."""
    from hidma.vm.guest import Guest

    machine, device = story.machine, story.device
    model = machine.model(device)
    beats = getattr(model, "beats", 0)
    with story.step("The next guest gets it: what is left of the first?", "vm.Guest(machine, channels=[...])"):
        second = Guest(machine, memory=MEMORY, channels=[device], name="second guest", modules=False)
        second.run(WORK_NS)
        if second.hw_channels:
            trca = second.pages[0].target
            rings = [getattr(trca, "peek")(offset) for offset in (0x08, 0x0C, 0x10, 0x18, 0x20)]  # noqa: B009
            state, found = f"Ring registers and pointers: {', '.join(f'{value:#x}' for value in rings)}", DATA in bytes(second.ram)
        else:
            bursts = getattr(model, "beats", 0) - beats
            state, found = f"Bursts of the device: {bursts}", bursts > 0
        story.fact(f"{state}; data of the first guest in its memory: {'FOUND' if found else 'none'}; interrupts: "
                   f"{second.interrupts_forwarded}.")
        second.kill()


def weights(machine: Machine, chid: str) -> Iterator[str]:
    """Where the management driver may have the channel's directory."""
    for name, driver in machine.devices():
        if driver == "hidma-mgmt":
            yield f"/sys/bus/platform/devices/{name}/chanops/chan{chid}"
