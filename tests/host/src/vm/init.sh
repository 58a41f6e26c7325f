#!/bin/busybox sh
# Loads what the disk needs, mounts it, and hands over to its init.
set -e
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do
    /bin/busybox insmod "$module" || true # some are in one kernel and modules of the other
done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
for dir in proc sys dev; do /bin/busybox mount -o move "/$dir" "/root/$dir"; done
exec /bin/busybox switch_root /root /sbin/init
