# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/sysfs.h>``: attribute files.

``show`` fills a page of 4096 bytes and returns how many it used, ``store`` gets what was written and returns how
much it took; both return a negative errno when they fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hidma.linux import sched
from hidma.linux.errno import EEXIST, ENODEV
from hidma.linux.kobject import Kobject, device_path

if TYPE_CHECKING:
    from hidma.linux.device import Device

S_IRUGO = 0o444
S_IWUGO = 0o222
PAGE_SIZE = 4096


class Attribute:
    """``struct attribute``: name and mode."""

    def __init__(self) -> None:
        self.name = ""
        self.mode = 0


class KobjAttribute:
    """``struct kobj_attribute``: ``show(kobj, attr, buf)`` and ``store(kobj, attr, buf, count)``."""

    def __init__(self) -> None:
        self.attr = Attribute()
        self.show: Callable[[Any, Any, bytearray], int] | None = None
        self.store: Callable[[Any, Any, bytes, int], int] | None = None
        self.container: Any = None
        self.freed = False


class DeviceAttribute(KobjAttribute):
    """``struct device_attribute``: ``show(dev, attr, buf)`` and ``store(dev, attr, buf, count)``."""


def sysfs_attr_init(attr: Attribute) -> None:
    """Prepare ``attr`` (a lockdep key in C, nothing here)."""


def sprintf(buf: bytearray, text: str) -> int:
    """Put ``text`` and a NUL into ``buf``; returns the length of ``text``."""
    data = text.encode()
    buf[: len(data) + 1] = data + b"\0"
    return len(data)


def strlen(buf: bytes | bytearray) -> int:
    """Bytes before the first NUL."""
    end = buf.find(b"\0")
    return len(buf) if end < 0 else end


def _create(kobj: Kobject, attr: Any, target: Any) -> int:
    kernel = sched.running_cpu().kernel
    name = attr.attr.name
    if name in kobj.attributes or name in kobj.children:
        kernel.warn(f"sysfs: cannot create duplicate filename '/{kobj.path()}/{name}'")
        return -EEXIST
    kobj.attributes[name] = BoundAttribute(kobj, attr, target)
    if kernel.trace.on:
        where = device_path(kobj)
        kernel.trace.emit(("sysfs", f"{where}/{name}" if where else name, attr.attr.mode))
    return 0


class BoundAttribute:
    """An attribute in its directory: what a file of sysfs is."""

    def __init__(self, kobj: Kobject, attr: Any, target: Any) -> None:
        self.kobj = kobj
        self.attr = attr
        self.target = target

    @property
    def mode(self) -> int:
        """Permission bits."""
        mode: int = self.attr.attr.mode
        return mode

    def left_behind(self) -> bool:
        """Whether the driver went and left the file: its attribute is memory that was freed (V14: ``chid``, row 21, and
        what the management driver makes, row 54). The kernel would jump into it; here it is a warning and an errno."""
        if not self.attr.freed and not getattr(self.attr.container, "freed", False):
            return False
        row = 21 if self.attr.attr.name == "chid" else 54
        path = f"/{self.kobj.path()}/{self.attr.attr.name}"
        sched.running_cpu().kernel.warn(f"sysfs: {path} was left behind by a driver that has gone, and uses freed memory "
                                        f"(V14 row {row})", once=True)
        return True

    def show(self) -> bytes | int:
        """What a reader gets: the text, or a negative errno."""
        if self.left_behind():
            return -ENODEV
        if self.attr.show is None:
            return -5
        buf = bytearray(PAGE_SIZE)
        rc: int = self.attr.show(self.target, self.attr, buf)
        return rc if rc < 0 else one_page(bytes(buf[:rc]), self.attr.show.__name__)

    def store(self, data: bytes) -> int:
        """What writing ``data`` gives: the number of bytes taken, or a negative errno."""
        if self.left_behind():
            return -ENODEV
        if self.attr.store is None:
            return -5
        rc: int = self.attr.store(self.target, self.attr, data, len(data))
        return rc


def one_page(text: bytes, name: str) -> bytes:
    """What of ``text`` a reader gets: a page less one byte at most, with a message when the function ``name`` printed more
    (``sysfs_kf_seq_show()``)."""
    if len(text) < PAGE_SIZE:
        return text
    sched.running_cpu().kernel.printk(3, f"fill_read_buffer: {name} returned bad count")
    return text[: PAGE_SIZE - 1]


def sysfs_create_file(kobj: Kobject, attr: KobjAttribute) -> int:
    """Add ``attr`` to the directory ``kobj``: 0 or -EEXIST."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value(f"sysfs_create_{attr.attr.name}")
    return rc or _create(kobj, attr, kobj)


def device_create_file(dev: Device, attr: DeviceAttribute) -> int:
    """Add ``attr`` to the directory of ``dev``: 0 or -EEXIST."""
    kernel = sched.running_cpu().kernel
    rc: int = kernel.fault_inject.value("device_create_file")
    return rc or _create(dev.kobj, attr, dev)
