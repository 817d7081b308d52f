# SPDX-License-Identifier: GPL-2.0-only
"""The files that the kernel's core makes around those of a driver: ``drivers/base/{core,bus,platform,power/sysfs}.c``,
``drivers/acpi/{device_sysfs,sysfs}.c``, ``drivers/dma/dmaengine.c`` (the class dma),
``kernel/{params,module,irq/proc,resource}.c``. Together with the drivers' own they are the tree that a shell sees.

Their documentation is in ``hidma.commands.abi.texts``. Files of the core that say nothing about this series (power/wakeup*,
uevents over netlink, ...) are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hidma.linux import sched
from hidma.linux.acpi import AcpiDevice, acpi_companion_match, create_of_modalias, create_pnp_modalias
from hidma.linux.debugfs import Dentry
from hidma.linux.device import Device, device_release_driver, driver_probe_device
from hidma.linux.dmaengine import DmaChan
from hidma.linux.errno import EINVAL, EIO, ENODEV
from hidma.linux.fs import Dir, File, Inode, Link, Vfs, text_file
from hidma.linux.iommu import IommuGroup, group_of, groups
from hidma.linux.ioport import IORESOURCE_MEM
from hidma.linux.kmsg import KmsgFile, OpenKmsg, OpenProcKmsg, devkmsg_write, printk_show, printk_store
from hidma.linux.kobject import Kobject
from hidma.linux.kstrtox import kstrtoul
from hidma.linux.list import list_for_each_entry
from hidma.linux.module import MODULE_SIZE, Module, ModuleParam, module_refcount, modules, users
from hidma.linux.of import DeviceNode, of_compatible
from hidma.linux.platform_device import platform_bus, to_platform_device
from hidma.linux.pm_runtime import (
    pm_runtime_allow,
    pm_runtime_forbid,
    pm_runtime_set_autosuspend_delay,
    power_times,
    runtime_status,
)
from hidma.linux.printk import dev_err
from hidma.linux.seq_file import seq_read
from hidma.linux.sysfs import BoundAttribute, one_page

if TYPE_CHECKING:
    from hidma.linux.device import BusType, DeviceDriver

ACTIONS = ("add", "remove", "change", "move", "online", "offline")
PATH_MAX = 4096


def strip(data: bytes) -> str:
    """What was written, up to a NUL and without one trailing newline."""
    text = data.split(b"\0")[0].decode("latin-1")
    return text[:-1] if text.endswith("\n") else text


# --- /sys/devices -------------------------------------------------------------------------------------------------


def device_env(dev: Device) -> str:
    """The variables of an event of ``dev``."""
    lines = []
    if dev.driver is not None:
        lines.append(f"DRIVER={dev.driver.name}")
    node = dev.of_node
    if isinstance(node, DeviceNode):
        compatible = of_compatible(node)
        lines += [f"OF_NAME={node.name}", f"OF_FULLNAME={node.full_name}"]
        lines += [f"OF_COMPATIBLE_{i}={text}" for i, text in enumerate(compatible)]
        lines.append(f"OF_COMPATIBLE_N={len(compatible)}")
    if dev.bus is not None:
        lines += [f"MODALIAS={text}" for text in modaliases(dev)]
    return "".join(f"{line}\n" for line in lines)


def modaliases(dev: Device) -> list[str]:
    """How a module for ``dev`` is asked for: by device tree, ACPI (by ID, and what is PRP0001 by ``compatible``), else by
    name."""
    if isinstance(dev.of_node, DeviceNode):
        return [f"of:N{dev.of_node.name}T<NULL>" + "".join(f"C{text}" for text in of_compatible(dev.of_node))]
    if isinstance(dev.container, AcpiDevice):
        return [text for text in (create_pnp_modalias(dev.container), create_of_modalias(dev.container)) if text]
    companion = acpi_companion_match(dev)
    if companion is not None:
        return [text for text in (create_pnp_modalias(companion), create_of_modalias(companion)) if text]
    return [f"platform:{to_platform_device(dev).name}"]


def uevent_store(dev: Device, data: bytes) -> int:
    """Send an event again; what is no action is complained about and taken."""
    if strip(data) not in ACTIONS:
        dev_err(dev, "uevent: unknown action-string\n")
    return len(data)


def driver_override_store(dev: Device, data: bytes) -> int:
    """Name the only driver that may bind."""
    if len(data) >= PATH_MAX:
        return -EINVAL
    to_platform_device(dev).driver_override = strip(data).split("\n")[0] or None
    return len(data)


def control_store(dev: Device, data: bytes) -> int:
    """``auto`` or ``on``, up to a newline."""
    word = data.split(b"\n")[0]
    if word == b"auto":
        pm_runtime_allow(dev)
    elif word == b"on":
        pm_runtime_forbid(dev)
    else:
        return -EINVAL
    return len(data)


def delay_store(dev: Device, data: bytes) -> int:
    """Set the autosuspend delay."""
    if not dev.power.use_autosuspend:
        return -EIO
    negative = data[:1] == b"-"
    rc, value = kstrtoul(data[1:] if negative else data, 10)
    if rc or value > 0x7FFFFFFF + negative or data[1:2] == b"+":
        return -EINVAL
    pm_runtime_set_autosuspend_delay(dev, -value if negative else value)
    return len(data)


def async_store(dev: Device, data: bytes) -> int:
    """``enabled`` or ``disabled``."""
    word = data.split(b"\n")[0]
    if word not in (b"enabled", b"disabled"):
        return -EINVAL
    dev.async_suspend = word == b"enabled"
    return len(data)


def enabled_text(dev: Device) -> str:
    """``power/runtime_enabled``."""
    disabled, forbidden = dev.power.disable_depth > 0, not dev.power.runtime_auto
    if disabled and forbidden:
        return "disabled & forbidden"
    return "disabled" if disabled else "forbidden" if forbidden else "enabled"


def attribute(kobj: Kobject | None, name: str, mode: int, show: Callable[[], str | int] | None,
              store: Callable[[bytes], int] | None = None) -> File:
    """The file ``name`` of the core in the directory of ``kobj``; None for one that nothing takes away."""

    def text() -> bytes | int:
        assert show is not None
        value = show()
        return value if isinstance(value, int) else one_page(value.encode("latin-1"), f"{name}_show")

    file = File(mode, text if show is not None else None, store)
    if kobj is not None:
        file.alive = lambda: kobj.alive
    return file


def living(entries: Mapping[str, Inode], alive: Callable[[], bool]) -> dict[str, Inode]:
    """``entries``, whose files may still be open when the directory is gone."""
    for node in entries.values():
        if isinstance(node, File):
            node.alive = alive
    return dict(entries)


def power_dir(dev: Device) -> Dir:
    """``power/``."""
    kobj = dev.kobj

    def active_kids() -> int:
        return sum(1 for child in dev.children if runtime_status(child) == "active")

    def entries() -> dict[str, Inode]:
        return {
            "async": attribute(kobj, "async", 0o644, lambda: "enabled\n" if dev.async_suspend else "disabled\n",
                               lambda d: async_store(dev, d)),
            "autosuspend_delay_ms": attribute(
                kobj, "autosuspend_delay_ms", 0o644,
                lambda: f"{dev.power.autosuspend_delay}\n" if dev.power.use_autosuspend else -EIO, lambda d: delay_store(dev, d)),
            "control": attribute(kobj, "control", 0o644, lambda: "auto\n" if dev.power.runtime_auto else "on\n",
                                 lambda d: control_store(dev, d)),
            "runtime_active_kids": attribute(kobj, "runtime_active_kids", 0o444, lambda: f"{active_kids()}\n"),
            "runtime_active_time": attribute(kobj, "runtime_active_time", 0o444, lambda: f"{power_times(dev)[0]}\n"),
            "runtime_enabled": attribute(kobj, "runtime_enabled", 0o444, lambda: f"{enabled_text(dev)}\n"),
            "runtime_status": attribute(kobj, "runtime_status", 0o444, lambda: f"{runtime_status(dev)}\n"),
            "runtime_suspended_time": attribute(kobj, "runtime_suspended_time", 0o444,
                                                lambda: f"{power_times(dev)[1]}\n"),
            "runtime_usage": attribute(kobj, "runtime_usage", 0o444, lambda: f"{dev.power.usage_count}\n"),
        }

    return Dir(entries)


def link(here: str, target: str) -> Link:
    """The link in the directory ``here`` to ``target``, both below /sys, as ``sysfs_create_link()`` makes it: up to the
    lowest directory above both, down to the target."""
    above, below = here.split("/"), target.split("/")
    shared = 0
    while shared < min(len(above), len(below) - 1) and above[shared] == below[shared]:
        shared += 1
    return Link("../" * (len(above) - shared) + "/".join(below[shared:]))


def dma_dir(dev: Device, chan: DmaChan) -> Dir:
    """``dma/dmaNchanM/``: the class device of a channel."""
    kobj = dev.kobj
    here = f"{kobj.path()}/dma/{chan.name}"

    def alive() -> bool:
        # the class device goes with the driver, not with the device
        return kobj.alive and any(c is chan for c in dma_channels(dev))

    def entries() -> dict[str, Inode]:
        found: dict[str, Inode] = {
            "bytes_transferred": attribute(kobj, "bytes_transferred", 0o444, lambda: f"{chan.bytes_transferred}\n"),
            "device": link(here, kobj.path()),
            "in_use": attribute(kobj, "in_use", 0o444, lambda: f"{chan.client_count}\n"),
            "memcpy_count": attribute(kobj, "memcpy_count", 0o444, lambda: f"{chan.memcpy_count}\n"),
            "power": Dir(lambda: living(dict(power_dir(class_device(chan)).entries()), alive)),
            "subsystem": link(here, "class/dma"),
            "uevent": attribute(kobj, "uevent", 0o644, lambda: "", lambda d: uevent_store(dev, d)),
        }
        return living(found, alive)

    return Dir(entries)


def class_device(chan: DmaChan) -> Device:
    """The ``struct device`` of a channel in the class dma. No driver enables runtime PM for it."""
    statics = sched.running_cpu().kernel.module("dmaengine")
    if not hasattr(statics, "class_devices"):
        statics.class_devices = WeakKeyDictionary()
    devices: WeakKeyDictionary[DmaChan, Device] = statics.class_devices
    if chan not in devices:
        devices[chan] = Device(chan.name)
    return devices[chan]


def dma_channels(dev: Device) -> list[DmaChan]:
    """The channels of the DMA devices of ``dev``."""
    engine = sched.running_cpu().kernel.module("dmaengine")
    return [chan for d in getattr(engine, "dma_device_list", []) if d.dev is dev
            for chan in list_for_each_entry(d.channels)]


def device_dir(kobj: Kobject, dev: Device) -> dict[str, Inode]:
    """What the core puts into the directory of a device."""
    assert dev.bus is not None
    bus = dev.bus.name
    entries: dict[str, Inode] = {}
    if dev.driver is not None:
        entries["driver"] = link(kobj.path(), f"bus/{bus}/drivers/{dev.driver.name}")
    entries["power"] = power_dir(dev)
    entries["subsystem"] = link(kobj.path(), f"bus/{bus}")
    entries["uevent"] = attribute(kobj, "uevent", 0o644, lambda: device_env(dev), lambda d: uevent_store(dev, d))
    if isinstance(dev.container, AcpiDevice):
        return entries | acpi_device_dir(kobj, dev, dev.container)
    pdev = to_platform_device(dev)
    entries["driver_override"] = attribute(
        kobj, "driver_override", 0o644, lambda: f"{'(null)' if pdev.driver_override is None else pdev.driver_override}\n",
        lambda d: driver_override_store(dev, d))
    entries["modalias"] = attribute(kobj, "modalias", 0o444, lambda: modalias_text(dev))
    if isinstance(dev.of_node, DeviceNode):
        entries["of_node"] = link(kobj.path(), "firmware/devicetree/base" + dev.of_node.full_name.rstrip("/"))
    group = group_of(dev)
    if group is not None:
        entries["iommu_group"] = link(kobj.path(), f"kernel/iommu_groups/{group.id}")
    if dev.acpi_companion is not None and dev.acpi_companion.dev is not None:
        entries["firmware_node"] = link(kobj.path(), dev.acpi_companion.dev.kobj.path())
    chans = dma_channels(dev)
    if chans:
        entries["dma"] = Dir(lambda: {c.name: dma_dir(dev, c) for c in dma_channels(dev)})
    return entries


def modalias_text(dev: Device) -> str:
    """``modalias``: a line for each."""
    return "".join(f"{text}\n" for text in modaliases(dev))


def acpi_device_dir(kobj: Kobject, dev: Device, adev: AcpiDevice) -> dict[str, Inode]:
    """What ``acpi_device_setup_files()`` and ``acpi_bind_one()`` put into the directory of an ACPI device."""
    entries: dict[str, Inode] = {"path": attribute(kobj, "path", 0o444, lambda: f"{adev.path}\n")}
    if adev.ids:
        entries["hid"] = attribute(kobj, "hid", 0o444, lambda: f"{adev.ids[0]}\n")
        entries["modalias"] = attribute(kobj, "modalias", 0o444, lambda: modalias_text(dev))
    if adev.description is not None:
        entries["description"] = attribute(kobj, "description", 0o444, lambda: f"{adev.description}\n")
    if adev.uid is not None:
        entries["uid"] = attribute(kobj, "uid", 0o444, lambda: f"{adev.uid}\n")
    if adev.has_status:
        entries["status"] = attribute(kobj, "status", 0o444, lambda: f"{adev.status}\n")
    for number, node in enumerate(adev.physical_nodes):
        entries[f"physical_node{number or ''}"] = link(kobj.path(), node.kobj.path())
    return entries


def bound_file(bound: BoundAttribute) -> File:
    """The file of a driver's attribute."""
    file = File(bound.mode, bound.show, bound.store)
    if bound.attr.show is None:
        file.show = None
    if bound.attr.store is None:
        file.store = None
    file.alive = lambda: bound.kobj.alive and bound.kobj.attributes.get(bound.attr.attr.name) is bound
    return file


