#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the machine has: kernel, tree, resources, suspend after two seconds, interrupts before and after a test.
set -o errexit -o nounset
echo "kernel: $(uname -r) on $(uname -m), modules: $(cut -d' ' -f1 /proc/modules | sort | paste -sd' ')"
echo "model: $(tr -d '\0' < /proc/device-tree/model)"
find /sys/devices/platform -name weight | wc -l
grep -c hidma /proc/iomem
status=/sys/devices/platform/f9984000.hidma-mgmt/power/runtime_status
timeout=0
until [ "$(cat $status)" = suspended ]; do
    sleep 1
    timeout=$((timeout + 1))
    [ $timeout -lt 10 ]
done
echo "suspended after $timeout s"
irqs() { awk '/qcom-hidma/ { for (i = 2; i <= 9; i++) sum += $i } END { print sum + 0 }' /proc/interrupts; }
before=$(irqs)
dmatest iterations=3 > /tmp/report.$$ || { cat /tmp/report.$$; exit 1; }
rm /tmp/report.$$
[ "$(irqs)" -gt "$before" ]
diff <(dmesg) <(dmesg) && dmesg --level=err | grep . && exit 7
exit 0
