# SPDX-License-Identifier: GPL-2.0-only
"""``<linux/list.h>``: doubly linked lists.

A node knows the object that it is part of (``owner``): that is our ``container_of``. The head of a list is part of
nothing, but may say what ``list_first_entry()`` gives when the list is empty (``nothing``), where C computes a pointer
into whatever surrounds the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hidma.linux.sched import KernelOops


class ListHead:
    """``struct list_head``. ``next`` and ``prev`` are None before INIT_LIST_HEAD().

    Who is in a list is held by the one before, all around. ``prev``, which leads back to somebody in the same list, holds
    nobody in compiled code: a link that counts takes five times as long.
    """

    prev: Any

    def __init__(self, owner: Any = None, nothing: Any = None) -> None:
        self.owner = owner
        self.nothing = nothing
        self.next: Any = None
        unlinked(self)


def unlinked(head: ListHead) -> int:
    """``head`` is in no list, and no list itself."""
    head.next = None
    head.prev = None
    return 0


def list_before(node: ListHead) -> ListHead:
    """Whoever is before ``node``: an entry, or the head."""
    return node.prev


LIST_POISON = ListHead()


class Spare:
    """Heads of local lists that nobody uses, linked by ``next``."""

    def __init__(self) -> None:
        self.first: Any = None


SPARE = Spare()


def LIST_HEAD() -> ListHead:
    """An empty list, as a local variable of C, until :func:`list_head_gone`."""
    head = SPARE.first
    if head is None:
        more_heads()
        head = SPARE.first
    SPARE.first = head.next
    head.next = head
    head.prev = head
    return head


def more_heads() -> int:
    """One more head for local lists; it is never given back."""
    head = ListHead()
    head.next = SPARE.first
    heads.append(head)
    SPARE.first = head
    return 0


heads: list[ListHead] = []


def list_head_gone(head: ListHead) -> int:
    """The end of a local, empty list."""
    head.next = SPARE.first
    SPARE.first = head
    return 0


def INIT_LIST_HEAD(head: ListHead) -> int:
    """Make ``head`` an empty list."""
    head.next = head
    head.prev = head
    return 0


def poisoned(entry: ListHead) -> int:
    """``entry`` was deleted, or never in a list: C follows a poison value or NULL here."""
    if entry.next is LIST_POISON:
        raise KernelOops("Unable to handle kernel paging request at virtual address dead000000000100")
    raise KernelOops("Unable to handle kernel NULL pointer dereference at virtual address 00000008")


def list_add_tail(new: ListHead, head: ListHead) -> int:
    """Add ``new`` before ``head``."""
    prev = head.prev
    if prev is LIST_POISON or prev is None:
        poisoned(head)
    head.prev = new
    new.next = head
    new.prev = prev
    prev.next = new
    return 0


def list_add(new: ListHead, head: ListHead) -> int:
    """Add ``new`` after ``head``."""
    after = head.next
    if after is LIST_POISON or after is None:
        poisoned(head)
    after.prev = new
    new.next = after
    new.prev = head
    head.next = new
    return 0


def list_del(entry: ListHead) -> int:
    """Take ``entry`` out; its links are poison afterwards."""
    after = entry.next
    if after is LIST_POISON or after is None:
        poisoned(entry)
    prev = entry.prev
    after.prev = prev
    prev.next = after
    entry.next = LIST_POISON
    entry.prev = LIST_POISON
    return 0


def list_move_tail(entry: ListHead, head: ListHead) -> int:
    """Move ``entry`` to the end of ``head``."""
    after = entry.next
    if after is LIST_POISON or after is None:
        poisoned(entry)
    prev = entry.prev
    after.prev = prev
    prev.next = after
    return list_add_tail(entry, head)


def list_move(entry: ListHead, head: ListHead) -> int:
    """Move ``entry`` to the front of ``head``."""
    after = entry.next
    if after is LIST_POISON or after is None:
        poisoned(entry)
    prev = entry.prev
    after.prev = prev
    prev.next = after
    return list_add(entry, head)


def list_empty(head: ListHead) -> int:
    """Whether nothing is in the list."""
    return head.next is head


def list_splice_init(list_: ListHead, head: ListHead) -> int:
    """Move all of ``list_`` to the front of ``head``."""
    first = list_.next
    if first is None or head.next is None:
        poisoned(list_ if first is None else head)
    if first is not list_:
        last = list_.prev
        at = head.next
        first.prev = head
        head.next = first
        last.next = at
        at.prev = last
        list_.next = list_
        list_.prev = list_
    return 0


def list_splice_tail_init(list_: ListHead, head: ListHead) -> int:
    """Move all of ``list_`` to the end of ``head``."""
    first = list_.next
    if first is None or head.prev is None:
        poisoned(list_ if first is None else head)
    if first is not list_:
        last = list_.prev
        at = head.prev
        first.prev = at
        at.next = first
        last.next = head
        head.prev = last
        list_.next = list_
        list_.prev = list_
    return 0


def list_entry(node: ListHead | None) -> Any:
    """What ``node`` is part of. A wrong turn leads to the head of another list, or nowhere, where C would go on."""
    if node is None or node.owner is None:
        raise KernelOops("Unable to handle kernel paging request: a list leads to what is no entry of it")
    return node.owner


def list_first_entry(head: ListHead) -> Any:
    """Owner of the first entry; when the list is empty, what surrounds its head (as C does)."""
    first = head.next
    if first is head and head.nothing is not None:
        return head.nothing
    return list_entry(first)


def list_for_each_entry(head: ListHead) -> Iterator[Any]:
    """The owners, first to last. The entry after the present one is looked up when it is needed."""
    node = head.next
    while node is not head:
        yield list_entry(node)
        node = node.next


def list_for_each_entry_safe(head: ListHead) -> Iterator[Any]:
    """As :func:`list_for_each_entry`, for loops that take the present entry out."""
    node = head.next
    while node is not head:
        after = node.next
        yield list_entry(node)
        node = after