def kobj_dir(kobj: Kobject) -> Dir:
    """The directory of ``kobj``."""

    def entries() -> dict[str, Inode]:
        found: dict[str, Inode] = {name: kobj_dir(child) for name, child in kobj.children.items()}
        found |= {name: bound_file(bound) for name, bound in kobj.attributes.items()}
        found |= {name: Link(target) for name, target in kobj.links.items()}
        if kobj.owner is not None and getattr(kobj.owner, "bus", None) is not None:
            found |= device_dir(kobj, kobj.owner)
        return dict(sorted(found.items()))

    return Dir(entries)


# --- /sys/bus, /sys/class, /sys/module ----------------------------------------------------------------------------


def find_device(bus: BusType, data: bytes) -> Device | None:
    """The device whose name was written."""
    name = strip(data)
    return next((dev for dev in bus.devices if dev.name == name), None)


def bind_store(bus: BusType, driver: DeviceDriver, data: bytes) -> int:
    """``bind``."""
    dev = find_device(bus, data)
    if dev is None or dev.driver is not None or not bus.match(dev, driver):
        return -ENODEV
    return len(data) if driver_probe_device(driver, dev) == 0 else -ENODEV


def unbind_store(bus: BusType, driver: DeviceDriver, data: bytes) -> int:
    """``unbind``."""
    dev = find_device(bus, data)
    if dev is None or dev.driver is not driver:
        return -ENODEV
    device_release_driver(dev)
    return len(data)


