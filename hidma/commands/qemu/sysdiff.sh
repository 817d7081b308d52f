# SPDX-License-Identifier: GPL-2.0-only
# What the two drivers show of themselves, and what they do with what is written. It runs in the shell of a guest and in `hidma
# shell` alike; each line begins with what it is about, so that the lines of two kernels can be laid side by side.
management=/sys/devices/platform/QCOM8060:00
channel=$management/QCOM8061:00
drivers=/sys/bus/platform/drivers

contents() { # the lines of a file, joined; a time is that of a computer and not compared
    joined=
    case $1 in *_time) return ;; esac
    while IFS= read -r line || [ -n "$line" ]; do joined="$joined|$line"; done <"$1"
    echo "${joined#|}"
} 2>/dev/null

fresh() { # what the kernel has said since the last call
    dmesg -c | sed 's/^\(<[0-9]*>\)*\[[ 0-9.]*\] //; s/^/    dmesg: /'
}

show() { # kind, mode and target of everything below a directory; contents of its files
    [ -d "$1" ] || return
    find "$1" \( -name sections -o -name notes \) -prune -o -exec stat -c '%n|%F|%a' {} + | sed 's/regular empty file/regular file/' | sort | while IFS='|' read -r name kind mode; do
        case $kind in
        symbolic*) echo "link $name -> $(readlink "$name")" ;;
        directory) echo "directory $name $mode" ;;
        *) echo "file $name $mode $(contents "$name")" ;;
        esac
    done
}

put() { # write a value: the errno, the value afterwards, the log
    said=$({ echo "$1" >"$2"; } 2>&1) && said=ok
    [ ! -r "$2" ] || after=" then $(contents "$2")"
    echo "write '$1' to $2: ${said##*: }${after-}"
    unset after
    fresh
}

echo on >$channel/power/control # whether a device is suspended by now depends on the speed of a computer
echo on >$management/power/control
dmesg -c >/dev/null
for place in $management $drivers/hidma $drivers/hidma-mgmt /sys/module/hdma /sys/module/hdma_mgmt /sys/class/dma \
    /sys/kernel/debug/QCOM8061:00 /sys/kernel/debug/dmaengine; do
    show $place
done
fresh
for value in 0 1 15 16 -1 0x7 010 ' 3' '3 ' '' x 4294967296 99999999999999999999; do
    put "$value" $management/chanops/chan0/weight
    put "$value" $management/chanops/chan0/priority
done
for name in max_wr_xactions max_rd_xactions max_write_request max_read_request chreset_timeout_cycles dma_channels hw_version_major; do
    put 1 $management/$name
done
put 0 $channel/chid
for value in auto never on; do put "$value" $channel/power/control; done
for value in 2000 0 -1 2000 x; do
    put "$value" $channel/power/autosuspend_delay_ms
    echo "usage $(contents $channel/power/runtime_usage)"
done
for value in add change nonsense ''; do put "$value" $channel/uevent; done
for value in "" nothing hidma; do put "$value" $channel/driver_override; done
put nothing $drivers/hidma/bind
put nothing $drivers/hidma/unbind
put QCOM8061:00 $drivers/hidma/bind
put QCOM8060:00 $drivers/hidma/bind
put QCOM8061:00 $drivers/hidma/unbind
put QCOM8061:00 $drivers/hidma/unbind
show $channel
put QCOM8061:00 $drivers/hidma/bind
put QCOM8060:00 $drivers/hidma-mgmt/unbind
ls -1 $management # what is left there reads freed memory: in a real kernel that is an Oops
put QCOM8060:00 $drivers/hidma-mgmt/bind
rmmod hdma 2>&1 | sed 's/.*: //'
fresh
ls -1d $drivers/hidma* /sys/class/dma
