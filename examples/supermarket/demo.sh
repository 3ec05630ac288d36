#!/usr/bin/env bash
# The tour: a cluster of three nodes, the supermarket, a rush, fainting cashiers. Leaves the cluster running.
# Usage: demo.sh FOLDER-OF-BINARIES. Safe to run again.
set -euo pipefail

bin=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
seconds=${DEMO_SECONDS:-20}
if [ "$(id -u)" != 0 ]; then
    echo "containers need root: going on with sudo"
    exec sudo --preserve-env=DEMO_SECONDS,MINIKUBE_ISH_CLUSTER,MINIKUBE_ISH_STATE "$0" "$@"
fi
PATH=$bin:$PATH

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
[ -t 1 ] || { say() { printf '\n%s\n' "$*"; }; show() { printf '$ %s\n' "$*"; "$@"; }; }

say "1. A cluster: one control plane, one front, three nodes that are hosts in miniature"
# shellcheck disable=SC2086 # several flags
show minikube-ish up --nodes 3 ${DEMO_UP_FLAGS:-}

say "2. Images: from binaries, with the libraries that they need; no registry, no Dockerfile"
show "$here/images.sh" "$bin" "$bin/minikube-ish"

say "3. The supermarket: cash registers (payment), shelves (inventory), supplier (database)"
manifest=${DEMO_MANIFEST:-$here/supermarket.yaml}
show minikube-ish apply -f "$manifest"
for deployment in database inventory payment; do
    show minikube-ish rollout status "deployment/$deployment"
done
show minikube-ish get pods -o wide

front=$(minikube-ish status -o json | sed -n 's/.*"front": "\(.*\)".*/\1/p')
say "4. A first purchase, through the front at $front"
show curl -sS --fail -H 'Host: supermarket.localhost' -H "Idempotency-Key: tour-$$-$RANDOM" \
    --json '{"customer": "you", "sku": "apple", "quantity": 1}' "$front/purchases"
echo

say "5. Customers shop for the rest of the tour, in the background"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
customers --url "$front" --host supermarket.localhost --rate 100 --for "$((seconds + 10))s" >"$report" 2>&1 &
customers=$!

say "6. A rush: more registers, not a second store"
show minikube-ish scale payment --replicas 4
show minikube-ish rollout status deployment/payment
show minikube-ish get deployments

say "7. Cashiers faint: one container killed each second for $seconds seconds"
show minikube-ish chaos kill -l app=payment --every 1s --for "${seconds}s"
show minikube-ish get pods -l app=payment

say "8. What the customers noticed"
status=0
wait "$customers" || status=$?
cat "$report"
[ "$status" = 0 ] || { echo "customers noticed: see above"; exit 1; }
show minikube-ish scale payment --replicas 2

say "The supermarket stays open. Look around:"
cat <<TXT
  minikube-ish get pods -w                 watch the cashiers
  minikube-ish describe deployment payment
  minikube-ish logs -f deployment/payment
  minikube-ish exec deployment/database -- redis-cli --version
  minikube-ish chaos kill -l app=payment   faint again
  minikube-ish status                      processes, nodes, addresses
  minikube-ish down                        close; \`up\` opens again with everything in place
  minikube-ish down --purge                close and forget
(the binary is $bin/minikube-ish)
TXT
