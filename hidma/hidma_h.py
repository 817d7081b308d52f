# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False
#
# drivers/dma/qcom/hidma.h: Qualcomm Technologies HIDMA data structures
# Copyright (c) 2014, The Linux Foundation. All rights reserved.
#
# Ported to Python and changed for hidma.
"""Stands for ``drivers/dma/qcom/hidma.h``: the descriptor layout and the structs that the channel driver, the low
level and debugfs share. A field that is a kernel virtual address, a bus address or ``void __iomem *`` is a u64.
"""

from __future__ import annotations

from typing import Any

import cython

from hidma.linux.atomic import Atomic
from hidma.linux.dmaengine import DmaAsyncTxDescriptor, DmaChan, DmaDevice
from hidma.linux.interrupt import TaskletStruct
from hidma.linux.kfifo import Kfifo, kfifo_out
from hidma.linux.list import ListHead
from hidma.linux.sched import KernelOops
from hidma.linux.spinlock import Spinlock

if not cython.compiled:
    from hidma.linux.sched import no_structure
    from hidma.linux.types import face

    TRE_SIZE = 32  # each TRE is 32 bytes
    TRE_CFG_IDX = 0
    TRE_LEN_IDX = 1
    TRE_SRC_LOW_IDX = 2
    TRE_SRC_HI_IDX = 3
    TRE_DEST_LOW_IDX = 4
    TRE_DEST_HI_IDX = 5

    NO_COOKIE = 1 << 32  # beyond what an int holds


class HidmaTxStatus:
    """``struct hidma_tx_status``."""

    def __init__(self) -> None:
        self.err_info = 0
        self.err_code = 0


class HidmaTre:
    """``struct hidma_tre``."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.allocated = Atomic()

    def __init__(self) -> None:
        self.allocated = Atomic()
        self.queued = 0
        self.status = 0
        self.idx = 0
        self.dma_sig = 0
        self.dev_name: str | None = None
        self.callback: Any = None
        self.data: Any = None
        self.lldev: Any = None
        self.tre_local = [0, 0, 0, 0, 0, 0, 0, 0, 0]
        self.tre_index = 0
        self.int_flags = 0

    def clear(self) -> None:
        """``memset(tre, 0, sizeof(*tre))``."""
        self.allocated.counter = 0
        self.queued = 0
        self.status = 0
        self.idx = 0
        self.dma_sig = 0
        self.dev_name = None
        self.callback = None
        self.data = None
        self.lldev = None
        self.tre_local = [0, 0, 0, 0, 0, 0, 0, 0, 0]
        self.tre_index = 0
        self.int_flags = 0


class HidmaLldev:
    """``struct hidma_lldev``."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.lock = Spinlock("hidma_lldev.lock")
        self.task = TaskletStruct()
        self.handoff_fifo = Kfifo()
        self.pool: tuple[HidmaTre, ...] = ()
        self.pending: list[HidmaTre | None] = []
        self.results: tuple[HidmaTxStatus, ...] = ()

    def __init__(self) -> None:
        self.initialized = 0
        self.trch_state = 0
        self.evch_state = 0
        self.chidx = 0
        self.nr_tres = 0
        self.lock = Spinlock("hidma_lldev.lock")
        self.pool = ()
        self.dev: Any = None
        self.trca = 0
        self.evca = 0
        self.pending = []
        self.results = ()
        self.pending_tre_count = 0
        self.tre_ring = 0
        self.tre_ring_handle = 0
        self.tre_ring_size = 0
        self.tre_processed_off = 0
        self.evre_ring = 0
        self.evre_ring_handle = 0
        self.evre_ring_size = 0
        self.evre_processed_off = 0
        self.tre_write_offset = 0
        self.task = TaskletStruct()
        self.handoff_fifo = Kfifo()

    @property
    def trepool(self) -> Any:
        """``struct hidma_tre *``: its TREs, None for NULL."""
        return self.pool or None

    @trepool.setter
    def trepool(self, pool: Any) -> None:
        self.pool = array_of(pool, (HidmaTre,))

    @property
    def pending_tre_list(self) -> Any:
        """``struct hidma_tre **``: the TRE in each slot of the ring or None, at present; None for NULL."""
        return tuple(self.pending) or None

    @pending_tre_list.setter
    def pending_tre_list(self, pending: Any) -> None:
        self.pending = list(array_of(pending, (HidmaTre, type(None))))

    @property
    def tx_status_list(self) -> Any:
        """``struct hidma_tx_status *``: the result of each TRE, None for NULL."""
        return self.results or None

    @tx_status_list.setter
    def tx_status_list(self, results: Any) -> None:
        self.results = array_of(results, (HidmaTxStatus,))


class HidmaDesc:
    """``struct hidma_desc``."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.desc = DmaAsyncTxDescriptor(self)
        self.node = ListHead(self)

    def __init__(self) -> None:
        self.desc = DmaAsyncTxDescriptor(self)
        self.node = ListHead(self)
        self.tre_ch = 0
        # what surrounds a list head, and is none
        self.is_head = 0
        self.freed = 0

    def poison(self) -> None:
        """Called by ``kfree()``: from here on an access is an Oops."""
        self.freed = 1
        self.desc.tx_submit = submit_freed


class HidmaChan:
    """``struct hidma_chan``."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.chan = DmaChan(self)
        self.free = ListHead()
        self.prepared = ListHead()
        self.active = ListHead()
        self.completed = ListHead()
        self.lock = Spinlock("hidma_chan.lock")

    def __init__(self) -> None:
        self.paused = 0
        self.allocated = 0
        self.dbg_name = ""
        self.dma_sig = 0
        self.debugfs: Any = None
        self.stats: Any = None
        self.dmadev: Any = None
        self.running: Any = None
        self.chan = DmaChan(self)
        self.free = ListHead()
        self.prepared = ListHead()
        # V14: list_first_entry() of the empty active list is taken for a descriptor (row 43): what surrounds the
        # list head is not NULL, and what lies where a descriptor has its cookie is none
        head = HidmaDesc()
        head.is_head = 1
        self.active = ListHead(None, head)
        self.completed = ListHead()
        self.lock = Spinlock("hidma_chan.lock")


