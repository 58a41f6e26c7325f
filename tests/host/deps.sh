#!/bin/sh
# Installs what test hosts need on a Debian machine: at once and in silence when nothing is missing.
# Not root: says the one line to run and exits with 1.
set -eu
export PATH="$PATH:/usr/sbin:/sbin"

missing=
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 && return
    case " $missing " in *" $2 "*) ;; *) missing="${missing:+$missing }$2" ;; esac
}
need systemd-nspawn systemd-container
need mmdebstrap mmdebstrap
need nft nftables
need ip iproute2
need dpkg-deb dpkg
need objdump binutils
need strace strace
need ssh openssh-client
need nsenter util-linux
need unshare util-linux
need setpriv util-linux
need mount mount
need qemu-system-x86_64 qemu-system-x86
need mkfs.ext4 e2fsprogs
need cc "gcc libc6-dev"
need /usr/bin/pip3 python3-pip

[ -n "$missing" ] || exit 0
line="apt-get install -y --no-install-recommends $missing"
if [ "$(id -u)" != 0 ]; then
    echo "Test hosts need: $missing" >&2
    echo "Run as root: apt-get update && $line" >&2
    exit 1
fi
apt-get update
export DEBIAN_FRONTEND=noninteractive
exec $line
