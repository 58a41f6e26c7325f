//! Whether whoever gives the word that a change may last has come in through the changed host: a session that was open
//! already proves nothing, and neither does one from the host itself. Pure: given what the kernel says of a process.

use std::{collections::BTreeSet, fmt, net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::ancestry::{Ancestor, Sshd};

/// A login that proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Login {
    /// An SSH connection that was made after the change, from another host.
    Ssh {
        /// From where.
        from: IpAddr,
        /// When it was made.
        connected: Timestamp,
    },
    /// A terminal of the machine itself, which no change of the network takes away.
    Console {
        /// Its name.
        tty: String,
    },
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh { from, connected } => write!(f, "{from}, connection of {connected}"),
            Self::Console { tty } => write!(f, "the console {tty}"),
        }
    }
}

/// What was made of a chain of ancestors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The account that logged in.
    pub uid: u32,
    /// How.
    pub way: Way,
}

/// How somebody has come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Over SSH.
    Ssh {
        /// From where.
        from: IpAddr,
        /// When the connection was made, since boot.
        connected: Duration,
    },
    /// At the machine itself.
    Console {
        /// The name of the terminal.
        tty: String,
    },
}

/// Why a login proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was there before the change.
    Old {
        /// From where.
        from: IpAddr,
        /// How long before.
        before: Duration,
    },
    /// It comes from this very host, past the firewall.
    Own {
        /// From where.
        from: IpAddr,
    },
    /// It comes from a container or guest of this very host: by no way that strangers come.
    Guest {
        /// From where.
        from: IpAddr,
        /// The bridge it is behind.
        bridge: String,
    },
    /// The host is open to everybody: any login gets in.
    Open,
    /// What was changed has been changed again since: a login is let in by something else.
    Changed {
        /// What does not hold any more, in words.
        what: Vec<String>,
    },
    /// It is no login at all, or one that cannot be traced.
    NoLogin,
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Old { .. } => {
                "log in anew, with a new connection (ssh -o ControlPath=none), and confirm there"
            }
            Self::Own { .. } | Self::Guest { .. } => "log in from another host, and confirm there",
            Self::Open => {
                "run: holdfast firewall close; then log in anew, with a new connection, and confirm there"
            }
            Self::Changed { .. } => {
                "take the change back (holdfast rollback), see who changed it, and apply it anew"
            }
            Self::NoLogin => {
                "run it directly in a new SSH login or at the console: not in tmux or screen, not from a unit or cron"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old { from, before } => write!(
                f,
                "this connection from {from} was made {} s before the change was complete (or the host shut again), and proves nothing",
                before.as_secs_f64().ceil()
            ),
            Self::Own { from } => {
                write!(f, "this connection comes from {from}, this host itself, and proves nothing")
            }
            Self::Guest { from, bridge } => write!(
                f,
                "this connection comes from {from}, a container or guest of this host behind {bridge}, and proves nothing"
            ),
            Self::Open => {
                f.write_str("the host is open to everybody now, and no login proves anything")
            }
            Self::Changed { what } => write!(
                f,
                "what waits to be confirmed does not hold any more, and no login proves anything: {}",
                what.join("; ")
            ),
            Self::NoLogin => {
                f.write_str("this command was not started from a login that can be traced")
            }
        }
    }
}

/// Judges who gives the word. `chain` is the asking process and its ancestors, `settled` when the change was seen to
/// hold (since boot), `own` the host's own addresses.
///
/// # Errors
/// [`Refusal`] when it proves nothing.
pub fn judge(
    chain: &[Ancestor],
    settled: Duration,
    own: &BTreeSet<IpAddr>,
) -> Result<Witness, Refusal> {
    let Some(first) = chain.iter().position(|each| each.sshd.is_some()) else {
        return at_console(chain);
    };
    // From the nearest sshd up, as long as they serve the same connection: the topmost of them was started for it. Those
    // of a multiplexed session all share the one of the first.
    let serving = chain[first..]
        .iter()
        .take_while(|each| matches!(each.sshd, Some(Sshd::Serves(_) | Sshd::Other)));
    let count = serving.clone().count();
    let from = serving.filter_map(|each| match each.sshd {
        Some(Sshd::Serves(from)) => Some(from),
        _ => None,
    });
    let Some(from) = from.last() else { return Err(Refusal::NoLogin) };
    let connection = first + count - 1;
    if from.is_loopback() || own.contains(&from) {
        return Err(Refusal::Own { from });
    }
    let connected = chain[connection].started;
    if connected <= settled {
        return Err(Refusal::Old { from, before: settled.saturating_sub(connected) });
    }
    // What a connection's own process starts belongs to whoever logged in.
    let uid = chain[connection.saturating_sub(1)].uid;
    Ok(Witness { uid, way: Way::Ssh { from, connected } })
}

/// A terminal of the machine itself, above which there is no sshd. `sudo` gives its command another one, so any ancestor
/// counts; what tmux and screen start has no such ancestor.
fn at_console(chain: &[Ancestor]) -> Result<Witness, Refusal> {
    let found = chain.iter().rev().find_map(|each| Some((each.uid, console(each.tty)?)));
    let (uid, tty) = found.ok_or(Refusal::NoLogin)?;
    // `login` itself is root's; what it starts belongs to whoever logged in.
    let own = chain.iter().rev().filter(|each| console(each.tty).is_some());
    let uid = own.map(|each| each.uid).find(|uid| *uid != 0).unwrap_or(uid);
    Ok(Witness { uid, way: Way::Console { tty } })
}

