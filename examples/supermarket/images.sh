#!/bin/sh
# Packs the images of the examples: images.sh FOLDER-OF-BINARIES [MINIKUBE-ISH [ITS OPTIONS...]]
#
# The services come from the folder; the database and the shell from this machine
# (Debian: apt-get install redis-server).
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 FOLDER-OF-BINARIES [MINIKUBE-ISH [ITS OPTIONS...]]" >&2
    exit 2
fi
binaries=$1
shift
[ $# -gt 0 ] || set -- minikube-ish

program() {
    command -v "$1" || { echo "$1 is not on this machine: install it first" >&2; exit 1; }
}

for service in payment inventory customers; do
    "$@" image pack -t "supermarket/$service:1" --user 65534:65534 "$binaries/$service"
done
"$@" image pack -t examples/hello:1 --user 65534:65534 "$binaries/hello"

server=$(program redis-server)
client=$(program redis-cli)
chown=$(program chown)
"$@" image pack -t supermarket/database:1 --user 999:999 --workdir /data "$server" "$client" "$chown"

set -- "$@" image pack -t examples/shell:1
for name in sh cat echo env head hostname id ls sleep tail true yes; do
    # A shell has some of these built in, so that command -v may not name a file.
    for folder in /bin /usr/bin; do
        if [ -x "$folder/$name" ]; then
            set -- "$@" "$folder/$name"
            break
        fi
    done
done
"$@"
