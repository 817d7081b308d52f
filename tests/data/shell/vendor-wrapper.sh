#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A board vendor's wrapper: options, arrays, a trap, marks in the log, and awk.
usage()
{
    cat <<-EOF >&2
	usage: ${0##*/} [-c CHANNELS] [-i ITERATIONS] [-s SIZE] [-v]
	EOF
    exit 2
}

channels=() iterations=5 size=4096 verbose=N
while getopts "c:i:s:vh" opt; do
    case $opt in
        c) IFS=, read -r -a channels <<< "$OPTARG" ;;
        i) iterations=$OPTARG ;;
        s) size=$OPTARG ;;
        v) verbose=Y ;;
        *) usage ;;
    esac
done
((${#channels[@]})) || mapfile -t channels < <(ls /sys/class/dma)

mark="dmatest wrapper $$"
echo "<6>$mark" > /dev/kmsg
trap 'modprobe -rq dmatest' EXIT

declare -A parameter=([iterations]=$iterations [test_buf_size]=$size [verbose]=$verbose [norandom]=Y)
modprobe -q dmatest || { echo "no dmatest" >&2; exit 3; }
for name in "${!parameter[@]}"; do
    echo "${parameter[$name]}" > "/sys/module/dmatest/parameters/$name"
done
for channel in "${channels[@]}"; do
    if ! echo "$channel" 2>/dev/null > /sys/module/dmatest/parameters/channel; then
        echo "$channel: refused" >&2
        exit 4
    fi
done
echo 1 > /sys/module/dmatest/parameters/run
cat /sys/module/dmatest/parameters/wait > /dev/null

dmesg -t | sed "1,/$mark/d" | awk '
    /summary/ { tests += $4; failures += $6; channels++ }
    END { printf "%d channels, %d tests, %d failures\n", channels, tests, failures; exit failures > 0 }'