def probe_store(bus: BusType, data: bytes) -> int:
    """``drivers_probe``."""
    dev = find_device(bus, data)
    if dev is None:
        return -ENODEV
    if dev.driver is None:
        for driver in bus.drivers:
            if bus.match(dev, driver) and driver_probe_device(driver, dev) == 0:
                return len(data)
        return -EINVAL
    return len(data)


def driver_dir(bus: BusType, driver: DeviceDriver) -> Dir:
    """``/sys/bus/platform/drivers/<name>/``."""

    def entries() -> dict[str, Inode]:
        here = f"bus/{bus.name}/drivers/{driver.name}"
        found: dict[str, Inode] = {dev.name: link(here, dev.kobj.path()) for dev in driver.devices}
        found["bind"] = attribute(None, "bind", 0o200, None, lambda d: bind_store(bus, driver, d))
        found["unbind"] = attribute(None, "unbind", 0o200, None, lambda d: unbind_store(bus, driver, d))
        found["uevent"] = attribute(None, "uevent", 0o200, None, len)
        living(found, lambda: driver.bus is not None)
        if driver.owner:
            found["module"] = link(here, f"module/{driver.owner}")
        return dict(sorted(found.items()))

    return Dir(entries)


def bus_dir(bus: BusType) -> Dir:
    """``/sys/bus/<name>/``."""

    def autoprobe(data: bytes) -> int:
        bus.autoprobe = data[:1] != b"0"
        return len(data)

    return Dir(lambda: {
        "devices": Dir(lambda: {d.name: link(f"bus/{bus.name}/devices", d.kobj.path())
                                for d in sorted(bus.devices, key=lambda d: d.name)}),
        "drivers": Dir(lambda: {d.name: driver_dir(bus, d) for d in sorted(bus.drivers, key=lambda d: d.name)}),
        "drivers_autoprobe": attribute(None, "drivers_autoprobe", 0o644, lambda: f"{int(bus.autoprobe)}\n", autoprobe),
        "drivers_probe": attribute(None, "drivers_probe", 0o200, None, lambda d: probe_store(bus, d)),
        "uevent": attribute(None, "uevent", 0o200, None, len),
    })


