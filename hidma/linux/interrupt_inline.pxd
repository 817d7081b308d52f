# SPDX-License-Identifier: GPL-2.0-only
from hidma.linux.inline cimport there
from hidma.linux.interrupt cimport TaskletStruct, tasklet_queue, tasklet_struct

ctypedef tasklet_struct *tasklet_struct_p

ctypedef fused tasklet_arg:
    TaskletStruct
    tasklet_struct_p

cdef inline int tasklet_schedule(tasklet_arg given) except -1:
    cdef tasklet_struct *t = <tasklet_struct *>given
    if tasklet_arg is TaskletStruct:
        there(t)
    if not t.state:
        tasklet_queue(<TaskletStruct>t)
    return 0
