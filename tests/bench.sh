#!/bin/sh
# What a whole `verify` of the signer profile costs on a booted host: wall, CPU, peak memory, processes started.
# Beside it, in the same run, one `sshd -T`, which is the dearest program that verify has to ask.
# $1: the test-host program. HOLDFAST_BENCH_RUNS: how many runs (default 40).
set -eu
test_host=$1
runs=${HOLDFAST_BENCH_RUNS:-40}
for suite in bookworm trixie; do
    name=bench-$suite
    "$test_host" stop "$name" >/dev/null 2>&1 || true
    "$test_host" boot "$name" --suite "$suite" >/dev/null
    trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
    "$test_host" run "$name" -- sh -c '
        printf "extends = [\"sbtc-signer\"]\n" > /etc/holdfast/profile.toml
        holdfast --quiet apply >/dev/null'
    "$test_host" run "$name" -- perl -e '
        use strict; use Time::HiRes "time";
        my ($runs, @commands) = (shift, ["holdfast", "--quiet", "verify", "--all"], ["sshd", "-T"]);
        open(STDOUT, ">&", \*STDOUT); open(my $null, ">", "/dev/null");
        my %wall; my %cpu;
        for my $run (0 .. $runs) { for my $command (@commands) {
            my @before = times; my $start = time;
            my $pid = fork; if (!$pid) { open(STDOUT, ">&", $null); exec @$command; }
            waitpid $pid, 0; my $wall = time - $start; my @after = times;
            next unless $run;   # the first run warms the cache
            push @{$wall{$command->[0]}}, $wall * 1000;
            push @{$cpu{$command->[0]}}, 1000 * ($after[2] + $after[3] - $before[2] - $before[3]);
        } }
        my $median = sub { my @s = sort { $a <=> $b } @_; $s[@s / 2] };
        my $least = sub { my @s = sort { $a <=> $b } @_; $s[0] };
        for my $name (map { $_->[0] } @commands) {
            printf "%-9s %-8s wall median %6.1f ms, least %6.1f ms; CPU median %6.1f ms (%d runs)\n",
                $ARGV[0], $name, $median->(@{$wall{$name}}), $least->(@{$wall{$name}}), $median->(@{$cpu{$name}}), $runs;
        }
        printf "%-9s verify / sshd -T: wall %.2f, CPU %.2f\n", $ARGV[0],
            $median->(@{$wall{holdfast}}) / $median->(@{$wall{sshd}}), $median->(@{$cpu{holdfast}}) / $median->(@{$cpu{sshd}});
    ' "$runs" "$suite"
    # Peak memory of holdfast itself from its own /proc status would miss its end; the kernel keeps it for the parent.
    "$test_host" run "$name" -- sh -c '
        strace -f -qq -e trace=execve -e status=successful -o /tmp/execs holdfast --quiet verify >/dev/null
        awk -F"\"" "/execve/ && NR > 1 { n = split(\$2, path, \"/\"); started[path[n]]++ }
            END { printf \"processes started:\"; for (p in started) printf \" %s x%d\", p, started[p]; print \"\" }" /tmp/execs'
    "$test_host" run "$name" -- perl -e '
        require "syscall.ph" if 0;
        my $pid = fork; if (!$pid) { open(STDOUT, ">", "/dev/null"); exec "holdfast", "--quiet", "verify"; }
        my $peak = 0;
        while (waitpid($pid, 1) == 0) {   # WNOHANG
            if (open(my $f, "<", "/proc/$pid/status")) { while (<$f>) { $peak = $1 if /^VmHWM:\s+(\d+)/ && $1 > $peak } }
        }
        printf "peak memory of holdfast: %.1f MB\n", $peak / 1024;'
    "$test_host" stop "$name" >/dev/null
    trap - EXIT
done