def param_file(state: Any, param: ModuleParam) -> File:
    """``/sys/module/<name>/parameters/<param>``."""

    def store(data: bytes) -> int:
        return param.store(state, data.decode("latin-1")) or len(data)

    return attribute(None, param.name, param.perm, lambda: param.show(state), store if param.perm & 0o222 else None)


def use_count(kernel: Any, module: Module) -> int:
    """How many hold ``module``: other modules that need it, and references."""
    return module_refcount(kernel, module.name) + len(users(kernel, module.name))


def module_dir(kernel: Any, module: Module) -> Dir:
    """``/sys/module/<name>/``."""
    state = kernel.module(module.name)
    bus = platform_bus(kernel)

    def loaded() -> bool:
        return any(m is module for m in modules(kernel))

    def entries() -> dict[str, Inode]:
        drivers = [d for d in bus.drivers if d.owner == module.name]
        found: dict[str, Inode] = {
            "coresize": attribute(None, "coresize", 0o444, lambda: f"{MODULE_SIZE}\n"),
            "holders": Dir(lambda: {user: Link(f"../../{user}") for user in sorted(users(kernel, module.name))}),
            "initsize": attribute(None, "initsize", 0o444, lambda: "0\n"),
            "initstate": attribute(None, "initstate", 0o444, lambda: "live\n"),
            "refcnt": attribute(None, "refcnt", 0o444, lambda: f"{use_count(kernel, module)}\n"),
            "taint": attribute(None, "taint", 0o444, lambda: "\n"),
            "uevent": attribute(None, "uevent", 0o200, None, len),
        }
        if drivers:
            found["drivers"] = Dir(lambda: {f"platform:{d.name}": Link(f"../../../bus/platform/drivers/{d.name}")
                                            for d in drivers})
        shown = [p for p in module.params if p.perm]
        if shown:
            found["parameters"] = Dir(lambda: living({p.name: param_file(state, p) for p in shown}, loaded))
        return living(dict(sorted(found.items())), loaded)

    return Dir(entries)


