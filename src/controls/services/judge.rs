//! What systemd's words for a unit's state mean for what a profile wants: pure.
//!
//! | unit file state | at boot |
//! |---|---|
//! | `enabled`, `alias` | starts |
//! | `enabled-runtime`, `linked-runtime`, `masked-runtime`, `transient` | only so until the reboot |
//! | `static`, `indirect`, `generated` | starts if another unit wants, requires or triggers it |
//! | `disabled`, `linked`, `masked`, `bad`, none | does not start |

use super::compare::{Asked, Wish};
use crate::{engine::check::Verdict, host::bus::UnitStatus};

/// Whether a unit starts at the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtBoot {
    /// Of itself.
    Starts,
    /// Because of other units, and it cannot be enabled or disabled itself.
    Pulled,
    /// Not.
    Stays,
    /// It is enabled, but only until then.
    Runtime,
}

/// What a unit's state means for the next boot.
pub(super) fn at_boot(unit: &UnitStatus) -> AtBoot {
    match unit.file.as_str() {
        "enabled" | "alias" => AtBoot::Starts,
        "enabled-runtime" | "linked-runtime" | "transient" => AtBoot::Runtime,
        "static" | "indirect" | "generated"
            if !unit.wanted_by.is_empty() || !unit.triggered_by.is_empty() =>
        {
            AtBoot::Pulled
        }
        _ => AtBoot::Stays,
    }
}

/// Whether such a unit can be enabled and disabled: it has an `[Install]` section and a file of its own.
pub(super) fn can_be_set_up(unit: &UnitStatus) -> bool {
    !matches!(unit.file.as_str(), "static" | "generated" | "transient" | "bad" | "")
}

/// Whether a unit is masked, and stays so.
pub(super) fn is_masked(unit: &UnitStatus) -> bool {
    unit.load == "masked" && unit.file != "masked-runtime"
}

/// What was found against what was wished for.
pub(super) fn judge(asked: &Asked) -> Verdict {
    let unit = match &asked.status {
        Ok(unit) => unit,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    if !unit.exists() {
        return match asked.wish {
            Wish::Enabled => Verdict::Differs { observed: "not installed".to_owned() },
            Wish::Disabled | Wish::Masked => {
                Verdict::NotApplicable { why: "not installed".to_owned() }
            }
        };
    }
    let (holds, excuse) = match asked.wish {
        Wish::Enabled => enabled(asked, unit),
        Wish::Disabled => (disabled(unit), None),
        Wish::Masked => (is_masked(unit) && !is_active(unit), None),
    };
    if let Some(why) = excuse {
        return Verdict::NotApplicable { why };
    }
    let observed = describe(asked, unit);
    if holds { Verdict::Holds { observed } } else { Verdict::Differs { observed } }
}

/// Running, or on its way there or back.
pub(super) fn is_active(unit: &UnitStatus) -> bool {
    !matches!(unit.active.as_str(), "inactive" | "failed")
}

/// Enabled and active; or the reason why a unit is not for this host.
fn enabled(asked: &Asked, unit: &UnitStatus) -> (bool, Option<String>) {
    let starts = matches!(at_boot(unit), AtBoot::Starts | AtBoot::Pulled);
    let holds = starts && matches!(unit.active.as_str(), "active" | "reloading");
    // Debian's own units say so when they are of no use in a container; any other condition is a fault.
    let of_container = |unmet: &String| unmet == "ConditionVirtualization=!container";
    let excused = asked.in_container && unit.unmet.iter().any(of_container) && !holds;
    (holds, excused.then(|| "it does not run in containers (ConditionVirtualization)".to_owned()))
}

fn disabled(unit: &UnitStatus) -> bool {
    let stays = match at_boot(unit) {
        AtBoot::Stays => true,
        AtBoot::Starts | AtBoot::Runtime => false,
        // What a socket or timer may start later is said, and held against a unit only when it runs.
        AtBoot::Pulled => unit.wanted_by.is_empty(),
    };
    (stays || unit.load == "masked") && !is_active(unit)
}

/// A unit's state in words.
fn describe(asked: &Asked, unit: &UnitStatus) -> String {
    let file = if unit.load == "masked" && unit.file.is_empty() { "masked" } else { &unit.file };
    let mut words = vec![if file.is_empty() { unit.load.clone() } else { file.to_owned() }];
    words.push(unit.active.clone());
    let mut text = words.join(", ");
    if unit.id != asked.name {
        text = format!("another name of {}: {text}", unit.id);
    }
    let mut notes: Vec<String> = Vec::new();
    if file.ends_with("-runtime") {
        notes.push("only until the next boot".to_owned());
    }
    match asked.wish {
        Wish::Enabled => {
            if at_boot(unit) == AtBoot::Stays && !can_be_set_up(unit) && unit.load != "masked" {
                notes.push("it cannot be enabled, and no other unit starts it".to_owned());
            }
            if !is_active(unit) && !unit.unmet.is_empty() {
                notes.push(format!("not met: {}", unit.unmet.join(", ")));
            }
            if unit.load == "error" || unit.load == "bad-setting" {
                notes.push(format!("its unit file is faulty; see: systemctl status {}", unit.id));
            }
        }
        Wish::Disabled => {
            if at_boot(unit) == AtBoot::Pulled && !unit.wanted_by.is_empty() && !can_be_set_up(unit)
            {
                notes.push(format!("started by {}; mask it", unit.wanted_by.join(", ")));
            }
            let triggers: Vec<&str> =
                asked.triggers.iter().map(|trigger| trigger.id.as_str()).collect();
            if !triggers.is_empty() && unit.load != "masked" {
                notes.push(format!("{} can still start it", triggers.join(", ")));
            }
        }
        Wish::Masked => {
            if let Some(file) = asked.own_file.as_ref().filter(|_| unit.load != "masked") {
                notes.push(format!("{file} is in the way of a mask; move it away"));
            } else if unit.id != asked.name {
                notes.push("list that one".to_owned());
            }
        }
    }
    if notes.is_empty() { text } else { format!("{text} ({})", notes.join("; ")) }
}
