//! How systemd starts a service: its command line, and what of its environment is asked for.

use std::fmt;

use zbus::{proxy, proxy::CacheProperties};

use super::{
    HostError,
    bus::{Command, Systemd, bus, limited},
};

#[proxy(
    interface = "org.freedesktop.systemd1.Service",
    default_service = "org.freedesktop.systemd1"
)]
trait Launching {
    #[zbus(property)]
    fn exec_start(&self) -> zbus::Result<Vec<Command>>;
    #[zbus(property)]
    fn environment(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn environment_files(&self) -> zbus::Result<Vec<(String, bool)>>;
}

/// How systemd starts a service. Not for printing: passwords stand in command lines.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ServiceLaunch {
    /// The last of its commands, the program first, as the unit has it: variables are not replaced.
    pub command: Vec<String>,
    /// The value that `Environment=` gives to the one variable that was asked for.
    pub variable: Option<String>,
    /// Its `EnvironmentFile=`s in order, and whether each may be missing. They win over `Environment=`.
    pub environment_files: Vec<(String, bool)>,
}

impl fmt::Debug for ServiceLaunch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceLaunch").finish_non_exhaustive()
    }
}

impl Systemd {
    /// How systemd starts a service; `None` when there is no such unit. Of its environment only `variable` is kept, in
    /// whatever case it is written: the rest may be secret.
    ///
    /// # Errors
    /// [`HostError::Bus`]; a unit that is not a service has none.
    pub async fn launch(
        &self,
        name: &str,
        variable: &str,
    ) -> Result<Option<ServiceLaunch>, HostError> {
        if !self.unit(name).await?.exists() {
            return Ok(None);
        }
        let ask = async {
            let path = self.path_of(name).await?;
            let service = LaunchingProxy::builder(&self.connection)
                .path(path)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            let (commands, environment, environment_files) = tokio::try_join!(
                service.exec_start(),
                service.environment(),
                service.environment_files()
            )?;
            let assigned = environment.iter().filter_map(|each| each.split_once('='));
            let assigned = assigned.filter(|(name, _)| name.eq_ignore_ascii_case(variable));
            Ok(ServiceLaunch {
                command: commands
                    .into_iter()
                    .next_back()
                    .map(|command| command.1)
                    .unwrap_or_default(),
                variable: assigned.map(|(_, value)| value.to_owned()).next_back(),
                environment_files,
            })
        };
        limited(ask).await.map(Some).map_err(bus("its properties", name))
    }
}