def group_dir(group: IommuGroup, devices: list[Device]) -> Dir:
    """``/sys/kernel/iommu_groups/<number>/``."""
    return Dir(lambda: {
        "devices": Dir(lambda: {dev.name: link(f"kernel/iommu_groups/{group.id}/devices", dev.kobj.path()) for dev in devices}),
        "name": attribute(None, "name", 0o444, lambda: "\n"),
    })


def groups_dir(kernel: Any) -> Dir:
    """``/sys/kernel/iommu_groups/``."""

    def entries() -> dict[str, Inode]:
        devices = platform_bus(kernel).devices
        return {str(group.id): group_dir(group, [dev for dev in devices if group_of(dev) is group]) for group in groups()}

    return Dir(entries)


def debug_dir(dentry: Dentry) -> Dir:
    """A directory of debugfs."""

    def entries() -> dict[str, Inode]:
        return {name: debug_dir(child) if child.fops is None else debug_file(child)
                for name, child in sorted(dentry.children.items())}

    return Dir(entries, 0o700 if dentry.parent is None else dentry.mode & 0o7777)


def debug_file(dentry: Dentry) -> File:
    """A file of debugfs."""

    def show() -> bytes | int:
        text = seq_read(dentry.fops, dentry.data)
        return text if isinstance(text, int) else text.encode()

    file = File(dentry.mode, show, None, 0)
    file.strict = False
    file.alive = lambda: not dentry.removed
    return file


