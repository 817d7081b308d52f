# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.inline cimport Py_DECREF, Py_INCREF, face, never, not_null, there
from hidma.linux.list cimport (
    LIST_POISON, SPARE, ListHead, list_head, more_heads, no_list_entry, poisoned, spare_heads)

ctypedef list_head *list_head_p

ctypedef fused list_arg:
    ListHead
    list_head_p

ctypedef fused other_list_arg:
    ListHead
    list_head_p

# ``next`` holds the entry that it leads to, ``prev`` holds none. A move leaves as many links to each entry as there
# were, so links are exchanged and nothing is counted.

cdef inline void exchange(list_head **one, list_head **other) noexcept:
    cdef list_head *kept = one[0]
    one[0] = other[0]
    other[0] = kept

# ``node`` leads to ``after``: this one is counted, and what it led to may end here
cdef inline void lead(list_head *node, list_head *after) noexcept:
    cdef list_head *before = node.next
    Py_INCREF(after)
    node.next = after
    Py_DECREF(before)

cdef inline list_head *list_of(list_arg given) except NULL:
    if list_arg is ListHead:
        there(<void *>given)
    return <list_head *>not_null(<void *>given)

# those after ``node`` are in no list from here on
cdef inline int let_go(list_head *node) noexcept:
    cdef list_head *after = node.next
    while after.prev == node:
        after.prev = NULL
        node = after
        after = node.next
    return 0

cdef inline int unlink(list_arg given) except -1:
    list_of(given).prev = NULL
    return 0

cdef inline object before(list_arg given):
    cdef list_head *node = list_of(given)
    return None if node.prev == NULL else <object>node.prev

cdef inline int INIT_LIST_HEAD(list_arg given) except -1:
    cdef list_head *head = list_of(given)
    if head.prev != NULL:
        let_go(head)
    lead(head, head)
    head.prev = head
    return 0

cdef inline list_head *LIST_HEAD() except NULL:
    cdef spare_heads *spare = <spare_heads *>SPARE
    cdef list_head *head
    if spare.first == <list_head *>None:
        more_heads()
    head = spare.first
    exchange(&spare.first, &head.next)
    head.prev = head
    return head

cdef inline int list_head_gone(list_arg given) except -1:
    cdef spare_heads *spare = <spare_heads *>SPARE
    cdef list_head *head = list_of(given)
    if head.next == head:
        exchange(&spare.first, &head.next)
        head.prev = NULL
    else:
        head.next.prev = NULL
        lead(head, head)
        head.prev = NULL
    return 0

cdef inline int list_empty(list_arg given) except -1:
    cdef list_head *head = list_of(given)
    return head.next == head

# ``new`` comes between the two without having left the list that it is in
cdef inline int added_twice(list_head *new, list_head *prev, list_head *after) except -1:
    let_go(new)
    if new == prev or new == after:
        lead(new, new)
        new.prev = new
        return 0
    exchange(&new.next, &prev.next)
    if prev.prev != NULL:  # else it was in this very list, and broke it
        new.prev = prev
        after.prev = new
    lead(prev, new)
    return 0

cdef inline int list_add_tail(list_arg given, other_list_arg to) except -1:
    cdef list_head *new = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = head.prev
    if last == NULL:
        poisoned(<ListHead>head)
        never()
    if new.prev != NULL:
        return added_twice(new, last, head)
    exchange(&new.next, &last.next)
    new.prev = last
    head.prev = new
    lead(last, new)
    return 0

cdef inline int list_add(list_arg given, other_list_arg to) except -1:
    cdef list_head *new = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *after
    if head.prev == NULL:
        poisoned(<ListHead>head)
        never()
    after = head.next
    if new.prev != NULL:
        return added_twice(new, head, after)
    exchange(&new.next, &head.next)
    new.prev = head
    after.prev = new
    lead(head, new)
    return 0

cdef inline int list_del(list_arg given) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *prev = entry.prev
    cdef list_head *after
    if prev == NULL:
        poisoned(<ListHead>entry)
        never()
    after = entry.next
    exchange(&prev.next, &entry.next)
    after.prev = prev
    entry.prev = NULL
    lead(entry, <list_head *>LIST_POISON)
    return 0

cdef inline int list_move_tail(list_arg given, other_list_arg to) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *prev = entry.prev
    cdef list_head *last
    if prev == NULL:
        poisoned(<ListHead>entry)
        never()
    entry.next.prev = prev
    exchange(&prev.next, &entry.next)
    # a list of its own, for the case that ``head`` is the entry itself
    entry.prev = entry
    last = head.prev
    if last == NULL:
        poisoned(<ListHead>head)
        never()
    exchange(&entry.next, &last.next)
    head.prev = entry
    entry.prev = last
    return 0

cdef inline int list_move(list_arg given, other_list_arg to) except -1:
    cdef list_head *entry = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *prev = entry.prev
    cdef list_head *after
    if prev == NULL:
        poisoned(<ListHead>entry)
        never()
    entry.next.prev = prev
    exchange(&prev.next, &entry.next)
    entry.prev = entry
    if head.prev == NULL:
        poisoned(<ListHead>head)
        never()
    after = head.next
    exchange(&entry.next, &head.next)
    after.prev = entry
    entry.prev = head
    return 0

cdef inline int list_splice_init(list_arg given, other_list_arg to) except -1:
    cdef list_head *source = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = source.prev
    cdef list_head *first
    cdef list_head *at
    if last == NULL:
        poisoned(<ListHead>source)
        never()
    if head.prev == NULL:
        poisoned(<ListHead>head)
        never()
    first = source.next
    if first != source:
        at = head.next
        # last leads to what the head led to, the head to the first, the source to itself
        exchange(&last.next, &head.next)
        exchange(&head.next, &source.next)
        first.prev = head
        at.prev = last
        source.prev = source
    return 0

cdef inline int list_splice_tail_init(list_arg given, other_list_arg to) except -1:
    cdef list_head *source = list_of(given)
    cdef list_head *head = list_of(to)
    cdef list_head *last = source.prev
    cdef list_head *at = head.prev
    cdef list_head *first
    if last == NULL:
        poisoned(<ListHead>source)
        never()
    if at == NULL:
        poisoned(<ListHead>head)
        never()
    first = source.next
    if first != source:
        exchange(&last.next, &at.next)
        exchange(&at.next, &source.next)
        first.prev = at
        head.prev = last
        source.prev = source
    return 0

# what ``node`` is part of; a wrong turn leads to the head of another list, or nowhere, where C would go on
cdef inline void *list_entry(list_head *node) except NULL:
    if node == <list_head *>None or node.owner == <void *>None:
        no_list_entry()
        never()
    return not_null(node.owner)

# owner of the first entry; when the list is empty, what surrounds its head, as in C
cdef inline void *list_first_entry(list_head *head) except NULL:
    if head.next == head and head.nothing != <void *>None:
        return head.nothing
    return list_entry(head.next)
