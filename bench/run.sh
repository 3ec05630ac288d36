#!/usr/bin/env bash
# Measures the figures on this machine: one table, each figure beside its target, for the README's Figures.
# Usage: run.sh FOLDER-OF-BINARIES [size|cluster|proxies]...   Without names: everything, in less than 4 minutes.
# Needs root. Uses a cluster of its own, "bench", and leaves nothing behind. What goes wrong is on standard error.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 0 ]; then
    echo "usage: $0 FOLDER-OF-BINARIES [size|cluster|proxies]..." >&2
    exit 2
fi
bin=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- size cluster proxies
if [ "$(id -u)" != 0 ]; then
    echo "containers need root: going on with sudo" >&2
    exec sudo "$0" "$bin" "$@"
fi
export PATH=$bin:$PATH

trap 'exit 130' INT
printf '%s, %s CPUs, Linux %s:\n\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)"
printf '| figure | measured | target | note |\n|---|---|---|---|\n'
status=0
for part in "$@"; do
    # The other figures are none the worse.
    "$here/$part.sh" "$bin" || { echo "failed: $part" >&2; status=1; }
done
exit "$status"
