//! Keys go onto USB sticks, of the file systems that people meet, on a kernel of its own: pulled out, broken and killed at
//! each stage of writing. Nothing half ever looks whole, and the ceremony comes to its end with the same command.

use holdfast_test_host::Machine;

use super::sh;
use crate::{
    key::{KEY, PLAN, PUBLIC},
    support::{Image, Suite},
};

/// Two sticks, both formatted, where the plan has them. Their serial numbers are asked of the devices.
const STICKS: &str = r#"
umount /media/alice /media/bob
perl -0pi -e 's/\[\[exception\]\]\ncheck = "lasting"\nreason = [^\n]*\n//' /root/k/plan.toml
for who in alice bob; do sed -i "s|^path = \"/media/$who\"|&\nserial = \"$who\"|" /root/k/plan.toml; done
printf '[[exception]]\ncheck = "rehearsal"\nreason = "a test"\n[[exception]]\ncheck = "traced"\nreason = "a test"\n[[exception]]\ncheck = "swap"\nreason = "a test"\n' >>/root/k/plan.toml
sh /root/k/sign-plan
"#;

/// The device of a stick, as a pattern of the shell: udev names it by its serial number.
fn device(who: &str) -> String {
    format!("/dev/disk/by-id/usb-*_{who}-0:0")
}

fn put_in(machine: &mut Machine, who: &str) {
    machine.put_in(who).unwrap();
    let device = device(who);
    sh(
        machine,
        &format!(
            "for _ in $(seq 600); do test -b {device} && exit 0; sleep 0.2; done; ls -l /dev/disk/by-id /sys/bus/usb/devices; dmesg | tail; exit 1"
        ),
    );
}

/// Until the machine has seen that it is gone, too.
fn pull_out(machine: &mut Machine, who: &str) {
    machine.pull_out(who).unwrap();
    let device = device(who);
    sh(
        machine,
        &format!("for _ in $(seq 600); do test -L {device} || exit 0; sleep 0.2; done; exit 1"),
    );
}

/// Mounts a stick, as people do after it was pulled out: nothing of it was unmounted.
fn mount(machine: &mut Machine, who: &str) {
    sh(
        machine,
        &format!(
            "while umount -l /media/{who} 2>/dev/null; do :; done; mount {} /media/{who}",
            device(who)
        ),
    );
}

/// Whether a finished folder is on a stick, which opens then; anything else on it does not look like one.
fn is_whole(machine: &mut Machine, who: &str, what: &str) -> bool {
    let folders = sh(machine, &format!("ls -d /media/{who}/holdfast-* 2>/dev/null || true"));
    for folder in folders.lines() {
        let opened = sh(
            machine,
            &format!(
                "cd {folder} && age -d -i /root/k/{who}.txt signer.age && grep -q '{PUBLIC}' README.txt && wc -c <README.txt"
            ),
        );
        assert!(
            opened.starts_with(&format!("{KEY}\n")),
            "{what}: {folder} looks whole and is not: {opened}"
        );
    }
    !folders.is_empty()
}

/// The export, under strace with this, about the media only; its exit status and what it said.
fn export(machine: &mut Machine, inject: &str) -> (Option<i32>, String) {
    let run = format!("holdfast key export {PLAN} --answers /root/k/answers.toml");
    let script = match inject {
        "" => run,
        inject => format!("strace -o /root/trace {inject} {run}"),
    };
    let output = machine.sh(&script).unwrap();
    assert!(!output.stderr.contains("panicked"), "{inject}: {}", output.stderr);
    (output.status, output.stderr)
}

/// Strace's words for a call about bob's stick, and no other.
fn about((call, path): Stage, what: &str) -> String {
    format!("-P /media/bob{path} -e trace={call} -e inject={call}:{what}:when=1")
}

/// A call, and the path on the stick that it is about.
type Stage = (&'static str, &'static str);

/// The stages of writing, by the last call of each: the folder is made, a file is in it, all are on the device, one was
/// read back, it has its name, and that is on the device.
const STAGES: [Stage; 6] = [
    ("mkdir", "/.holdfast-unfinished"),
    ("fsync", "/.holdfast-unfinished/signer.age"),
    ("fsync", "/.holdfast-unfinished"),
    ("fadvise64", "/.holdfast-unfinished/signer.age"),
    ("renameat2", "/.holdfast-unfinished"),
    ("fsync", ""),
];

