//! Whose a process is, by its control groups.

use serde::Serialize;

/// Who serves at a socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The process; the lowest where several share the socket.
    pub pid: u32,
    /// Its name, as the kernel has it.
    pub process: String,
    /// The systemd unit it runs in.
    pub unit: Option<String>,
    /// The container it runs in: the engine's id, or its name once the engine has said it.
    pub container: Option<String>,
}

/// A container's id as engines make them.
const ID_LENGTH: usize = 64;

/// The unit and the container that `/proc/PID/cgroup` tells of.
pub(super) fn of_cgroups(text: &str) -> (Option<String>, Option<String>) {
    let mut unit = None;
    let mut container = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        container = container.or_else(|| path.split('/').find_map(container_of));
        // Units are in the one hierarchy, or in systemd's own where there are several.
        if controllers.is_empty() || controllers == "name=systemd" {
            let found = path.split('/').rfind(|part| is_unit(part)).map(str::to_owned);
            unit = unit.or(found);
        }
    }
    (unit, container)
}

fn is_unit(part: &str) -> bool {
    [".service", ".scope", ".socket", ".mount"].iter().any(|kind| {
        part.strip_suffix(kind).is_some_and(|name| !name.is_empty()) && part != "init.scope"
    })
}

/// `docker-ID.scope`, `libpod-ID.scope`, `libpod-conmon-ID.scope`, or an id alone.
fn container_of(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit('-').next().unwrap_or(name);
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}
