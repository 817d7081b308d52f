# SPDX-License-Identifier: GPL-2.0-only
"""``hidma assign``: a channel goes to a guest, told on the terminal step by step, with what each step did to registers, files and
the IOMMU. It stands for no C file; it shows what ``hidma.vm`` does.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hidma.hw.smmu import BLOCKED, BYPASS
from hidma.linux.platform_device import platform_bus

if TYPE_CHECKING:
    from hidma.machine.boot import Machine

WIDTH = 100
MOST_ACCESSES = 8
MEMORY = 16 << 20
IOVA = 0x4000_0000
FAILED = 1


class Story:
    """Tells the steps: what was done, then what it did.

    :param machine: the host
    :param channel: the device that goes
    :param as_json: keep the steps in place of printing them
    """

    def __init__(self, machine: Machine, channel: str, as_json: bool) -> None:
        self.machine = machine
        self.channel = channel
        self.as_json = as_json
        self.steps: list[dict[str, Any]] = []
        self.facts: list[str] = []
        dev = next(dev for dev in platform_bus(machine.kernel).devices if dev.name == channel)
        self.stream = machine.registers[dev.container.resource[0].start].stream

    def fact(self, text: str) -> None:
        """Something to know about this step."""
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
                      f"/sys/bus/platform/devices/{self.channel}", "/sys/module", "/sys/kernel/debug"):
            if place in sysfs:
                found |= {f"{place}/{name}" for name in sysfs.listdir(place)}
        return found

    def stream_state(self) -> str:
        """What the channel's DMA reaches."""
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
        """Print one step."""
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
        """A line that may be long."""
        click.echo(textwrap.fill(text, WIDTH, initial_indent="   ", subsequent_indent="     ", break_long_words=False,
                                 break_on_hyphens=False))


@click.command()
@click.argument("device", required=False)
@click.option("--board", default="host", show_default=True, metavar="NAME|FILE", help="The board of the host.")
@click.option("--seed", default=0, show_default=True, help="Seed of the machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as a JSON list.")
def assign(device: str | None, board: str, seed: int, as_json: bool) -> int:
    """Give DEVICE (a channel such as hidma.0; the first one by default) to a guest, and tell each step.

    The channel leaves the host's driver, goes to VFIO, a hypervisor maps memory for it, a guest copies on it without an exit,
    is killed in the middle of its work, and the next guest and then the host get the channel back, clean.
    """
    from hidma.machine.boot import boot

    with boot(board, seed=seed) as machine:
        channels = [name for name, driver in machine.devices() if driver == "hidma"]
        if not channels:
            raise click.ClickException(f"no channel of this board is bound to the driver hidma: {machine.why_no_channel()}")
        channel = device or channels[0]
        if channel not in channels:
            raise click.UsageError(f"there is no channel {channel!r} on this board; there are {', '.join(channels)}.")
        story = Story(machine, channel, as_json)
        tell(story)
        if as_json:
            click.echo(json.dumps(story.steps, indent=2))
    return 0


