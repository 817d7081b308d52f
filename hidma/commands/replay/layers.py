# SPDX-License-Identifier: GPL-2.0-only
"""The layers of the port as scenarios drive them: low level, channel (with debugfs), management (with sysfs), the reset
function of HIDMA, VFIO platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from hidma import channel, ll, mgmt
from hidma.commands.replay.device import ScenarioError, number, rows, s32, shown, table, u8, u32, u64
from hidma.commands.replay.runner import MGMT_RESOURCES, Player, Scenario
from hidma.hidma_h import HidmaChan, HidmaDev, HidmaLldev, HidmaTre
from hidma.linux import dmaengine, io, vfio
from hidma.linux.acpi import AcpiDevice
from hidma.linux.device import BusType, Device, Devres
from hidma.linux.dmaengine import DMA_STATUS_NAMES, DmaTxState
from hidma.linux.errno import EACCES, ENOENT, ENXIO
from hidma.linux.eventfd import eventfd_file
from hidma.linux.file import Process, calling_as
from hidma.linux.interrupt import IrqAction
from hidma.linux.iommu import IommuGroup
from hidma.linux.ioport import IORESOURCE_IO, IORESOURCE_IRQ, IORESOURCE_MEM, IORESOURCE_READONLY, Resource
from hidma.linux.kfifo import kfifo_len, kfifo_size
from hidma.linux.kmod import set_modprobe
from hidma.linux.list import ListHead, list_for_each_entry
from hidma.linux.mm_types import VmAreaStruct
from hidma.linux.module import Module, going_modules, references
from hidma.linux.of import DeviceNode
from hidma.linux.platform_device import PlatformDevice, platform_get_drvdata
from hidma.linux.sched import KernelOops
from hidma.linux.seq_file import seq_read
from hidma.linux.slab import Array
from hidma.vfio_platform import common, irq
from hidma.vfio_platform.private import VfioPlatformDevice, VfioPlatformRegion, VfioPlatformResetNode
from reset_plugins import qcomhidma
from reset_plugins.qcomhidma import vfio_platform_qcomhidma_reset


def as_bool(value: Any) -> int:
    """Flags are 0 or 1 in a dump."""
    return 1 if value else 0


def dump_ll(lldev: HidmaLldev, pool: list[HidmaTre], full: bool) -> dict[str, Any]:
    """The low-level object by the names of its fields."""
    out: dict[str, Any] = {
        "initialized": as_bool(lldev.initialized), "trch_state": lldev.trch_state, "evch_state": lldev.evch_state,
        "chidx": lldev.chidx, "nr_tres": lldev.nr_tres, "pending_tre_count": lldev.pending_tre_count}
    for name in ("tre_ring_handle", "tre_ring_size", "tre_processed_off", "evre_ring_handle", "evre_ring_size",
                 "evre_processed_off", "tre_write_offset"):
        out[name] = getattr(lldev, name)
    out["fifo_size"] = kfifo_size(lldev.handoff_fifo)
    out["fifo_len"] = kfifo_len(lldev.handoff_fifo)
    out["tasklet_scheduled"] = as_bool(lldev.task.state)
    out["pending"] = [None if tre is None else tre.idx for tre in lldev.pending_tre_list]
    out["tx_status"] = [[s.err_info, s.err_code] for s in lldev.tx_status_list]
    if full:
        out["pool"] = None if lldev.trepool is None else [
            {"allocated": t.allocated.counter, "queued": as_bool(t.queued), "status": t.status, "idx": t.idx,
             "dma_sig": t.dma_sig, "dev_name": t.dev_name, "tre_index": t.tre_index, "int_flags": t.int_flags,
             "tre_local": list(t.tre_local)[:8]} for t in lldev.trepool]
    return out


Options = dict[str, Any]


class LowLevel(Player):
    """Layer ``ll``: the functions of hidma_ll.c, one by one."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        self.dev = Device(self.device_name)
        self.object: HidmaLldev | None = None
        self.pool: list[HidmaTre] = []
        self.names: dict[str, int] = {}
        if len(self.resource_list) < 2:
            raise ScenarioError("the low level has two blocks of registers")
        self.windows = [io.ioremap(start, size) for start, size in self.resource_list]

    @property
    def lldev(self) -> HidmaLldev:
        """The low-level object; C would follow a NULL pointer without one."""
        if self.object is None:
            raise KernelOops("Unable to handle kernel NULL pointer dereference: there is no low-level object")
        return self.object

    def tre(self, name: Any) -> int:
        """A TRE number: by name, or as it stands."""
        if isinstance(name, str) and name in self.names:
            return self.names[name]
        try:
            return u32(name)
        except ScenarioError:
            raise ScenarioError(f"{shown(name)} is neither the name of a TRE that was requested nor a number") from None

    def do_init(self, nr_tres: Any, chidx: Any, *, options: Options) -> None:
        null = rows(options.get("null") or [], "null")
        trca = 0 if "trca" in null else self.windows[0]
        evca = 0 if "evca" in null else self.windows[1]
        self.object = ll.hidma_ll_init(None if "dev" in null else self.dev, u32(nr_tres), trca, evca, u8(chidx))
        if self.object is not None:
            self.pool = list(self.object.trepool)
        self.event(["ret", "init", self.object is not None])

    def do_request(self, name: Any, *, options: Options) -> None:
        name = self.name(name)
        null = rows(options.get("null") or [], "null")
        stored: list[int] = []
        callback = None if options.get("cb", True) in (False, None) else self.callback
        rc = ll.hidma_ll_request(None if "lldev" in null else self.object, u32(options.get("sig", 0)), name, callback,
                                 name, None if "tre" in null else stored.append)
        if rc == 0:
            self.names[name] = stored[0]
        self.event(["ret", "request", rc, stored[0] if stored else None])

    def do_set(self, tre: Any, src: Any, dest: Any, len: Any, flags: Any) -> None:
        ll.hidma_ll_set_transfer_params(self.lldev, self.tre(tre), u64(src), u64(dest), u32(len), u32(flags))

    def do_queue(self, tre: Any) -> None:
        number = self.tre(tre)
        ll.hidma_ll_queue_request(self.lldev, number)
        self.ring_event(self.pool[number].tre_index)

    def do_start(self) -> None:
        ll.hidma_ll_start(self.lldev)

    def do_free(self, tre: Any) -> None:
        ll.hidma_ll_free(self.lldev, self.tre(tre))

    def do_cleanup(self, info: Any, code: Any) -> None:
        self.in_handler(ll.hidma_cleanup_pending_tre, self.lldev, u8(info), u8(code))

    def do_irq(self) -> None:
        self.desc.actions = [IrqAction(ll.hidma_ll_inthandler, 0, "ll", self.lldev)]
        super().do_irq()

    def do_status(self, tre: Any) -> None:
        self.event(["ret", "status", DMA_STATUS_NAMES[ll.hidma_ll_status(self.lldev, self.tre(tre))]])

    def do_isenabled(self) -> None:
        self.event(["ret", "isenabled", bool(ll.hidma_ll_isenabled(self.lldev))])

    def do_pause(self) -> None:
        self.event(["ret", "pause", ll.hidma_ll_pause(self.lldev)])

    def do_resume(self) -> None:
        self.event(["ret", "resume", ll.hidma_ll_resume(self.lldev)])

    def do_setup(self) -> None:
        self.event(["ret", "setup", ll.hidma_ll_setup(self.lldev)])

    def do_uninit(self, *, options: Options) -> None:
        null = options.get("null")
        self.event(["ret", "uninit", ll.hidma_ll_uninit(None if null else self.object)])

    def do_set_pending(self, n: Any) -> None:
        self.lldev.pending_tre_count = s32(n)

    def do_dump(self, full: Any = None) -> None:
        if self.object is not None:
            self.event(["dump", dump_ll(self.object, self.pool, full == "full")])


