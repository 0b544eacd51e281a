#!/bin/bash
echo "Deploying the shop, release 2.0.0"
echo "copying shop.tar.gz to /srv/shop"
sleep 0.5
echo "cp: error writing '/srv/shop/shop.tar.gz': No space left on device" >&2
echo "ERROR: the release could not be copied, nothing was changed" >&2
sleep 0.2
exit 3
