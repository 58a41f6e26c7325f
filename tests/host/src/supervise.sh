# Boots one host and takes it down again; run by supervise.rs as `unshare --mount sh -c THIS sh RUN LOWER CGROUPS CMD…`.
# RUN: the host's directory. LOWER: overlayfs lower layers. CGROUPS: cgroup directories to make, may be empty.
# stdin is the lifeline: whoever holds its other end wants the host. At a line or its end (as by SIGKILL of the holder)
# all goes.
# stdout is the locked file that tells the sweep that this host is alive; only this shell may keep it open.
run=$1 lower=$2 cgroups=$3
shift 3
exec 8<&0 9>&1 </dev/null >>"$run/console.log" 2>&1
cd "$run" || exit 1

finish() {
    cd / && umount "$run/merged"
    for dir in $cgroups; do find "$dir" -depth -type d -exec rmdir {} \; ; done
    [ -e "$run/keep" ] || rm -rf --one-file-system "$run"
}
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$run/upper,workdir=$run/work" "$run/merged" || exit 1
# What nspawn leaves in its runtime directory goes with this mount namespace.
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn
for dir in $cgroups; do mkdir -p "$dir" || { finish; exit 1; }; done

(
    read -r _ <&8 # a word, or the end
    : >stopping
    tries=100 # of 50 ms: an orderly shutdown, then the hard way
    # Without the shell that waits for it ($$), nspawn.pid may be anyone's by now; --pdeathsig has ended nspawn then.
    while kill -0 $$ && [ ! -e ended ] && pid=$(cat nspawn.pid); do
        [ $tries = 100 ] && kill -TERM "$pid"
        if [ $tries = 0 ]; then
            for dir in $cgroups; do [ -w "$dir/cgroup.kill" ] && echo 1 >"$dir/cgroup.kill"; done
            kill -KILL "$pid"
            break
        fi
        tries=$((tries - 1))
        sleep 0.05
    done
) 9>&- &
lifeline=$!

status=133 # what nspawn says when the host has asked for a reboot
while [ $status = 133 ] && [ ! -e stopping ]; do
    rm -f ended
    # The inner shell enters the cgroups, so that this one stays free to remove them.
    sh -c 'echo $$ >nspawn.pid.new; mv nspawn.pid.new nspawn.pid
        for dir in $0; do echo $$ >"$dir/cgroup.procs" || exit 1; done
        exec setpriv --pdeathsig TERM "$@"' "$cgroups" "$@" 8<&- 9>&- &
    wait $!
    status=$?
    echo $status >ended
done
wait $lifeline
finish