class Channel(Player):
    """Layers ``channel`` and ``dbg``: the channel driver through the DMA engine's operations."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        statics = self.kernel.module("hdma")
        statics.nr_desc_prm = u32(table(scenario.get("params"), "params").get("nr_desc_prm", 0))
        self.pdev = platform_device(self, "QCOM8061")
        # the asynchronous get returns what the scenario says, in every state of the device
        self.pdev.dev.power.forced = 1
        self.pdev.dev.power.get_rc = 1
        self.descs: dict[str, Any] = {}
        self.cookies: dict[str, int] = {}
        self.pool: list[HidmaTre] = []
        self.channel: HidmaChan | None = None
        self.removed = False

    @property
    def dmadev(self) -> HidmaDev | None:
        dmadev: HidmaDev | None = platform_get_drvdata(self.pdev)
        return dmadev

    @property
    def mchan(self) -> HidmaChan:
        if self.channel is None:
            raise ScenarioError("there is no channel before a probe that succeeds")
        return self.channel

    def desc_of(self, name: Any) -> Any:
        if self.name(name) not in self.descs:
            raise ScenarioError(f"{shown(name)} is no descriptor that was prepared")
        return self.descs[name]

    def do_probe(self) -> None:
        self.pdev.dev.dma_mask = None if self.kernel.fault_inject.value("no_dma_mask") else (1 << 64) - 1
        self.desc.actions = []
        rc = probed(self, self.pdev, channel.hidma_probe)
        dmadev = self.dmadev
        if not rc:
            assert dmadev is not None
            self.pool = list(dmadev.lldev.trepool)
            self.channel = next(list_for_each_entry(dmadev.ddev.channels)).container
            self.removed = False
        self.event(["ret", "probe", rc])

    def do_remove(self) -> None:
        if self.dmadev is None:
            raise KernelOops("Unable to handle kernel NULL pointer dereference: the device has no driver")
        rc = channel.hidma_remove(self.pdev)
        self.removed = True
        self.event(["ret", "remove", rc])

    def do_alloc(self) -> None:
        self.event(["ret", "alloc", dmaengine.alloc_chan_resources(self.mchan.chan)])

    def do_free_chan(self) -> None:
        dmaengine.free_chan_resources(self.mchan.chan)

    def do_prep(self, name: Any, dest: Any, src: Any, len: Any, flags: Any, *, options: Options) -> None:
        name = self.name(name)
        tx = dmaengine.dmaengine_prep_dma_memcpy(self.mchan.chan, u64(dest), u64(src), u64(len), u64(flags))
        if tx is None:
            self.descs.pop(name, None)
            self.event(["ret", "prep", None])
            return
        callback = options.get("cb", name)
        if callback is None or callback is False:
            tx.callback = None
        elif callback != "keep":
            tx.callback = self.callback
            tx.callback_param = self.name(callback)
        self.descs[name] = tx.container
        self.event(["ret", "prep", tx.container.tre_ch])

    def do_submit(self, name: Any) -> None:
        mdesc = self.descs.get(self.name(name))
        if mdesc is None:
            self.event(["ret", "submit", None])
            return
        cookie = dmaengine.dmaengine_submit(mdesc.desc)
        self.event(["ret", "submit", cookie])
        if cookie >= 0:
            self.cookies[name] = cookie
            self.ring_event(self.pool[mdesc.tre_ch].tre_index)

    def do_issue(self) -> None:
        dmaengine.dma_async_issue_pending(self.mchan.chan)

    def cookie(self, value: Any) -> int | None:
        """A cookie: by the name of its descriptor, or as it stands."""
        if isinstance(value, str) and (value in self.cookies or value in self.descs):
            return self.cookies.get(value)
        try:
            return s32(value)
        except ScenarioError:
            return None

    def do_tx_status(self, cookie: Any, *, options: Options) -> None:
        number = self.cookie(cookie)
        if number is None:
            self.event(["ret", "tx_status", None])
            return
        state = None if options.get("null_state") else DmaTxState()
        status = dmaengine.dmaengine_tx_status(self.mchan.chan, number, state)
        self.event(["ret", "tx_status", DMA_STATUS_NAMES[status],
                    None if state is None else [state.last, state.used, state.residue]])

    def do_pause(self) -> None:
        self.event(["ret", "pause", dmaengine.dmaengine_pause(self.mchan.chan)])

    def do_resume(self) -> None:
        self.event(["ret", "resume", dmaengine.dmaengine_resume(self.mchan.chan)])

    def do_terminate_all(self) -> None:
        self.event(["ret", "terminate_all", dmaengine.dmaengine_terminate_all(self.mchan.chan)])

    def do_set_callback(self, name: Any, newname: Any) -> None:
        mdesc = self.desc_of(name)
        mdesc.desc.callback = None if newname is None else self.callback
        mdesc.desc.callback_param = None if newname is None else self.name(newname)

    def do_set_cookie(self, last: Any, completed: Any) -> None:
        chan = self.mchan.chan
        chan.cookie = s32(last)
        chan.completed_cookie = s32(completed)

    def do_pm_get_rc(self, n: Any) -> None:
        self.pdev.dev.power.get_rc = s32(n)

    def do_show(self, attr: Any, *, options: Options) -> None:
        show(self, self.pdev, self.name(attr), options)

    def do_ll_request(self, name: Any) -> None:
        stored: list[int] = []
        rc = ll.hidma_ll_request(self.mchan.dmadev.lldev, 0, self.name(name), self.callback, name, stored.append)
        self.event(["ret", "request", rc, stored[0] if stored else None])

    def do_debugfs(self, path: Any) -> None:
        node: Any = self.kernel.debugfs_root
        for part in self.name(path).split("/"):
            node = None if node is None else node.children.get(part)
        text = None if node is None or node.fops is None else seq_read(node.fops, node.data)
        self.event(["text", path, text])

    def do_corrupt_tre(self, name: Any, n: Any) -> None:
        self.desc_of(name).tre_ch = u32(n)

    def do_dump(self, full: Any = None) -> None:
        power = self.pdev.dev.power
        dmadev = self.dmadev
        out: dict[str, Any] = {"probed": dmadev is not None, "pm_usage": power.usage_count,
                               "pm_enabled": as_bool(power.disable_depth == 0)}
        if dmadev is not None:
            out |= {"chidx": dmadev.chidx, "nr_descriptors": dmadev.nr_descriptors, "irq": dmadev.irq,
                    "issue_task_scheduled": as_bool(dmadev.task.state)}
            if not self.removed and self.channel is not None:
                out |= self.dump_channel(self.channel)
            out["ll"] = dump_ll(dmadev.lldev, self.pool, full == "full")
        self.event(["dump", out])

    def dump_channel(self, mchan: HidmaChan) -> dict[str, Any]:
        heads: dict[str, ListHead] = {"free": mchan.free, "prepared": mchan.prepared, "active": mchan.active,
                                      "completed": mchan.completed}
        members = {name: list(list_for_each_entry(head)) for name, head in heads.items()}
        running: Any = mchan.running
        if running is not None:
            if running is mchan.active.nothing:
                running = "head"
            elif any(running is m for lst in members.values() for m in lst):
                running = running.tre_ch
            else:
                running = "stale"
        return {"paused": as_bool(mchan.paused), "allocated": as_bool(mchan.allocated), "dma_sig": mchan.dma_sig,
                "cookie": mchan.chan.cookie, "completed_cookie": mchan.chan.completed_cookie,
                "lists": {name: [m.tre_ch for m in lst] for name, lst in members.items()}, "running": running}


def platform_device(player: Player, hid: str) -> PlatformDevice:
    """The device that a driver is to probe, with the scenario's properties, resources and interrupt."""
    pdev = PlatformDevice(player.device_name, -1)
    properties = {name: u32(value) if isinstance(value, int) else value
                  for name, value in table(player.scenario.get("properties"), "properties").items()}
    pdev.dev.acpi_companion = AcpiDevice("", hid, properties=properties)
    pdev.dev.kobj.alive = True
    pdev.resource = [Resource(start, start + size - 1, IORESOURCE_MEM) for start, size in player.resource_list]
    if player.irq >= 0:
        pdev.resource.append(Resource(player.irq, player.irq, IORESOURCE_IRQ))
    else:
        player.kernel.fault_inject.values["platform_get_irq"] = player.irq
    return pdev


