# SPDX-License-Identifier: GPL-2.0-only
"""The layers of the port as scenarios drive them: low level, channel (with debugfs), management (with sysfs)."""

from __future__ import annotations

from typing import Any

from hidma import channel, ll, mgmt
from hidma.hidma_h import HidmaChan, HidmaDev, HidmaLldev, HidmaTre
from hidma.linux import dmaengine, io
from hidma.linux.acpi import AcpiDevice
from hidma.linux.device import Device
from hidma.linux.dmaengine import DMA_STATUS_NAMES, DmaTxState
from hidma.linux.errno import EACCES, ENOENT
from hidma.linux.interrupt import IrqAction
from hidma.linux.ioport import IORESOURCE_IRQ, IORESOURCE_MEM, Resource
from hidma.linux.kfifo import kfifo_len, kfifo_size
from hidma.linux.list import ListHead, list_for_each_entry
from hidma.linux.of import DeviceNode
from hidma.linux.platform_device import PlatformDevice, platform_get_drvdata
from hidma.linux.seq_file import seq_read
from hidma.replay.device import number
from hidma.replay.runner import MGMT_RESOURCES, Player

NAMES = {0: "DMA_COMPLETE", 1: "DMA_IN_PROGRESS", 2: "DMA_PAUSED", 3: "DMA_ERROR"}


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


