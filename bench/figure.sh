# For the scripts beside: one line per figure, and times. Sourced, not run.

# figure WHAT MEASURED TARGET
figure() { printf '%-58s %-24s %s\n' "$@"; }

# The time, in microseconds.
now_us() { echo "${EPOCHREALTIME//[.,]/}"; }

# since_ms START: milliseconds since START (of now_us), with one decimal.
since_ms() { awk -v from="$1" -v to="$(now_us)" 'BEGIN {printf "%.1f", (to - from) / 1000}'; }

# The middle of the numbers on standard input, one per line.
median() { sort -n | awk '{n[NR] = $1} END {print n[int((NR + 1) / 2)]}'; }
