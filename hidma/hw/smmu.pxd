# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.hw.bus cimport Bus
from hidma.hw.cmem cimport words_of
from hidma.hw.memory cimport Memory

cpdef enum:
    GRANULE = 4096
    READ = 1
    WRITE = 2
    BYPASS = 0
    TRANSLATED = 1
    BLOCKED = 2

cdef enum:
    GRANULE_SHIFT = 12
    EINVAL = 22
    EEXIST = 17
    TLB_ENTRIES = 512
    TLB_MASK = 511
    TLB_SHIFT = 9
    FAULTS_KEPT = 256

cdef extern from *:
    unsigned long long IOVA_END "0x1000000000000ULL"

@cython.final
cdef class Domain:
    cdef public Bus bus
    cdef public str name
    cdef public dict pages
    cdef public long long changes
    cdef public object source
    cdef object cache
    cdef unsigned int *tlb
    @cython.locals(first="long long", count="long long", page="long long", target="long long", pages=dict)
    cpdef int map(self, object iova, object phys, object size, int prot) except? -1
    @cython.locals(first="long long", done="long long", page="long long", pages=dict)
    cpdef long long unmap(self, object iova, object size) except? 0xDEADBEEF
    cpdef object iova_to_phys(self, object iova)
    @cython.locals(slot="unsigned int")
    cdef unsigned int look(self, unsigned long long page) except? 0xDEADBEEF
    @cython.locals(slot="unsigned int", value="unsigned int", bits="unsigned long long", phys="unsigned long long",
                   memory=Memory)
    cdef unsigned int walk(self, unsigned long long page) except? 0xDEADBEEF

@cython.final
cdef class Stream:
    cdef public object smmu
    cdef public long long number
    cdef public str name
    cdef public Memory memory
    cdef public Domain domain
    cdef public int mode
    cdef public unsigned long long base
    cdef public unsigned long long size
    cdef public long long faults
    cpdef int bypass(self) except -1
    cpdef int block(self) except -1
    cpdef int attach(self, Domain domain) except -1
    @cython.locals(domain=Domain, page="unsigned long long", last="unsigned long long", target="unsigned int",
                   entry="unsigned int", offset="long long")
    cpdef long long reach(self, unsigned long long address, unsigned long long count, unsigned int need) except? 0xDEADBEEF
    @cython.locals(done="unsigned long long", here="unsigned long long", piece="unsigned long long")
    cpdef unsigned long long first_fault(self, unsigned long long address, unsigned long long count,
                                         unsigned int need) except? 0xDEADBEEF
    cpdef int refuse(self, unsigned long long address, unsigned int need) except -1
