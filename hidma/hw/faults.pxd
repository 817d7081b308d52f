# SPDX-License-Identifier: GPL-2.0-only
# The places of faults.py for compiled modules.
cdef enum:
    BURST = 1
    READ_BURST = 2
    WRITE_BURST = 3
    TRE_FETCH = 4
    EVRE_WRITE = 5
    EVRE_WORD = 6
    WRITE_POINTER = 7
    IRQ_LOST = 8
    IRQ_LATE = 9
    IRQ_DUP = 10
    IRQ_SPURIOUS = 11
    RESET_STUCK_TRCA = 20
    RESET_STUCK_EVCA = 21
    ENABLE_STUCK_TRCA = 22
    ENABLE_STUCK_EVCA = 23
    SUSPEND_STUCK_TRCA = 24
    SUSPEND_STUCK_EVCA = 25
    DISABLE_STUCK_TRCA = 26
    DISABLE_STUCK_EVCA = 27