/// Begins the export, which stops after a call; pulls bob's stick out, and lets it go on.
fn pull_out_at(machine: &mut Machine, stage: Stage) -> String {
    let inject = about(stage, "signal=STOP");
    sh(machine, &format!("rm -f /root/ended /root/trace; (setsid sh -c 'strace -o /root/trace {inject} holdfast key export {PLAN} --answers /root/k/answers.toml >/root/out 2>&1; echo $? >/root/ended' </dev/null >/dev/null 2>&1 &)
        for _ in $(seq 1500); do
            if test -s /root/ended; then cat /root/out /root/trace >&2; exit 1; fi
            grep -q 'stopped by SIGSTOP' /root/trace 2>/dev/null && exit 0
            sleep 0.2
        done; exit 1"));
    pull_out(machine, "bob");
    sh(
        machine,
        "kill -CONT $(pgrep -x holdfast) || true; for _ in $(seq 1500); do test -s /root/ended && break; sleep 0.2; done; cat /root/ended /root/out",
    )
}

fn pulled_out(machine: &mut Machine, stages: &[usize]) {
    for stage in stages.iter().map(|at| STAGES[*at]) {
        let told = pull_out_at(machine, stage);
        let what = format!("pulled out after {} of {:?}", stage.0, stage.1);
        if stage == STAGES[4] {
            let trace = sh(machine, "cat /root/trace");
            assert!(trace.contains("RENAME_NOREPLACE"), "another folder was renamed: {trace}");
        }
        put_in(machine, "bob");
        mount(machine, "bob");
        let whole = is_whole(machine, "bob", &what);
        if told.starts_with("1\n") {
            assert!(told.contains("error: medium usb-2"), "{what}: {told}");
        } else {
            // All of it was on the stick by then.
            assert!(told.starts_with("2\n") && whole && stage == STAGES[5], "{what}: {told}");
        }
        eprintln!("{}: {what}: {}", machine.suite(), if whole { "whole" } else { "nothing" });
    }
}

/// The kernel answers for the stick what a broken one answers: from a stage on, each write fails, or each access.
fn broken(machine: &mut Machine) {
    sh(machine, "modprobe dm-flakey; umount -l /media/bob");
    let device = sh(machine, &format!("readlink -f {}", device("bob")));
    let device = device.trim();
    let sectors = sh(machine, &format!("blockdev --getsz {device}"));
    let sectors = sectors.trim();
    sh(
        machine,
        &format!(
            "dmsetup create broken --table '0 {sectors} linear {device} 0' && mount /dev/mapper/broken /media/bob"
        ),
    );
    for (table, what) in [
        (format!("0 {sectors} flakey {device} 0 0 3600 1 error_writes"), "each write fails"),
        (format!("0 {sectors} error"), "each access fails"),
    ] {
        sh(
            machine,
            &format!(
                "dmsetup suspend --nolockfs broken && dmsetup load broken --table '{table}' && dmsetup resume broken"
            ),
        );
        let (status, told) = export(machine, "");
        assert_eq!(status, Some(1), "{what}: {told}");
        assert!(told.contains("medium usb-2"), "{what}: {told}");
        sh(machine, &format!("umount -l /media/bob; for _ in $(seq 300); do dmsetup info -c --noheadings -o open broken | grep -q 0 && break; sleep 0.2; done
            dmsetup suspend --nolockfs --noflush broken; dmsetup load broken --table '0 {sectors} linear {device} 0' && dmsetup resume broken && mount /dev/mapper/broken /media/bob"));
        assert!(!is_whole(machine, "bob", what), "{what}: nothing was to be written");
    }
    sh(machine, "umount /media/bob && dmsetup remove broken");
    mount(machine, "bob");
}

/// The machine's own disk has no partitions, so it runs the export from one of a disk that is a file: `/` is its first one, and
/// everything of the machine is mounted there.
const OWN_DISK: &str = r#"
modprobe loop
modprobe ext4
truncate -s 34M /root/disk
perl -e 'print "\0" x 446, map({ pack "C8V2", (0) x 4, 0x83, (0) x 3, @$_ } [2048, 32768], [34816, 32768]), "\0" x 32, "\x55\xaa"' |
    dd of=/root/disk conv=notrunc status=none
disk=$(losetup -P --show -f /root/disk)
for _ in $(seq 100); do test -b ${disk}p2 && break; sleep 0.2; done
mkfs.ext4 -q ${disk}p1
mkfs.ext4 -q ${disk}p2
mkdir /root/own
mount ${disk}p1 /root/own
cd /root/own
cp -a /bin /lib /lib64 /sbin .
mkdir -p usr etc root var proc sys dev run tmp media/alice media/bob
for place in usr etc root var proc sys dev run tmp; do mount --rbind --make-rslave /$place $place; done
mount --bind /media/alice media/alice
mount ${disk}p2 media/bob
"#;

/// Another partition of the disk that the host runs from is no medium; a file of that disk, mounted, is one that cannot be
/// taken out, which a plan may except.
fn own_disk_is_no_medium(machine: &mut Machine) {
    sh(machine, OWN_DISK);
    let run = format!("chroot /root/own holdfast key export {PLAN} --answers /root/k/answers.toml");
    let own = machine.sh(&run).unwrap();
    let why = "medium usb-2: /media/bob: what is mounted there is this host's own disk";
    assert!(own.status == Some(1) && own.stderr.contains(why), "{own}");
    sh(
        machine,
        "umount /root/own/media/bob; truncate -s 16M /root/file && mkfs.ext4 -q /root/file && mount -o loop /root/file /root/own/media/bob",
    );
    let file = machine.sh(&run).unwrap();
    let why = "removable (usb-2: ext4 on loop";
    assert!(file.status == Some(1) && file.stderr.contains(why), "{file}");
    sh(
        machine,
        "test -z \"$(ls -A /root/own/media/bob | grep -v lost+found)\" && umount -R /root/own && losetup -D && rm -r /root/own /root/disk /root/file",
    );
}

fn killed(machine: &mut Machine) {
    for stage in [STAGES[2], STAGES[5]] {
        let (status, told) = export(machine, &about(stage, "signal=KILL"));
        let what = format!("killed at {} of {:?}", stage.0, stage.1);
        assert!(status.is_none_or(|status| status == 137), "{what}: {status:?}: {told}");
        // What was not synced is lost with the power, which a stick that is pulled out loses, too.
        pull_out(machine, "bob");
        put_in(machine, "bob");
        mount(machine, "bob");
        is_whole(machine, "bob", &what);
    }
}

/// Vfat, exFAT and ext4; bob's fails in every way, one after the other, and each time the same command goes on. On one release: it is
/// the dearest of all tests, and what is tested asks the same of either kernel.
#[test]
fn sticks_fail_and_nothing_half_looks_whole() {
    let mut machine = Machine::with(Suite::Trixie, Image::Computer).unwrap();
    let machine = &mut machine;
    sh(machine, "umount /media/* 2>/dev/null || true; modprobe vfat");
    let setup = format!("KEY={KEY}\nPUBLIC={PUBLIC}\n{}", include_str!("../key/setup.sh"));
    sh(machine, &format!("{setup}\n{STICKS}"));
    for who in ["alice", "bob"] {
        machine.new_stick(who, 16).unwrap();
        put_in(machine, who);
    }
    let format = |machine: &mut Machine, bobs: &str| {
        sh(machine, "while umount -l /media/bob 2>/dev/null; do :; done");
        sh(machine, &format!("{bobs} {}", device("bob")));
        mount(machine, "bob");
    };
    sh(machine, &format!("mkfs.vfat {}", device("alice")));
    mount(machine, "alice");
    format(machine, "mkfs.ext4 -q");
    let rehearsed = machine
        .sh(&format!("holdfast key rehearse {PLAN} --answers /root/k/answers.toml"))
        .unwrap();
    assert_eq!(rehearsed.status, Some(2), "{rehearsed}");
    sh(machine, "rm -r /media/*/REHEARSAL-*");

    own_disk_is_no_medium(machine);
    let kinds: [(_, _, &[usize]); 3] = [
        ("vfat", "mkfs.vfat", &[0, 1, 2, 3, 4, 5]),
        ("exfat", "mkfs.exfat", &[2, 4, 5]),
        ("ext4", "mkfs.ext4 -q -F", &[0, 2, 4]),
    ];
    for (kind, make, stages) in kinds {
        format(machine, make);
        // One that is done is not done again: another plan for each kind.
        sh(machine, &format!("echo '# {kind}' >>{PLAN} && sh /root/k/sign-plan"));
        let is = sh(machine, "findmnt -no FSTYPE /media/bob");
        assert_eq!(is.trim(), kind);
        pulled_out(machine, stages);
        sh(machine, "rm -rf /media/bob/holdfast-*");
    }
    sh(machine, &format!("echo '# killed' >>{PLAN} && sh /root/k/sign-plan"));
    killed(machine);
    sh(machine, "rm -rf /media/bob/holdfast-*");
    broken(machine);
    sh(machine, "mount -o remount,ro /media/bob");
    let (status, told) = export(machine, "");
    assert!(status == Some(1) && told.contains("mounted read-only"), "{status:?}: {told}");
    sh(
        machine,
        "mount -o remount,rw /media/bob; head -c 100M /dev/zero >/media/bob/full 2>/dev/null || true; sync",
    );
    let (status, told) = export(machine, "");
    assert!(status == Some(1) && told.contains("is full"), "{status:?}: {told}");
    sh(machine, "rm /media/bob/full");

    let (status, told) = export(machine, "");
    assert_eq!(status, Some(2), "{told}");
    for who in ["alice", "bob"] {
        pull_out(machine, who);
        put_in(machine, who);
        mount(machine, who);
        assert!(is_whole(machine, who, "at the end"), "{who} has nothing");
    }
}
