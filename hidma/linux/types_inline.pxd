# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.inline cimport Py_TYPE
from hidma.linux.types cimport CFunction, call_python

ctypedef void *void_p

ctypedef fused function_arg:
    object
    void_p

ctypedef fused data_arg:
    object
    void_p

cdef inline int call(function_arg fn, data_arg data) except -1:
    if Py_TYPE(<void *>fn) == <void *>CFunction:
        (<CFunction>fn).fn(<void *>data)
        return 0
    return call_python(<object>fn, <object>data)
