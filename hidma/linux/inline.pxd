# SPDX-License-Identifier: GPL-2.0-only
# What the primitives on the way of a descriptor have in common. They are C that is compiled into its callers: X_inline.pxd
# has those of X.py, where each has a twin in Python, which is what runs interpreted; tests/test_inline.py holds the two
# together.
#
# An argument is a pointer to the C data of an object or the object itself. A pointer is borrowed: nothing is counted for
# it, and its caller keeps the object alive. What is rare, and whatever raises, is a function of the module.
from hidma.linux.sched cimport no_structure

cdef extern from "Python.h":
    void Py_INCREF(void *) noexcept
    void Py_DECREF(void *) noexcept
    void *Py_TYPE(void *) noexcept
    void *PyList_GET_ITEM(void *, Py_ssize_t) noexcept
    void PyList_SET_ITEM(void *, Py_ssize_t, void *) noexcept
    Py_ssize_t PyList_GET_SIZE(void *) noexcept
    void *PyTuple_GET_ITEM(void *, Py_ssize_t) noexcept
    Py_ssize_t PyTuple_GET_SIZE(void *) noexcept
    void never "__builtin_unreachable" () noexcept  # after a call that always raises: the compiler need not think of more

# an object that C data belongs to, for those who take objects
cdef inline object face(void *data):
    return <object>data

# whether a pointer to an object is not the NULL of C, which is None
cdef inline bint given(void *pointer) noexcept:
    return pointer != <void *>None

# NULL where a structure should be is an Oops
cdef inline int there(void *data) except -1:
    if data == <void *>None:
        no_structure()
        never()
    return 0

# ``pointer``, which its caller knows to lead somewhere: a compiler that knows it too does not ask whether an error was returned
cdef inline void *not_null(void *pointer) noexcept:
    if pointer == NULL:
        never()
    return pointer

# item of a list of objects, borrowed; an index past its end is for the caller to prevent
cdef inline void *item(void *items, size_t index) noexcept:
    return PyList_GET_ITEM(items, index)

cdef inline void set_item(void *items, size_t index, void *value) noexcept:
    cdef void *old = PyList_GET_ITEM(items, index)
    Py_INCREF(value)
    PyList_SET_ITEM(items, index, value)
    Py_DECREF(old)

cdef inline unsigned long BIT(int nr) noexcept:
    return 1UL << nr
