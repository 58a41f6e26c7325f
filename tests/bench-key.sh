#!/bin/sh
# What the ceremony of a key costs: a whole scripted export of a signer's key for five custodians, with a sheet of paper for
# each, onto media in memory; how long the key is in memory, by the process that holds it, by its parent, and by a trace of
# a rehearsal's, whose key is nobody's; and what it costs a `holdfast verify` that memory is wiped as it is freed.
# $1: the test-host program; $2: a holdfast that does not wipe what it frees, beside the one of the package, or nothing.
# HOLDFAST_BENCH_RUNS: how many runs (default 10). HOLDFAST_TEST_SUITES: which releases.
set -eu
test_host=$1 plain=${2:-}
runs=${HOLDFAST_BENCH_RUNS:-10}
here=$(dirname "$0")
for suite in ${HOLDFAST_TEST_SUITES:-bookworm trixie}; do
    name=bench-key-$suite
    "$test_host" stop "$name" >/dev/null 2>&1 || true
    "$test_host" boot "$name" --postgres --suite "$suite" >/dev/null
    trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
    # A key of nobody's, with its public half (mingder78/libp2p-ethereum, README.md).
    {
        echo KEY=db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434
        echo PUBLIC=03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2
        cat "$here/key/setup.sh"
    } | "$test_host" run "$name" -- sh -c 'cat >/root/setup.sh'
    [ -z "$plain" ] || "$test_host" run "$name" -- sh -c 'cat >/root/plain && chmod 755 /root/plain' <"$plain"
    "$test_host" run "$name" -- bash -c '
        set -euo pipefail
        suite=$1 runs=$2
        TIMEFORMAT="%R %U %S"
        sh /root/setup.sh
        cd /root/k
        sed -i "1i paper = \"a4\"" plan.toml
        number=2
        for who in erin frank grace; do
            number=$((number + 1))
            age-keygen -o $who.txt 2>/dev/null
            mkdir -p /media/$who
            mount -t tmpfs -o size=1M medium /media/$who
            printf "[[custodian]]\nname = \"%s\"\nrecipient = \"%s\"\n[[medium]]\nname = \"usb-%s\"\ncustodian = \"%s\"\npath = \"/media/%s\"\nbag = \"B-%s\"\n" \
                $who "$(age-keygen -y $who.txt)" $number $who $who $number >>plan.toml
            printf "\"medium.usb-%s\" = \"yes\"\n\"bag.usb-%s.operator\" = \"B-%s\"\n\"bag.usb-%s.witness\" = \"B-%s\"\n" \
                $number $number $number $number $number >>answers.toml
        done
        for number in 1 2 3 4 5; do echo "\"paper.usb-$number\" = \"later\"" >>answers.toml; done
        printf "[[exception]]\ncheck = \"traced\"\nreason = \"it is measured\"\n" >>plan.toml
        # Each export is of a plan of its own: one that is done is to be signed, and not done again.
        printf "[[exception]]\ncheck = \"rehearsal\"\nreason = \"it is measured\"\n" >>plan.toml
        sh sign-plan
        # Nothing here is interrupted: an answer that is not asked for is a warning.
        sed -i "/^resume/d" answers.toml
        # It is not signed yet when it ends, which is 2.
        carry() { "${@:2}" holdfast --quiet key "$1" plan.toml --answers answers.toml >/tmp/name || [ $? = 2 ]; }
        carry rehearse
        for run in $(seq 0 "$runs"); do
            rm -rf /media/*/*
            echo "# $run" >>plan.toml
            sh sign-plan
            wall=$({ time carry export; } 2>&1)
            record=/var/lib/holdfast/ceremonies/$(cat /tmp/name)/transcript.jsonl
            numbers=$(sed -n "s/.*\"step\":\"sealed\".*\"held_for_us\":\([0-9]*\).*\"lived_us\":\([0-9]*\).*/\1 \2/p" "$record")
            # The first run warms the cache.
            [ "$run" = 0 ] || echo "$wall $numbers"
        done >/tmp/runs
        test "$(ls -d /media/*/holdfast-* | wc -l)" = 5
        test "$(wc -l </tmp/runs)" = "$runs"
        # The process that holds it: from when it opens what it makes the key of until it has ended.
        for run in $(seq "$runs"); do
            rm -rf /media/*/*
            carry rehearse strace -f -ttt -o /tmp/trace -e trace=execve,openat,munmap,exit_group
            awk "/execve.*locked-child/ { child = \$1 } \$1 == child && /dev.urandom/ { from = \$2 } \$1 == child && from && /munmap/ { last = \$2 }
                \$1 == child && /exit_group/ { print (last - from) * 1000000, (\$2 - from) * 1000000 }" /tmp/trace
        done >/tmp/traces
        test "$(wc -l </tmp/traces)" = "$runs"
        middle() { sort -n | awk "{ all[NR] = \$1 } END { printf \"least %d, median %d, most %d\", all[1], all[int((NR + 1) / 2)], all[NR] }"; }
        echo "$suite: five custodians, five sheets, $(nproc) cores with a load of $(cut -d" " -f1 /proc/loadavg), $runs runs"
        echo "$suite: whole export              $(awk "{ print \$1 * 1000 }" /tmp/runs | middle) ms; CPU $(awk "{ print (\$2 + \$3) * 1000 }" /tmp/runs | middle) ms"
        echo "$suite: the key in memory, at most $(cut -d" " -f4 /tmp/runs | middle) µs, by the process that holds it"
        echo "$suite: that process, start to end $(cut -d" " -f5 /tmp/runs | middle) µs, by its parent"
        echo "$suite: traced, read to last unmap $(cut -d" " -f1 /tmp/traces | middle) µs; to its end $(cut -d" " -f2 /tmp/traces | middle) µs"
        if [ -x /root/plain ]; then
            install -d -m 700 /root/.ssh
            cat /root/k/carol.pub >/root/.ssh/authorized_keys
            echo "extends = [\"sbtc-signer\"]" >/etc/holdfast/profile.toml
            holdfast --quiet apply --no-confirm >/dev/null || [ $? = 2 ]
            measure() { { time "$@" --quiet verify >/dev/null 2>&1 || true; } 2>&1; }
            for run in $(seq 0 $((runs * 4))); do
                wiping=$(measure holdfast) leaving=$(measure /root/plain)
                [ "$run" = 0 ] || echo "$wiping $leaving"
            done >/tmp/verify
            of() { awk "{ print (\$$1 + \$$2) * 1000 }" /tmp/verify | sort -n | awk "{ all[NR] = \$1 } END { print all[int((NR + 1) / 2)] }"; }
            awk -v suite="$suite" -v wiping="$(of 2 3)" -v leaving="$(of 5 6)" -v w="$(of 1 7)" -v l="$(of 4 7)" "BEGIN {
                printf \"%s: verify, wiping what it frees: CPU median %d ms, wall %d ms; leaving it: CPU %d ms, wall %d ms: %.3f x the CPU\n\", suite, wiping, w, leaving, l, wiping / leaving }"
        fi
    ' bash "$suite" "$runs"
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
