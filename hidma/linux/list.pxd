# SPDX-License-Identifier: GPL-2.0-only
cimport cython

cdef extern from *:
    struct list_head:
        void *owner
        void *nothing
        list_head *next
        list_head *prev
    struct spare_heads:
        list_head *first

@cython.final
cdef api class ListHead [object list_head, type list_head_type]:
    cdef public object owner
    cdef public object nothing
    cdef readonly ListHead next
    cdef list_head *prev

@cython.final
cdef api class Spare [object spare_heads, type spare_heads_type]:
    cdef readonly ListHead first

cdef int let_go(ListHead node) except -1
cdef ListHead LIST_POISON
cdef list ending
cdef Spare SPARE

cpdef int more_heads() except -1
cdef int drop_next(ListHead node) except -1
cpdef ListHead list_before(ListHead node)
cpdef int poisoned(ListHead entry) except -1
cdef int no_list_entry() except -1
cpdef ListHead LIST_HEAD()
cpdef int list_head_gone(ListHead head) except -1
cpdef int INIT_LIST_HEAD(ListHead head) except -1
cpdef int list_add_tail(ListHead new, ListHead head) except -1
cpdef int list_add(ListHead new, ListHead head) except -1
cpdef int list_del(ListHead entry) except -1
cpdef int list_move_tail(ListHead entry, ListHead head) except -1
cpdef int list_move(ListHead entry, ListHead head) except -1
cpdef int list_empty(ListHead head) except -1
cpdef int list_splice_init(ListHead list_, ListHead head) except -1
cpdef int list_splice_tail_init(ListHead list_, ListHead head) except -1
cpdef object list_entry(ListHead node)
cpdef object list_first_entry(ListHead head)
