#!/bin/sh
# What `holdfast logs` costs on a host with 1,000 journal files, beside journalctl's two answers on the same files, in turn
# and in the same run: `--header`, which opens each file whole, and `--disk-usage`, which only adds sizes up. The first look
# reads all files; later ones, of those that are archived, only whether they are still the same.
# $1: the test-host program. HOLDFAST_BENCH_RUNS: how many runs (default 5). HOLDFAST_BENCH_FILES: how many files.
set -eu
test_host=$1
runs=${HOLDFAST_BENCH_RUNS:-5}
files=${HOLDFAST_BENCH_FILES:-1000}
here=$(dirname "$0")
for suite in bookworm trixie; do
    name=bench-logs-$suite
    "$test_host" stop "$name" >/dev/null 2>&1 || true
    "$test_host" boot "$name" --journals --suite "$suite" >/dev/null
    trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
    "$test_host" run "$name" -- sh -c 'cat > /root/forge.pl' < "$here/logs/forge.pl"
    "$test_host" run "$name" -- bash -c '
        set -eu
        suite=$1 runs=$2 files=$3 TIMEFORMAT="%R %U %S"
        printf "[logs]\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\n[[logs.source]]\nname = \"node\"\nunit = \"node.service\"\n" > /etc/holdfast/profile.toml
        chmod 600 /etc/holdfast/profile.toml
        dir=/var/log/journal/$(cat /etc/machine-id)
        # A tenth of them differ; the rest are copies under other names, as sparse as these.
        for day in $(seq 100); do
            perl /root/forge.pl "$dir/system@$day.journal" "$((101 - day))" "$((100 - day))" 120 signer.service node.service other.service 2>/dev/null
        done
        for copy in $(seq 2 $((files / 100))); do
            for day in $(seq 100); do cp --sparse=always "$dir/system@$day.journal" "$dir/system@$day-$copy.journal"; done
        done
        # Archived, as journald leaves all files but the newest: byte 16 is the state.
        for file in "$dir"/system@*.journal; do printf "\\002" | dd of="$file" bs=1 seek=16 conv=notrunc status=none; done
        measure() { { time "$@" >/dev/null 2>&1; } 2>&1; }
        for run in $(seq 0 "$runs"); do
            # The first look reads every file, later ones what has changed.
            rm -f /var/lib/holdfast/log-samples.json; mkdir -p /var/lib/holdfast
            first=$(measure holdfast logs || true) later=$(measure holdfast logs || true)
            header=$(measure journalctl --header) usage=$(measure journalctl --disk-usage)
            # The first run warms the cache of the file system.
            [ "$run" = 0 ] || echo "$first $later $header $usage"
        done | awk -v suite="$suite" -v files="$(ls "$dir" | wc -l)" "
            { for (n = 1; n <= 4; n++) {
                wall = \$(3 * n - 2) * 1000; cpu = (\$(3 * n - 1) + \$(3 * n)) * 1000
                if (NR == 1 || wall < w[n]) w[n] = wall
                if (NR == 1 || cpu < c[n]) c[n] = cpu
            } }
            END {
                if (!c[2]) c[2] = 1
                printf \"%s: %d journal files, the least of %d: holdfast logs %d ms (CPU %d), the first time %d ms (CPU %d); journalctl --header %d ms (CPU %d), %.1f times as long, %.1f times the CPU; --disk-usage %d ms (CPU %d)\\n\", suite, files, NR, w[2], c[2], w[1], c[1], w[3], c[3], w[3] / w[2], c[3] / c[2], w[4], c[4]
            }"
    ' bash "$suite" "$runs" "$files"
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
