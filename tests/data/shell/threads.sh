#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Throughput by number of threads, from the summaries; time by the machine's clock.
for threads in 1 2 4; do
    dmesg -C
    start=$(date +%s%N)
    modprobe dmatest threads_per_chan=$threads channel=dma0chan0 iterations=20 transfer_size=8192 noverify=1 run=1 || exit 1
    read -r done < /sys/module/dmatest/parameters/wait
    end=$(date +%s%N)
    rmmod dmatest
    [ "$done" = Y ] && [ "$end" -gt "$start" ] || exit 2
    dmesg | awk -v n=$threads '/summary/ { sum += $(NF-2); lines++ } END { print n, lines, (sum > 0); exit lines != n }' || exit 3
done
