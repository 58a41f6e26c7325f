//! `services`: which systemd units run, which do not, and which cannot. The timers of backups are among them: a profile
//! with a `[backup.NAME]` wants them enabled.
//!
//! All of it is asked of systemd over its bus, every unit at once and two calls each; no process is started. What a
//! unit's state means is decided in [`judge`](self::judge), what is done about it in [`compare`](self::compare).

mod checks;
mod compare;
mod judge;

use std::pin::Pin;

use futures_util::future::join_all;

use self::compare::{Asked, Compared, Wish};
use super::{Comparison, Control, Sight};
use crate::{
    engine::{
        change::{Change, RunVerb, UnitVerb},
        check::CheckMeta,
    },
    host::{Reader, bus::UnitStatus, unit_links::set_up_together},
    profile::schema::{Mode, Profile},
};

/// Where a unit file of an administrator's own is, and where masks are made.
const UNIT_DIR: &str = "/etc/systemd/system";

/// The control.
#[derive(Debug)]
pub struct Services;

impl Control for Services {
    fn name(&self) -> &'static str {
        "services"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn can_cut_off_login(&self, change: &Change) -> bool {
        match change {
            Change::UnitFile { verb, .. } => matches!(verb, UnitVerb::Disable | UnitVerb::Mask),
            Change::Run { verb, .. } => matches!(verb, RunVerb::Stop | RunVerb::Restart),
            _ => false,
        }
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        let timers = (!profile.backup.is_empty()).then_some(Mode::Enforce);
        profile.services.as_ref().map(|services| services.mode).or(timers)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        let wishes = wishes(profile);
        Box::pin(async move {
            let asked =
                join_all(wishes.into_iter().map(|(wish, name)| ask(sight.host, wish, name))).await;
            Box::new(Compared { asked }) as Box<dyn Comparison>
        })
    }
}

/// The timers of a backup: what makes it and what restores all of it.
const BACKUP_TIMERS: [&str; 2] = ["holdfast-backup", "holdfast-backup-drill"];

fn wishes(profile: &Profile) -> Vec<(Wish, String)> {
    let lists = profile.services.iter().flat_map(|services| {
        [
            (Wish::Enabled, &services.enabled),
            (Wish::Disabled, &services.disabled),
            (Wish::Masked, &services.masked),
        ]
    });
    let named = lists.flat_map(|(wish, units)| {
        units.iter().flatten().map(move |unit| (wish, unit.as_str().to_owned()))
    });
    let mut wishes: Vec<(Wish, String)> = named.collect();
    for name in profile.backup.keys() {
        let timers = BACKUP_TIMERS.map(|timer| format!("{timer}@{name}.timer"));
        // What the profile says of one of them itself comes first.
        let new = timers.into_iter().filter(|timer| !wishes.iter().any(|(_, unit)| unit == timer));
        let new: Vec<_> = new.map(|timer| (Wish::Enabled, timer)).collect();
        wishes.extend(new);
    }
    wishes
}

/// Asks systemd for a unit, and for those that can start it where that matters.
async fn ask(host: &Reader, wish: Wish, name: String) -> Asked {
    let unit = async |name: &str| host.systemd().await?.unit(name).await;
    let status = unit(&name).await.map_err(|error| error.chain());
    let mut triggers: Vec<UnitStatus> = Vec::new();
    if let (Wish::Disabled, Ok(status)) = (wish, &status) {
        let all = join_all(status.triggered_by.iter().map(|trigger| unit(trigger))).await;
        // One that cannot be asked is left out: it only adds to what is said.
        triggers = all.into_iter().flatten().filter(UnitStatus::is_running).collect();
    }
    let in_container = host.container().is_some();
    let own_file = format!("{UNIT_DIR}/{name}");
    // Where the unit files cannot be read nothing can be set up either.
    let together = set_up_together(host, &name).unwrap_or_default();
    let is_own = status.as_ref().is_ok_and(|status| status.fragment == own_file);
    Asked {
        wish,
        name,
        status,
        triggers,
        together,
        own_file: is_own.then_some(own_file),
        in_container,
    }
}