class LowLevel(Player):
    """Layer ``ll``: the functions of hidma_ll.c, one by one."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        self.dev = Device(self.device_name)
        self.lldev: HidmaLldev | None = None
        self.pool: list[HidmaTre] = []
        self.names: dict[str, int] = {}
        self.windows = [io.ioremap(start, size) for start, size in self.resource_list]

    def tre(self, name: Any) -> int:
        """A TRE number: by name, or as it stands."""
        return self.names[name] if isinstance(name, str) and name in self.names else number(name)

    def do_init(self, nr_tres: Any, chidx: Any, options: dict[str, Any] | None = None) -> None:
        null = (options or {}).get("null", [])
        trca = 0 if "trca" in null else self.windows[0]
        evca = 0 if "evca" in null else self.windows[1]
        self.lldev = ll.hidma_ll_init(None if "dev" in null else self.dev, number(nr_tres), trca, evca,
                                      number(chidx) & 0xFF)
        if self.lldev is not None:
            self.pool = list(self.lldev.trepool)
            self.desc.actions = [IrqAction(ll.hidma_ll_inthandler, 0, "ll", self.lldev)]
        self.event(["ret", "init", self.lldev is not None])

    def do_request(self, name: str, options: dict[str, Any] | None = None) -> None:
        options = options or {}
        null = options.get("null", [])
        stored: list[int] = []
        callback = None if options.get("cb", True) in (False, None) else self.callback
        rc = ll.hidma_ll_request(None if "lldev" in null else self.lldev, number(options.get("sig", 0)), name, callback,
                                 name, None if "tre" in null else stored.append)
        if rc == 0:
            self.names[name] = stored[0]
        self.event(["ret", "request", rc, stored[0] if stored else None])

    def do_set(self, tre: Any, src: Any, dest: Any, length: Any, flags: Any) -> None:
        ll.hidma_ll_set_transfer_params(self.lldev, self.tre(tre), number(src), number(dest), number(length), number(flags))

    def do_queue(self, tre: Any) -> None:
        ll.hidma_ll_queue_request(self.lldev, self.tre(tre))
        self.ring_event(self.pool[self.tre(tre)].tre_index)

    def do_start(self) -> None:
        ll.hidma_ll_start(self.lldev)

    def do_free(self, tre: Any) -> None:
        ll.hidma_ll_free(self.lldev, self.tre(tre))

    def do_cleanup(self, info: Any, code: Any) -> None:
        ll.hidma_cleanup_pending_tre(self.lldev, number(info) & 0xFF, number(code) & 0xFF)

    def do_status(self, tre: Any) -> None:
        self.event(["ret", "status", NAMES[ll.hidma_ll_status(self.lldev, self.tre(tre))]])

    def do_isenabled(self) -> None:
        self.event(["ret", "isenabled", bool(ll.hidma_ll_isenabled(self.lldev))])

    def do_pause(self) -> None:
        self.event(["ret", "pause", ll.hidma_ll_pause(self.lldev)])

    def do_resume(self) -> None:
        self.event(["ret", "resume", ll.hidma_ll_resume(self.lldev)])

    def do_setup(self) -> None:
        self.event(["ret", "setup", ll.hidma_ll_setup(self.lldev)])

    def do_uninit(self, options: dict[str, Any] | None = None) -> None:
        null = (options or {}).get("null")
        self.event(["ret", "uninit", ll.hidma_ll_uninit(None if null else self.lldev)])

    def do_set_pending(self, n: Any) -> None:
        assert self.lldev is not None
        self.lldev.pending_tre_count = number(n)

    def do_dump(self, full: Any = None) -> None:
        if self.lldev is not None:
            self.event(["dump", dump_ll(self.lldev, self.pool, full == "full")])


class Channel(Player):
    """Layers ``channel`` and ``dbg``: the channel driver through the DMA engine's operations."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        inject = self.kernel.fault_inject
        statics = self.kernel.module("hidma")
        statics.nr_desc_prm = number(scenario.get("params", {}).get("nr_desc_prm", 0))
        self.pdev = PlatformDevice(self.device_name, -1)
        dev = self.pdev.dev
        dev.acpi_companion = AcpiDevice("", "QCOM8061", properties=dict(scenario.get("properties", {})))
        dev.dma_mask = None if inject.values.pop("no_dma_mask", 0) else (1 << 64) - 1
        dev.kobj.alive = True
        self.pdev.resource = [Resource(s, s + n - 1, IORESOURCE_MEM) for s, n in self.resource_list]
        if self.irq >= 0:
            self.pdev.resource.append(Resource(self.irq, self.irq, IORESOURCE_IRQ))
        else:
            inject.values["platform_get_irq"] = self.irq
        self.descs: dict[str, Any] = {}
        self.cookies: dict[str, int] = {}
        self.pool: list[HidmaTre] = []
        self.removed = False

    @property
    def dmadev(self) -> HidmaDev | None:
        """The driver's data."""
        dmadev: HidmaDev | None = platform_get_drvdata(self.pdev)
        return dmadev

    @property
    def mchan(self) -> HidmaChan:
        """The only channel."""
        assert self.dmadev is not None
        mchan: HidmaChan = self.dmadev.ddev.channels.next.owner.container
        return mchan

    def client_callback(self, name: str) -> Any:
        """A callback for the descriptor of ``name``."""
        return self.callback

    def do_probe(self) -> None:
        rc = channel.hidma_probe(self.pdev)
        if rc:
            self.pdev.dev.devres.release_all()
        else:
            assert self.dmadev is not None
            self.pool = list(self.dmadev.lldev.trepool)
        self.event(["ret", "probe", rc])

    def do_remove(self) -> None:
        rc = channel.hidma_remove(self.pdev)
        self.removed = True
        self.event(["ret", "remove", rc])

    def do_alloc(self) -> None:
        self.event(["ret", "alloc", dmaengine.alloc_chan_resources(self.mchan.chan)])

    def do_free_chan(self) -> None:
        dmaengine.free_chan_resources(self.mchan.chan)

    def do_prep(self, name: str, dest: Any, src: Any, length: Any, flags: Any,
                options: dict[str, Any] | None = None) -> None:
        tx = dmaengine.dmaengine_prep_dma_memcpy(self.mchan.chan, number(dest), number(src), number(length), number(flags))
        if tx is None:
            self.descs.pop(name, None)
            self.event(["ret", "prep", None])
            return
        callback = (options or {}).get("cb", name)
        if callback is None:
            tx.callback = None
        elif callback != "keep":
            tx.callback = self.callback
            tx.callback_param = name
        self.descs[name] = tx.container
        self.event(["ret", "prep", tx.container.tre_ch])

    def do_submit(self, name: str) -> None:
        mdesc = self.descs.get(name)
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

    def do_tx_status(self, name: Any, options: dict[str, Any] | None = None) -> None:
        cookie = self.cookies.get(name) if isinstance(name, str) else number(name)
        if cookie is None:
            self.event(["ret", "tx_status", None])
            return
        state = None if (options or {}).get("null_state") else DmaTxState()
        status = dmaengine.dmaengine_tx_status(self.mchan.chan, cookie, state)
        self.event(["ret", "tx_status", DMA_STATUS_NAMES[status],
                    None if state is None else [state.last, state.used, state.residue]])

    def do_pause(self) -> None:
        self.event(["ret", "pause", dmaengine.dmaengine_pause(self.mchan.chan)])

    def do_resume(self) -> None:
        self.event(["ret", "resume", dmaengine.dmaengine_resume(self.mchan.chan)])

    def do_terminate_all(self) -> None:
        self.event(["ret", "terminate_all", dmaengine.dmaengine_terminate_all(self.mchan.chan)])

    def do_set_callback(self, name: str, new: str) -> None:
        mdesc = self.descs.get(name)
        if mdesc is not None:
            mdesc.desc.callback = self.callback
            mdesc.desc.callback_param = new

    def do_set_cookie(self, last: Any, completed: Any) -> None:
        chan = self.mchan.chan
        chan.cookie = number(last)
        chan.completed_cookie = number(completed)

    def do_pm_get_rc(self, n: Any) -> None:
        power = self.pdev.dev.power
        power.forced = 1
        power.get_rc = number(n)

    def do_show(self, attr: str, options: dict[str, Any] | None = None) -> None:
        show(self, self.pdev, attr, options)

    def do_ll_request(self, name: str) -> None:
        stored: list[int] = []
        assert self.dmadev is not None
        rc = ll.hidma_ll_request(self.dmadev.lldev, 0, name, self.callback, name, stored.append)
        self.event(["ret", "request", rc, stored[0] if stored else None])

    def do_debugfs(self, path: str) -> None:
        node: Any = self.kernel.debugfs_root
        for part in path.split("/"):
            node = None if node is None else node.children.get(part)
        text = None if node is None or node.fops is None else seq_read(node.fops, node.data)
        self.event(["text", path, text])

    def do_corrupt_tre(self, name: str, n: Any) -> None:
        self.descs[name].tre_ch = number(n)

    def do_dump(self, full: Any = None) -> None:
        power = self.pdev.dev.power
        dmadev = self.dmadev
        out: dict[str, Any] = {"probed": dmadev is not None, "pm_usage": power.usage_count,
                               "pm_enabled": as_bool(power.disable_depth == 0)}
        if dmadev is not None:
            out |= {"chidx": dmadev.chidx, "nr_descriptors": dmadev.nr_descriptors, "irq": dmadev.irq,
                    "issue_task_scheduled": as_bool(dmadev.task.state)}
            if not self.removed:
                out |= self.dump_channel(self.mchan)
            out["ll"] = dump_ll(dmadev.lldev, self.pool, full == "full")
        self.event(["dump", out])

    def dump_channel(self, mchan: HidmaChan) -> dict[str, Any]:
        """The keys of a channel."""
        heads: dict[str, ListHead] = {"free": mchan.free, "prepared": mchan.prepared, "active": mchan.active,
                                      "completed": mchan.completed}
        members = {name: list(list_for_each_entry(head)) for name, head in heads.items()}
        running: Any = mchan.running
        if running is not None:
            if running is mchan.active.owner:
                running = "head"
            elif any(running is m for lst in members.values() for m in lst):
                running = running.tre_ch
            else:
                running = "stale"
        return {"paused": as_bool(mchan.paused), "allocated": as_bool(mchan.allocated), "dma_sig": mchan.dma_sig,
                "cookie": mchan.chan.cookie, "completed_cookie": mchan.chan.completed_cookie,
                "lists": {name: [m.tre_ch for m in lst] for name, lst in members.items()}, "running": running}


