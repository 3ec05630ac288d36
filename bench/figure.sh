# For the scripts beside: rows of the table, times, and a cluster of our own. Sourced, not run.
# shellcheck shell=bash

# figure WHAT MEASURED TARGET [NOTE]: one row.
figure() { printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "${4-}"; }

# skip WHAT WHY: a row that says what is missing.
skip() {
    figure "$1" "skipped" "" "$2"
    echo "skipped: $1: $2" >&2
}

# missing PROGRAM...: those that are not on this machine. Some of Debian's are beside a user's path.
export PATH=$PATH:/usr/sbin:/sbin
missing() {
    local program
    for program in "$@"; do command -v "$program" >/dev/null || echo "$program"; done | paste -sd' '
}

# The time, in microseconds.
now_us() { echo "${EPOCHREALTIME//[.,]/}"; }

# since_ms START: milliseconds since START (of now_us), with one decimal.
since_ms() { awk -v from="$1" -v to="$(now_us)" 'BEGIN {printf "%.1f", (to - from) / 1000}'; }

# The middle of the numbers on standard input, one per line.
median() { sort -n | awk '{n[NR] = $1} END {print n[int((NR + 1) / 2)]}'; }

# ticks PID...: CPU time of processes and their children.
ticks() {
    local pid
    for pid in "$@"; do
        cat "/proc/$pid/stat" $(pgrep -P "$pid" | sed 's,.*,/proc/&/stat,') 2>/dev/null || true
    done | awk '{sum += $14 + $15} END {print sum + 0}'
}

# ---- a cluster of our own, beside whatever else runs on this machine
export MINIKUBE_ISH_CLUSTER=bench
address=127.0.7.1 http_port=18080 api_port=16443
front=http://$address:$http_port

up=(minikube-ish up --cluster-cidr 10.124.0.0/14 --address "$address" --http-port "$http_port" --api-port "$api_port")

# pids NAMES: of the cluster's processes whose names match.
pids() { minikube-ish status -o json | jq -r '.processes[] | select(.name | test("'"$1"'")) | .pid // empty'; }

# limited COMMAND...: nothing here takes a minute; what does has gone wrong. Its output is shown only then.
limited() {
    timeout 60 "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "failed: $*" >&2; exit 1; }
}

# open_folder: makes $work, and lets nothing stay behind however this ends.
started=()
open_folder() {
    work=$(mktemp -d)
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    trap finish EXIT
}

finish() {
    trap '' INT TERM HUP
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    timeout 60 minikube-ish down --purge >"$work/down" 2>&1 || cat "$work/down" >&2
    rm -rf "$work"
}
