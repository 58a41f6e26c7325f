# What of some secrets is in the memory of a process, in every mapping that can be read: what /proc/PID/mem gives root is what
# process_vm_readv and gdb's gcore get. Standard input: a line for each, `NAME HEX`, or `NAME =PATTERN`. Printed: a line
# for each, `NAME COUNT SWAPPABLE`: how often it is there, and how often in memory that is not locked.
use strict;
my $pid = shift;
my %needles;
while (<STDIN>) {
    my ($name, $what) = split or next;
    $needles{$name} = $what =~ s/^=// ? qr/$what/ : quotemeta pack 'H*', $what;
}
open(my $maps, '<', "/proc/$pid/smaps") or die "smaps: $!";
open(my $mem, '<:raw', "/proc/$pid/mem") or die "mem: $!";
my (%count, %swappable, $read);
my ($at, $end, $how);
while (my $line = <$maps>) {
    no warnings 'portable';
    if ($line =~ /^([0-9a-f]+)-([0-9a-f]+) (\S+)(.*)/) {
        ($at, $end, $how) = (hex $1, hex $2, $4 =~ /\[vvar|\[vsyscall/ ? '-' : $3);
    }
    my ($flags) = $line =~ /^VmFlags:(.*)/ or next;
    next if $how !~ /^r/;
    my $locked = $flags =~ / lo\b/;
    sysseek($mem, $at, 0) or next;
    my $bytes = '';
    while ($at < $end) {
        my $size = sysread($mem, my $part, $end - $at > 1 << 20 ? 1 << 20 : $end - $at);
        last unless $size;
        $bytes .= $part;
        $at += $size;
    }
    $read += length $bytes;
    for my $name (keys %needles) {
        my $found = () = $bytes =~ /$needles{$name}/g;
        $count{$name} += $found;
        $swappable{$name} += $found unless $locked;
    }
}
die "nothing was read\n" unless $read;
printf "%s %d %d\n", $_, $count{$_}, $swappable{$_} for sort keys %needles;
