#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A reproducer: load, test a channel with several threads, unload, fifty times.
dmesg -C
for ((round = 1; round <= ${1:-50}; round++)); do
    modprobe dmatest threads_per_chan=3 channel=dma1chan0 iterations=2 run=1 || exit 1
    [[ $(< /sys/module/dmatest/parameters/wait) == Y ]] || exit 2
    rmmod dmatest || exit 3
done
count=$(dmesg | grep -cw '0 failures')
echo "rounds: $((round - 1)), threads without failure: $count"
dmesg | grep -iE 'error|BUG|WARNING' && exit 4
lsmod | awk 'NR > 1 && $3 != 0 { bad = 1 } END { exit bad }'