def show(player: Player, pdev: PlatformDevice, path: str, options: dict[str, Any] | None) -> None:
    """Read an attribute, its name replaced during the call if the scenario says so."""
    bound = find_attribute(pdev, path)
    if bound is None:
        player.event(["ret", "show", -ENOENT])
        return
    name = bound.attr.attr.name
    bound.attr.attr.name = (options or {}).get("as", name)
    text = bound.show()
    bound.attr.attr.name = name
    player.event(["ret", "show", text if isinstance(text, int) else text.decode("latin-1")])


def find_attribute(pdev: PlatformDevice, path: str) -> Any:
    """The attribute at ``path`` below the device."""
    node = pdev.dev.kobj
    *dirs, name = path.split("/")
    for part in dirs:
        if part not in node.children:
            return None
        node = node.children[part]
    return node.attributes.get(name)


class Management(Player):
    """Layers ``mgmt`` and ``mgmt_sys``: the management driver, its files, and the object hierarchy."""

    resources = MGMT_RESOURCES
    device_name = "QCOM8060:00"

    def __init__(self, scenario: dict[str, Any]) -> None:
        super().__init__(scenario)
        self.pdev = PlatformDevice(self.device_name, -1)
        dev = self.pdev.dev
        dev.acpi_companion = AcpiDevice("", "QCOM8060", properties=dict(scenario.get("properties", {})))
        dev.kobj.alive = True
        self.pdev.resource = [Resource(s, s + n - 1, IORESOURCE_MEM) for s, n in self.resource_list]
        if self.irq >= 0:
            self.pdev.resource.append(Resource(self.irq, self.irq, IORESOURCE_IRQ))
        else:
            self.kernel.fault_inject.values["platform_get_irq"] = self.irq
        self.kernel.of_root = DeviceNode("")
        self.nodes: list[DeviceNode] = []
        for spec in scenario.get("of", []):
            self.add_node(spec, self.kernel.of_root)

    def add_node(self, spec: dict[str, Any], parent: DeviceNode) -> None:
        """One node of the scenario's tree."""
        node = ScriptedNode(spec, parent)
        node.device = PlatformDevice("parent", -1)
        self.nodes.append(node)
        for child in spec.get("children", []):
            self.add_node(child, node)

    def sink(self, event: tuple[Any, ...]) -> None:
        if event[0] == "platform_device" and event[3] is not None:
            event = (*event[:3], "parent", *event[4:])
        super().sink(event)

    @property
    def mgmtdev(self) -> Any:
        """The driver's data."""
        return platform_get_drvdata(self.pdev)

    def do_module_init(self, name: str) -> None:
        self.event(["ret", "module_init", {"hidma_mgmt_init": mgmt.hidma_mgmt_init}[name]()])

    def do_of_refs(self) -> None:
        for node in self.nodes:
            self.event(["of_refs", node.name, node.refs])

    def do_probe(self) -> None:
        rc = mgmt.hidma_mgmt_probe(self.pdev)
        if rc:
            self.pdev.dev.devres.release_all()
        self.event(["ret", "probe", rc])

    def do_setup(self) -> None:
        self.event(["ret", "setup", mgmt.hidma_mgmt_setup(self.mgmtdev)])

    def do_set_field(self, field: str, *args: Any) -> None:
        if len(args) == 2:
            getattr(self.mgmtdev, field)[number(args[0])] = number(args[1])
        else:
            setattr(self.mgmtdev, field, number(args[0]))

    def do_show(self, path: str, options: dict[str, Any] | None = None) -> None:
        show(self, self.pdev, path, options)

    def do_store(self, path: str, text: str, options: dict[str, Any] | None = None, raw: bool = False) -> None:
        bound = find_attribute(self.pdev, path)
        if bound is None:
            rc = -ENOENT
        elif not raw and not bound.mode & 0o222:
            rc = -EACCES
        else:
            name = bound.attr.attr.name
            bound.attr.attr.name = (options or {}).get("as", name)
            rc = bound.store(text.encode("latin-1"))
            bound.attr.attr.name = name
        self.event(["ret", "store_raw" if raw else "store", rc])

    def do_store_raw(self, path: str, text: str, options: dict[str, Any] | None = None) -> None:
        self.do_store(path, text, options, raw=True)

    def do_dump(self) -> None:
        power = self.pdev.dev.power
        m = self.mgmtdev
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
        if "compatible" in spec:
            self.properties["compatible"] = spec["compatible"].encode() + b"\0"
        if "reg" in spec:
            self.properties["reg"] = b"".join(number(c).to_bytes(4, "big") for c in spec["reg"])
        if not spec.get("available", True):
            self.properties["status"] = b"disabled\0"
        # the cells that C finds in the parent: each node of a scenario has its own
        self.cells = (number(spec.get("addr_cells", 2)), number(spec.get("size_cells", 2)))
        self.irqs = [number(spec["irq"])] if "irq" in spec else []
        self.irq_rc = number(spec.get("irq_rc", 0))


PLAYERS: dict[str, type[Player]] = {
    "ll": LowLevel, "channel": Channel, "dbg": Channel, "mgmt": Management, "mgmt_sys": Management,
}
