# SPDX-License-Identifier: GPL-2.0-only
"""Linked lists, and what a wrong turn in one leads to: an Oops, in compiled code too."""

from __future__ import annotations

import gc
import hashlib
import random
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest

from hidma.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    ListHead,
    list_add,
    list_add_tail,
    list_before,
    list_del,
    list_empty,
    list_first_entry,
    list_for_each_entry,
    list_for_each_entry_safe,
    list_head_gone,
    list_move,
    list_move_tail,
    list_splice_init,
    list_splice_tail_init,
)
from hidma.linux.sched import KernelOops
from hidma.machine import _mode


def new(*names: str) -> tuple[ListHead, dict[str, ListHead]]:
    head = ListHead()
    INIT_LIST_HEAD(head)
    nodes = {name: ListHead(name) for name in names}
    for node in nodes.values():
        list_add_tail(node, head)
    return head, nodes


def names(head: ListHead) -> str:
    """Forwards; backwards must agree."""
    backwards = []
    node = list_before(head)
    while node is not head:
        assert node is not None
        backwards.append(node.owner)
        node = list_before(node)
    forwards = list(list_for_each_entry(head))
    assert forwards == backwards[::-1]
    return "".join(forwards)


def test_entries_stand_in_the_order_of_adding() -> None:
    head, _ = new("a", "b", "c")
    list_add(ListHead("z"), head)
    assert names(head) == "zabc"
    assert not list_empty(head)
    assert list_first_entry(head) == "z"
    assert list_empty(new()[0])


def test_entries_are_taken_out_and_moved() -> None:
    head, nodes = new("a", "b", "c")
    other, _ = new("x")
    list_del(nodes["b"])
    assert names(head) == "ac"
    list_move_tail(nodes["a"], other)
    assert (names(head), names(other)) == ("c", "xa")
    list_move(nodes["c"], other)
    assert (names(head), names(other)) == ("", "cxa")
    list_move_tail(nodes["c"], other)
    assert names(other) == "xac"


@pytest.mark.parametrize(("splice", "wanted"), [(list_splice_init, "abxy"), (list_splice_tail_init, "xyab")])
def test_a_list_is_spliced_whole(splice: Callable[[ListHead, ListHead], int], wanted: str) -> None:
    source, _ = new("a", "b")
    target, _ = new("x", "y")
    splice(source, target)
    assert names(target) == wanted
    assert list_empty(source)
    splice(source, target)  # an empty one changes nothing
    assert names(target) == wanted
    splice(target, source)
    assert names(source) == wanted


def test_entries_may_be_taken_out_in_a_safe_loop() -> None:
    head, nodes = new("a", "b", "c")
    seen = []
    for name in list_for_each_entry_safe(head):
        seen.append(name)
        list_del(nodes[name])
    assert seen == ["a", "b", "c"]
    assert list_empty(head)


def test_the_first_entry_of_an_empty_list_is_what_surrounds_its_head() -> None:
    head = ListHead(nothing="surroundings")
    INIT_LIST_HEAD(head)
    assert list_first_entry(head) == "surroundings"
    list_add_tail(ListHead("a"), head)
    assert list_first_entry(head) == "a"


@pytest.mark.parametrize("seed", range(3))
def test_it_behaves_as_two_lists(seed: int) -> None:
    rng = random.Random(seed)
    heads = [new()[0], new()[0]]
    nodes = {chr(97 + i): ListHead(chr(97 + i)) for i in range(12)}
    where = dict.fromkeys(nodes, -1)
    model: list[list[str]] = [[], []]
    for _ in range(3000):
        name = rng.choice(sorted(nodes))
        to, front = rng.randrange(2), rng.random() < 0.5
        action = rng.randrange(4)
        if action == 3:
            (list_splice_init if front else list_splice_tail_init)(heads[1 - to], heads[to])
            model[to] = model[1 - to] + model[to] if front else model[to] + model[1 - to]
            model[1 - to] = []
            for moved in model[to]:
                where[moved] = to
        elif where[name] < 0:
            (list_add if front else list_add_tail)(nodes[name], heads[to])
            model[to].insert(0 if front else len(model[to]), name)
            where[name] = to
        elif action == 0:
            list_del(nodes[name])
            model[where[name]].remove(name)
            where[name] = -1
        else:
            (list_move if front else list_move_tail)(nodes[name], heads[to])
            model[where[name]].remove(name)
            model[to].insert(0 if front else len(model[to]), name)
            where[name] = to
        assert [names(head) for head in heads] == ["".join(m) for m in model], f"seed {seed}"


# --- wrong turns ----------------------------------------------------------------------------------------------------

POISON = "dead000000000100"
NULL = "NULL pointer"


@pytest.mark.parametrize("act", [list_del, lambda n: list_move(n, new()[0]), lambda n: list_move_tail(n, new()[0])])
def test_an_entry_that_is_gone_or_was_never_there_is_an_oops(act: Callable[[ListHead], int]) -> None:
    head, nodes = new("a", "b")
    list_del(nodes["a"])
    with pytest.raises(KernelOops, match=POISON):
        act(nodes["a"])
    with pytest.raises(KernelOops, match=NULL):
        act(ListHead("never"))
    assert names(head) == "b"


