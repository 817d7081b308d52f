#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The whole test at load time, and what it says.
modprobe dmatest channel=dma0chan0 timeout=2000 iterations=1 run=1 || exit 2
cat /sys/module/dmatest/parameters/wait
dmesg -t | grep '^dmatest:'
modprobe -r dmatest
! grep -q '^dmatest ' /proc/modules
