# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
cdef class ListHead:
    cdef public object owner
    cdef public object nothing
    cdef readonly object next
    cdef void *prev

@cython.final
cdef class Spare:
    cdef readonly object first

cdef ListHead LIST_POISON
cdef list ending
cdef Spare SPARE

@cython.locals(head=ListHead)
cpdef ListHead LIST_HEAD()  # struct inline
cpdef int more_heads() except -1
cpdef int list_head_gone(ListHead head) except -1  # struct inline
cdef int drop_next(ListHead node) except -1
cpdef ListHead list_before(ListHead node)  # struct inline
cdef int no_entry(ListHead node) except -1  # struct inline
cdef int unlinked(ListHead head) except -1  # struct inline
@cython.locals(after=ListHead)
cdef int let_go(ListHead node) except -1  # struct
cpdef int INIT_LIST_HEAD(ListHead head) except -1  # struct inline
cdef int poisoned(ListHead entry) except -1
cdef int added_twice(ListHead new, ListHead prev, ListHead after) except -1  # struct
@cython.locals(last=ListHead)
cpdef int list_add_tail(ListHead new, ListHead head) except -1  # struct inline
@cython.locals(after=ListHead)
cpdef int list_add(ListHead new, ListHead head) except -1  # struct inline
@cython.locals(after=ListHead, prev=ListHead)
cpdef int list_del(ListHead entry) except -1  # struct inline
@cython.locals(after=ListHead, prev=ListHead, last=ListHead)
cpdef int list_move_tail(ListHead entry, ListHead head) except -1  # struct inline
@cython.locals(after=ListHead, prev=ListHead)
cpdef int list_move(ListHead entry, ListHead head) except -1  # struct inline
cpdef int list_empty(ListHead head) except -1  # struct inline
@cython.locals(first=ListHead, last=ListHead, at=ListHead)
cpdef int list_splice_init(ListHead list_, ListHead head) except -1  # struct inline
@cython.locals(first=ListHead, last=ListHead, at=ListHead)
cpdef int list_splice_tail_init(ListHead list_, ListHead head) except -1  # struct inline
cpdef object list_entry(ListHead node)  # struct inline
@cython.locals(first=ListHead)
cpdef object list_first_entry(ListHead head)  # struct inline
