#!/usr/bin/perl
# Puts shares together: perl combine.pl share-1.txt share-2.txt >/dev/shm/unlock.txt
use strict; my (%y, @l, @e, $n, $c, $o); my $x = 1;
for my $i (0..254) { $e[$i] = $x; $l[$x] = $i; $x <<= 1; $x ^= 0x11d if $x > 255 }
while (<>) { /^holdfast-share-v1 (\d+) of (\d+), (\d+) needed: ([0-9a-f]+)\s*$/ or next;
  die "these shares do not belong together\n" if $c && ($c != $2 || $n != $3);
  $c = $2; $n = $3; my $k = $1; my $v = [map { hex } $4 =~ /../g];
  die "share $k is given twice\n" if $y{$k}; $y{$k} = $v }
die "too few shares: " . keys(%y) . " of $n\n" if !$n || keys %y < $n;
my @x = (sort keys %y)[0..$n-1];
for my $i (0..$#{$y{$x[0]}}) { my $s = 0;
  for my $a (@x) { my $v = $y{$a}[$i] or next; my $g = $l[$v];
    for my $b (@x) { $g += $l[$b] + 255 - $l[$b ^ $a] if $b != $a } $s ^= $e[$g % 255] }
  $o .= chr $s }
$o =~ /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/ or die "these shares do not belong together\n";
print "$o\n";
