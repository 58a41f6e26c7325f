#!/usr/bin/perl
# Runs scripts for the test that holds the other end of a virtio-serial port: LENGTH and a newline, then the script.
# Answers "#DONE STATUS OUT ERR" and a newline, then as many bytes of both outputs; first of all, "#READY BOOT-ID".
use strict;
use warnings;

my $port = "/dev/virtio-ports/holdfast.agent";
select(undef, undef, undef, 0.05) until -e $port; # udev makes it
open(my $line, "+<:raw", $port) or die "$port: $!";
open(my $id, "<", "/proc/sys/kernel/random/boot_id") or die $!;
my $boot = <$id>;

sub say_all { my $text = join "", @_; while (length $text) { my $n = syswrite($line, $text) // die $!; substr($text, 0, $n) = "" } }
sub read_all { my ($text, $left) = ("", @_); while ($left) { my $n = sysread($line, $text, $left, length $text); die unless $n; $left -= $n } $text }
sub file { open(my $file, "<:raw", $_[0]) or die $!; local $/; <$file> // "" }

say_all("\n#READY $boot");
while (1) {
    my $length = "";
    $length .= read_all(1) until $length =~ /\n/;
    my $script = read_all($length);
    my $pid = fork() // die $!;
    if (!$pid) {
        open(STDIN, "<", "/dev/null");
        open(STDOUT, ">", "/run/test-agent.out");
        open(STDERR, ">", "/run/test-agent.err");
        exec("/bin/sh", "-euc", $script);
    }
    waitpid($pid, 0);
    my ($out, $err) = map { file("/run/test-agent.$_") } qw(out err);
    say_all("\n#DONE $? ", length $out, " ", length $err, "\n", $out, $err);
}
