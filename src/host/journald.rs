//! A word to journald at a priority that the `log` crate does not have.

use std::os::unix::net::UnixDatagram;

/// Where journald listens (systemd-journald.service(8)).
const SOCKET: &str = "/run/systemd/journal/socket";

/// Files an event at priority 2, `crit`. Without journald it goes nowhere: the caller says it on stderr too.
pub fn critical(message_id: &str, outcome: &str, text: &str) {
    let line = |text: &str| text.replace(char::is_control, " ");
    let payload = format!(
        "PRIORITY=2\nSYSLOG_IDENTIFIER=holdfast\nMESSAGE_ID={message_id}\nHOLDFAST_OUTCOME={}\nMESSAGE={}\n",
        line(outcome),
        line(text)
    );
    if let Ok(socket) = UnixDatagram::unbound() {
        // Nobody listens in a chroot or on a machine that only builds.
        drop(socket.send_to(payload.as_bytes(), SOCKET));
    }
}
