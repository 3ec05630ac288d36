#!/usr/bin/env bash
# A cluster's figures: up, the supermarket, fifty pods, killed containers, and what it costs to sit idle.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/figure.sh"

bin=$1
export PATH=$bin:$PATH MINIKUBE_ISH_CLUSTER=bench
market=$here/../examples/supermarket
# Beside whatever else runs on this machine.
address=127.0.7.1 http_port=18080 api_port=16443
up=(minikube-ish up --nodes 3 --cluster-cidr 10.124.0.0/14 --address "$address" --http-port "$http_port" --api-port "$api_port")
front=http://$address:$http_port
work=$(mktemp -d)
finish() {
    minikube-ish down --purge >"$work/down" 2>&1 || cat "$work/down" >&2
    rm -rf "$work"
}
trap finish EXIT
# Nothing here takes a minute; what does has gone wrong.
quietly() { timeout 60 "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "failed: $*" >&2; exit 1; }; }

# ---- up
quietly minikube-ish down --purge
start=$(now_us)
quietly "${up[@]}"
first=$(since_ms "$start")
for _ in 1 2 3; do
    quietly minikube-ish down
    start=$(now_us)
    quietly "${up[@]}"
    since_ms "$start" && echo
done >"$work/ups"
figure "up --nodes 3, the very first time -> all Ready" "$first ms" ""
figure "up --nodes 3, nothing running -> all Ready (median of 3)" "$(median <"$work/ups") ms" "< 1000 ms"

# ---- idle, before there are any pods
pids() { minikube-ish status -o json | jq -r '.processes[] | select(.name | test("'"$1"'")) | .pid'; }
ticks() { for pid in $1; do awk '{print $14 + $15}' "/proc/$pid/stat"; done | awk '{sum += $1} END {print sum}'; }
resident_mib() { for pid in $1; do awk '/^VmRSS/ {print $2}' "/proc/$pid/status"; done | awk '{sum += $1} END {printf "%.1f", sum / 1024}'; }
idle=$(pids '^control-plane$|^node-agent-node-1$')
before=$(ticks "$idle")
sleep 10
after=$(ticks "$idle")
figure "idle, control plane + one agent: resident" "$(resident_mib "$idle") MiB" "<= 40 MiB"
figure "idle, control plane + one agent: CPU of one core" \
    "$(awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.2f %%", ticks / hz / 10 * 100}')" "<= 0.3 %"

# ---- the supermarket
quietly "$market/images.sh" "$bin" "$bin/minikube-ish"
# Not the shelves of somebody's own supermarket.
sed "s#path: /var/lib/minikube-ish/supermarket/data#path: $work/data#" "$market/supermarket.yaml" >"$work/supermarket.yaml"
start=$(now_us)
quietly minikube-ish apply -f "$work/supermarket.yaml"
# The front holds a request until somebody is ready: one that is asked early is answered as early as can be.
until curl -sf -o /dev/null --max-time 10 -H 'Host: supermarket.localhost' "$front/items/apple" 2>/dev/null; do
    sleep 0.01
    [ "$(($(now_us) - start))" -lt 60000000 ] || { echo "the supermarket did not open in 60 s" >&2; exit 1; }
done
figure "apply supermarket -> first 200 through the front" "$(since_ms "$start") ms" "< 500 ms"

# ---- containers killed: each is Ready again when the API says so. Not more often than a pod can be killed twice
# in a row and be taken for innocent.
quietly minikube-ish scale payment --replicas 4
quietly minikube-ish rollout status deployment/payment
customers --url "$front" --host supermarket.localhost --rate 100 --for 30s >"$work/customers" 2>&1 &
customers=$!
minikube-ish chaos kill -l app=payment --every 700ms --for 28s --seed 7 -o json >"$work/chaos" 2>"$work/log" || true
wait "$customers" || true
chaos() { jq -r "$1" "$work/chaos"; }
figure "container killed -> Ready again, of $(chaos .killed): p50" "$(chaos '.timeToReady.p50Ms * 10 | round / 10') ms" "<= 20 ms"
figure "  p99" "$(chaos '.timeToReady.p99Ms * 10 | round / 10') ms" "<= 100 ms"
figure "  requests meanwhile / failed / retried unseen" "$(chaos '.front | "\(.requests) / \(.failures) / \(.retries)"')" "0 failed"

# ---- fifty pods
quietly minikube-ish delete -f "$work/supermarket.yaml"
jq -n '{
    apiVersion: "apps/v1", kind: "Deployment", metadata: {name: "fifty"},
    spec: {replicas: 50, selector: {matchLabels: {app: "fifty"}}, template: {
        metadata: {labels: {app: "fifty"}},
        spec: {containers: [{name: "hello", image: "examples/hello:1", imagePullPolicy: "IfNotPresent"}]}}}}' >"$work/fifty.json"
start=$(now_us)
quietly minikube-ish apply -f "$work/fifty.json"
quietly minikube-ish rollout status deployment/fifty
figure "50 pods on 3 nodes, apply -> all Ready" "$(since_ms "$start") ms" "200 on one node <= 1500 ms"