def probed(player: Player, pdev: PlatformDevice, probe: Callable[[PlatformDevice], int]) -> int:
    """Call ``probe`` for a device on which nothing of an earlier probe is in the way; devres goes when it fails."""
    player.kernel.mem_regions.clear()
    player.kernel.debugfs_root.children.clear()
    pdev.dev.kobj.attributes.clear()
    pdev.dev.kobj.children.clear()
    devres, pdev.dev.devres = pdev.dev.devres, Devres()
    rc = probe(pdev)
    if rc:
        pdev.dev.devres.release_all()
    pdev.dev.devres.entries[:0] = devres.entries
    return rc


def show(player: Player, pdev: PlatformDevice, path: str, options: Options) -> None:
    """Read an attribute, its name replaced during the call if the scenario says so."""
    bound = find_attribute(pdev, path)
    if bound is None:
        player.event(["ret", "show", -ENOENT])
        return
    name = bound.attr.attr.name
    bound.attr.attr.name = options.get("as", name)
    text = bound.show()
    bound.attr.attr.name = name
    player.event(["ret", "show", text if isinstance(text, int) else text.decode()])


def find_attribute(pdev: PlatformDevice, path: str) -> Any:
    node = pdev.dev.kobj
    *dirs, name = path.split("/")
    for part in dirs:
        if part not in node.children:
            return None
        node = node.children[part]
    return node.attributes.get(name)