@pytest.mark.parametrize("add", [list_add, list_add_tail])
def test_adding_to_what_is_no_list_is_an_oops(add: Callable[[ListHead, ListHead], int]) -> None:
    with pytest.raises(KernelOops, match=NULL):
        add(ListHead("a"), ListHead())
    _, nodes = new("a")
    list_del(nodes["a"])
    with pytest.raises(KernelOops, match=POISON):
        add(ListHead("b"), nodes["a"])


@pytest.mark.parametrize("splice", [list_splice_init, list_splice_tail_init])
def test_splicing_what_is_no_list_is_an_oops(splice: Callable[[ListHead, ListHead], int]) -> None:
    head, _ = new("a")
    with pytest.raises(KernelOops, match=NULL):
        splice(ListHead(), head)
    with pytest.raises(KernelOops, match=NULL):
        splice(head, ListHead())
    assert names(head) == "a"


def test_a_head_that_was_never_initialised_leads_nowhere() -> None:
    head = ListHead()
    assert not list_empty(head)
    with pytest.raises(KernelOops, match="no entry"):
        list_first_entry(head)
    with pytest.raises(KernelOops, match="no entry"):
        list(list_for_each_entry(head))


def test_a_loop_that_takes_its_own_entry_out_steps_into_poison() -> None:
    head, nodes = new("a", "b")
    with pytest.raises(KernelOops, match="no entry"):
        for name in list_for_each_entry(head):
            list_del(nodes[name])


# --- who lives how long ---------------------------------------------------------------------------------------------


class Part:
    """Something that an entry is part of."""

    def __init__(self) -> None:
        self.node = ListHead(self)
        self.others: list[ListHead] = []


def test_an_entry_lives_as_long_as_it_is_in_a_list() -> None:
    head, other = new()[0], new()[0]
    parts = [Part() for _ in range(3)]
    alive = [weakref.ref(part) for part in parts]
    for part in parts:
        list_add_tail(part.node, head)
    del part, parts
    gc.collect()
    list_splice_tail_init(head, other)
    list_move(other.next, head)
    list_move_tail(head.next, other)
    gc.collect()
    assert [ref() for ref in alive] == [other.next.next.next.owner, other.next.owner, other.next.next.owner]
    list_del(other.next)
    gc.collect()
    assert [ref() is None for ref in alive] == [False, True, False]


def test_moving_about_holds_nobody_more_or_less_often() -> None:
    head, nodes = new("a", "b", "c")
    other, more = new("x", "y")
    everybody = [head, other, *nodes.values(), *more.values()]
    counts = [sys.getrefcount(node) for node in everybody]
    for _ in range(50):
        list_move_tail(nodes["a"], other)
        list_move(more["x"], head)
        list_del(nodes["b"])
        list_add(nodes["b"], other)
        list_del(nodes["b"])
        list_add_tail(nodes["b"], head)
        list_splice_init(head, other)
        list_splice_tail_init(other, head)
        list_splice_init(head, head)
        local = LIST_HEAD()
        list_splice_tail_init(other, local)
        list_splice_init(local, other)
        list_head_gone(local)
        for node in (*nodes.values(), *more.values()):
            list_del(node)
        for name in "abc":
            list_add_tail(nodes[name], head)
        for name in "xy":
            list_add_tail(more[name], other)
    del node, local
    assert (names(head), names(other)) == ("abc", "xy")
    assert [sys.getrefcount(node) for node in everybody] == counts


def test_whole_lists_are_garbage_when_nobody_has_them() -> None:
    parts = [Part() for _ in range(4)]
    for part in parts:
        part.others = [new()[0], new()[0]]
    for i in range(4):
        for head in parts[i].others:
            list_add_tail(ListHead(parts[i - 1]), head)
    INIT_LIST_HEAD(parts[0].node)
    list_add_tail(parts[1].node, parts[0].node)
    gone = [weakref.ref(part) for part in parts]
    del part, parts, head
    gc.collect()
    assert [ref() for ref in gone] == [None] * 4


def test_a_long_list_ends_like_a_short_one() -> None:
    alive = Part()
    ref = weakref.ref(alive)
    head = ListHead()
    INIT_LIST_HEAD(head)
    for i in range(200000):
        list_add_tail(ListHead(i), head)
    list_add_tail(ListHead(alive), head)
    del head, alive
    gc.collect()
    assert ref() is None


