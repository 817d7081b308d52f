# SPDX-License-Identifier: GPL-2.0-only
"""What a process is to the kernel: an address space (mm_types, uaccess), open files (file), eventfds."""

from __future__ import annotations

import pytest
from linux_rig import RAM, Rig

from hidma.linux.errno import EAGAIN, EBADF, EFAULT, EINVAL, EMFILE
from hidma.linux.eventfd import (
    ULLONG_MAX,
    EventfdCtx,
    eventfd_ctx_fdget,
    eventfd_ctx_put,
    eventfd_file,
    eventfd_signal,
)
from hidma.linux.file import FileOperations, OpenedFile, Process, calling_as, current_process, fget, fput
from hidma.linux.mm_types import VM_PFNMAP, VmAreaStruct, pfn_of, remap_pfn_range
from hidma.linux.sched import KernelOops
from hidma.linux.uaccess import copy_from_user, copy_to_user, get_user_int, memdup_user, strndup_user
from hidma.linux.vfio import vfio_virqfd_disable, vfio_virqfd_enable

# --- uaccess, mm_types --------------------------------------------------------------------------------------------------


def test_copies_go_to_the_process_that_calls(rig: Rig) -> None:
    one, two = Process("one"), Process("two")
    memory = bytearray(b"abcdefgh")
    address = one.mm.map_buffer(memory)
    with calling_as(one):
        assert copy_from_user(address + 2, 3) == (0, b"cde")
        assert copy_to_user(address, b"XYZ", 2) == 0
        with calling_as(two):
            assert copy_from_user(address, 1) == (1, b"")
        assert current_process() is one
    assert memory == b"XYcdefgh"
    assert current_process() is None
    assert copy_from_user(address, 1) == (1, b"")


@pytest.mark.parametrize(("offset", "count"), [(-1, 1), (4095, 2), (4096, 1), (8, 1)])
def test_what_is_not_there_is_not_copied(rig: Rig, offset: int, count: int) -> None:
    process = Process("p")
    address = process.mm.map_buffer(bytearray(8))
    with calling_as(process):
        assert copy_from_user(address + offset, count) == (count, b"")
        assert copy_to_user(address + offset, bytes(count), count) == count
        assert memdup_user(address + offset, count) == (-EFAULT, b"")


def test_null_is_nowhere_and_nothing_is_copied_always(rig: Rig) -> None:
    with calling_as(Process("p")):
        assert copy_from_user(0, 4) == (4, b"")
        assert copy_from_user(0, 0) == (0, b"")
        assert copy_to_user(0, b"", 0) == 0
        assert get_user_int(0) == (-EFAULT, 0)


def test_numbers_and_texts(rig: Rig) -> None:
    process = Process("p")
    address = process.mm.map_buffer(bytearray(b"\xff\xff\xff\xffname\0" + bytes(4087)))
    with calling_as(process):
        assert get_user_int(address) == (0, -1)
        assert strndup_user(address + 4, 16) == (0, "name")
        assert strndup_user(address + 4, 4) == (-EINVAL, "")
        assert strndup_user(0, 4) == (-EFAULT, "")


def test_pages_of_ram_are_the_processs_memory(rig: Rig) -> None:
    process = Process("p")
    address = process.mm.map_pages(RAM + 0x1000, 0x2000)
    with calling_as(process):
        assert copy_to_user(address + 0x1FFC, b"last", 4) == 0
        assert copy_to_user(address + 0x1FFD, b"last", 4) == 4
    assert bytes(rig.memory.slice(RAM + 0x2FFC, 4)) == b"last"
    process.mm.unmap(address)
    with calling_as(process):
        assert copy_from_user(address, 1)[0] == 1


def test_registers_are_no_memory(rig: Rig) -> None:
    process = Process("p")
    vma = VmAreaStruct(vm_flags=3)
    start = process.mm.place(vma, 0x2000)
    assert remap_pfn_range(vma, start, 0x10000, 0x2000, 0) == 0
    assert vma.vm_flags & VM_PFNMAP and pfn_of(vma, start + 0x1234) == 0x10001
    with calling_as(process):
        assert copy_from_user(start, 4)[0] == 4


