#!/usr/bin/env bash
# The front beside haproxy and nginx: the same origins, the same load, taking turns. Shares the machine's cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/figure.sh"

rounds=${BENCH_ROUNDS:-5} seconds=${BENCH_SECONDS:-3} connections=64
work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

cargo build --quiet --release --locked -p load-balancer --example front --manifest-path "$here/../Cargo.toml"
front=${CARGO_TARGET_DIR:-$here/../target}/release/examples/front

# ---- three origins, in one nginx; and the three proxies
http="access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;"
cat >"$work/origin.conf" <<CONF
daemon off; worker_processes 1; pid $work/origin.pid; error_log $work/origin.log;
events { worker_connections 4096; }
http { $http keepalive_requests 1000000000;
    server { listen 127.0.7.2:19001 backlog=1024; listen 127.0.7.2:19002 backlog=1024; listen 127.0.7.2:19003 backlog=1024;
             location / { default_type text/plain; return 200 "hello from the shelves\n"; } } }
CONF
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 4096; }
http { $http keepalive_requests 1000000000;
    upstream origin { least_conn; keepalive 256; keepalive_requests 1000000000;
        server 127.0.7.2:19001; server 127.0.7.2:19002; server 127.0.7.2:19003; }
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
    server b 127.0.7.2:19002
    server c 127.0.7.2:19003
CONF
nginx=$(command -v nginx || echo /usr/sbin/nginx) haproxy=$(command -v haproxy || echo /usr/sbin/haproxy)
"$nginx" -c "$work/origin.conf" 2>"$work/err" & pids+=($!)
"$nginx" -c "$work/nginx.conf" 2>"$work/err" & pids+=($!)
nginx_pid=$!
"$haproxy" -f "$work/haproxy.cfg" 2>"$work/err" & pids+=($!)
haproxy_pid=$!
"$front" 127.0.7.2:18001 127.0.7.2:19001 127.0.7.2:19002 127.0.7.2:19003 2>"$work/err" & pids+=($!)
front_pid=$!

declare -A port=([direct]=19001 [front]=18001 [haproxy]=18002 [nginx]=18003)
declare -A pid=([front]=$front_pid [haproxy]=$haproxy_pid [nginx]=$nginx_pid)
for peer in "${!port[@]}"; do
    timeout 10 bash -c "until curl -sf -o /dev/null http://127.0.7.2:${port[$peer]}/; do sleep 0.05; done" ||
        { echo "$peer did not start" >&2; cat "$work/err" >&2; exit 1; }
done

# CPU ticks of a process and its children.
cpu() { for task in "$1" $(pgrep -P "$1" || true); do awk '{print $14 + $15}' "/proc/$task/stat"; done | awk '{sum += $1} END {print sum + 0}'; }

# measure PEER: appends requests per second, p99 in ms and CPU microseconds per request.
measure() {
    local peer=$1 before=0 after=0
    [ "$peer" = direct ] || before=$(cpu "${pid[$peer]}")
    wrk -t1 -c"$connections" -d"${seconds}s" --latency "http://127.0.7.2:${port[$peer]}/" >"$work/out"
    [ "$peer" = direct ] || after=$(cpu "${pid[$peer]}")
    awk -v peer="$peer" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
        /^Requests\/sec/ {rate = $2}
        /requests in/ {count = $1}
        $1 == "99%" {p99 = $2; if (p99 ~ /us$/) p99 /= 1000; else if (p99 ~ /[0-9]s$/ && p99 !~ /ms$/) p99 *= 1000; p99 += 0}
        /Non-2xx|Socket errors/ {print "errors through " peer ": " $0 > "/dev/stderr"}
        END {print rate, p99, ticks / hz / count * 1e6}' "$work/out" >>"$work/$peer"
}

for _ in $(seq "$rounds"); do
    for peer in direct front haproxy nginx; do measure "$peer"; done
done

of() { awk -v column="$2" '{print $column}' "$work/$1" | median; }
direct=$(of direct 1)
for peer in front haproxy nginx; do
    share=$(awk -v a="$(of $peer 1)" -v b="$direct" 'BEGIN {printf "%.2f", a / b}')
    target=""
    [ "$peer" != front ] || target=">= haproxy's, at <= its p99"
    figure "$peer, $connections connections: requests/s (share of direct)" "$(of $peer 1) ($share)" "$target"
    figure "  p99 / CPU per request" "$(of $peer 2) ms / $(awk -v us="$(of $peer 3)" 'BEGIN {printf "%.0f", us}') us" ""
done
