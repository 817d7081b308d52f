#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Give devices to vfio-platform: reset module first, override, unbind, bind; then all that is in their groups.
set -euo pipefail
devices=("${@:-hidma.1}")
modprobe -a vfio-platform vfio-platform-qcomhidma
for device in "${devices[@]}"; do
    path=/sys/bus/platform/devices/$device
    [ -e "$path" ] || { echo "$device: no such device" >&2; exit 2; }
    group=$(basename "$(readlink "$path/iommu_group")")
    echo vfio-platform > "$path/driver_override"
    if [ -e "$path/driver" ]; then
        echo "$device" > "$path/driver/unbind"
    fi
    echo "$device" > /sys/bus/platform/drivers_probe
    driver=$(basename "$(readlink -f "$path/driver")")
    printf '%s: group %d, driver %s, members %s\n' "$device" "$group" "$driver" \
        "$(ls "/sys/kernel/iommu_groups/$group/devices" | paste -sd,)"
    [ "$driver" = vfio-platform ]
done