#: The fields of ``struct hidma_mgmt_dev`` that a scenario may set, and how wide they are; the last two are arrays.
WIDTHS = {"hw_version_major": 8, "hw_version_minor": 8, "max_wr_xactions": 32, "max_rd_xactions": 32,
          "max_write_request": 32, "max_read_request": 32, "dma_channels": 32, "chreset_timeout_cycles": 32,
          "hw_version": 32, "addrsize": 64, "priority": 32, "weight": 32}


class Management(Player):
    """Layers ``mgmt`` and ``mgmt_sys``: the management driver, its files, and the object hierarchy."""

    resources = MGMT_RESOURCES
    device_name = "QCOM8060:00"

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        self.pdev = platform_device(self, "QCOM8060")
        # devices that the driver makes are registered and not bound: a recording has no driver core
        self.kernel.buses["platform"] = BusType(self.kernel, "platform", lambda dev, drv: False, lambda dev: 0,
                                                lambda dev: 0)
        self.kernel.of_root = DeviceNode("")
        self.nodes: list[DeviceNode] = []
        for spec in rows(scenario.get("of") or [], "of"):
            self.add_node(spec, self.kernel.of_root)

    def add_node(self, spec: Any, parent: DeviceNode) -> None:
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            raise ScenarioError(f"a node is an object with a name, not {shown(spec)}")
        node = ScriptedNode(spec, parent)
        node.device = PlatformDevice("parent", -1)
        self.nodes.append(node)
        for child in rows(spec.get("children") or [], "children"):
            self.add_node(child, node)

    def sink(self, event: tuple[Any, ...]) -> None:
        if event[0] == "platform_device" and event[3] is not None:
            event = (*event[:3], "parent", *event[4:])
        super().sink(event)

    @property
    def mgmtdev(self) -> Any:
        """The driver's data; C would follow a NULL pointer before a probe that succeeds."""
        mgmtdev = platform_get_drvdata(self.pdev)
        if mgmtdev is None:
            raise KernelOops("Unable to handle kernel NULL pointer dereference: the device has no driver")
        return mgmtdev

    def do_module_init(self, name: Any) -> None:
        functions = {"hidma_mgmt_init": mgmt.hidma_mgmt_init}
        if self.name(name) not in functions:
            raise ScenarioError(f"{shown(name)} is not one of {', '.join(functions)}")
        self.event(["ret", "module_init", functions[name]()])

    def do_of_refs(self) -> None:
        for node in self.nodes:
            self.event(["of_refs", node.name, node.refs])

    def do_probe(self) -> None:
        self.event(["ret", "probe", probed(self, self.pdev, mgmt.hidma_mgmt_probe)])

    def do_setup(self) -> None:
        self.event(["ret", "setup", mgmt.hidma_mgmt_setup(self.mgmtdev)])

    def do_set_field(self, field: Any, *args: Any) -> None:
        count = 2 if field in ("priority", "weight") else 1
        if not isinstance(field, str) or field not in WIDTHS or len(args) != count:
            raise ScenarioError(f"{shown([field, *args])} is no field with its value")
        value = number(args[-1]) & (1 << WIDTHS[field]) - 1
        if len(args) == 2:
            getattr(self.mgmtdev, field)[number(args[0])] = value
        else:
            setattr(self.mgmtdev, field, value)

    def do_show(self, path: Any, *, options: Options) -> None:
        show(self, self.pdev, self.name(path), options)

    def store(self, op: str, path: Any, text: Any, options: Options) -> None:
        """Write an attribute, with the test of its mode or without."""
        bound = find_attribute(self.pdev, self.name(path))
        if not isinstance(text, str):
            raise ScenarioError(f"{shown(text)} is not a text")
        if bound is None:
            rc = -ENOENT
        elif op == "store" and not bound.mode & 0o222:
            rc = -EACCES
        else:
            name = bound.attr.attr.name
            bound.attr.attr.name = options.get("as", name)
            rc = bound.store(text.encode("utf-8", "surrogatepass"))
            bound.attr.attr.name = name
        self.event(["ret", op, rc])

    def do_store(self, path: Any, text: Any, *, options: Options) -> None:
        self.store("store", path, text, options)

    def do_store_raw(self, path: Any, text: Any, *, options: Options) -> None:
        self.store("store_raw", path, text, options)

    def do_dump(self, full: Any = None) -> None:
        power = self.pdev.dev.power
        m = platform_get_drvdata(self.pdev)
        out: dict[str, Any] = {"probed": m is not None, "pm_usage": power.usage_count,
                               "pm_enabled": as_bool(power.disable_depth == 0)}
        if m is not None:
            for name in ("hw_version_major", "hw_version_minor", "hw_version", "max_wr_xactions", "max_rd_xactions",
                         "max_write_request", "max_read_request", "dma_channels", "chreset_timeout_cycles", "addrsize"):
                out[name] = getattr(m, name)
            out["priority"] = list(m.priority)[: m.dma_channels]
            out["weight"] = list(m.weight)[: m.dma_channels]
        self.event(["dump", out])


