#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Shares of the bus: weights by a list, priority of one channel, what is out of range; restored at the end.
shopt -s extglob
cd /sys/devices/platform/*.hidma-mgmt/chanops || exit 9
declare -A before
for file in chan+([0-9])/{priority,weight}; do
    before[$file]=$(< "$file")
done
restore() { for file in "${!before[@]}"; do echo "${before[$file]}" > "$file"; done; }
trap restore EXIT

weights=(1 2 4 8 15)
for i in "${!weights[@]}"; do
    echo "${weights[i]}" > "chan$i/weight" || exit 1
done
echo 1 > chan0/priority
paste -d' ' <(ls) <(cat chan*/priority) <(cat chan*/weight)
refused=0
for bad in 16 -1 abc 99999999999999999999; do
    echo "$bad" 2>/dev/null > chan0/weight || ((++refused))
done
echo "refused: $refused"
((refused == 4)) && [[ $(< chan4/weight) == 15 ]]
