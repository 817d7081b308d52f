# SPDX-License-Identifier: GPL-2.0-only
from hidma.machine.batch cimport has_descriptor, takes
from hidma.linux.dmaengine cimport dmaengine_prep_dma_memcpy, dmaengine_submit
