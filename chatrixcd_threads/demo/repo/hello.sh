#!/bin/bash
echo "Hello from the demo, called with: $*"
for step in 1 2 3; do
    echo "greeting $step of 3"
    sleep 0.3
done
echo "everybody has been greeted"
