//! What systemd is asked to do with a unit, and how that ends.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use zbus::{OwnedObjectPath, Variant};

use super::{ManagerProxy, Systemd, bus, limited};
use crate::{engine::change::RunVerb, host::HostError};

/// How long a unit may take to start, stop or reload. systemd's own default is 90 s.
const JOB_LIMIT: Duration = Duration::from_secs(100);

impl Systemd {
    /// Starts, stops, restarts or reloads a unit and waits for the job's end. A unit that is not running is left so
    /// by restart and reload.
    ///
    /// # Errors
    /// [`HostError::Bus`], or [`HostError::Job`] when the job did not end as "done".
    pub(in crate::host) async fn run(&self, name: &str, verb: RunVerb) -> Result<(), HostError> {
        let (call, word) = match verb {
            RunVerb::Start => ("StartUnit", "start"),
            RunVerb::Stop => ("StopUnit", "stop"),
            RunVerb::Restart => ("TryRestartUnit", "restart"),
            RunVerb::Reload => ("ReloadUnit", "reload"),
        };
        if verb == RunVerb::Reload && !self.unit(name).await?.is_running() {
            return Ok(());
        }
        self.job((call, word, name), async |manager| {
            if verb != RunVerb::Reload {
                // Five starts in ten seconds, and systemd would leave a unit dead that ran until then; and one that
                // ended badly stays "failed" when it is stopped. It is of no account whether there is anything to reset.
                drop(manager.reset_failed_unit(name).await);
            }
            match verb {
                RunVerb::Start => manager.start_unit(name, "replace").await,
                RunVerb::Stop => manager.stop_unit(name, "replace").await,
                RunVerb::Restart => manager.try_restart_unit(name, "replace").await,
                RunVerb::Reload => manager.reload_unit(name, "replace").await,
            }
        })
        .await
    }

    /// Makes a timer that starts the service of its name once, after a while, and is gone then. It counts on the
    /// monotonic clock, which nobody sets.
    ///
    /// # Errors
    /// As [`Self::run`]; a service that is not there is one of them.
    pub(in crate::host) async fn start_timer(
        &self,
        name: &str,
        about: &str,
        after: Duration,
    ) -> Result<(), HostError> {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let properties = [
            ("Description", Variant::from(about)),
            ("TimersMonotonic", Variant::from(vec![("OnActiveSec", micros)])),
            ("AccuracyUSec", Variant::from(1_000_000_u64)),
            ("RemainAfterElapse", Variant::from(false)),
            // `systemctl isolate` stops what its target does not name, and this is named by none.
            ("IgnoreOnIsolate", Variant::from(true)),
        ];
        self.job(("StartTransientUnit", "start", name), async |manager| {
            manager.start_transient_unit(name, "fail", &properties, &[]).await
        })
        .await
    }

    /// Stops a unit, if systemd knows it, without waiting for its end.
    ///
    /// # Errors
    /// [`HostError::Bus`].
    pub(in crate::host) async fn stop_if_there(&self, name: &str) -> Result<(), HostError> {
        let work = async {
            match self.manager().await?.stop_unit(name, "replace").await {
                Err(zbus::Error::MethodError(error, ..)) if error.ends_with(".NoSuchUnit") => {
                    Ok(())
                }
                result => result.map(drop),
            }
        };
        limited(work).await.map_err(bus("StopUnit", name))
    }

    /// Has systemd begin a job and waits for its end. `what`: the call, the job in a word, the unit.
    async fn job(
        &self,
        what: (&'static str, &'static str, &str),
        begin: impl AsyncFnOnce(&ManagerProxy<'_>) -> zbus::Result<OwnedObjectPath>,
    ) -> Result<(), HostError> {
        let (call, word, name) = what;
        let work = async {
            let manager = self.manager().await?;
            self.subscribed.get_or_try_init(|| manager.subscribe()).await?;
            // Opened before the job is, or its end could be missed.
            let mut ended = manager.receive_job_removed().await?;
            let job = begin(&manager).await?;
            while let Some(signal) = ended.next().await {
                let args = signal.args()?;
                if args.job().as_str() == job.as_str() {
                    return Ok(args.result().clone());
                }
            }
            Err(zbus::Error::Failure("the bus closed before the job ended".to_owned()))
        };
        let result = match timeout(JOB_LIMIT, work).await {
            Ok(result) => result.map_err(bus(call, name))?,
            Err(_) => "still running".to_owned(),
        };
        if result == "done" {
            return Ok(());
        }
        Err(HostError::Job { verb: word, unit: name.to_owned(), result })
    }
}
