#!/bin/bash
# Ticks once a second, sixty times, or as often as the argument seconds=N says.
count=60
for word in "$@"; do
    case $word in seconds=*) count=${word#seconds=} ;; esac
done
for ((i = 1; i <= count; i++)); do
    echo "tick $i of $count"
    sleep 1
done