class ScriptedNode(DeviceNode):
    """A device tree node of a scenario."""

    def __init__(self, spec: dict[str, Any], parent: DeviceNode) -> None:
        super().__init__(spec["name"], parent)
        compatible = spec.get("compatible")
        if compatible is not None:
            strings = compatible if isinstance(compatible, list) else [compatible]
            self.properties["compatible"] = b"".join(str(c).encode() + b"\0" for c in strings)
        if spec.get("reg") is not None:
            self.properties["reg"] = b"".join(u32(c).to_bytes(4, "big") for c in rows(spec["reg"], "reg"))
        if not spec.get("available", True):
            self.properties["status"] = b"disabled\0"
        # the cells that C finds in the parent: each node of a scenario has its own
        self.cells = (u32(spec.get("addr_cells", 2)), u32(spec.get("size_cells", 2)))
        self.irqs = [s32(spec["irq"])] if "irq" in spec else []
        self.irq_rc = s32(spec.get("irq_rc", 0))


class Reset(Player):
    """Layer ``reset``: the reset function of HIDMA on a device with the scenario's regions."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        given = scenario.get("regions")
        resources = [self.resource(r) for r in rows(given, "regions")] if given is not None else [
            ("", start, size) for start, size in self.resource_list]
        for name, start, size in resources:
            if start not in (first for first, _ in self.resource_list):
                block = self.device.block(name)
                block.base, block.size = start, size
                self.device.bus.blocks.append(block)
        self.vdev = VfioPlatformDevice()
        self.vdev.regions = Array(VfioPlatformRegion() for _ in resources)
        for region, (_, start, size) in zip(self.vdev.regions, resources, strict=True):
            region.addr, region.size = start, size
        self.vdev.num_regions = len(resources)

    def do_reset(self) -> None:
        self.event(["ret", "reset", vfio_platform_qcomhidma_reset(self.vdev)])


class NoCore(vfio.Vfio):
    """The recorder's stub of the VFIO core: it takes every device, and removing one waits for nothing."""

    def add_group_dev(self, dev: Device, ops: Any, device_data: Any) -> int:
        dev.driver_data = device_data
        return 0

    def del_group_dev(self, dev: Device) -> Any:
        return dev.driver_data


