# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/kobject.h>``: directories of sysfs and the attributes in them.

It keeps the tree; who may read and write, and what a shell sees, is the business of ``sysfs``.
"""

from __future__ import annotations

from typing import Any

from hidma.linux import sched


class Kobject:
    """``struct kobject``: a named directory; ``owner`` is the object that it is part of."""

    def __init__(self, name: str, parent: Kobject | None = None) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[str, Kobject] = {}
        self.attributes: dict[str, Any] = {}
        self.links: dict[str, str] = {}
        self.owner: Any = None
        self.alive = False

    def add(self) -> bool:
        """Enter the tree; False when the name is taken there."""
        if self.parent is not None:
            if self.name in self.parent.children:
                return False
            self.parent.children[self.name] = self
        self.alive = True
        return True

    def remove(self) -> None:
        """Leave the tree, with everything below."""
        if self.parent is not None and self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]
        self.die()

    def die(self) -> None:
        """Whoever still holds something of this directory finds it gone."""
        self.alive = False
        for child in self.children.values():
            child.die()

    def path(self) -> str:
        """Path from the root of the tree, without a leading slash."""
        if self.parent is None:
            return self.name
        above = self.parent.path()
        return f"{above}/{self.name}" if above else self.name


def device_path(kobj: Kobject) -> str:
    """Path of ``kobj`` relative to the device that it belongs to ('' for the device itself)."""
    parts = []
    node: Kobject | None = kobj
    while node is not None and node.owner is None:
        parts.append(node.name)
        node = node.parent
    return "/".join(reversed(parts))


def kobject_create_and_add(name: str, parent: Kobject | None) -> Kobject | None:
    """A new directory below ``parent`` (/sys without one); None when it could not be made."""
    kernel = sched.running_cpu().kernel
    if kernel.fault_inject.fails("kobject_create"):
        return None
    kobj = Kobject(name, parent if parent is not None else kernel.sysfs_root)
    if not kobj.add():
        kernel.warn(f"sysfs: cannot create duplicate filename '/{kobj.path()}'")
        kernel.warn(f"kobject_add_internal failed for {name} with -EEXIST, don't try to register things with the "
                    "same name in the same directory.")
        kernel.printk(4, "kobject_create_and_add: kobject_add error: -17")
        return None
    if kernel.trace.on:
        kernel.trace.emit(("kobject", device_path(kobj)))
    return kobj
