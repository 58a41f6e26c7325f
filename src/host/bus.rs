//! systemd's manager over the system bus: the dozen calls holdfast makes, and no more.

use std::time::Duration;

use tokio::{sync::OnceCell, time::timeout};
use zbus::{
    Connection, Proxy, Variant, proxy,
    proxy::{CacheProperties, Defaults},
    wire::OwnedObjectPath,
};

mod jobs;
mod status;

use status::UnitProperties;
pub use status::{ServiceOutput, ServiceStatus, UnitStatus};

use super::HostError;
use crate::engine::change::UnitVerb;

/// How long systemd may take to answer a question.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// How long systemd may take to read its unit files again: what systemctl gives it (`DAEMON_RELOAD_TIMEOUT_SEC`, twice
/// the 90 s that generators have). A change that is taken back because the host is slow would never get in.
const RELOAD_LIMIT: Duration = Duration::from_secs(180);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn subscribe(&self) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn try_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[allow(clippy::type_complexity, reason = "the interface's own signature")]
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        aux: &[(&str, &[(&str, Variant<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;
    #[allow(clippy::type_complexity, reason = "the interface's own signature")]
    fn enable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<(bool, Vec<(String, String, String)>)>;
    fn disable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
    ) -> zbus::Result<Vec<(String, String, String)>>;
    fn mask_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<Vec<(String, String, String)>>;
    fn unmask_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
    ) -> zbus::Result<Vec<(String, String, String)>>;
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: zbus::wire::ObjectPath<'_>,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.DBus.Properties",
    default_service = "org.freedesktop.systemd1"
)]
trait Properties {
    fn get_all(&self, interface: &str) -> zbus::Result<UnitProperties>;
}

