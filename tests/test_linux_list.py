# SPDX-License-Identifier: GPL-2.0-only
"""Linked lists, and what a wrong turn in one leads to: an Oops, in compiled code too."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hidma.linux.list import (
    INIT_LIST_HEAD,
    ListHead,
    list_add,
    list_add_tail,
    list_before,
    list_del,
    list_empty,
    list_first_entry,
    list_for_each_entry,
    list_for_each_entry_safe,
    list_move,
    list_move_tail,
    list_splice_init,
    list_splice_tail_init,
)
from hidma.linux.sched import KernelOops


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
