#!/bin/bash
echo "Deploying web, release 1.4.2"
echo "[1/3] fetching the release"
sleep 1
echo "[2/3] unpacking on web1 and web2"
sleep 1
echo "[3/3] reloading the service"
sleep 0.8
printf '\033[0;32mweb1 and web2 now run release 1.4.2\033[0m\n'
sleep 0.2
