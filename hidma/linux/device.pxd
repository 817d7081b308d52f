# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from hidma.linux.pm_runtime cimport DevPmInfo, dev_pm_info

cdef extern from *:
    struct device_t:
        dev_pm_info *power

cdef api class Device [object device_t, type device_type]:
    cdef public str name
    cdef public Device parent
    cdef public object bus
    cdef public object driver
    cdef public object driver_data
    cdef public object of_node
    cdef public object fwnode
    cdef public object acpi_companion
    cdef public object dma_mask
    cdef public object coherent_dma_mask
    cdef public object iommu_group
    cdef public object devres
    cdef public DevPmInfo power
    cdef public object kobj
    cdef public object container
    cdef public list children
    cdef public object release
    cdef dict __dict__
    cdef object __weakref__
