# Writes a journal whose entries lie in the past (or, with negative days, in the future): FILE FROM_DAYS_AGO TO_DAYS_AGO STEP_SECONDS UNIT...
my ($file, $from, $to, $step, @units) = @ARGV;
my $now = time;
open my $out, '|-', '/lib/systemd/systemd-journal-remote', '--split-mode=none', '-o', $file, '-' or die;
my $n = 0;
for (my $t = $now - $from * 86400; $t <= $now - $to * 86400; $t += $step) {
    for my $unit (@units) {
        printf $out "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_SYSTEMD_UNIT=%s\nPRIORITY=6\nMESSAGE=block %d of %s\n\n", $t * 1e6 + $n, ++$n, $unit, $n, $unit;
    }
}
close $out or die "remote: $?";
