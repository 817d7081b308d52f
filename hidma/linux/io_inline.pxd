# SPDX-License-Identifier: GPL-2.0-only
from hidma.hw.block cimport RegisterBlock
from hidma.hw.clock cimport Clock
from hidma.hw.trace cimport Trace
from hidma.linux cimport sched
from hidma.linux.inline cimport PyList_GET_ITEM, PyList_GET_SIZE, never, not_null
from hidma.linux.io cimport WINDOW_MASK, WINDOW_SHIFT, Window, read_any, unmapped, window_t, write_any
from hidma.linux.sched cimport Cpu, cpu_t, look

# above 63 bits, where an enum of Cython is signed: io.py has the same for Python
cdef extern from *:
    """
    #define HIDMA_IO_OFFSET 0xFFFF000000000000ULL
    """
    const unsigned long long IO_OFFSET "HIDMA_IO_OFFSET"

cdef inline window_t *window_at(unsigned long long address) except NULL:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef unsigned long long slot = (address ^ IO_OFFSET) >> WINDOW_SHIFT
    if slot >= <unsigned long long>PyList_GET_SIZE(cpu.windows):
        unmapped(address)
        never()
    return <window_t *>not_null(PyList_GET_ITEM(cpu.windows, slot))

cdef inline long long readl(unsigned long long address) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef window_t *window = window_at(address)
    cdef unsigned int offset = address & WINDOW_MASK
    # a number too large for any word where none begins
    cdef unsigned int word = (offset >> 2) | ((offset & 3) << 30)
    cdef long long value
    if word < window.plain and not (<Trace>window.trace).on:
        # as RegisterBlock.read32() does
        (<RegisterBlock>window.registers).reads = (<RegisterBlock>window.registers).reads + 1
        value = window.words[word]
        (<Clock>window.clock).now = (<Clock>window.clock).now + window.access_ns
        if (<Clock>window.clock).now >= (<Clock>window.clock).horizon:
            (<Clock>window.clock).sync()
    else:
        value = read_any(<Cpu>cpu, <Window>window, address)
    cpu.rounds_left -= 1
    if cpu.rounds_left < 0:
        look(sched.this_cpu)
    return value

cdef inline int writel(unsigned int value, unsigned long long address) except -1:
    cdef cpu_t *cpu = <cpu_t *>sched.this_cpu
    cdef window_t *window = window_at(address)
    cdef unsigned int offset = address & WINDOW_MASK
    if offset >= window.size:
        unmapped(address)
        never()
    write_any(<Cpu>cpu, <Window>window, offset, value)
    cpu.rounds_left -= 1
    if cpu.rounds_left < 0:
        look(sched.this_cpu)
    return 0

# the model has no order to relax
cdef inline long long readl_relaxed(unsigned long long address) except -1:
    return readl(address)

cdef inline int writel_relaxed(unsigned int value, unsigned long long address) except -1:
    return writel(value, address)