def tell(story: Story) -> None:
    """The steps."""
    from hidma import vm
    from hidma.vm.guest import Guest

    machine, channel = story.machine, story.channel
    sysfs = machine.sysfs
    devices, drivers = "/sys/bus/platform/devices", "/sys/bus/platform/drivers"
    dev = next(dev for dev in platform_bus(machine.kernel).devices if dev.name == channel)
    hid = dev.acpi_companion.hid if dev.acpi_companion is not None else None
    chid = sysfs[f"{devices}/{channel}/chid"].strip()

    with story.step("The host has the channel.", f"cat {devices}/{channel}/chid"):
        story.fact(f"chid {chid}, stream {story.stream.number} of the IOMMU, {story.stream_state()}")
    with story.step("VFIO is loaded.", "modprobe vfio_iommu_type1\nmodprobe vfio-platform"):
        machine.modprobe("vfio_iommu_type1")
        machine.modprobe("vfio-platform")
    with story.step("The channel leaves the driver of the host.", f"echo {channel} > {drivers}/hidma/unbind"):
        sysfs[f"{drivers}/hidma/unbind"] = channel
    with story.step("From now on only vfio-platform may bind it.",
                    f"echo vfio-platform > {devices}/{channel}/driver_override"):
        sysfs[f"{devices}/{channel}/driver_override"] = "vfio-platform"
    bind = f"echo {channel} > {drivers}/vfio-platform/bind"
    with story.step("vfio-platform binds it, and looks for its reset function.", bind):
        sysfs[f"{drivers}/vfio-platform/bind"] = channel
        if hid is not None:
            story.fact(f"An ACPI device has a hardware ID ({hid}) and no compatible string, so V14 asks for the module "
                       "vfio-reset:(null), which nobody is called (row 32): the channel has no reset function now. This is not "
                       "mended; the plugin has to be loaded before.")
    if hid is not None:
        with story.step("So it is given back, the plugin is loaded, and it is bound again.",
                        f"echo {channel} > {drivers}/vfio-platform/unbind\nmodprobe {hid}\n{bind}"):
            sysfs[f"{drivers}/vfio-platform/unbind"] = channel
            machine.modprobe(hid)
            sysfs[f"{drivers}/vfio-platform/bind"] = channel

    owner = vm.Hypervisor(machine, "hypervisor")
    number = vm.Group.of(machine, channel)
    with story.step("A hypervisor opens a container and the group of the channel, and joins them.",
                    f"open /dev/vfio/vfio, /dev/vfio/{number}; VFIO_GROUP_SET_CONTAINER; VFIO_SET_IOMMU"):
        container = vm.Container(owner)
        group = vm.Group(owner, number)
        viable = group.viable()
        group.set_container(container)
        container.set_iommu()
        story.fact(f"Group {number} is {'viable: no driver of the host has a device of it' if viable else 'not viable'}.")
    with story.step("It maps the memory of a guest for the channel.", f"VFIO_IOMMU_MAP_DMA iova 0x{IOVA:x}, {MEMORY >> 20} MiB"):
        address, _ = owner.mmap(MEMORY)
        container.map_dma(IOVA, address, MEMORY)
        story.fact(f"{owner.process.mm.locked_vm} pages are pinned.")
    with story.step("It opens the channel: that resets it.", "VFIO_GROUP_GET_DEVICE_FD"):
        opened = group.device(channel)
        for index in (0, 1):
            region = opened.region(index)
            story.fact(f"Region {index}: {region.size} bytes, read, write and mmap.")
    with story.step("And closes it again: that resets it too, and unmaps.", "close"):
        owner.exit()

    with story.step("A guest is started with the channel: a machine of its own.", "vm.Guest(machine, channels=[...])"):
        guest = Guest(machine, memory=MEMORY, channels=[channel], name="first guest")
        node = next(iter(guest.fdt.compatible("qcom,hidma-1.0")), None)
        story.fact(f"Its device tree has {node.path if node else 'no channel'}, from memory and interrupts only; its driver says: "
                   f"{guest.kernel.log[-1].text}.")
    with story.step("It copies on the channel; the registers are its own.", "200 copies of 4 KiB in the guest"):
        chan = guest.dma.request_channel()
        source, dest = guest.alloc(4096), guest.alloc(4096)
        source[:] = b"a guest's data. " * 256
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
    with story.step("The next guest gets it, and finds nothing of the first.", "vm.Guest(machine, channels=[...])"):
        second = Guest(machine, memory=MEMORY, channels=[channel], name="second guest", modules=False)
        trca = second.pages[0].target
        rings = [getattr(trca, "peek")(offset) for offset in (0x08, 0x0C, 0x10, 0x18, 0x20)]  # noqa: B009
        found = b"a guest's data. " in bytes(second.ram)
        story.fact(f"Ring registers and pointers: {', '.join(f'{value:#x}' for value in rings)}; data of the first guest in its "
                   f"memory: {'FOUND' if found else 'none'}; interrupts: {second.interrupts_forwarded}.")
        second.kill()
    with story.step("The host has the channel back.",
                    f"echo {channel} > {drivers}/vfio-platform/unbind\necho > {devices}/{channel}/driver_override\n"
                    f"echo {channel} > {drivers}/hidma/bind"):
        vm.release(machine, channel)


def weights(machine: Machine, chid: str) -> Iterator[str]:
    """Where the management driver may have the channel's directory."""
    for name, driver in machine.devices():
        if driver == "hidma-mgmt":
            yield f"/sys/bus/platform/devices/{name}/chanops/chan{chid}"
