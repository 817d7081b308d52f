# SPDX-License-Identifier: GPL-2.0-only
# More threads than descriptors; some end with failures and terminate what the others have prepared (row 60).
modprobe dmatest
echo 100 > /sys/module/dmatest/parameters/threads_per_chan
echo 8 > /sys/module/dmatest/parameters/iterations
echo 1 > /sys/module/dmatest/parameters/run
sleep 5
echo never