/// The name of a terminal of the machine itself, by its device number as the kernel's `admin-guide/devices.txt` has it;
/// `None` for a pseudo-terminal, and for none.
fn console(device: u32) -> Option<String> {
    // As the kernel packs them in /proc: 12 bits of major number between the two parts of the minor.
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    match (major, minor) {
        (4, 1..64) => Some(format!("tty{minor}")),
        (4, 64..) => Some(format!("ttyS{}", minor - 64)),
        (204, 64..) => Some(format!("ttyAMA{}", minor - 64)),
        (229, _) => Some(format!("hvc{minor}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: Duration = Duration::from_secs(100);

    fn process(started: u64, uid: u32, tty: u32, sshd: Option<Sshd>) -> Ancestor {
        Ancestor { pid: 9, started: Duration::from_secs(started), tty, uid, sshd }
    }

    fn peer() -> IpAddr {
        "203.0.113.7".parse().unwrap()
    }

    /// `holdfast`, `sudo`, a shell, what serves the session, what serves the connection, the listener.
    fn ssh(connected: u64, from: IpAddr) -> Vec<Ancestor> {
        let pts = 136 << 8;
        vec![
            process(120, 0, pts, None),
            process(120, 0, pts, None),
            process(111, 1000, pts, None),
            process(111, 1000, 0, Some(Sshd::Serves(from))),
            process(connected, 0, 0, Some(Sshd::Serves(from))),
            process(3, 0, 0, Some(Sshd::Listener)),
        ]
    }

    fn judged(chain: &[Ancestor]) -> Result<Witness, Refusal> {
        judge(chain, SETTLED, &BTreeSet::from(["192.0.2.1".parse().unwrap()]))
    }

    #[test]
    fn a_new_connection_counts_and_an_old_one_does_not() {
        let connected = Duration::from_secs(110);
        let way = Way::Ssh { from: peer(), connected };
        assert_eq!(judged(&ssh(110, peer())), Ok(Witness { uid: 1000, way: way.clone() }));
        // the listener was replaced meanwhile, or systemd is it
        assert_eq!(judged(&ssh(110, peer())[..5]), Ok(Witness { uid: 1000, way }));
        // a new session in an old connection; and the very moment is not later
        for old in [20, 100] {
            assert!(matches!(judged(&ssh(old, peer())), Err(Refusal::Old { .. })), "{old}");
        }
    }

    #[test]
    fn the_host_itself_proves_nothing() {
        for from in ["127.0.0.1", "::1", "192.0.2.1"] {
            let from = from.parse().unwrap();
            assert_eq!(judged(&ssh(110, from)), Err(Refusal::Own { from }));
        }
    }

    #[test]
    fn one_process_for_all_of_root() {
        let mut chain = ssh(110, peer());
        chain.remove(3);
        chain[2].uid = 0;
        assert_eq!(judged(&chain).unwrap().uid, 0);
    }

    #[test]
    fn a_connection_that_cannot_be_seen_proves_nothing() {
        let mut chain = ssh(110, peer());
        for each in &mut chain[3..5] {
            each.sshd = Some(Sshd::Other);
        }
        assert_eq!(judged(&chain), Err(Refusal::NoLogin));
        // started by the listener itself
        assert_eq!(judged(&[chain[0].clone(), chain[5].clone()]), Err(Refusal::NoLogin));
    }

    #[test]
    fn an_sshd_started_in_an_old_session_is_the_nearest() {
        let mut chain = ssh(110, peer());
        chain.extend(ssh(20, peer()));
        assert!(judged(&chain).is_ok());
    }

    #[test]
    fn the_console_counts_and_what_has_left_it_does_not() {
        let serial = (4 << 8) | 64;
        let pts = 136 << 8;
        let login =
            [process(120, 0, pts, None), process(50, 1000, serial, None), process(40, 0, 0, None)];
        let tty = Way::Console { tty: "ttyS0".into() };
        assert_eq!(judged(&login), Ok(Witness { uid: 1000, way: tty }));
        // tmux: a pseudo-terminal, and nothing above it
        assert_eq!(
            judged(&[process(120, 0, pts, None), process(50, 0, 0, None)]),
            Err(Refusal::NoLogin)
        );
        // a terminal of the machine taken from within an SSH session
        let mut chain = ssh(20, peer());
        chain[1].tty = serial;
        assert!(matches!(judged(&chain), Err(Refusal::Old { .. })));
    }

    #[test]
    fn terminals_of_the_machine() {
        let device = |major: u32, minor: u32| (major << 8) | minor;
        assert_eq!(console(device(4, 1)).as_deref(), Some("tty1"));
        assert_eq!(console(device(4, 65)).as_deref(), Some("ttyS1"));
        assert_eq!(console(device(229, 0)).as_deref(), Some("hvc0"));
        assert_eq!(console(device(204, 64)).as_deref(), Some("ttyAMA0"));
        for other in [0, device(4, 0), device(136, 3), device(5, 0)] {
            assert_eq!(console(other), None, "{other}");
        }
    }
}
