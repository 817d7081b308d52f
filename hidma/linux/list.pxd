# SPDX-License-Identifier: GPL-2.0-only
cimport cython

@cython.final
@cython.freelist(16)
cdef class ListHead:
    cdef public object owner
    cdef public object nothing
    cdef public ListHead next
    cdef public ListHead prev

cdef ListHead LIST_POISON

@cython.locals(head=ListHead)
cpdef ListHead LIST_HEAD()
cpdef int list_head_gone(ListHead head) except -1
cpdef int INIT_LIST_HEAD(ListHead head) except -1
cdef int poisoned(ListHead entry) except -1
@cython.locals(prev=ListHead)
cpdef int list_add_tail(ListHead new, ListHead head) except -1
@cython.locals(after=ListHead)
cpdef int list_add(ListHead new, ListHead head) except -1
@cython.locals(after=ListHead, prev=ListHead)
cpdef int list_del(ListHead entry) except -1
@cython.locals(after=ListHead, prev=ListHead)
cpdef int list_move_tail(ListHead entry, ListHead head) except -1
@cython.locals(after=ListHead, prev=ListHead)
cpdef int list_move(ListHead entry, ListHead head) except -1
cpdef int list_empty(ListHead head) except -1
@cython.locals(first=ListHead, last=ListHead, at=ListHead)
cpdef int list_splice_init(ListHead list_, ListHead head) except -1
@cython.locals(first=ListHead, last=ListHead, at=ListHead)
cpdef int list_splice_tail_init(ListHead list_, ListHead head) except -1
cpdef object list_entry(ListHead node)
@cython.locals(first=ListHead)
cpdef object list_first_entry(ListHead head)
