#!/usr/bin/env bash
# How large the binary is, and what it needs of the machine it is copied to.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/figure.sh"

binary=$1/minikube-ish
size=$(awk -v bytes="$(stat -c %s "$binary")" 'BEGIN {printf "%.1f MiB", bytes / 1048576}')
libraries=$(ldd "$binary" | awk '$2 == "=>" {print $1}' | sed 's/\.so.*//' | paste -sd' ')
figure "the one binary" "$size" "" "shared libraries: ${libraries:-none}"
