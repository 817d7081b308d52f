# SPDX-License-Identifier: GPL-2.0-only
# A channel goes from its driver to vfio-platform, to a program of user space, and back: the steps of the cover letter's FAQ.
device=$(basename /sys/bus/platform/devices/*.dma-controller)
here=/sys/bus/platform/devices/$device
step() { # report, and wait until it was heard
    printf '\036hidma-guest: step=%s\n' "$*"
    dd bs=1 count=1 of=/dev/null </dev/ttyAMA0 2>/dev/null
}
put() { # driver, what to do
    said=$({ echo "$device" >"/sys/bus/platform/drivers/$1/$2"; } 2>&1) && said=ok
    step "$2 $1: ${said##*: }"
}

insmod /modules/vfio-platform-base.ko && insmod /modules/vfio-platform.ko || step "failed: insmod vfio-platform"
echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
put hidma unbind
echo vfio-platform >"$here/driver_override"
put vfio-platform bind
dmesg | grep 'vfio.*reset' | tail -n 1 | while read -r line; do step "the kernel: ${line#*] }"; done
insmod /modules/vfio_platform_qcomhidma.ko || step "failed: insmod vfio_platform_qcomhidma"
step "insmod vfio_platform_qcomhidma"
put vfio-platform bind
group=$(readlink "$here/iommu_group")
/bin/vfio-user "${group##*/}" "$device" </dev/ttyAMA0
put vfio-platform unbind
echo >"$here/driver_override"
put hidma bind
step "chid $(cat "$here/chid")"