#[proxy(
    interface = "org.freedesktop.systemd1.Service",
    default_service = "org.freedesktop.systemd1"
)]
trait Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn exec_main_start_timestamp(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn exec_reload(&self) -> zbus::Result<Vec<Command>>;
    #[zbus(property)]
    fn standard_output(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn standard_error(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn log_namespace(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "org.freedesktop.systemd1.Socket",
    default_service = "org.freedesktop.systemd1"
)]
trait Socket {
    #[zbus(property)]
    fn listen(&self) -> zbus::Result<Vec<(String, String)>>;
}

/// A command of a service: path, arguments, whether failure is ignored, when it last began and ended (realtime and
/// monotonic microseconds), pid, code and status.
pub(super) type Command = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// A connection to systemd's manager.
#[derive(Debug)]
pub struct Systemd {
    pub(super) connection: Connection,
    /// Whether it tells us of ended jobs; it refuses to be asked twice.
    subscribed: OnceCell<()>,
}

impl Systemd {
    /// Connects to the system bus.
    ///
    /// # Errors
    /// [`HostError::NoBus`].
    pub async fn connect() -> Result<Self, HostError> {
        let no_bus = |source| HostError::NoBus { source: Box::new(source) };
        let connect = timeout(CALL_LIMIT, Connection::system()).await;
        let connection = connect
            .unwrap_or_else(|_| Err(zbus::Error::Failure("no answer".to_owned())))
            .map_err(no_bus)?;
        Ok(Self { connection, subscribed: OnceCell::new() })
    }

    async fn manager(&self) -> zbus::Result<ManagerProxy<'_>> {
        ManagerProxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await
    }

    /// One interface of a unit, loaded for the purpose if need be.
    async fn about<'a, P>(&'a self, name: &str) -> zbus::Result<P>
    where
        P: Defaults + From<Proxy<'a>>,
    {
        let path = self.path_of(name).await?;
        let proxy = proxy::Builder::new(&self.connection).path(path);
        proxy.cache_properties(CacheProperties::No).build().await
    }

    /// Where a unit is on the bus, loaded for the purpose if need be.
    pub(super) async fn path_of(&self, name: &str) -> zbus::Result<OwnedObjectPath> {
        self.manager().await?.load_unit(name).await
    }

    /// What systemd knows of a unit, loaded for the purpose if need be.
    ///
    /// # Errors
    /// [`HostError::Bus`].
    pub async fn unit(&self, name: &str) -> Result<UnitStatus, HostError> {
        let ask = async {
            // One call for all of them: systemd loads a unit that is not in use anew for every single one.
            let unit: PropertiesProxy<'_> = self.about(name).await?;
            unit.get_all("org.freedesktop.systemd1.Unit").await
        };
        limited(ask).await.map(UnitStatus::from).map_err(bus("LoadUnit", name))
    }

    /// What systemd knows of a service's processes.
    ///
    /// # Errors
    /// [`HostError::Bus`]; a unit that is not a service has none.
    pub async fn service(&self, name: &str) -> Result<ServiceStatus, HostError> {
        let ask = async {
            let service: ServiceProxy<'_> = self.about(name).await?;
            let (pid, main_started, reloads) = tokio::try_join!(
                service.main_pid(),
                service.exec_main_start_timestamp(),
                service.exec_reload()
            )?;
            let main_pid = (pid != 0).then_some(pid);
            let reloads = reloads.into_iter().map(|(_, _, _, begun, ..)| begun).collect();
            Ok(ServiceStatus { main_pid, main_started, reloads })
        };
        limited(ask).await.map_err(bus("its properties", name))
    }

    /// Where a service's output goes.
    ///
    /// # Errors
    /// [`HostError::Bus`]; a unit that is not a service has none.
    pub async fn output_of(&self, name: &str) -> Result<ServiceOutput, HostError> {
        let ask = async {
            let service: ServiceProxy<'_> = self.about(name).await?;
            let (output, error, namespace) = tokio::try_join!(
                service.standard_output(),
                service.standard_error(),
                service.log_namespace()
            )?;
            Ok(ServiceOutput { output, error, namespace })
        };
        limited(ask).await.map_err(bus("its properties", name))
    }

    /// The addresses on which a socket unit waits for TCP connections, as systemd writes them: `[::]:22`.
    ///
    /// # Errors
    /// [`HostError::Bus`]; a unit that is not a socket has none.
    pub async fn listens(&self, name: &str) -> Result<Vec<String>, HostError> {
        let ask = async {
            let socket: SocketProxy<'_> = self.about(name).await?;
            socket.listen().await
        };
        let all = limited(ask).await.map_err(bus("its addresses", name))?;
        let streams = all.into_iter().filter(|(kind, _)| kind == "Stream");
        Ok(streams.map(|(_, address)| address).collect())
    }

    /// Sets up a unit file and has systemd read it.
    ///
    /// # Errors
    /// [`HostError::Bus`].
    pub(super) async fn unit_file(&self, name: &str, verb: UnitVerb) -> Result<(), HostError> {
        let call = match verb {
            UnitVerb::Enable => "EnableUnitFiles",
            UnitVerb::Disable => "DisableUnitFiles",
            UnitVerb::Mask => "MaskUnitFiles",
            UnitVerb::Unmask => "UnmaskUnitFiles",
        };
        let work = async {
            let manager = self.manager().await?;
            match verb {
                UnitVerb::Enable => drop(manager.enable_unit_files(&[name], false, true).await?),
                UnitVerb::Disable => {
                    // What was enabled until the next boot only is so in a place of its own.
                    manager.disable_unit_files(&[name], true).await?;
                    manager.disable_unit_files(&[name], false).await?;
                }
                UnitVerb::Mask => drop(manager.mask_unit_files(&[name], false, true).await?),
                UnitVerb::Unmask => {
                    manager.unmask_unit_files(&[name], true).await?;
                    manager.unmask_unit_files(&[name], false).await?;
                }
            }
            manager.reload().await
        };
        within(RELOAD_LIMIT, work).await.map_err(bus(call, name))
    }

    /// Has systemd read its unit files again.
    ///
    /// # Errors
    /// [`HostError::Bus`].
    pub(super) async fn daemon_reload(&self) -> Result<(), HostError> {
        let work = async { self.manager().await?.reload().await };
        within(RELOAD_LIMIT, work).await.map_err(bus("Reload", "the manager"))
    }
}

pub(super) fn bus(call: &'static str, unit: &str) -> impl FnOnce(zbus::Error) -> HostError {
    let unit = unit.to_owned();
    move |source| HostError::Bus { call, unit, source: Box::new(source) }
}

pub(super) async fn limited<T>(work: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    within(CALL_LIMIT, work).await
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = zbus::Result<T>>,
) -> zbus::Result<T> {
    let late = || Err(zbus::Error::Failure(format!("no answer within {limit:?}")));
    timeout(limit, work).await.unwrap_or_else(|_| late())
}
