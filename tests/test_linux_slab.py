# SPDX-License-Identifier: GPL-2.0-only
"""Allocation: who may fail, and what misuse of it leads to."""

from __future__ import annotations

import pytest
from linux_rig import Rig

from hidma.linux.device import Device
from hidma.linux.sched import KernelOops
from hidma.linux.slab import (
    GFP_KERNEL,
    KMALLOC_MAX_SIZE,
    SLUB_RED,
    UNINITIALISED,
    devm_kcalloc,
    devm_kmalloc,
    devm_kstrdup,
    devm_kzalloc,
    freed,
    kcalloc,
    kfree,
    kzalloc,
)


def test_the_nth_allocation_can_be_made_to_fail(rig: Rig) -> None:
    events = rig.record()
    rig.kernel.fault_inject.alloc_fails = 3
    dev = Device("x")
    assert kzalloc(dict, GFP_KERNEL) == {}
    assert devm_kzalloc(dev, list, GFP_KERNEL) == []
    assert kcalloc(4, int, GFP_KERNEL) is None
    assert devm_kstrdup(dev, "name", GFP_KERNEL) == "name"
    assert devm_kmalloc(dev, list, GFP_KERNEL) == []
    assert [e for e in events if e[0] == "alloc_fail"] == [("alloc_fail", "kcalloc", 3)]


@pytest.mark.parametrize("n", [KMALLOC_MAX_SIZE // 4 + 1, 0xFFFFFFFF, 1 << 40])
def test_an_array_that_kmalloc_refuses_is_refused_at_once(rig: Rig, n: int) -> None:
    assert kcalloc(n, int, GFP_KERNEL) is None
    assert devm_kcalloc(Device("x"), n, dict, GFP_KERNEL) is None


def test_a_write_past_an_array_is_an_oops_and_a_read_a_warning(rig: Rig) -> None:
    array = kcalloc(3, int, GFP_KERNEL)
    assert array is not None
    array[2] = 7
    assert list(array) == [0, 0, 7]
    for index in (3, -1, 100):
        with pytest.raises(KernelOops, match="slab-out-of-bounds write"):
            array[index] = 1
    assert array[3] == SLUB_RED
    assert array[3] == SLUB_RED
    assert rig.log() == ["WARNING: slab-out-of-bounds read: element 3 of an array of 3"]


def test_an_array_of_objects_has_one_for_each_element(rig: Rig) -> None:
    array = devm_kcalloc(Device("x"), 3, dict, GFP_KERNEL)
    assert array is not None
    array[0]["a"] = 1
    assert array == [{"a": 1}, {}, {}]


def test_null_may_be_freed_and_what_was_never_allocated_may_not(rig: Rig) -> None:
    kfree(None)
    thing = object()
    kfree(thing)
    assert list(freed()) == [thing]
    with pytest.raises(KernelOops, match="never allocated"):
        kfree(UNINITIALISED)
