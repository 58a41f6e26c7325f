#!/bin/sh
# What `holdfast logs` costs on a host with 1,000 journal files, beside journalctl's two answers on the same files, in turn
# and in the same run: `--header`, which opens each file whole, and `--disk-usage`, which only adds sizes up.
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
        measure() { { time "$@" >/dev/null 2>&1; } 2>&1; }
        for run in $(seq 0 "$runs"); do
            logs=$(measure holdfast logs || true) header=$(measure journalctl --header) usage=$(measure journalctl --disk-usage)
            # the first run warms the cache
            [ "$run" = 0 ] || echo "$logs $header $usage"
        done | awk -v suite="$suite" -v files="$(ls "$dir" | wc -l)" "
            function least(old, new) { return NR == 1 || new < old ? new : old }
            { l = least(l, \$1); lc = least(lc, \$2 + \$3); h = least(h, \$4); hc = least(hc, \$5 + \$6); u = least(u, \$7); uc = least(uc, \$8 + \$9) }
            END {
                printf \"%s: %d journal files: holdfast logs %d ms (CPU %d); journalctl --header %d ms (CPU %d), %.1f x; --disk-usage %d ms (CPU %d), %.1f x; the least of %d\\n\", suite, files, l * 1000, lc * 1000, h * 1000, hc * 1000, h / l, u * 1000, uc * 1000, u / l, NR
            }"
    ' bash "$suite" "$runs" "$files"
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