# --- file ---------------------------------------------------------------------------------------------------------------


def test_last_reference_releases_a_file(rig: Rig) -> None:
    released: list[OpenedFile] = []

    class Ops(FileOperations):
        def release(self, filep: OpenedFile) -> int:
            released.append(filep)
            return 0

    process = Process("p")
    fd = process.files.install(OpenedFile(Ops(), None))
    with calling_as(process):
        held = fget(fd)
        assert held is not None
        assert process.files.close(fd) == 0
        assert released == []
        fput(held)
        assert released == [held]
        assert fget(fd) is None
        assert process.files.close(fd) == -EBADF


def test_numbers_are_given_out_from_the_smallest(rig: Rig) -> None:
    process = Process("p")
    fds = [process.files.install(OpenedFile(FileOperations(), None)) for _ in range(3)]
    assert fds == [3, 4, 5]
    process.files.close(4)
    assert process.files.install(OpenedFile(FileOperations(), None)) == 4
    for _ in range(2000):
        last = process.files.install(OpenedFile(FileOperations(), None))
    assert last == -EMFILE


# --- eventfd ------------------------------------------------------------------------------------------------------------


def test_signals_add_up_until_somebody_reads(rig: Rig) -> None:
    ctx = EventfdCtx()
    assert ctx.read() == -EAGAIN
    assert eventfd_signal(ctx, 2) == 2
    assert eventfd_signal(ctx, 1) == 1
    assert ctx.read() == 3
    assert ctx.read() == -EAGAIN
    assert eventfd_signal(ctx, ULLONG_MAX) == ULLONG_MAX
    assert eventfd_signal(ctx, 1) == 0


def test_signalling_null_is_an_oops(rig: Rig) -> None:
    with pytest.raises(KernelOops, match="NULL pointer"):
        eventfd_signal(None, 1)


def test_eventfd_is_found_by_number(rig: Rig) -> None:
    process = Process("p")
    fd = process.files.install(eventfd_file())
    other = process.files.install(OpenedFile(FileOperations(), None))
    with calling_as(process):
        ctx = eventfd_ctx_fdget(fd)
        assert isinstance(ctx, EventfdCtx) and ctx.kref == 2
        eventfd_ctx_put(ctx)
        assert eventfd_ctx_fdget(other) == -EINVAL
        assert eventfd_ctx_fdget(99) == -EBADF


class Holder:
    """Where a virqfd is kept."""

    virqfd = None


def test_virqfd_calls_its_handler_at_each_signal(rig: Rig) -> None:
    process, holder, calls = Process("p"), Holder(), []

    def handler(opaque: object, data: object) -> int:
        calls.append((opaque, data))
        return 0

    fd = process.files.install(eventfd_file())
    ctx = process.files.fds[fd].private_data
    with calling_as(process):
        eventfd_signal(ctx, 1)
        assert vfio_virqfd_enable("o", handler, None, "d", (holder, "virqfd"), fd) == 0
        assert calls == [("o", "d")]  # signalled before counts
        eventfd_signal(ctx, 1)
        assert len(calls) == 2
        vfio_virqfd_disable((holder, "virqfd"))
        vfio_virqfd_disable((holder, "virqfd"))
        eventfd_signal(ctx, 1)
        assert len(calls) == 2 and holder.virqfd is None
        assert vfio_virqfd_enable("o", handler, None, "d", (holder, "virqfd"), 99) == -EBADF


def test_virqfd_goes_with_its_eventfd(rig: Rig) -> None:
    process, holder = Process("p"), Holder()
    fd = process.files.install(eventfd_file())
    with calling_as(process):
        assert vfio_virqfd_enable("o", lambda o, d: 0, None, "d", (holder, "virqfd"), fd) == 0
        assert holder.virqfd is not None
        process.files.close(fd)
        assert holder.virqfd is None