class HidmaDev:
    """``struct hidma_dev``."""

    def __cinit__(self) -> None:
        """Compiled only: what was never initialised has its parts all the same."""
        self.lock = Spinlock("hidma_dev.lock")
        self.ddev = DmaDevice()
        self.task = TaskletStruct()

    def __init__(self) -> None:
        self.irq = 0
        self.chidx = 0
        self.nr_descriptors = 0
        self.lldev: Any = None
        self.dev_trca = 0
        self.trca_resource: Any = None
        self.dev_evca = 0
        self.evca_resource: Any = None
        self.lock = Spinlock("hidma_dev.lock")
        self.ddev = DmaDevice()
        self.ddev.container = self
        self.debugfs: Any = None
        self.stats: Any = None
        self.task = TaskletStruct()


def array_of(items: Any, types: tuple[type, ...]) -> tuple[Any, ...]:
    """An array of structures, each of one of ``types``; None (NULL) has none."""
    array = tuple(items or ())
    for item in array:
        if type(item) not in types:
            raise TypeError(f"an array of {types[0].__name__} has no place for {type(item).__name__}")
    return array


def past_array(items: Any) -> int:
    """An index is past the end of array ``items``, or there is no array."""
    if not items:
        no_structure()
    raise KernelOops("Unable to handle kernel paging request: an index past its array")


def use_after_free(mdesc: HidmaDesc) -> int:
    """``mdesc`` was freed and is used. The Oops has it as ``subject``."""
    oops = KernelOops("BUG: use-after-free of a struct hidma_desc")
    oops.subject = mdesc
    raise oops


def submit_freed(txd: DmaAsyncTxDescriptor) -> int:
    """``tx_submit`` of a descriptor that was freed."""
    return use_after_free(face(txd.container))


if not cython.compiled:
    # what linux/structs.pxd has for C

    NO_DESC = None

    def item_at(items: Any, index: int) -> Any:
        """Item of an array of structures; beyond its end is an Oops."""
        if index >= len(items):
            past_array(items)
        return items[index]

    def tre_at(lldev: HidmaLldev, index: int) -> HidmaTre:
        """``&lldev->trepool[index]``."""
        return item_at(lldev.pool, index)

    def status_at(lldev: HidmaLldev, index: int) -> HidmaTxStatus:
        """``&lldev->tx_status_list[index]``."""
        return item_at(lldev.results, index)

    def pending_at(lldev: HidmaLldev, index: int) -> HidmaTre | None:
        """``lldev->pending_tre_list[index]``."""
        return item_at(lldev.pending, index)

    def set_pending(lldev: HidmaLldev, index: int, tre: HidmaTre | None) -> int:
        """``lldev->pending_tre_list[index] = tre``."""
        item_at(lldev.pending, index)
        lldev.pending[index] = tre
        return 0

    def clear_pending(lldev: HidmaLldev, index: int) -> int:
        """``lldev->pending_tre_list[index] = NULL``."""
        return set_pending(lldev, index, None)

    def lock_of(lldev: HidmaLldev) -> Spinlock:
        """``&lldev->lock``."""
        return lldev.lock

    def task_of(lldev: HidmaLldev) -> TaskletStruct:
        """``&lldev->task``."""
        return lldev.task

    def fifo_of(lldev: HidmaLldev) -> Kfifo:
        """``&lldev->handoff_fifo``."""
        return lldev.handoff_fifo

    def to_lldev(arg: Any) -> HidmaLldev:
        """The ``void *`` as a ``struct hidma_lldev *``."""
        if not isinstance(arg, HidmaLldev):
            no_structure()
        return arg

    def next_tre(fifo: Kfifo) -> HidmaTre | None:
        """``kfifo_out(fifo, &tre, 1)``; None when it is empty."""
        return kfifo_out(fifo)

    def dev_of(container: HidmaDev) -> HidmaDev:
        """``container_of()`` of what knows what it is part of."""
        if not isinstance(container, HidmaDev):
            no_structure()
        return container

    def chan_of(container: HidmaChan) -> HidmaChan:
        """``container_of()`` of what knows what it is part of."""
        if not isinstance(container, HidmaChan) or container.dmadev is None or container.chan.device is None:
            no_structure()
        return container

    def desc_of(container: HidmaDesc) -> HidmaDesc:
        """``container_of()`` of what knows what it is part of."""
        if not isinstance(container, HidmaDesc):
            no_structure()
        if container.freed:
            use_after_free(container)
        return container

    def set_running(mchan: HidmaChan, mdesc: HidmaDesc | None) -> int:
        """``mchan->running = mdesc``."""
        mchan.running = mdesc
        return 0

    def running_of(mchan: HidmaChan) -> HidmaDesc | None:
        """``mchan->running``."""
        return mchan.running

    def running_cookie(mchan: HidmaChan) -> int:
        """``mchan->running->desc.cookie``; NO_COOKIE where running is the list head."""
        if mchan.running.freed:
            use_after_free(mchan.running)
        return NO_COOKIE if mchan.running.is_head else mchan.running.desc.cookie