def tree_dir(node: DeviceNode) -> Dir:
    """A node below /sys/firmware/devicetree/base."""

    def entries() -> dict[str, Inode]:
        found: dict[str, Inode] = {child.node_name: tree_dir(child) for child in node.children}
        for name, raw in {"name": node.name.encode() + b"\0", **node.properties}.items():
            found[name] = File(0o444, lambda raw=raw: raw, None, len(raw))  # type: ignore[misc]
        return dict(sorted(found.items()))

    return Dir(entries)


def tables_dir(tables: list[tuple[str, bytes]]) -> Dir:
    """``/sys/firmware/acpi/tables/``: signature and bytes of each table."""
    names = [signature for signature, _ in tables]
    entries: dict[str, Inode] = {}
    for number, (signature, data) in enumerate(tables):
        instance = names[: number + 1].count(signature) if names.count(signature) > 1 else ""
        entries[f"{signature}{instance}"] = File(0o400, lambda data=data: data, None, len(data))  # type: ignore[misc]
    return Dir(lambda: dict(sorted(entries.items())))


# --- /proc --------------------------------------------------------------------------------------------------------


def interrupts_text(kernel: Any) -> str:
    """``/proc/interrupts``."""
    out = [" " * 11 + "".join(f"CPU{c.number:<8}" for c in kernel.cpus) + "\n"]
    for irq, desc in sorted(kernel.gic.descs.items()):
        if desc.actions:
            counts = "".join(f"{desc.counts.get(c.number, 0):>10} " for c in kernel.cpus)
            names = ", ".join(a.name for a in desc.actions)
            out.append(f"{irq:>3}: {counts} {'GIC':>8} {irq:>3} {'Level':<8}  {names}\n")
    return "".join(out)


def iomem_text(kernel: Any) -> str:
    """``/proc/iomem``: a driver's region stands below the resource of its device. platform_device_add() enters the latter; for
    a device that is made from a node of the tree it is not entered."""
    memory = kernel.bus.memory
    tops = [(memory.base, memory.base + memory.size - 1, "System RAM")]
    for dev in platform_bus(kernel).devices:
        if not isinstance(dev.of_node, DeviceNode):
            resources = to_platform_device(dev).resource
            tops += [(r.start, r.end, r.name or dev.name) for r in resources if r.flags & IORESOURCE_MEM]
    rows = [(start, -end, 0, name) for start, end, name in tops]
    for start, end, name in kernel.mem_regions:
        inside = any(first <= start and end <= last for first, last, _ in tops)
        rows.append((start, -end, int(inside), name))
    return "".join(f"{'  ' * depth}{start:08x}-{-end:08x} : {name}\n" for start, end, depth, name in sorted(rows))


