# SPDX-License-Identifier: GPL-2.0-only
"""One guest from power-on to its end: memory, model, QEMU, console; what the guest reports; what became of it.

Everything runs in one thread: the watcher for a few milliseconds, then a look at the console and at QEMU, and again.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from hidma.commands.qemu import board, emulator, initrd
from hidma.commands.qemu.assign import GuestSmmu
from hidma.commands.qemu.errors import QemuError
from hidma.commands.qemu.model import Model
from hidma.commands.qemu.packages import EFI_PACKAGE, Parts, kernel_version
from hidma.hw.engine import Timing
from hidma.hw.faults import FaultPlan

REPORT = re.compile(r"hidma-guest: (\w+)=(.*?)\s*$")
MARK = "\x1e"
"""Stands before what init says of itself where the console belongs to a script."""
SLICE_NS = 4_000_000
IDLE_SLICE_NS = 50_000_000
QUIET_S = 0.5
PANIC_S = 2.0
CONSOLE_KEPT = 400
SHOWN = 12
PANIC_SHOWN = 40
MIB = 1 << 20
KERNEL_RESERVE = 256
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SUMMARY = re.compile(r"dmatest: (\S+): summary (\d+) tests, (\d+) failures")
DRIVER_ERROR = re.compile(r"\] (.*(?:hidma|hdma|QCOM806|dma-controller).*(?:fail|error|not |unable|refus|timed out).*)", re.I)
TOO_SLOW = re.compile(r"channel did not (?:get enabled|reset)")
PANIC = "Kernel panic - not syncing"


@dataclass
class Options:
    """What a guest gets beside its plan.

    :ivar memory: MiB of RAM, None for what the plan needs
    :ivar firmware: ``dt`` or ``acpi``, None for what the modules take
    :ivar say: called with the line that says which firmware was chosen, and why
    :ivar smmu: whether the channels stand behind an SMMU that the guest programs
    :ivar share: a directory that the guest has at /share
    :ivar gdb: where QEMU waits for a debugger (its ``-gdb``), before the guest's first instruction
    :ivar monitor: where QEMU has its monitor for people (its ``-monitor``)
    :ivar timeout: seconds until it is given up, None: never
    :ivar stall: seconds without a word on the console nor a sign on the registers until it is given up, None: never
    """

    channels: int = 1
    cpus: int = 1
    memory: int | None = None
    firmware: str | None = None
    say: Callable[[str], None] | None = None
    desc_count: int = 64
    nested: bool = False
    smmu: bool = False
    share: str | None = None
    gdb: str | None = None
    monitor: str | None = None
    append: str = ""
    qemu: str | None = None
    timeout: float | None = 120.0
    stall: float | None = 20.0
    timing: Timing | None = None
    faults: FaultPlan | None = None
    trace: TextIO | None = None


@dataclass
class Reports:
    """What the guest said of itself; ``at`` are seconds since the start."""

    at: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)

    def last(self, key: str, default: str = "") -> str:
        return self.values.get(key, [default])[-1]


class Session:
    """A guest on the model. Use it in a ``with``; what it holds is given back at the end, whatever happens.

    :param plan: what the guest does
    :param parts: what it is made of
    :param options: how
    :param show: called with what it prints, as it comes
    :raises QemuError: when it cannot be begun
    """

    def __init__(self, plan: initrd.Plan, parts: Parts, options: Options, show: Callable[[bytes], None] | None = None) -> None:
        self.plan = plan
        self.options = options
        self.show = show
        self.reports = Reports()
        self.lines: deque[str] = deque(maxlen=CONSOLE_KEPT)
        self.partial = ""
        self.summaries: list[tuple[str, int, int]] = []
        self.oopses: list[str] = []
        self.driver_errors: list[str] = []
        self.panicked = ""
        self.panicked_at = 0.0
        self.moved_before = 0
        self.copy_descriptors = 0
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self._stack = ExitStack()
        try:
            self._prepare(plan, parts, options)
        except BaseException:
            self._stack.close()
            raise

    def _prepare(self, plan: initrd.Plan, parts: Parts, options: Options) -> None:
        path = emulator.program(options.qemu)
        image, self.kernel = kernel_version(parts.kernel)
        self.firmware, why = initrd.choose_firmware(plan, parts, options.firmware)
        acpi = self.firmware == initrd.ACPI
        if acpi and parts.efi is None:
            raise QemuError("a guest with ACPI needs EFI firmware for arm64: hidma qemu --fetch brings it (Debian's package "
                            f"{EFI_PACKAGE}), or name a QEMU_EFI.fd with --efi")
        if options.say is not None:
            options.say(why)
        needed = KERNEL_RESERVE + 3 * plan.mib * plan.arrays if plan.copies else KERNEL_RESERVE
        memory = options.memory or max(512, -(-needed // 128) * 128)
        if memory < needed:
            raise QemuError(f"--memory {memory} is too little: {plan.mib} MiB in {plan.arrays} arrays take {needed} MiB of RAM")
        self.layout = layout = board.Layout(memory * MIB, options.channels, options.desc_count, options.nested, acpi, options.smmu)
        archive = initrd.build(plan, parts, self.kernel, options.faults is None, board.ssdt(layout) if acpi else b"")
        self.fds: list[int] = []
        ram = self._shared("ram", layout.memory)
        iommu = ",iommu=smmuv3" if options.smmu else ""
        machine = emulator.machine_options(options.cpus, layout.memory, iommu)
        files = {"kernel": image, "initrd": archive}
        if acpi:
            window = self._shared("window", board.WINDOW)
            machine = [*emulator.machine_options(options.cpus, layout.memory, ",memory-backend=ram,nvdimm=on"), "-bios",
                       str(parts.efi), *emulator.backend("window", self.fds[1], board.WINDOW),
                       "-device", f"nvdimm,memdev=window,addr={layout.window:#x}"]
            machine[machine.index("-m") + 1] += f",slots=1,maxmem={layout.memory + board.GIB >> 20}M"
        else:
            files["dtb"] = board.blob(emulator.dump_dtb(path, machine), layout)
            machine = emulator.machine_options(options.cpus, layout.memory, f",memory-backend=ram{iommu}")
            ram, window = ram[: layout.usable], ram[layout.usable :]
        machine += emulator.backend("ram", self.fds[0], layout.memory)
        for name, data in files.items():
            machine += [f"-{name}", f"/dev/fd/{self._keep(emulator.file_of(data, name))}"]
        append = "console=ttyAMA0 panic=-1 printk.devkmsg=on"
        if plan.mode in ("run", "shell"):
            append += " quiet" if plan.mode == "shell" else " quiet loglevel=1"
        machine += ["-append", f"{append} {options.append}".strip()]
        machine += self._passed_on()
        self.model = Model(ram, window, layout, lambda spi, level: self.emulator.drive(spi, level), options.timing,
                           options.faults)
        if options.trace is not None:
            self.model.record(options.trace)
        emulator.sharp_sleep(True)
        self._stack.callback(emulator.sharp_sleep, False)
        self.emulator = emulator.Emulator(path, machine, self.fds)
        if options.smmu:
            self.model.translate(GuestSmmu(ram, self.emulator.register))
        self._stack.callback(self.emulator.close)
        self._stack.enter_context(emulator.ahead())
        self.began = time.monotonic()
        self.heard = self.began
        if options.gdb is None:
            self.emulator.start()
        elif options.say is not None:
            options.say(f"a debugger is awaited at {options.gdb}; its 'continue' starts the guest")

    def _passed_on(self) -> list[str]:
        """Options of QEMU for what the user has it open: a directory, a debugger's socket, a monitor."""
        options = self.options
        passed: list[str] = []
        if options.share is not None:
            if not os.path.isdir(options.share):
                raise QemuError(f"--share {options.share}: no such directory")
            path = os.path.abspath(options.share).replace(",", ",,")
            passed += ["-fsdev", f"local,id=share,path={path},security_model=none", "-device",
                       "virtio-9p-device,fsdev=share,mount_tag=share"]
        for option, where in (("-gdb", options.gdb), ("-monitor", options.monitor)):
            if where is None:
                continue
            passed += [option, where]
            if where.startswith("unix:"):
                socket = where.removeprefix("unix:").partition(",")[0]
                if os.path.exists(socket):
                    raise QemuError(f"-{option} {where}: {socket} exists already; name a socket that QEMU can make")
                self._stack.callback(Path(socket).unlink, missing_ok=True)
        return passed

    def _keep(self, fd: int) -> int:
        """Hand a descriptor down to QEMU, and close it in the end."""
        self.fds.append(fd)
        self._stack.callback(os.close, fd)
        return fd

    def _shared(self, name: str, size: int) -> memoryview:
        fd, memory = emulator.shared_memory(size)
        self._keep(fd)
        return memoryview(memory)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End QEMU and give everything back."""
        self._stack.close()

    # --- running ----------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Run the guest until it ends, or ``until()`` is true.

        :raises QemuError: when QEMU dies, the kernel panics, or nothing comes of it in time
        """
        while not until():
            self.step()
            if self.emulator.ended:
                self._drain()
                self._check_end()
                return
            self._check_time()

    def step(self) -> None:
        """Watch for a moment, then take what the guest has printed."""
        self.model.watcher.run(IDLE_SLICE_NS if time.monotonic() - self.heard > QUIET_S else SLICE_NS)
        data = self.emulator.read()
        if data:
            self._heard(data)
        if self.emulator.dead and not self.emulator.ended:
            # the line's socket is gone a moment before the process is
            time.sleep(0.01)

    def _drain(self) -> None:
        while data := self.emulator.read():
            self._heard(data)

    def _heard(self, data: bytes) -> None:
        self.heard = time.monotonic()
        if self.show is not None:
            self.show(data)
        text = self.partial + data.decode(errors="replace")
        *lines, self.partial = text.split("\n")
        for line in lines:
            self._line(ESCAPE.sub("", line.rstrip("\r")))

    def _line(self, line: str) -> None:
        self.lines.append(line)
        found = REPORT.search(line)
        if found and (self.plan.mode != "run" or MARK in line):
            key = found[1]
            self.reports.at[key] = time.monotonic() - self.began
            self.reports.values.setdefault(key, []).append(found[2])
            if key == "step":
                self.steps.append((found[2], self.model.report()[0]))
                self.emulator.write(b"\n")  # the guest waits for it: what it does next belongs to the next step
            if key == "copy":
                done = self.model.descriptors()
                if found[2] == "begin":
                    self.moved_before = done
                    self.reports.at["copybegin"] = self.reports.at[key]
                else:
                    self.copy_descriptors = done - self.moved_before
                    self.reports.at["copyend"] = self.reports.at[key]
        if not found and (complaint := DRIVER_ERROR.search(line)):
            self.driver_errors.append(complaint[1])
        found = SUMMARY.search(line)
        if found:
            self.summaries.append((found[1], int(found[2]), int(found[3])))
        if PANIC in line and not self.panicked:
            self.panicked = line[line.index(PANIC) :]
            self.panicked_at = time.monotonic()
        if re.search(r"\] (Internal error:|kernel BUG at|Unable to handle kernel|------------\[ cut here)", line):
            self.oopses.append(line.partition("] ")[2])

    def tail(self, count: int) -> list[str]:
        lines = [*self.lines, self.partial] if self.partial.strip() else list(self.lines)
        return [line for line in lines if line.strip()][-count:]

    def _error(self, sentence: str) -> QemuError:
        return QemuError(sentence, self.tail(PANIC_SHOWN if self.panicked else SHOWN))

    def _check_end(self) -> None:
        if self.panicked:
            raise self._error(f"the guest's kernel panicked: {self.panicked.removeprefix(PANIC).lstrip(': ')}")
        if "end" not in self.reports.values and "shell" not in self.reports.values:
            where = "" if self.lines else " before it printed anything"
            raise self._error(f"{self.emulator.obituary()}, in the middle of the guest's work{where}")

    def _check_time(self) -> None:
        now = time.monotonic()
        options = self.options
        if self.panicked and now - self.panicked_at > PANIC_S:
            self._check_end()  # with panic=0 it stays
        if options.timeout is not None and now - self.began > options.timeout:
            raise self._error(f"{self._stage()} after {options.timeout:g} s (--timeout), and it was ended")
        if options.stall is not None and self.plan.mode != "run":  # a script may be silent for long
            seen = max(self.heard, self.model.watcher.active_at / 1e9)
            if now - seen > options.stall:
                raise self._error(f"{self._stage()}: nothing on its console and nothing on the registers for "
                                  f"{options.stall:g} s (--stall), and it was ended")

    def _stage(self) -> str:
        """How far the guest has come, as the beginning of a sentence."""
        reports = self.reports
        if "release" not in reports.values:
            return "the guest has not come up"
        if "bound" not in reports.values:
            return "the guest's driver is not bound"
        if self.plan.mode == "run":
            return "the guest's command does not end"
        if "copybegin" in reports.at and "copyend" not in reports.at:
            return f"the array's copy does not end ({self.model.descriptors()} descriptors were moved)"
        return "the guest does not end"

    # --- what became of it ------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Everything that is known of the run, for people and programs."""
        reports = self.reports
        bound = reports.last("bound").split()
        result: dict[str, Any] = {"mode": self.plan.mode, "kernel": reports.last("release") or self.kernel,
                                  "boot_s": round(reports.at["bound"], 2) if "bound" in reports.at else None,
                                  "run_s": round(time.monotonic() - self.began, 2), "devices": bound,
                                  "channels": self.model.report(),
                                  "management_writes": self.model.watcher.management.writes}
        if self.plan.copies:
            span = reports.at.get("copyend", 0.0) - reports.at.get("copybegin", 0.0)
            result["copy"] = {
                "mib": self.plan.mib, "arrays": self.plan.arrays, "source_md5": reports.last("source"), "seconds": round(span, 3),
                "back": [dict(zip(("array", "md5", "differences"), value.split(), strict=False)) for value in
                         reports.values.get("back", [])],
                "descriptors": self.copy_descriptors,
                "descriptors_per_s": round(self.copy_descriptors / span) if span > 0 else None,
                "guest_interrupts": int(reports.last("interrupts", "0") or 0),
            }
        if self.plan.client is not None:
            result["client"] = {
                "module": self.plan.client.name, "parameters": list(self.plan.parameters),
                "threads": [{"thread": name, "tests": tests, "failures": failures} for name, tests, failures in self.summaries],
            }
        result["removal"] = {key: reports.values.get(key, []) for key in ("unbound", "rebound", "notrebound", "removed")}
        result["kernel_complaints"] = list(self.oopses)
        result["problems"] = self.problems()
        return result

    def problems(self) -> list[str]:
        """What is not as it should be, in sentences; none when all went well."""
        reports = self.reports
        found = [f"in the guest: {what} failed" for what in reports.values.get("failed", [])]
        if reports.last("end", "ok") != "ok":
            found.append(f"the guest gave up: {reports.last('end')}")
        bound = reports.last("bound").split()
        if len(bound) != self.options.channels:
            found.append(f"the driver took {len(bound)} of {self.options.channels} channels")
            if "notable" in reports.values:
                found.append("the guest's kernel did not take the SSDT from its initrd: it is built without "
                             "CONFIG_ACPI_TABLE_UPGRADE, or its command line forbids it")
            found += [f"the guest's kernel says: {line}" for line in dict.fromkeys(self.driver_errors)][:4]
            if self.options.faults is None and any(TOO_SLOW.search(line) for line in self.driver_errors):
                found.append("the driver waits for the hardware for 10 ms, and this machine was too busy to answer in that time; "
                             "run it again when less is going on")
        if self.plan.copies and reports.last("end") == "ok":
            back = [value.split() for value in reports.values.get("back", [])]
            for name, md5, differences in back:
                if md5 != reports.last("source"):
                    found.append(f"{name}: {differences} bytes differ from what was written")
            if len(back) != self.plan.arrays:
                found.append(f"{len(back)} of {self.plan.arrays} arrays were read back")
            least = self.plan.mib * self.plan.arrays * 256
            if self.copy_descriptors < least:
                found.append(f"only {self.copy_descriptors} descriptors went through the model, where the array's copy takes "
                             f"{least} at least")
        for name, tests, failures in self.summaries:
            if failures:
                found.append(f"dmatest {name}: {failures} of {tests} tests failed")
        if self.plan.client is not None and self.plan.client.name.startswith("dmatest") and not self.summaries:
            found.append("dmatest printed no summary")
        if self.plan.mode == "probe":
            found += [f"{device} was not bound again" for device in reports.values.get("notrebound", [])]
        if self.plan.mode in ("probe", "compare") and "removed" not in reports.values:
            found.append("the driver was not removed")
        found += [f"the guest's kernel complains: {line}" for line in self.oopses]
        return found + known(self.oopses)


def known(oopses: Sequence[str]) -> list[str]:
    """What is known of the lines with which a guest's kernel stopped."""
    if any("kernel BUG at crypto/async_tx/async_tx.c" in line for line in oopses):
        return ["that is known of Linux 6.1's driver (row 59 of docs/quirks): it hands out a descriptor again that its client "
                "still holds, when a copy is done before the next one is prepared; a busy machine makes that likely, so run it "
                "again when less is going on"]
    return []


def interrupts_per_batch(rows: Sequence[dict[str, Any]]) -> float | None:
    """Interrupts for each time that software consumed events, over all channels."""
    batches = sum(row["event_doorbells"] for row in rows)
    return sum(row["interrupts"] for row in rows) / batches if batches else None
