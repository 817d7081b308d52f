#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# There and back again; a device that is bound to VFIO is not unloaded with its module.
dir=$(dirname "$0")
"$dir/vfio-bind.sh" hidma.2 > /dev/null || exit 1
rmmod vfio_platform_base 2>/dev/null && exit 2
echo hidma.2 > /sys/bus/platform/drivers/vfio-platform/unbind
echo > /sys/bus/platform/devices/hidma.2/driver_override
echo hidma.2 > /sys/bus/platform/drivers/hidma/bind || exit 3
modprobe -r vfio-platform || exit 4
ls /sys/class/dma | grep -x dma2chan0
echo hidma.99 2>/dev/null > /sys/bus/platform/drivers/hidma/bind
[ $? -eq 1 ] && [ ! -e /sys/module/vfio_platform ]
