#!/usr/bin/env bash
# Measures the figures on this machine and prints each beside its target (docs and README have them by name).
# Usage: run.sh FOLDER-OF-BINARIES [proxies|cluster|size]...   Without names: everything.
# Needs root. Uses a cluster of its own, "bench", and leaves nothing behind.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 0 ]; then
    echo "usage: $0 FOLDER-OF-BINARIES [proxies|cluster|size]..." >&2
    exit 2
fi
bin=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- size cluster proxies
if [ "$(id -u)" != 0 ]; then
    echo "containers need root: going on with sudo"
    exec sudo "$0" "$bin" "$@"
fi

printf '%s, %s CPUs, Linux %s\n\n' "$(date -u +%FT%TZ)" "$(nproc)" "$(uname -r)"
printf '%-58s %-24s %s\n' FIGURE MEASURED TARGET
for part in "$@"; do
    "$here/$part.sh" "$bin"
done
