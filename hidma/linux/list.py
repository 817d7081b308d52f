# SPDX-License-Identifier: GPL-2.0-only
# cython: annotation_typing=False, nonecheck=True
"""``<linux/list.h>``: doubly linked lists.

A node knows the object that it is part of (``owner``): that is our ``container_of``. The head of a list is part of
nothing, but may say what ``list_first_entry()`` gives when the list is empty (``nothing``), where C computes a pointer
into whatever surrounds the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import cython

from hidma.linux.sched import KernelOops

if cython.compiled:
    from cython.cimports.hidma.linux import list_inline as inline


class ListHead:
    """``struct list_head``. ``next`` is None before INIT_LIST_HEAD().

    An entry is held by the one before it, all around its list; ``prev`` holds none. It may lead to an entry only as long as
    the ``next`` of that one leads back. A list ends in front of an entry whose predecessor stopped leading to it without
    list_del(): a head that is initialised over its entries, an entry that is added while it is in a list, one that is freed.
    The entries from there on are in no list, and using them is an Oops.
    """

    next: Any
    prev: Any

    def __init__(self, owner: Any = None, nothing: Any = None) -> None:
        if getattr(self, "next", None) is not None:  # once more
            let_go(self)
        self.owner = owner
        self.nothing = nothing
        self.next = None
        if cython.compiled:
            inline.unlink(self)
        else:
            self.prev = None

    def __dealloc__(self) -> None:
        """Compiled only: otherwise ``prev`` holds."""
        if self.next is not None:
            let_go(self)
            drop_next(self)


def let_go(node: ListHead) -> int:
    """``node`` will not lead to those after it any more: they are in no list."""
    if cython.compiled:
        return inline.let_go(inline.list_of(node))
    else:
        after = node.next
        while after.prev is node:
            after.prev = None
            node = after
            after = node.next
        return 0


ending: list[Any] = []


def drop_next(node: ListHead) -> int:
    """``node`` ends, and with it maybe those after it: each when the one before has ended, for the end of a long list would
    need too much stack otherwise.
    """
    first = not ending
    if first:
        ending.append(None)
    ending.append(node.next)
    node.next = None
    if first:
        while len(ending) > 1:
            ending.pop()
        ending.clear()
    return 0


def list_before(node: ListHead) -> ListHead | None:
    """The entry or head before ``node``; None when it is in no list."""
    if cython.compiled:
        return inline.before(node)
    else:
        return node.prev


LIST_POISON = ListHead()


class Spare:
    """Unused heads of local lists, linked by ``next``."""

    def __init__(self) -> None:
        self.first: Any = None


SPARE = Spare()


def LIST_HEAD() -> ListHead:
    """An empty list, as a local variable of C, until :func:`list_head_gone`."""
    if cython.compiled:
        return inline.face(inline.LIST_HEAD())
    else:
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
    """The end of a local list. What is still in it stays linked, but for the head, which was on a stack frame that is gone: to
    take the first entry out is an Oops.
    """
    if cython.compiled:
        return inline.list_head_gone(head)
    else:
        if head.next is head:
            head.next = SPARE.first
            SPARE.first = head
            head.prev = None
        else:
            head.next.prev = None
            head.next = head
            head.prev = None
        return 0


def local_lists() -> list[ListHead]:
    """The local lists that hold something: of functions that go on, or that an Oops has ended."""
    return [head for head in heads if not list_empty(head) and list_before(head) is not None]


def INIT_LIST_HEAD(head: ListHead) -> int:
    """Make ``head`` an empty list."""
    if cython.compiled:
        return inline.INIT_LIST_HEAD(head)
    else:
        if head.prev is not None:
            let_go(head)
        head.next = head
        head.prev = head
        return 0


def poisoned(entry: ListHead) -> int:
    """``entry`` was deleted, or never in a list: C follows a poison value or NULL here."""
    if entry.next is LIST_POISON:
        raise KernelOops("Unable to handle kernel paging request at virtual address dead000000000100")
    raise KernelOops("Unable to handle kernel NULL pointer dereference at virtual address 00000008")


if not cython.compiled:

    def added_twice(new: ListHead, prev: ListHead, after: ListHead) -> int:
        """``new`` comes between the two without having left the list that it is in."""
        let_go(new)
        if new is prev or new is after:
            new.next = new
            new.prev = new
            return 0
        new.next, prev.next = prev.next, new.next
        if prev.prev is not None:  # else it was in this very list, and broke it
            new.prev = prev
            after.prev = new
        prev.next = new
        return 0


def list_add_tail(new: ListHead, head: ListHead) -> int:
    """Add ``new`` before ``head``."""
    if cython.compiled:
        return inline.list_add_tail(new, head)
    else:
        last = head.prev
        if last is None:
            poisoned(head)
        if new.prev is not None:
            return added_twice(new, last, head)
        new.next, last.next = last.next, new.next
        new.prev = last
        head.prev = new
        last.next = new
        return 0


def list_add(new: ListHead, head: ListHead) -> int:
    """Add ``new`` after ``head``."""
    if cython.compiled:
        return inline.list_add(new, head)
    else:
        if head.prev is None:
            poisoned(head)
        after = head.next
        if new.prev is not None:
            return added_twice(new, head, after)
        new.next, head.next = head.next, new.next
        new.prev = head
        after.prev = new
        head.next = new
        return 0


def list_del(entry: ListHead) -> int:
    """Take ``entry`` out; its links are poison afterwards."""
    if cython.compiled:
        return inline.list_del(entry)
    else:
        prev = entry.prev
        if prev is None:
            poisoned(entry)
        after = entry.next
        prev.next, entry.next = entry.next, prev.next
        after.prev = prev
        entry.prev = None
        entry.next = LIST_POISON
        return 0


def list_move_tail(entry: ListHead, head: ListHead) -> int:
    """Move ``entry`` to the end of ``head``."""
    if cython.compiled:
        return inline.list_move_tail(entry, head)
    else:
        prev = entry.prev
        if prev is None:
            poisoned(entry)
        after = entry.next
        prev.next, entry.next = entry.next, prev.next
        after.prev = prev
        # a list of its own, for the case that ``head`` is the entry itself
        entry.prev = entry
        last = head.prev
        if last is None:
            poisoned(head)
        entry.next, last.next = last.next, entry.next
        head.prev = entry
        entry.prev = last
        return 0


def list_move(entry: ListHead, head: ListHead) -> int:
    """Move ``entry`` to the front of ``head``."""
    if cython.compiled:
        return inline.list_move(entry, head)
    else:
        prev = entry.prev
        if prev is None:
            poisoned(entry)
        after = entry.next
        prev.next, entry.next = entry.next, prev.next
        after.prev = prev
        entry.prev = entry
        if head.prev is None:
            poisoned(head)
        after = head.next
        entry.next, head.next = head.next, entry.next
        after.prev = entry
        entry.prev = head
        return 0


def list_empty(head: ListHead) -> int:
    """Whether nothing is in the list."""
    if cython.compiled:
        return inline.list_empty(head)
    else:
        return head.next is head


def list_splice_init(list_: ListHead, head: ListHead) -> int:
    """Move all of ``list_`` to the front of ``head``."""
    if cython.compiled:
        return inline.list_splice_init(list_, head)
    else:
        last = list_.prev
        if last is None:
            poisoned(list_)
        if head.prev is None:
            poisoned(head)
        first = list_.next
        if first is not list_:
            at = head.next
            last.next, head.next, list_.next = head.next, list_.next, last.next
            first.prev = head
            at.prev = last
            list_.prev = list_
        return 0


def list_splice_tail_init(list_: ListHead, head: ListHead) -> int:
    """Move all of ``list_`` to the end of ``head``."""
    if cython.compiled:
        return inline.list_splice_tail_init(list_, head)
    else:
        last = list_.prev
        at = head.prev
        if last is None:
            poisoned(list_)
        if at is None:
            poisoned(head)
        first = list_.next
        if first is not list_:
            last.next, at.next, list_.next = at.next, list_.next, last.next
            first.prev = at
            head.prev = last
            list_.prev = list_
        return 0


def no_list_entry() -> NoReturn:
    """A wrong turn in a list, where C would go on in whatever is there."""
    raise KernelOops("Unable to handle kernel paging request: a list leads to what is no entry of it")


def list_entry(node: ListHead | None) -> Any:
    """What ``node`` is part of; an Oops for the head of a list and for None."""
    if node is None or node.owner is None:
        no_list_entry()
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