#: The kinds of resource that a scenario has.
RESOURCE_KINDS = {"mem": IORESOURCE_MEM, "mem_ro": IORESOURCE_MEM | IORESOURCE_READONLY, "io": IORESOURCE_IO,
                  "irq": IORESOURCE_IRQ}
ARGUMENT = 4096  # bytes of a process that arguments and data lie in


class VfioPlatform(Player):
    """Layer ``vfio``: vfio_platform_common.c alone.

    The recorder had stubs in place of the VFIO core and of vfio_platform_irq.c. Here the calls of the latter are recorded
    as by those stubs, then ours runs; interrupts have a trigger already when the device is open.
    """

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        self.kernel.module("vfio").vfio = NoCore()
        self.parent = Module("parent", lambda: 0)
        self.modules: dict[str, Module] = {"parent": self.parent, "base": common.base_module,
                                           "qcomhidma": qcomhidma.module}
        for known in self.modules.values():
            references(self.kernel)[known.name] = 1
        self.functions: dict[str, Callable[[VfioPlatformDevice], int]] = {}
        self.keys: dict[Any, str] = {vfio_platform_qcomhidma_reset: "qcomhidma"}
        self.group = IommuGroup(0)
        self.resources_given: list[Resource] = []
        self.autoload = scenario.get("autoload")
        set_modprobe(self.modprobe)
        self.process = Process("recorder")
        self.memory = bytearray(ARGUMENT)
        self.address = self.process.mm.map_buffer(self.memory)
        self.process.files.fds[self.irq] = eventfd_file()
        self.vdev: VfioPlatformDevice | None = None
        self.reset: Any = None
        self.irq_init_rc = 0
        self.dev = Device("dev0")

    def play(self) -> list[Any]:
        with patch.multiple(common, vfio_platform_irq_init=self.irq_init, vfio_platform_irq_cleanup=self.irq_cleanup,
                            vfio_platform_set_irqs_ioctl=self.set_irqs_ioctl):
            return super().play()

    def irq_init(self, vdev: VfioPlatformDevice) -> int:
        """vfio_platform_irq_init(), recorded; it fails where the scenario says so."""
        self.event(["irq_init", self.irq_init_rc])
        return self.irq_init_rc or irq.vfio_platform_irq_init(vdev)

    def irq_cleanup(self, vdev: VfioPlatformDevice) -> None:
        """vfio_platform_irq_cleanup(), recorded."""
        self.event(["irq_cleanup"])
        irq.vfio_platform_irq_cleanup(vdev)

    def set_irqs_ioctl(self, vdev: VfioPlatformDevice, flags: int, index: int, start: int, count: int,
                       data: bytes | None) -> int:
        """vfio_platform_set_irqs_ioctl(), recorded with the first byte of its data."""
        self.event(["set_irqs", flags, index, start, count, irq.u8_of(data) if data else -1])
        return irq.vfio_platform_set_irqs_ioctl(vdev, flags, index, start, count, data)

    def sink(self, event: tuple[Any, ...]) -> None:
        # the recorder called the module by the name of its file
        if event[0] == "module" and event[2] == "vfio_platform_base":
            event = (*event[:2], "vfio-platform-base", event[3])
        super().sink(event)

    def modprobe(self, name: str) -> int:
        """The module loader, which knows one name at most, and it once."""
        if name != self.autoload:
            return -ENOENT
        self.autoload = None
        return qcomhidma.module.init()

    @property
    def device_data(self) -> VfioPlatformDevice:
        if self.vdev is None:
            raise ScenarioError("there is no device before a probe")
        return self.vdev

    def do_register_reset(self, key: Any, *, options: Options) -> None:
        key = self.name(key)
        rc = s32(options.get("rc", 0))

        def reset(vdev: VfioPlatformDevice) -> int:
            self.event(["reset_fn", key])
            return rc

        owner = Module(key, lambda: 0)
        self.modules[key] = owner
        self.functions[key] = reset
        self.keys[reset] = key
        references(self.kernel)[key] = 1
        if not options.get("alive", True):
            self.do_module_alive(key, 0)
        register = getattr(common, "__vfio_platform_register_reset")
        register(VfioPlatformResetNode(options.get("compat"), options.get("acpihid"), owner, reset))

    def do_unregister_reset(self, key: Any, *, options: Options) -> None:
        if self.name(key) not in self.functions:
            raise ScenarioError(f"{shown(key)} is no reset function that was registered")
        common.vfio_platform_unregister_reset(options.get("compat"), options.get("acpihid"), self.functions[key])

    def do_module_init(self, name: Any) -> None:
        if self.name(name) != "vfio_platform_qcomhidma_reset_module_init":
            raise ScenarioError(f"{shown(name)} is not vfio_platform_qcomhidma_reset_module_init")
        self.event(["ret", "module_init", qcomhidma.module.init()])

    def do_module_exit(self, name: Any) -> None:
        if self.name(name) != "vfio_platform_qcomhidma_reset_module_exit":
            raise ScenarioError(f"{shown(name)} is not vfio_platform_qcomhidma_reset_module_exit")
        assert qcomhidma.module.exit is not None
        qcomhidma.module.exit()

    def do_module_alive(self, key: Any, alive: Any) -> None:
        if self.name(key) not in self.modules:
            raise ScenarioError(f"{shown(key)} is no module")
        going = going_modules(self.kernel)
        (going.discard if number(alive) else going.add)(self.modules[key].name)

    def do_resource(self, start: Any, size: Any, kind: Any) -> None:
        if self.name(kind) not in RESOURCE_KINDS:
            raise ScenarioError(f"{shown(kind)} is not one of {', '.join(RESOURCE_KINDS)}")
        self.resources_given.append(Resource(u64(start), u64(start) + u64(size) - 1, RESOURCE_KINDS[kind]))

    def do_irq_init_rc(self, n: Any) -> None:
        self.irq_init_rc = s32(n)

    def do_probe(self, *, options: Options) -> None:
        self.dev = Device("dev0")
        self.dev.acpi_companion = AcpiDevice("", options["hid"]) if "hid" in options else None
        self.dev.fwnode = AcpiDevice("", None, properties=table(self.scenario.get("properties"), "properties"))
        self.dev.iommu_group = self.group if options.get("group", True) else None
        given = self.resources_given
        vdev = VfioPlatformDevice()
        vdev.name = options.get("name", "dev0")
        vdev.flags = vfio.VFIO_DEVICE_FLAGS_PLATFORM
        vdev.parent_module = self.parent
        vdev.get_resource = lambda vdev, i: given[i] if i < len(given) else None
        vdev.get_irq = lambda vdev, i: self.irq if not i else -ENXIO
        self.vdev = vdev
        rc = common.vfio_platform_probe_common(None if options.get("null") else vdev, self.dev)  # type: ignore[arg-type]
        self.event(["ret", "probe", rc])

    def do_remove(self) -> None:
        self.event(["ret", "remove", common.vfio_platform_remove_common(self.dev) is not None])

    def do_open(self) -> None:
        vdev = self.device_data
        rc = common.vfio_platform_open(vdev)
        if not rc and vdev.num_irqs and vdev.irqs[0].trigger is None:
            with calling_as(self.process):
                irq.vfio_set_trigger(vdev, 0, self.irq, irq.vfio_irq_handler)
        self.event(["ret", "open", rc])

    def do_release(self) -> None:
        common.vfio_platform_release(self.device_data)

    def do_ioctl(self, request: Any, words: Any = None, data: Any = "", *, options: Options) -> None:
        commands = {"INFO": (vfio.VFIO_DEVICE_GET_INFO, vfio.VfioDeviceInfo),
                    "REGION": (vfio.VFIO_DEVICE_GET_REGION_INFO, vfio.VfioRegionInfo),
                    "IRQ": (vfio.VFIO_DEVICE_GET_IRQ_INFO, vfio.VfioIrqInfo), "SET_IRQS": (vfio.VFIO_DEVICE_SET_IRQS, None),
                    "RESET": (vfio.VFIO_DEVICE_RESET, None), "BOGUS": (0, None)}
        if not isinstance(request, str) or request not in commands:
            raise ScenarioError(f"{shown(request)} is not one of {', '.join(commands)}")
        cmd, layout = commands[request]
        self.memory[:] = bytes(ARGUMENT)
        raw = b"".join(u32(word).to_bytes(4, "little") for word in rows(words or [], "words")) + self.raw(data)
        self.memory[: len(raw)] = raw
        with calling_as(self.process):
            rc = common.vfio_platform_ioctl(self.device_data, cmd, 0 if options.get("null") else self.address)
        out = None
        if layout is not None and not rc:
            answer = layout.unpack(bytes(self.memory[: layout.sizeof()]))
            out = [getattr(answer, name) for name, _ in layout.layout]
        self.event(["ret", "ioctl", rc, out])

    @staticmethod
    def raw(text: Any) -> bytes:
        try:
            return bytes.fromhex(text)
        except (TypeError, ValueError):
            raise ScenarioError(f"{shown(text)} is not hexadecimal") from None

    def do_read(self, pos: Any, n: Any, *, options: Options) -> None:
        count = number(n)
        if not 0 <= count <= ARGUMENT:
            raise ScenarioError(f"{shown(n)} bytes are too many")
        with calling_as(self.process):
            rc = common.vfio_platform_read(self.device_data, 0 if options.get("null") else self.address, count, u64(pos))
        self.event(["ret", "read", rc, self.memory[: max(rc, 0)].hex()])

    def do_write(self, pos: Any, data: Any, *, options: Options) -> None:
        raw = self.raw(data)
        if len(raw) > ARGUMENT:
            raise ScenarioError(f"{len(raw)} bytes are too many")
        self.memory[: len(raw)] = raw
        with calling_as(self.process):
            rc = common.vfio_platform_write(self.device_data, 0 if options.get("null") else self.address, len(raw), u64(pos))
        self.event(["ret", "write", rc])

    def do_mmap(self, start: Any, end: Any, pgoff: Any, flags: Any) -> None:
        vma = VmAreaStruct(u64(start), u64(end), u64(pgoff), u64(flags))
        self.event(["ret", "mmap", common.vfio_platform_mmap(self.device_data, vma)])

    def do_dump(self) -> None:
        vdev = self.device_data
        counts = references(self.kernel)
        refs = {key: counts[known.name] for key, known in self.modules.items()}
        self.event(["dump", {
            "compat": vdev.compat, "acpihid": vdev.acpihid,
            "reset": None if vdev.reset is None else self.keys[vdev.reset],
            "reset_module": None if vdev.reset_module is None else vdev.reset_module.name,
            "flags": vdev.flags, "refcnt": vdev.refcnt, "num_regions": vdev.num_regions,
            "regions": [[r.addr, r.size, r.flags, r.type, as_bool(r.ioaddr)] for r in list(vdev.regions)[: vdev.num_regions]],
            "refs": refs | {"iommu_group": self.group.kref}}])


PLAYERS: dict[str, type[Player]] = {
    "ll": LowLevel, "channel": Channel, "dbg": Channel, "mgmt": Management, "mgmt_sys": Management, "reset": Reset,
    "vfio": VfioPlatform,
}


def replay(scenario: Scenario) -> list[Any]:
    """The events of ``scenario``, run against the port.

    :raises ScenarioError: a step of it cannot be done
    """
    layer = scenario.scenario.get("layer")
    player = PLAYERS.get(layer) if isinstance(layer, str) else None
    if player is None:
        raise ScenarioError(f"{scenario.path}: layer {shown(layer)} is not one of {', '.join(sorted(PLAYERS))}")
    try:
        return player(scenario.scenario).play()
    except ScenarioError as error:
        raise ScenarioError(f"{scenario.path}: {error}") from None
