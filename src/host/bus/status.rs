//! What systemd tells of a unit, as the rest of holdfast has it.

use zbus::{DeserializeDict, Type};

/// What systemd knows of a service's processes. Times are in microseconds since the epoch, 0 for never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its main process; `None` when it does not run.
    pub main_pid: Option<u32>,
    /// When that process was started.
    pub main_started: u64,
    /// When each command of its last reload was started; systemd forgets these when it reads its unit files again.
    pub reloads: Vec<u64>,
}

/// Where a service's output goes, as systemd has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceOutput {
    /// `StandardOutput=`: `journal`, `null`, `append` (without its path), …
    pub output: String,
    /// `StandardError=`; `inherit` for the same.
    pub error: String,
    /// `LogNamespace=`; empty for the journal of the host.
    pub namespace: String,
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitStatus {
    /// The unit's own name, where the one asked for is an alias.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// `enabled`, `disabled`, `static`, `masked`, `alias`, `indirect`, `generated`, … or empty.
    pub file: String,
    /// When its state last changed (a reload counts), in microseconds since the epoch; 0 for never.
    pub changed: u64,
    /// When it last became active, likewise.
    pub started: u64,
    /// When its last start was begun, likewise. On a busy machine systemd notes that when the process is at work already.
    pub begun: u64,
    /// When it last had ended, likewise.
    pub ended: u64,
    /// Where its unit file is; empty where it has none.
    pub fragment: String,
    /// Where its drop-ins are.
    pub drop_ins: Vec<String>,
    /// The units that start it together with themselves: what wants, requires or upholds it.
    pub wanted_by: Vec<String>,
    /// The sockets, timers and paths that can start it at any time.
    pub triggered_by: Vec<String>,
    /// The conditions under which its last start was skipped, as `ConditionVirtualization=!container`.
    pub unmet: Vec<String>,
}

impl UnitStatus {
    /// A unit of which systemd knows nothing.
    pub fn none(name: &str) -> Self {
        Self { id: name.to_owned(), load: "not-found".to_owned(), ..Self::default() }
    }

    /// Whether such a unit exists at all; a masked one does.
    pub fn exists(&self) -> bool {
        self.load != "not-found"
    }

    /// Whether it runs (or is about to, or is reloading).
    pub fn is_running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "activating")
    }
}

/// The properties of a unit that are used, as the bus gives them.
#[derive(Debug, Default, DeserializeDict, Type)]
#[zbus(signature = "a{sv}", rename_all = "PascalCase")]
pub(super) struct UnitProperties {
    id: Option<String>,
    load_state: Option<String>,
    active_state: Option<String>,
    unit_file_state: Option<String>,
    state_change_timestamp: Option<u64>,
    active_enter_timestamp: Option<u64>,
    inactive_exit_timestamp: Option<u64>,
    inactive_enter_timestamp: Option<u64>,
    fragment_path: Option<String>,
    drop_in_paths: Option<Vec<String>>,
    required_by: Option<Vec<String>>,
    requisite_of: Option<Vec<String>>,
    wanted_by: Option<Vec<String>>,
    upheld_by: Option<Vec<String>>,
    triggered_by: Option<Vec<String>>,
    conditions: Option<Vec<Condition>>,
}

/// A condition: its kind, whether one of many is enough, whether it is negated, its value, and how it came out when
/// the unit was last to be started: below 0 for wrong.
type Condition = (String, bool, bool, String, i32);

impl From<UnitProperties> for UnitStatus {
    fn from(found: UnitProperties) -> Self {
        let pulled = [found.required_by, found.requisite_of, found.wanted_by, found.upheld_by];
        let failed = found.conditions.unwrap_or_default().into_iter();
        let failed = failed.filter(|(.., state)| *state < 0);
        Self {
            id: found.id.unwrap_or_default(),
            load: found.load_state.unwrap_or_default(),
            active: found.active_state.unwrap_or_default(),
            file: found.unit_file_state.unwrap_or_default(),
            changed: found.state_change_timestamp.unwrap_or_default(),
            started: found.active_enter_timestamp.unwrap_or_default(),
            begun: found.inactive_exit_timestamp.unwrap_or_default(),
            ended: found.inactive_enter_timestamp.unwrap_or_default(),
            fragment: found.fragment_path.unwrap_or_default(),
            drop_ins: found.drop_in_paths.unwrap_or_default(),
            wanted_by: pulled.into_iter().flatten().flatten().collect(),
            triggered_by: found.triggered_by.unwrap_or_default(),
            unmet: failed
                .map(|(kind, _, negated, value, _)| {
                    format!("{kind}={}{value}", if negated { "!" } else { "" })
                })
                .collect(),
        }
    }
}
