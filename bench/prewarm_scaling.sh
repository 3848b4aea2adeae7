#!/usr/bin/env bash
# How prewarm scales: every op for seven architectures, by one worker and by as many as there are processors, each into an empty
# cache; and the full set of one architecture. Prints a table, and with --json FILE writes it there, too.
#   bench/prewarm_scaling.sh [--opforge PATH] [--arch LIST] [--ops LIST] [--workers N] [--repeat N] [--json FILE]
set -euo pipefail

opforge=$(dirname "${BASH_SOURCE[0]}")/../build/release/bin/opforge
architectures=sm_75,sm_80,sm_86,sm_89,sm_90,sm_100,sm_120
ops=()
workers=$(nproc)
repeat=3
json=
while [[ $# -gt 0 ]]; do
    case $1 in
    --opforge) opforge=$2 ;;
    --arch) architectures=$2 ;;
    --ops) ops=(--ops "$2") ;;
    --workers) workers=$2 ;;
    --repeat) repeat=$2 ;;
    --json) json=$2 ;;
    *)
        sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
    esac
    shift 2
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# measure ARCHITECTURES WORKERS: the process's wall time in seconds, into an empty cache, the least of `repeat` runs.
measure() {
    local best="" start end run
    for ((run = 0; run < repeat; ++run)); do
        rm -rf "$scratch/cache"
        start=$(date +%s%N)
        "$opforge" prewarm --arch "$1" "${ops[@]}" -j "$2" --cache-dir "$scratch/cache" --progress none > "$scratch/output"
        end=$(date +%s%N)
        if [[ -z $best || $((end - start)) -lt $best ]]; then
            best=$((end - start))
        fi
    done
    awk -v nanoseconds="$best" 'BEGIN { printf "%.3f", nanoseconds / 1e9 }'
}

row() {
    printf '%-44s %8s %9s %9s\n' "$@"
}

# `measure` runs in a subshell; the counts are asked for apart.
one=$(measure "$architectures" 1)
many=$(measure "$architectures" "$workers")
programs=$(sed -n 's/^\([0-9]*\) compiled.*/\1/p' "$scratch/output")
full_one=$(measure sm_90 1)
full_many=$(measure sm_90 "$workers")
full_programs=$(sed -n 's/^\([0-9]*\) compiled.*/\1/p' "$scratch/output")
ratio=$(awk -v a="$one" -v b="$many" 'BEGIN { printf "%.2f", a / b }')
full_ratio=$(awk -v a="$full_one" -v b="$full_many" 'BEGIN { printf "%.2f", a / b }')

row "prewarm, seconds of wall time" programs "-j 1" "-j $workers"
row "$architectures" "$programs" "$one" "$many"
row "sm_90" "$full_programs" "$full_one" "$full_many"
printf 'ratio %s and %s on %s processors\n' "$ratio" "$full_ratio" "$(nproc)"

if [[ -n $json ]]; then
    processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    printf '{"machine":{"processor":"%s","processors":%s},"workers":%s,"repeat":%s,"rows":[' "$processor" "$(nproc)" \
        "$workers" "$repeat" > "$json"
    printf '{"architectures":"%s","programs":%s,"one_worker_seconds":%s,"seconds":%s,"ratio":%s},' "$architectures" \
        "$programs" "$one" "$many" "$ratio" >> "$json"
    printf '{"architectures":"sm_90","programs":%s,"one_worker_seconds":%s,"seconds":%s,"ratio":%s}]}\n' \
        "$full_programs" "$full_one" "$full_many" "$full_ratio" >> "$json"
fi
