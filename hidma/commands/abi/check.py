# SPDX-License-Identifier: GPL-2.0-only
"""Holds what the entries say against a machine: each file is read and written as root and as another user, with the least and the
greatest value, one beyond, and what is no value at all; each ioctl is called with good and bad arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import hidma
from hidma.commands.abi import tree
from hidma.commands.abi.entries import matches
from hidma.commands.abi.texts import AbiDoc, Value
from hidma.linux import vfio
from hidma.linux.base import mount_root
from hidma.linux.errno import errname
from hidma.linux.fs import O_RDONLY, O_WRONLY
from hidma.machine.boot import Machine
from hidma.vm.vfio import Container, Group, Hypervisor, assign

#: Any errno; and before one, anything else.
REFUSED, NOT = "an error", "not "
PAGE = 4096
#: Where files are tried: a board with a device tree and one with ACPI.
TRIED = ("host", "acpi")
#: Where the ioctls are tried: the board, and a channel of it.
BOARD, DEVICE = "host", "hidma.0"


def writes(value: Value) -> Iterator[tuple[str, str, str]]:
    """(text, errno or "", what a read shows then or "") of writes that show where a value begins and ends."""
    if value.kind == "number" and (value.values or value.high is not None):
        numbers = value.values or tuple(dict.fromkeys((value.low, value.high)))
        for number in numbers:
            yield str(number), "", value.shown.get(str(number), str(number))
        low, high = numbers[0], numbers[-1]
        if value.base == 0 and low >= 0:
            for text in (hex(high), f"0{high:o}", f"+{high}\n"):
                yield text, "", str(high)
        else:
            yield hex(high), "" if value.base == 0 else value.bad, str(high) if value.base == 0 else ""
        beyond = [number for number in (low - 1, high + 1) if number >= 0 or low < 0]
        if value.values:
            between = {more for number in numbers for more in (number + 1, 2 * number) if more < high}
            beyond += sorted(between.difference(numbers))
        for number in beyond:
            yield str(number), value.beyond or value.wide, ""
        for text in ("x", "\n", "0x", "1 2", *(() if low < 0 else ("-1",))):
            yield text, value.bad, ""
        yield str(1 << value.bits), value.wide, ""
        if value.cut:
            yield str((1 << value.cut) + high), "", str(high)
    elif value.kind == "word":
        for word in value.values:
            yield word, "", word
        yield value.values[0] + "\n", "", value.values[0]
        for text in ("x", value.values[0] + "x", value.values[0].upper()):
            yield text, value.bad, ""
    elif value.kind == "bool":
        for text, shown in zip(("Y", "y", "1", "N", "n", "0"), "YYYNNN", strict=True):
            yield text, "", shown
        yield "no\n", "", "N"
        for text in ("x", "2", "\n"):
            yield text, value.bad, ""
    elif value.most:
        yield "x" * value.most, NOT + value.bad, ""
        yield "x" * (value.most + 1), value.bad, ""


def is_shown(value: Value, text: str) -> bool:
    """Whether ``text`` is what a file of this kind shows."""
    line = text.removesuffix("\n")
    if value.kind == "number":
        if not re.fullmatch(r"-?[0-9]+", line):
            return False
        number = int(line)
        return number in value.values if value.values else value.low <= number <= (number if value.high is None else value.high)
    if value.kind == "word":
        return line in value.values
    return value.kind != "bool" or line in ("Y", "N")


class Tried:
    """One file of a machine, and what was found wrong about it."""

    def __init__(self, machine: Machine, doc: AbiDoc, path: str, mode: int) -> None:
        self.machine = machine
        self.doc = doc
        self.path = path
        self.mode = mode
        self.wrong: list[str] = []

    def write(self, text: str, root: bool = True, path: str = "") -> str:
        """Write it; the errno or ""."""
        with self.machine.calling() as kernel:
            file = mount_root(kernel).open(path or self.path, O_WRONLY, root)
            rc = file if isinstance(file, int) else file.write(text.encode("latin-1"))
        return errname(rc) if rc < 0 else ""

    def read(self, root: bool = True, path: str = "") -> tuple[str, str]:
        """(errno or "", text)."""
        with self.machine.calling() as kernel:
            file = mount_root(kernel).open(path or self.path, O_RDONLY, root)
            text = file if isinstance(file, int) else file.read(1 << 20)
        return (errname(text), "") if isinstance(text, int) else ("", text.decode("latin-1"))

    def complain(self, what: str, got: str, wanted: str) -> None:
        if wanted == REFUSED and got or got == wanted or wanted.startswith(NOT) and got != wanted.removeprefix(NOT):
            return
        self.wrong.append(f"{self.path}: {what} gives {got or 'no error'}, its entry says {wanted or 'no error'}")

    def check(self) -> list[str]:
        """Everything that is not as the entry says, one sentence each."""
        doc = self.doc
        if self.mode != doc.mode:
            self.wrong.append(f"{self.path}: has mode 0{self.mode:o}, its entry says 0{doc.mode:o}")
        waits = ("", "EAGAIN") if any(name == "EAGAIN" for name, _ in doc.refused) or doc.what[0] == "/proc/kmsg" else ("",)
        for root, who in ((True, "root"), (False, "another user")):
            may = doc.readers() == "everybody" or root and doc.readers() == "root"
            error, text = self.read(root)
            if error not in (waits if may else ("EACCES",)) and not (may and error in dict(doc.refused)):
                self.complain(f"a read by {who}", error, "" if may else "EACCES")
            elif not error and not is_shown(doc.value, text):
                self.wrong.append(f"{self.path}: shows {text.strip()!r}, its entry says {doc.value.type()}")
            elif not error and doc.lines:
                self.check_lines(text)
            if not (doc.writers() == "everybody" or root and doc.writers() == "root"):
                self.complain(f"a write by {who}", self.write("0", root), REFUSED if root else "EACCES")
        if doc.values():
            for text, errno, shown in writes(doc.value):
                self.attempt(text, errno, "", shown)
            if doc.writers() == "everybody":
                self.complain("a write by another user", self.write(str(next(writes(doc.value))[0]), False), "")
            for one in doc.tries:
                self.attempt(*one)
        return self.wrong

    def attempt(self, text: str, errno: str, path: str = "", shown: str = "") -> None:
        """Write ``text`` and read what there is then."""
        what = f"writing {text if len(text) < 40 else f'{len(text)} bytes'!r}" + (f" to {path}" if path else "")
        self.complain(what, self.write(text, True, path), errno)
        if shown and not errno and self.doc.readers() != "nobody":
            got = self.read(path=path)[1].rstrip("\n")
            if got != shown:
                self.wrong.append(f"{self.path}: after {what} shows {got!r}, its entry says {shown!r}")

    def check_lines(self, text: str) -> None:
        """Each line of the text has a meaning, and each meaning a line."""
        labels = {re.sub(r"Channel \d+", "Channel N", re.split(r" ?= ?", line)[0]) for line in text.splitlines() if line}
        self.wrong += [f"{self.path}: the line {label!r} is not explained" for label in labels - set(self.doc.lines)]
        self.wrong += [f"{self.path}: the line {label!r} is explained and not there"
                       for label in sorted(set(self.doc.lines) - labels)]


def prepared(board: str) -> Machine:
    """A machine with every module."""
    machine = hidma.boot(board)
    tree.load_everything(machine)
    return machine


def chosen(doc: AbiDoc) -> Iterator[tuple[str, str, int]]:
    """Board, path and mode of the files that are tried for an entry: on each board the first that ``at`` means, of a HIDMA device
    if there is one."""
    for board in (BOARD,) if doc.at or doc.tries else TRIED:
        there = [(file.path, file.mode) for file in tree.files() if file.board == board and file.doc is doc
                 and file.state != tree.MACHINE_STATES[-1][0] and (not doc.at or matches(doc.at, file.path))]
        if there:
            path, mode = next((one for one in there if "hidma" in one[0]), there[0])
            yield board, path, mode


def check(docs: tuple[AbiDoc, ...]) -> list[str]:
    """Everything in ``docs`` that is not so on a machine, one sentence each. Each file has a machine of its own."""
    out = []
    for doc in docs:
        same = next((one for one in tree.declared() if one.what == doc.what), doc)
        for board, path, mode in () if doc.ioctl else chosen(same):
            with prepared(board) as machine:
                if doc.lines:
                    machine.dma.request_channel().memcpy(machine.alloc(64), machine.alloc(64), 64)
                out += Tried(machine, doc, path, mode).check()
    return out + check_ioctls([doc for doc in docs if doc.ioctl])


class Process:
    """A process that owns a channel, for the ioctls."""

    def __init__(self, machine: Machine) -> None:
        assign(machine, DEVICE)
        self.hypervisor = Hypervisor(machine)
        self.empty = Container(self.hypervisor)
        self.container = Container(self.hypervisor)
        self.group = Group(self.hypervisor, Group.of(machine, DEVICE))
        self.group.set_container(self.container)
        self.container.set_iommu()
        self.memory = self.hypervisor.mmap(PAGE)[0]
        self.device = self.group.device(DEVICE)
        self.files = {"/dev/vfio/vfio": self.container.fd, "/dev/vfio/*": self.group.fd, "device": self.device.fd}

    def call(self, doc: AbiDoc, argument: Any, argsz: int | None = None) -> str:
        """Make the request; the errno or ""."""
        ioctl = doc.ioctl
        assert ioctl is not None
        given: int | bytes = argument if isinstance(argument, int) else 0
        if ioctl.struct and argument is not None:
            kind = getattr(vfio, "".join(part.title() for part in ioctl.struct.split("_")))
            fields = {name: self.memory if value == "memory" else value for name, value in argument.items()}
            given = kind(**fields, argsz=ioctl.argsz if argsz is None else argsz).pack()
        elif isinstance(argument, str):
            given = argument.encode() + b"\0"
        elif ioctl.argument.startswith("pointer") and argument:
            given = argument.to_bytes(4, "little", signed=True)
        rc, _ = self.hypervisor.ioctl(self.files[ioctl.file], ioctl.number, given)
        return errname(rc) if rc < 0 else ""


def check_ioctls(docs: list[AbiDoc]) -> list[str]:
    """As :func:`check`, for requests of VFIO."""
    out = []

    def wrong(doc: AbiDoc, what: str, got: str, wanted: str) -> None:
        if got != wanted:
            assert doc.ioctl is not None
            out.append(f"{doc.ioctl.name}: {what} gives {got or 'no error'}, its entry says {wanted or 'no error'}")

    with prepared(BOARD) as machine:
        if docs:
            process = Process(machine)
        for doc in docs:
            ioctl = doc.ioctl
            assert ioctl is not None
            good: Any = ioctl.good if ioctl.good is not None else {} if ioctl.struct else None
            if ioctl.name == "VFIO_IOMMU_UNMAP_DMA":
                process.call(next(d for d in tree.declared() if d.ioctl and d.ioctl.name == "VFIO_IOMMU_MAP_DMA"),
                             {"flags": 3, "vaddr": "memory", "iova": good["iova"], "size": good["size"]})
            if ioctl.struct:
                wrong(doc, f"argsz {ioctl.argsz - 1}", process.call(doc, good, ioctl.argsz - 1), "EINVAL")
                wrong(doc, "a bad pointer", process.call(doc, None), "EFAULT")
            if good is not None or not ioctl.wrong:
                wrong(doc, "a good call", process.call(doc, good), "")
            for argument, errno in ioctl.wrong:
                wrong(doc, f"the argument {argument}", process.call(doc, argument), errno)
            named = {name for name, _ in doc.errors()}
            out += [f"{ioctl.name}: {errno} is among what is tried, not among its errors"
                    for _, errno in ioctl.wrong if errno not in named]
    return out
