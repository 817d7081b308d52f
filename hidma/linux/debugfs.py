# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/debugfs.h>``: the tree below /sys/kernel/debug."""

from __future__ import annotations

from typing import Any

from hidma.linux import sched


class Dentry:
    """``struct dentry``: a directory (``fops`` None) or a file of debugfs."""

    def __init__(self, name: str, parent: Dentry | None, mode: int, data: Any, fops: Any) -> None:
        self.name = name
        self.parent = parent
        self.mode = mode
        self.data = data
        self.fops = fops
        self.children: dict[str, Dentry] = {}
        self.removed = False

    def path(self) -> str:
        """Path below the root of debugfs."""
        if self.parent is None or self.parent.parent is None:
            return self.name
        return f"{self.parent.path()}/{self.name}"


def _create(name: str, parent: Dentry | None, mode: int, data: Any, fops: Any) -> Dentry | None:
    kernel = sched.running_cpu().kernel
    if kernel.fault_inject.fails("debugfs"):
        return None
    if parent is None:
        parent = kernel.debugfs_root
    if name in parent.children:
        return None
    dentry = Dentry(name, parent, mode, data, fops)
    parent.children[name] = dentry
    if kernel.trace.on:
        kernel.trace.emit(("debugfs", dentry.path(), "dir" if fops is None else mode))
    return dentry


def debugfs_create_dir(name: str, parent: Dentry | None) -> Dentry | None:
    """A directory below ``parent`` (the root without one); None when it cannot be made."""
    return _create(name, parent, 0o755, None, None)


def debugfs_create_file(name: str, mode: int, parent: Dentry | None, data: Any, fops: Any) -> Dentry | None:
    """A file below ``parent``; None when it cannot be made."""
    return _create(name, parent, mode, data, fops)


def _drop(dentry: Dentry) -> None:
    for child in list(dentry.children.values()):
        _drop(child)
    dentry.children.clear()
    dentry.removed = True


def debugfs_remove_recursive(dentry: Dentry | None) -> None:
    """Remove ``dentry`` and all below. One that is gone already is survived, with a warning (row 24)."""
    kernel = sched.running_cpu().kernel
    if kernel.trace.on:
        kernel.trace.emit(("debugfs_remove", None if dentry is None else dentry.path()))
    if dentry is None:
        return
    if dentry.removed:
        kernel.warn(f"debugfs: {dentry.path()} was removed already (V14 row 24)", once=True)
        return
    if dentry.parent is not None:
        dentry.parent.children.pop(dentry.name, None)
    _drop(dentry)
