#!/bin/sh
# What a backup costs, beside the same with Debian's own tools, in turn and in the same run: `pg_dump -Fc`, which compresses
# by itself, and `pg_dump -Fc -Z0 | zstd -3 | age`, which is what `holdfast backup run` makes of it. Then its quick proof, the
# look that backs up a DKG row whose status has changed, a drill, and the most memory that holdfast itself had. CPU time
# (user and system) is that of the programs that each starts, without the server's: on a busy machine it says more than the
# time that passed. What a dump takes is what a run takes, less what its proof does: of CPU time, what another proof of that
# file does.
# $1: the test-host program; $2: signer-sql of holdfast-test-dkg. HOLDFAST_BENCH_RUNS: how many runs (default 5).
# HOLDFAST_BENCH_BLOCKS: rows of the largest table (default 4,350,000: a database of 1 GB). HOLDFAST_TEST_SUITES: which releases.
set -eu
test_host=$1 signer_sql=$2
runs=${HOLDFAST_BENCH_RUNS:-5}
blocks=${HOLDFAST_BENCH_BLOCKS:-4350000}
for suite in ${HOLDFAST_TEST_SUITES:-bookworm trixie}; do
    name=bench-backup-$suite
    "$test_host" stop "$name" >/dev/null 2>&1 || true
    "$test_host" boot "$name" --postgres --suite "$suite" >/dev/null
    trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
    "$signer_sql" "$blocks" | "$test_host" run "$name" -- sh -c 'cat > /tmp/signer.sql'
    "$test_host" run "$name" -- bash -c '
        set -euo pipefail
        suite=$1 runs=$2 TIMEFORMAT="%R %U %S"
        # Where what holdfast complains of goes, apart from what `time` says.
        exec 3>&2
        systemd-sysusers /usr/share/holdfast/accounts.conf
        as_superuser() { runuser -u postgres -- psql -qAtX -v ON_ERROR_STOP=1 "$@"; }
        for _ in $(seq 600); do as_superuser -c "SELECT 1" >/dev/null 2>&1 && break; sleep 0.2; done
        as_superuser -c "CREATE DATABASE signer ENCODING UTF8 TEMPLATE template0"
        as_superuser -1 signer < /tmp/signer.sql
        as_superuser -c "VACUUM ANALYZE" signer
        age-keygen -o /root/alice.txt 2>/dev/null
        to=$(age-keygen -y /root/alice.txt)
        printf "[[people]]\nname = \"alice\"\nage_recipient = \"%s\"\n[backup.db]\ndatabase = \"signer\"\nto = [\"alice\"]\nkeep_free = \"1M\"\n" "$to" > /etc/holdfast/profile.toml
        chmod 600 /etc/holdfast/profile.toml
        holdfast --quiet backup role db --make >/dev/null
        dump() { runuser -u holdfast-backup -- pg_dump "$@" signer; }
        # What the newest manifest says, in its one line; read by sed below: hosts have no jq.
        newest() { find /var/backups/holdfast -name "*.manifest.json" | sort | tail -n 1 | xargs head -n 1; }
        # Of what `time` says: the time that passed and the CPU time, in milliseconds.
        milliseconds() { awk "{ printf \"%d %d\", \$1 * 1000, (\$2 + \$3) * 1000 }" <<<"$1"; }
        bytes=$(as_superuser -c "SELECT pg_database_size(current_database())" signer)
        echo "$suite: PostgreSQL $(as_superuser -c "SHOW server_version" | cut -d" " -f1), a database of $((bytes / 1000000)) MB, $(nproc) cores, $runs runs"
        for run in $(seq 0 "$runs"); do
            # Each to a file that is on the disk when it ends.
            own=$({ time { dump -Fc > /var/tmp/own.dump; sync /var/tmp/own.dump; }; } 2>&1)
            tools=$({ time { dump -Fc -Z0 | zstd -q -3 | age -r "$to" > /var/tmp/tools.age; sync /var/tmp/tools.age; }; } 2>&1)
            # The high-water mark of its memory is read until it ends.
            rm -f /tmp/pid
            { time bash -c "echo \$\$ > /tmp/pid; exec holdfast --quiet backup run db" 2>&3 > /dev/null; } 2> /tmp/took & job=$!
            until [ -s /tmp/pid ]; do sleep 0.01; done
            pid=$(cat /tmp/pid) peak=0
            while read -r _ kib _ < <(grep VmHWM "/proc/$pid/status" 2>/dev/null); do
                [ "$kib" -le "$peak" ] || peak=$kib
                sleep 0.05
            done
            wait "$job"
            manifest=$(newest)
            again=$({ time holdfast --quiet backup prove "$(sed "s/{[^{]*\"id\":\"\([^\"]*\).*/\1/" <<<"$manifest")" --identity /root/alice.txt 2>&3 > /dev/null; } 2>&1)
            # The first look saves both rows, each later one a status that has changed.
            as_superuser -c "UPDATE sbtc_signer.dkg_shares SET dkg_shares_status = CASE WHEN $run % 2 = 0 THEN \$\$verified\$\$ ELSE \$\$unverified\$\$ END::sbtc_signer.dkg_shares_status WHERE aggregate_key = (SELECT aggregate_key FROM sbtc_signer.dkg_shares ORDER BY 1 LIMIT 1)" signer
            rows=$({ time holdfast --quiet backup watch db 2>&3 > /dev/null; } 2>&1)
            idle=$({ time holdfast --quiet backup watch db 2>&3 > /dev/null; } 2>&1)
            # The first run warms the cache.
            [ "$run" = 0 ] || echo "$(for took in "$own" "$tools" "$(tail -n 1 /tmp/took)" "$again" "$rows" "$idle"; do milliseconds "$took"; echo; done | tr "\n" " ")$peak $(stat -c %s /var/tmp/own.dump /var/tmp/tools.age | tr "\n" " ") $manifest"
            rm /var/tmp/own.dump /var/tmp/tools.age
        done > /tmp/runs
        holdfast --quiet backup run --drill db > /dev/null
        while read -r own own_cpu tools tools_cpu run run_cpu _ again_cpu rows _ idle _ peak own_bytes tools_bytes manifest; do
            proof=$(sed "s/.*\"proof\":{[^[]*\"milliseconds\":\([0-9]*\).*/\1/" <<<"$manifest")
            echo "$own $tools $((run - proof)) $proof $peak $own_bytes $tools_bytes $(sed "s/.*\"archive\":{[^}]*\"bytes\":\([0-9]*\).*/\1/" <<<"$manifest") $own_cpu $tools_cpu $((run_cpu - again_cpu)) $again_cpu $rows $idle"
        done < /tmp/runs | awk -v suite="$suite" "
            function median(list, n,    i, j, x) {
                for (i = 2; i <= n; i++) { x = list[i]; for (j = i - 1; j && list[j] > x; j--) list[j + 1] = list[j]; list[j + 1] = x }
                return list[int((n + 1) / 2)]
            }
            { own[NR] = \$1; tools[NR] = \$2; made[NR] = \$3; proof[NR] = \$4; if (\$5 > peak) peak = \$5; o = \$6; t = \$7; h = \$8
              own_cpu[NR] = \$9; tools_cpu[NR] = \$10; made_cpu[NR] = \$11; proof_cpu[NR] = \$12; rows[NR] = \$13; idle[NR] = \$14 }
            END {
                oc = median(own_cpu, NR); tc = median(tools_cpu, NR); mc = median(made_cpu, NR); pc = median(proof_cpu, NR)
                om = median(own, NR); tm = median(tools, NR); mm = median(made, NR); pm = median(proof, NR)
                printf \"%s: pg_dump -Fc                       median %6.2f s, least %6.2f s, CPU %6.2f s, %4d MB\n\", suite, om / 1000, own[1] / 1000, oc / 1000, o / 1000000
                printf \"%s: pg_dump -Fc -Z0 | zstd -3 | age   median %6.2f s, least %6.2f s, CPU %6.2f s, %4d MB\n\", suite, tm / 1000, tools[1] / 1000, tc / 1000, t / 1000000
                printf \"%s: holdfast backup run, its dump     median %6.2f s, least %6.2f s, CPU %6.2f s, %4d MB\n\", suite, mm / 1000, made[1] / 1000, mc / 1000, h / 1000000
                printf \"%s: holdfast backup run, quick proof  median %6.2f s, least %6.2f s, CPU %6.2f s\n\", suite, pm / 1000, proof[1] / 1000, pc / 1000
                printf \"%s: holdfast backup watch, a new status  median %6.2f s, least %6.2f s\n\", suite, median(rows, NR) / 1000, rows[1] / 1000
                printf \"%s: holdfast backup watch, nothing new   median %6.2f s, least %6.2f s\n\", suite, median(idle, NR) / 1000, idle[1] / 1000
                printf \"%s: the dump takes %.2f x as long as with the tools, and pg_dump -Fc %.1f x as long as it; of CPU time %.2f x and %.1f x\n\", suite, mm / tm, om / mm, mc / tc, oc / mc
                printf \"%s: peak memory %.1f MiB\n\", suite, peak / 1024
            }"
        drill=$(newest)
        echo "$suite: drill: all restored in $(sed "s/.*\"restore_milliseconds\":\([0-9]*\).*/\1/" <<<"$drill") ms, checked in $(sed "s/.*\"check_milliseconds\":\([0-9]*\).*/\1/" <<<"$drill") ms"
    ' bash "$suite" "$runs"
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
