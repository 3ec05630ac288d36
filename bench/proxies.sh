#!/usr/bin/env bash
# A cluster's front beside haproxy and nginx: the same origins, the same load, taking turns on the same cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/figure.sh"

absent=$(missing jq curl wrk haproxy nginx minikube-ish)
if [ -n "$absent" ]; then
    skip "front beside haproxy and nginx" "not on this machine: $absent (\`make setup-bench\`)"
    exit
fi
rounds=${BENCH_ROUNDS:-3} seconds=${BENCH_SECONDS:-3} connections=64
open_folder

# ---- three origins, in one nginx; and two proxies
http="access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;"
cat >"$work/origin.conf" <<CONF
daemon off; worker_processes 1; pid $work/origin.pid; error_log $work/origin.log;
events { worker_connections 4096; }
http { $http keepalive_requests 1000000000;
    server { listen 127.0.7.2:19001 backlog=1024; listen 127.0.7.3:19001 backlog=1024; listen 127.0.7.4:19001 backlog=1024;
             location / { default_type text/plain; return 200 "hello from the shelves\n"; } } }
CONF
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 4096; }
http { $http keepalive_requests 1000000000;
    upstream origin { least_conn; keepalive 256; keepalive_requests 1000000000;
        server 127.0.7.2:19001; server 127.0.7.3:19001; server 127.0.7.4:19001; }
    server { listen 127.0.7.2:18003 backlog=1024;
             location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
                          proxy_set_header Host \$host; proxy_set_header X-Forwarded-For \$remote_addr; } } }
CONF
cat >"$work/haproxy.cfg" <<CONF
global
    nbthread 2
    maxconn 4000
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 60s
    option forwardfor
    http-reuse always
frontend in
    bind 127.0.7.2:18002 backlog 1024
    default_backend origin
backend origin
    balance leastconn
    server a 127.0.7.2:19001
    server b 127.0.7.3:19001
    server c 127.0.7.4:19001
CONF
nginx -c "$work/origin.conf" 2>"$work/origin.err" & started+=($!)
nginx -c "$work/nginx.conf" 2>"$work/nginx.err" & started+=($!)
nginx_pid=$!
haproxy -f "$work/haproxy.cfg" 2>"$work/haproxy.err" & started+=($!)
haproxy_pid=$!

# ---- the front, of a cluster whose only service is these origins
cat >"$work/origin.yaml" <<YAML
apiVersion: v1
kind: Service
metadata: {name: origin}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: origin-bench, labels: {kubernetes.io/service-name: origin}}
addressType: IPv4
ports: [{name: http, port: 19001}]
endpoints: [{addresses: [127.0.7.2]}, {addresses: [127.0.7.3]}, {addresses: [127.0.7.4]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: origin}
spec: {defaultBackend: {service: {name: origin, port: {name: http}}}}
YAML
limited minikube-ish down --purge
limited "${up[@]}" --nodes 1
limited minikube-ish apply -f "$work/origin.yaml"
front_pid=$(pids '^front$')

declare -A url=([direct]=http://127.0.7.2:19001/ [front]=$front/ [haproxy]=http://127.0.7.2:18002/ [nginx]=http://127.0.7.2:18003/)
declare -A pid=([front]=$front_pid [haproxy]=$haproxy_pid [nginx]=$nginx_pid)
for peer in "${!url[@]}"; do
    timeout 10 bash -c "until curl -sf -o /dev/null --max-time 5 ${url[$peer]}; do sleep 0.05; done" ||
        { echo "$peer does not answer" >&2; cat "$work"/*.err "$work"/*.log >&2; exit 1; }
done

# measure PEER: appends requests per second, p99 in ms and CPU microseconds per request.
measure() {
    local peer=$1 before=0 after=0
    [ "$peer" = direct ] || before=$(ticks "${pid[$peer]}")
    timeout 30 wrk -t1 -c"$connections" -d"${seconds}s" --latency "${url[$peer]}" >"$work/out"
    [ "$peer" = direct ] || after=$(ticks "${pid[$peer]}")
    awk -v peer="$peer" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
        /^Requests\/sec/ {rate = $2}
        /requests in/ {count = $1}
        $1 == "99%" {p99 = $2 + 0; if ($2 ~ /us$/) p99 /= 1000; else if ($2 !~ /ms$/) p99 *= 1000}
        /Non-2xx|Socket errors/ {print "errors through " peer ": " $0 > "/dev/stderr"}
        END {print rate, p99, ticks / hz / (count ? count : 1) * 1e6}' "$work/out" >>"$work/$peer"
}

for _ in $(seq "$rounds"); do
    for peer in direct front haproxy nginx; do measure "$peer"; done
done

of() { awk -v column="$2" '{print $column}' "$work/$1" | median; }
direct=$(of direct 1)
note="$connections connections, $rounds rounds of $seconds s in turn, medians; load and origins share the cores"
for peer in direct front haproxy nginx; do
    measured=$(awk -v rate="$(of "$peer" 1)" -v p99="$(of "$peer" 2)" -v direct="$direct" \
        'BEGIN {printf "%d requests/s (%.2f of direct), p99 %.1f ms", rate, rate / direct, p99}')
    target=""
    [ "$peer" != front ] || target="≥ haproxy's requests/s at ≤ its p99"
    [ "$peer" = direct ] || note=$(of "$peer" 3 | awk '{printf "%.0f µs of CPU per request", $1}')
    figure "HTTP/1.1 keep-alive, $peer" "$measured" "$target" "$note"
done
