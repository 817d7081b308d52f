#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# The first process of the guest. It does what /plan says and reports in the kernel log, in lines "hidma-guest: KEY=VALUE". Where
# the console belongs to a script (MODE=run), the lines go there directly, marked by a record separator.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
. /plan

report() {
    if [ "$MODE" = run ]; then printf '\036hidma-guest: %s\n' "$*" >/dev/ttyAMA0; else echo "<3>hidma-guest: $*" >/dev/kmsg; fi
}
console() { echo "$1" >/proc/sys/kernel/printk; } # what is printed: 8 all, 4 errors
warnings() { dmesg | grep -c 'Runtime PM usage count underflow'; }
finish() { report "end=$1"; sync; poweroff -f; }
devices() { # those that a driver is bound to
    for d in "/sys/bus/platform/drivers/$1"/*; do
        [ ! -e "$d/driver_override" ] || echo "${d##*/}"
    done | tr '\n' ' '
}
interrupts() { awk '/hidma|hdma|dma-controller|dma_controller|QCOM806/ { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) n += $i; else break } END { print n + 0 }' /proc/interrupts; }

report "release=$(uname -r)"
for m in $DRIVERS; do
    insmod "/modules/$m.ko" || report "failed=insmod $m"
done
for again in $RETRY; do
    for d in /sys/bus/platform/devices/*.dma-controller /sys/bus/platform/devices/QCOM8061:*; do
        [ ! -e "$d" ] || [ -e "$d/driver" ] || ! report "again=${d##*/}" || echo "${d##*/}" >/sys/bus/platform/drivers/hidma/bind
    done
done
bound=$(devices hidma)
report "mgmt=$(devices hidma-mgmt)"
report "bound=$bound"
[ -z "$TABLE" ] || grep -q "$TABLE" /sys/firmware/acpi/tables/SSDT* 2>/dev/null || report "notable=$TABLE"
case "$bound$MODE" in
run | shell) dmesg | grep -iE 'hidma|hdma|QCOM806|dma-controller' >/dev/ttyAMA0 ;;
raid | probe | compare) finish "the driver is bound to nothing" ;;
esac
for m in $MODULES; do
    case $m in
    brd) options="rd_nr=$((3 * ARRAYS)) rd_size=$((MIB * 512))" ;;
    *) options= ;;
    esac
    # shellcheck disable=SC2086
    insmod "/modules/$m.ko" $options || report "failed=insmod $m"
done

if [ -n "$SHARE" ]; then
    mkdir -p /share
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 share /share || report "failed=mount /share"
fi

client() {
    [ -n "$CLIENT" ] || return
    report "client=$CLIENT $PARAMETERS"
    # shellcheck disable=SC2086
    insmod "/modules/$CLIENT.ko" $PARAMETERS || { report "failed=insmod $CLIENT"; return; }
    # dmatest: reading "wait" comes back when the test is over
    [ -f "/sys/module/$CLIENT/parameters/wait" ] && cat "/sys/module/$CLIENT/parameters/wait" >/dev/null
    report "clientdone=$(interrupts)"
}

array() { # number, CPU: an array of three RAM disks
    n=$1
    cpu=$2
    name=md$((127 - n))
    echo "$name" >/sys/module/md_mod/parameters/new_array
    cd "/sys/block/$name/md" || finish "no array"
    echo none >metadata_version
    echo raid5 >level
    echo 3 >raid_disks
    echo 65536 >chunk_size
    for slot in 0 1 2; do
        ram=ram$((3 * n + slot))
        cat "/sys/block/$ram/dev" >new_dev
        echo 0 >"dev-$ram/offset"
        echo "$SIZE" >"dev-$ram/size"
        echo $slot >"dev-$ram/slot"
    done
    echo "$SIZE" >component_size
    echo active >array_state
    cd /
    taskset -p $((1 << cpu)) "$(ps | awk -v name="${name}_raid5" 'index($0, name) && !/awk/ { print $1 }')" >/dev/null ||
        report "failed=taskset"
}

copy() { # number: write to the array, read back, compare; busybox before 1.33 knows no "direct"
    name=md$((127 - $1))
    dd if=/source "of=/dev/$name" bs=1M oflag=direct 2>/dev/null || dd if=/source "of=/dev/$name" bs=1M conv=fsync 2>/dev/null ||
        report "failed=dd to $name"
}

raid() {
    SIZE=$((MIB * 512))
    dd if=/dev/urandom of=/source bs=1M count="$MIB" 2>/dev/null || finish "no memory for $MIB MiB"
    want=$(md5sum </source | cut -d' ' -f1)
    report "source=$want"
    i=0
    while [ $i -lt "$ARRAYS" ]; do
        array $i $i
        i=$((i + 1))
    done
    # 6.1 warns of its runtime PM count once for each descriptor: printed, that would be most of what the guest does
    console 4
    report "copy=begin"
    i=0
    while [ $i -lt "$ARRAYS" ]; do
        copy $i &
        i=$((i + 1))
    done
    wait
    sync
    report "copy=end"
    console 8
    report "underflows=$(warnings)"
    echo 3 >/proc/sys/vm/drop_caches
    i=0
    while [ $i -lt "$ARRAYS" ]; do
        name=md$((127 - i))
        got=$({ dd "if=/dev/$name" bs=1M count="$MIB" iflag=direct || dd "if=/dev/$name" bs=1M count="$MIB"; } 2>/dev/null | md5sum | cut -d' ' -f1)
        differences=0
        [ "$got" = "$want" ] || differences=$(dd "if=/dev/$name" bs=1M count="$MIB" 2>/dev/null | cmp -l /source - 2>&1 | wc -l)
        report "back=$name $got $differences"
        echo clear >"/sys/block/$name/md/array_state"
        i=$((i + 1))
    done
    report "interrupts=$(interrupts)"
}

unload() { # what holds the channels
    if [ -n "$CLIENT" ]; then
        rmmod "$CLIENT" || report "failed=rmmod $CLIENT"
    fi
    for m in raid456 async_raid6_recov async_pq async_xor async_memcpy async_tx; do
        [ ! -d "/sys/module/$m/holders" ] || rmmod $m || report "failed=rmmod $m"
    done
}

remove() { # take the devices from the driver, give them back, take the driver away
    for d in $bound; do
        echo "$d" >/sys/bus/platform/drivers/hidma/unbind && report "unbound=$d"
    done
    for d in $1; do
        if echo "$d" >/sys/bus/platform/drivers/hidma/bind; then report "rebound=$d"; else report "notrebound=$d"; fi
    done
    rmmod hdma && report "removed=hdma"
}

case $MODE in
raid)
    raid
    client
    ;;
probe)
    client
    unload
    report "interrupts=$(interrupts)"
    remove "$bound"
    ;;
compare)
    if [ -n "$CLIENT" ]; then client; else raid; fi
    unload
    remove ""
    ;;
run)
    client
    stty -F /dev/ttyAMA0 raw -echo
    eval "set -- $ARGUMENTS"
    report run=begin
    sh /script "$@" </dev/null >/dev/ttyAMA0 2>&1
    report "run=$?"
    ;;
shell)
    client
    report "shell=ready"
    setsid sh -c 'exec sh -l </dev/ttyAMA0 >/dev/ttyAMA0 2>&1'
    ;;
esac
finish ok
