#!/bin/bash
who=nobody
count=1
env=
for word in "$@"; do
    case $word in
        who=*) who=${word#who=} ;;
        count=*) count=${word#count=} ;;
        env=*) env=${word#env=} ;;
    esac
done
echo "environment: ${env:-none}"
for ((i = 1; i <= count; i++)); do
    echo "$i. Hello $who"
done
sleep 0.2
