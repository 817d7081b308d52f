#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loops of a user's guide: every channel by itself, through the module's files.
set -e
modprobe dmatest
cd /sys/module/dmatest/parameters
echo 2000 > timeout
echo 10 > iterations
for chan in /sys/class/dma/dma*chan*; do
    name=$(basename "$chan")
    echo "$name" > channel
    cat test_list
    echo 1 > run
    while [ "$(cat run)" = Y ]; do
        sleep 0.001
    done
    [ -z "$(cat channel)" ]
    [ "$(cat "$chan/in_use")" -eq 0 ]
done
failed=$(dmesg | sed -n 's/.*summary [0-9]* tests, \([0-9]*\) failures.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }')
echo "channels: $(ls -d /sys/class/dma/dma* | wc -l), summaries: $(dmesg | grep -c summary), failures: $failed"
rmmod dmatest
exit "$failed"
