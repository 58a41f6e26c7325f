#!/bin/sh
# What `make try` shows: a fresh Debian host brought to the signer profile, tampered with, seen, put back.
# $1: the test-host program. HOLDFAST_TRY_SUITE chooses bookworm or trixie (default).
set -eu
test_host=$1
name=try
suite=${HOLDFAST_TRY_SUITE:-trixie}

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
in_host() { "$test_host" run "$name" -- "$@"; }
# Prints a command as typed in the host, runs it, and minds its exit code.
expect() {
    wanted=$1
    shift
    printf '\033[2mroot@%s:~#\033[0m %s\n' "$name" "$*"
    code=0
    in_host sh -c "$*" || code=$?
    if [ "$code" != "$wanted" ]; then
        echo "expected exit code $wanted, got $code" >&2
        exit 1
    fi
}

say "Booting a disposable Debian host ($suite)"
"$test_host" stop "$name" >/dev/null 2>&1 || true
"$test_host" boot "$name" --suite "$suite"

# As a provider hands hosts out: with a key of its owner's. Without one the apply would be refused.
in_host sh -c 'install -d -m 700 /root/.ssh; umask 077; echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE somebody" > /root/.ssh/authorized_keys'

say "A fresh host is not what the signer profile asks for"
expect 0 "printf 'extends = [\"sbtc-signer\"]\n' > /etc/holdfast/profile.toml"
expect 2 "holdfast verify | tail -n 5; holdfast --quiet verify >/dev/null"

say "One transaction brings it there, or leaves it as it is"
expect 0 "holdfast apply --no-confirm"
expect 0 "holdfast verify"

say "Somebody opens a port, lets passwords in, and loosens the kernel"
expect 0 "nft insert rule inet holdfast input tcp dport 9999 accept"
expect 0 "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-aaa.conf; systemctl reload ssh"
expect 0 "sysctl net.ipv4.conf.all.accept_redirects=1"

say "holdfast sees it, and puts it back"
expect 2 "holdfast verify"
expect 0 "holdfast correct"
expect 0 "holdfast verify"
expect 0 "holdfast history"

say "What listens, and what of it the outside gets to"
expect 0 "holdfast exposure"

say "A change that nobody confirms from a new login takes itself back"
expect 0 "printf 'extends = [\"sbtc-signer\"]\n[[firewall.allow]]\nname = \"ssh\"\nfrom = [\"192.0.2.0/24\"]\n' > /etc/holdfast/profile.toml"
expect 0 "holdfast apply --confirm-within 5s"
expect 1 "holdfast confirm"
sleep 8
expect 0 "holdfast status | head -n 4"
expect 0 "holdfast history | tail -n 1"

say "The host is still up"
echo "a shell in it:   $test_host shell $name"
echo "to take it down: $test_host stop $name"