def test_lists_that_are_there_at_the_end_of_the_program_do_no_harm() -> None:
    code = ("from hidma.linux.list import *\nhead = ListHead(); INIT_LIST_HEAD(head)\n"
            "nodes = [ListHead(head) for _ in range(9)]\nfor node in nodes: list_add(node, head)\n"
            "local = LIST_HEAD(); list_move(nodes[3], local)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_local_list_is_gone_with_its_function() -> None:
    local = LIST_HEAD()
    assert list_empty(local)
    node = ListHead("a")
    list_add_tail(node, local)
    list_del(node)
    list_head_gone(local)
    with pytest.raises(KernelOops, match=NULL):
        list_add_tail(node, local)
    again = LIST_HEAD()
    assert list_empty(again)
    assert again is local  # the stack is as large as it ever was, not larger
    first, second, third = ListHead("a"), ListHead("b"), ListHead("c")
    for node in (first, second, third):
        list_add_tail(node, again)
    list_head_gone(again)  # V14 row 40: a function returned, and its entries are on a list on its stack
    assert LIST_HEAD() is not again
    list_del(second)
    list_del(third)  # writes to the frame that is gone, and reads nothing there
    with pytest.raises(KernelOops, match=NULL):
        list_del(first)


def test_a_head_that_is_initialised_over_its_entries_forgets_them() -> None:
    head, nodes = new("a", "b", "c")
    INIT_LIST_HEAD(head)
    assert list_empty(head)
    assert names(head) == ""
    for node in nodes.values():
        with pytest.raises(KernelOops, match=NULL):
            list_move(node, head)
    list_add_tail(nodes["b"], head)
    assert names(head) == "b"


def test_those_behind_an_entry_that_is_freed_are_in_no_list() -> None:
    head, nodes = new("a")
    list_add_tail(ListHead("nobody has this one"), head)
    list_add_tail(kept := ListHead("kept"), head)
    list_add(nodes["a"], other := new()[0])  # without list_del(): what came after it hangs on nothing
    assert names(other) == "a"
    gc.collect()
    for node in (kept, head):
        assert list_before(node) is None
        with pytest.raises(KernelOops):
            list_add_tail(ListHead(), node)
    with pytest.raises(KernelOops):
        list_del(kept)


@pytest.mark.parametrize("add", [list_add, list_add_tail])
def test_an_entry_that_is_added_twice_is_in_the_second_list(add: Callable[[ListHead, ListHead], int]) -> None:
    head, nodes = new("a", "b", "c")
    other, more = new("x")
    add(nodes["b"], other)
    assert names(other) == ("bx" if add is list_add else "xb")
    list_del(nodes["b"])
    list_del(more["x"])
    assert list_empty(other)
    # the list that it was in has lost its thread
    for name in "ac":
        with pytest.raises(KernelOops, match=NULL):
            list_del(nodes[name])
    with pytest.raises(KernelOops, match=NULL):
        add(nodes["c"], head)
    head, nodes = new("a", "b")
    add(nodes["a"], nodes["a"])
    assert list_before(nodes["a"]) is nodes["a"] is nodes["a"].next


def test_an_entry_is_made_anew() -> None:
    head, nodes = new("a", "b")
    nodes["a"].__init__("A")  # type: ignore[misc]
    with pytest.raises(KernelOops, match=NULL):
        list_del(nodes["a"])
    with pytest.raises(KernelOops, match=NULL):
        list_del(nodes["b"])
    INIT_LIST_HEAD(head)
    list_add(nodes["a"], head)
    assert list_first_entry(head) == "A"
    with pytest.raises((KernelOops, AttributeError)):
        list_del(ListHead.__new__(ListHead))


def abuse(seed: int, steps: int, free: bool) -> str:
    """Do anything to some entries and heads in any order; what became of it, as a digest."""
    rng = random.Random(seed)
    everybody = [ListHead(i) for i in range(8)]
    ops = [list_add, list_add_tail, list_move, list_move_tail, list_splice_init, list_splice_tail_init]
    digest = hashlib.sha256()
    for _ in range(steps):
        a, b = rng.randrange(8), rng.randrange(8)
        said = ""
        try:
            match rng.randrange(10):
                case 0:
                    INIT_LIST_HEAD(everybody[a])
                case 1:
                    list_del(everybody[a])
                case 2 if free:
                    everybody[a] = ListHead(8)
                    if rng.random() < 0.1:
                        gc.collect()
                case 3:
                    everybody[a].__init__(a)  # type: ignore[misc]
                case _:
                    rng.choice(ops)(everybody[a], everybody[b])
        except KernelOops as oops:
            said = str(oops)
        for node in everybody:
            for there in (node.next, list_before(node)):
                said += "-" if there is None else str(there.owner)
            # whoever is before me leads to me
            before = list_before(node)
            assert before is None or before.next is node
        digest.update(said.encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(("seed", "wanted"), [(1, "14260b13e0550acd"), (2, "20ab90cad9a1bbad"), (3, "1e37de7af15af269")])
def test_whatever_is_done_to_lists_is_the_same_in_both_modes(seed: int, wanted: str) -> None:
    assert abuse(seed, 2000, free=False) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_to_lists_and_their_memory_is_survived(seed: int) -> None:
    abuse(seed, 3000 if _mode.compiled() else 500, free=True)
