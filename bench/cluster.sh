#!/usr/bin/env bash
# A cluster's figures: up, what it costs to sit idle, the supermarket, killed containers, a killed node, fifty pods.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/figure.sh"

bin=$1
market=$here/../examples/supermarket
absent=$(missing jq curl redis-server minikube-ish customers)
if [ -n "$absent" ]; then
    skip "a cluster" "not on this machine: $absent"
    exit
fi
open_folder

# ---- up
limited minikube-ish down --purge
start=$(now_us)
limited "${up[@]}" --nodes 3
first=$(since_ms "$start")
for _ in 1 2 3; do
    limited minikube-ish down
    start=$(now_us)
    limited "${up[@]}" --nodes 3
    echo "$(since_ms "$start")" >>"$work/ups"
done
figure "\`up --nodes 3\`, nothing running → all Ready" "$(median <"$work/ups") ms" "< 1 s" \
    "median of 3; the very first time, with keys to make: $first ms"

# ---- idle, before there are any pods
resident_mib() { for pid in "$@"; do awk '/^VmRSS/ {print $2}' "/proc/$pid/status"; done | awk '{sum += $1} END {printf "%.1f", sum / 1024}'; }
mapfile -t idle < <(pids '^control-plane$|^node-agent-node-1$')
before=$(ticks "${idle[@]}")
sleep 10
after=$(ticks "${idle[@]}")
share=$(awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.2f %%", ticks / hz / 10 * 100}')
figure "idle, control plane + one agent: memory" "$(resident_mib "${idle[@]}") MiB" "≤ 40 MiB" "resident; no pods"
figure "idle, control plane + one agent: CPU" "$share" "≤ 0.3 %" "of one core, over 10 s; no pods"

# ---- the supermarket
limited "$market/images.sh" "$bin" "$bin/minikube-ish"
# Not the shelves of somebody's own supermarket.
sed "s#path: /var/lib/minikube-ish/supermarket/data#path: $work/data#" "$market/supermarket.yaml" >"$work/supermarket.yaml"
start=$(now_us)
limited minikube-ish apply -f "$work/supermarket.yaml"
# The front holds a request until somebody is ready: one that is asked early is answered as early as can be.
until curl -sf -o /dev/null --max-time 10 -H 'Host: supermarket.localhost' "$front/items/apple" 2>/dev/null; do
    sleep 0.01
    [ "$(($(now_us) - start))" -lt 60000000 ] || { echo "the supermarket did not open in 60 s" >&2; exit 1; }
done
figure "\`apply\` supermarket → first 200 through the front" "$(since_ms "$start") ms" "< 500 ms" "5 pods, 3 services, a database"

# ---- containers killed: each is Ready again when the API says so. Not more often than a pod can be killed twice
# in a row and be taken for innocent.
limited minikube-ish scale payment --replicas 4
limited minikube-ish rollout status deployment/payment
chaos() { jq -r "$1" "$work/chaos"; }
ms() { chaos "(.timeToReady.$1 // 0) * 10 | round / 10"; }
# shop SECONDS CHAOS...: customers shop while something is killed.
shop() {
    timeout 60 customers --url "$front" --host supermarket.localhost --rate 100 --for "$1s" >"$work/customers" 2>&1 &
    started+=($!)
    local customers=$!
    shift
    sleep 1
    # Fails if somebody noticed; the figures say so.
    timeout 60 minikube-ish chaos kill -o json "$@" >"$work/chaos" 2>"$work/log" || true
    wait "$customers" || true
    [ -s "$work/chaos" ] || { cat "$work/log" >&2; echo "failed: chaos kill $*" >&2; exit 1; }
}
noticed() { figure "requests failed while $1" "$(chaos .front.failures) of $(chaos .front.requests)" 0 "retried unseen: $(chaos .front.retries)"; }
shop 27 -l app=payment --every 700ms --for 24s --seed 7
figure "a container killed → Ready again" "p50 $(ms p50Ms) ms, p99 $(ms p99Ms) ms" "p50 ≤ 20 ms, p99 ≤ 100 ms" \
    "$(chaos .killed) kills under 100 requests/s; still not Ready: $(chaos .notReady)"
noticed "containers are killed"

# ---- a node killed, with its agent and all that it runs; not the one that the database is on
database=$(minikube-ish get pods -l app=database -o json | jq -r '.items[0].spec.nodeName')
victim=$(minikube-ish get pods -l app=payment -o json |
    jq -r --arg not "$database" 'first(.items[].spec.nodeName | select(. != $not))')
if [ -n "$victim" ]; then
    shop 12 --node "$victim"
    figure "a node killed → its pods Ready elsewhere" "p99 $(ms p99Ms) ms" "p99 ≤ 1.5 s" "$(chaos .killed) pods; one node, once"
    noticed "a node is killed"
    limited "${up[@]}"
fi

# ---- fifty pods
limited minikube-ish delete -f "$work/supermarket.yaml"
jq -n '{
    apiVersion: "apps/v1", kind: "Deployment", metadata: {name: "fifty"},
    spec: {replicas: 50, selector: {matchLabels: {app: "fifty"}}, template: {
        metadata: {labels: {app: "fifty"}},
        spec: {containers: [{name: "hello", image: "examples/hello:1", imagePullPolicy: "IfNotPresent"}]}}}}' >"$work/fifty.json"
start=$(now_us)
limited minikube-ish apply -f "$work/fifty.json"
limited minikube-ish rollout status deployment/fifty
figure "50 pods on 3 nodes, \`apply\` → all Ready" "$(since_ms "$start") ms" "(200 on one node ≤ 1.5 s)" "cold"
