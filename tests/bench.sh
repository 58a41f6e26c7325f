#!/bin/sh
# What a whole `verify` of the signer profile costs on a booted host: wall, CPU, peak memory, processes started.
# Beside it, in turn and in the same run, one `sshd -T`: the dearest program that verify has to ask.
# Then what the firewall costs with blocklists of 0, 10,000 and 100,000 networks, in turn and in the same run: an apply that
# has to load the table, and one that changes a rule of a loaded one, beside a plain `nft -f` of the same table; a verify
# with sets that did not change; and of what an apply of the signer profile consists.
# $1: the test-host program. HOLDFAST_BENCH_RUNS: how many runs (default 40; of the blocklists an eighth of that).
set -eu
test_host=$1
runs=${HOLDFAST_BENCH_RUNS:-40}
for suite in bookworm trixie; do
    name=bench-$suite
    "$test_host" stop "$name" >/dev/null 2>&1 || true
    "$test_host" boot "$name" --suite "$suite" >/dev/null
    trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
    "$test_host" run "$name" -- bash -c '
        set -eu
        suite=$1 runs=$2 TIMEFORMAT="%R %U %S"
        # With a key, or the apply is refused.
        install -d -m 700 /root/.ssh
        echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE somebody" > /root/.ssh/authorized_keys
        echo "extends = [\"sbtc-signer\"]" > /etc/holdfast/profile.toml
        holdfast --quiet apply --no-confirm >/dev/null
        measure() { { time "$@" >/dev/null 2>&1; } 2>&1; }
        for run in $(seq 0 "$runs"); do
            holdfast=$(measure holdfast --quiet verify) sshd=$(measure sshd -T)
            # the first run warms the cache
            [ "$run" = 0 ] || echo "$holdfast $sshd"
        done | awk -v suite="$suite" "
            function median(list, n,    i, j, x) {
                for (i = 2; i <= n; i++) { x = list[i]; for (j = i - 1; j && list[j] > x; j--) list[j + 1] = list[j]; list[j + 1] = x }
                return list[int((n + 1) / 2)]
            }
            { w[NR] = \$1 * 1000; c[NR] = (\$2 + \$3) * 1000; sw[NR] = \$4 * 1000; sc[NR] = (\$5 + \$6) * 1000 }
            END {
                wm = median(w, NR); cm = median(c, NR); swm = median(sw, NR); scm = median(sc, NR)
                printf \"%s: verify   wall median %d ms, least %d ms; CPU median %d ms (%d runs)\n\", suite, wm, w[1], cm, NR
                printf \"%s: sshd -T  wall median %d ms, least %d ms; CPU median %d ms\n\", suite, swm, sw[1], scm
                printf \"%s: verify is %.1f x one sshd -T in wall time, %.1f x in CPU\n\", suite, wm / swm, cm / scm
            }"
        # $1: of what; the rest: a command of holdfast.
        started() {
            of=$1; shift
            strace -f -qq -e trace=execve -e status=successful -o /tmp/execs holdfast --quiet "$@" >/dev/null
            awk -F"\"" -v of="$suite: processes started by $of:" "/execve/ && NR > 1 { n = split(\$2, path, \"/\"); started[path[n]]++ }
                END { printf \"%s\", of; for (p in started) printf \" %s x%d\", p, started[p]; print \"\" }" /tmp/execs
        }
        started verify verify
        # The high-water mark of its memory, read until it ends; the largest of ten runs.
        peak=0
        for run in $(seq 10); do
            holdfast --quiet verify >/dev/null & pid=$!
            while read -r _ kib _ < <(grep VmHWM "/proc/$pid/status" 2>/dev/null); do
                [ "$kib" -le "$peak" ] || peak=$kib
            done
            wait "$pid"
        done
        echo "$suite: peak memory $((peak / 1024)).$((peak % 1024 * 10 / 1024)) MiB"
        for networks in 0 10000 100000; do
            {
                echo "extends = [\"sbtc-signer\"]"
                [ "$networks" = 0 ] || printf "[[firewall.block]]\nname = \"bench\"\nfile = \"/root/blocked\"\n"
            } > /etc/holdfast/profile.toml
            # None next to another, so that none are joined.
            awk -v n="$networks" "BEGIN { for (i = 0; i < n; i++) { a = i * 2; print 11 + int(a / 65536) \".\" int(a / 256) % 256 \".\" a % 256 \".0/24\" } }" > /root/blocked
            cp /etc/holdfast/profile.toml /root/profile.toml
            holdfast --quiet apply --no-confirm >/dev/null
            nft -n list table inet holdfast > /root/same.nft
            { echo "delete table inet holdfast"; cat /root/same.nft; } > /root/replace.nft
            for run in $(seq $(( (runs + 7) / 8 ))); do
                nft delete table inet holdfast
                plain=$(measure nft -f /root/same.nft)
                nft delete table inet holdfast
                apply=$(measure holdfast --quiet apply --no-confirm)
                verify=$(measure holdfast --quiet verify)
                { cat /root/profile.toml; printf "[[firewall.allow]]\nname = \"bench\"\ntcp = [%d]\n" $((7000 + run)); } > /etc/holdfast/profile.toml
                change=$(measure holdfast --quiet apply --no-confirm)
                echo "$plain $apply $verify $change $(measure nft -f /root/replace.nft)"
                cp /root/profile.toml /etc/holdfast/profile.toml
                holdfast --quiet apply --no-confirm >/dev/null
            done | awk -v suite="$suite" -v networks="$networks" "
                function least(old, new) { return NR == 1 || new < old ? new : old }
                { n = least(n, \$1); nc = least(nc, \$2 + \$3); a = least(a, \$4); ac = least(ac, \$5 + \$6); v = least(v, \$7); vc = least(vc, \$8 + \$9)
                  c = least(c, \$10); cc = least(cc, \$11 + \$12); r = least(r, \$13); rc = least(rc, \$14 + \$15) }
                END {
                    printf \"%s: %6d networks: nft -f %d ms (CPU %d); apply %d ms (CPU %d), %.1f x (CPU %.1f x); verify %d ms (CPU %d); the least of %d\\n\", suite, networks, n * 1000, nc * 1000, a * 1000, ac * 1000, a / n, ac / nc, v * 1000, vc * 1000, NR
                    printf \"%s: %6d networks, another rule: nft -f %d ms (CPU %d); apply %d ms (CPU %d), %.1f x (CPU %.1f x)\\n\", suite, networks, r * 1000, rc * 1000, c * 1000, cc * 1000, c / r, cc / rc
                }"
        done
        # Of what the least apply consists: the processes that it starts, and what one of each costs.
        echo "extends = [\"sbtc-signer\"]" > /etc/holdfast/profile.toml
        holdfast --quiet apply --no-confirm >/dev/null
        nft delete table inet holdfast
        started "an apply that loads the table" apply --no-confirm
        for run in $(seq "$runs"); do
            echo "$(measure nft -j -n -t list ruleset) $(measure sshd -T)"
        done | awk -v suite="$suite" "
            { nft += \$2 + \$3; sshd += \$5 + \$6 }
            END { printf \"%s: CPU of one nft that lists tables %.1f ms, of one sshd -T %.1f ms; the mean of %d\\n\", suite, nft * 1000 / NR, sshd * 1000 / NR, NR }"
    ' bash "$suite" "$runs"
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