def modules_text(kernel: Any) -> str:
    """``/proc/modules``: addresses are 0, since nothing is loaded to an address. A module without exit function is permanent."""
    def line(module: Module) -> str:
        holders = users(kernel, module.name)
        used = use_count(kernel, module)
        names = "".join(f"{name}," for name in holders) + ("[permanent]," if module.exit is None else "")
        return f"{module.name} {MODULE_SIZE} {used} {names or '-'} Live 0x{0:016x}\n"

    return "".join(line(m) for m in reversed(modules(kernel)))


def uptime_text(kernel: Any) -> str:
    """``/proc/uptime``."""
    seconds = kernel.clock.now / 1e9
    return f"{seconds:.2f} {seconds * len(kernel.cpus):.2f}\n"


def cmdline_text(kernel: Any) -> str:
    """``/proc/cmdline``: ``bootargs`` of the node /chosen."""
    chosen = next((node for node in kernel.of_root.children if node.name == "chosen"), None) if kernel.of_root else None
    bootargs = b"" if chosen is None else chosen.properties.get("bootargs", b"")
    return bootargs.split(b"\0")[0].decode("latin-1") + "\n"


def proc_dir(kernel: Any) -> Dir:
    """``/proc``."""
    texts = {"cmdline": cmdline_text, "interrupts": interrupts_text, "iomem": iomem_text, "modules": modules_text,
             "uptime": uptime_text, "version": lambda kernel: "Linux version 4.5.0-rc1 (hidma) #1 SMP\n"}

    def proc_file(name: str) -> File:
        return text_file(lambda: texts[name](kernel))

    levels = File(0o644, lambda: printk_show(kernel).encode(), lambda data: printk_store(kernel, data), 0)
    levels.strict = False
    kmsg = KmsgFile(0o400, OpenProcKmsg)
    sysctl = Dir(lambda: {"kernel": Dir(lambda: {"printk": levels}, 0o555)}, 0o555)

    def entries() -> dict[str, Inode]:
        found: dict[str, Inode] = {"kmsg": kmsg, "sys": sysctl, **{name: proc_file(name) for name in texts}}
        if kernel.of_root is not None:
            found["device-tree"] = Link("../sys/firmware/devicetree/base")
        return dict(sorted(found.items()))

    return Dir(entries, 0o555)


# --- the whole ----------------------------------------------------------------------------------------------------


def mount_root(kernel: Any) -> Vfs:
    """The tree of ``kernel``, as it is mounted after boot."""

    def class_dma() -> dict[str, Inode]:
        found: dict[str, Inode] = {}
        for dev in platform_bus(kernel).devices:
            for chan in dma_channels(dev):
                found[chan.name] = link("class/dma", f"{dev.kobj.path()}/dma/{chan.name}")
        return dict(sorted(found.items()))

    def sys_entries() -> dict[str, Inode]:
        tables = getattr(kernel.module("acpi"), "tables", [])
        firmware: dict[str, Inode] = {}
        if tables:
            firmware["acpi"] = Dir(lambda: {"tables": tables_dir(tables)})
        if kernel.of_root is not None:
            firmware["devicetree"] = Dir(lambda: {"base": tree_dir(kernel.of_root)})
        platform_bus(kernel)
        return {
            "bus": Dir(lambda: {name: bus_dir(bus) for name, bus in sorted(kernel.buses.items())}),
            "class": Dir(lambda: {"dma": Dir(class_dma)}),
            "devices": kobj_dir(kernel.sysfs_root.children["devices"])
            if "devices" in kernel.sysfs_root.children
            else Dir(dict),
            "firmware": Dir(lambda: dict(firmware)),
            "kernel": Dir(lambda: {"debug": debug_dir(kernel.debugfs_root), "iommu_groups": groups_dir(kernel)}),
            "module": Dir(lambda: {m.name: module_dir(kernel, m) for m in sorted(modules(kernel), key=lambda m: m.name)}),
        }

    proc = proc_dir(kernel)
    dev = Dir(lambda: {"kmsg": KmsgFile(0o644, OpenKmsg, devkmsg_write)})  # of the devices there is only the log
    return Vfs(Dir(lambda: {"dev": dev, "proc": proc, "sys": Dir(sys_entries)}))
