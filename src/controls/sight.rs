//! One look at a host by every control: what several of them want to know is asked once, and all judge by one answer.

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    firewall::Facts,
    ssh::{self, Answers},
};
use crate::{
    host::{Reader, nft, seen},
    profile::schema::Firewall,
};

/// A look under way. The next look needs another one: nothing in here is asked twice.
#[derive(Debug)]
pub struct Sight<'a> {
    /// The host that is looked at.
    pub host: &'a Reader,
    /// Whether a person is to be shown what a change would do, as text.
    pub has_previews: bool,
    facts: OnceCell<Result<Facts, String>>,
    looped: OnceCell<bool>,
    tables: OnceCell<Declared>,
    sshd: OnceCell<Answers>,
}

/// All that nft has, without the elements of sets.
#[derive(Debug)]
pub(super) struct Declared {
    /// Which tables there were just before.
    pub(super) before: Option<seen::Tables>,
    /// nft's JSON listing, or why there is none.
    pub(super) listing: Result<Value, String>,
}

impl<'a> Sight<'a> {
    /// A look that begins.
    pub fn of(host: &'a Reader) -> Self {
        Self {
            host,
            has_previews: false,
            facts: OnceCell::new(),
            looped: OnceCell::new(),
            tables: OnceCell::new(),
            sshd: OnceCell::new(),
        }
    }

    /// The same, for a person who is shown what changes would do.
    #[must_use]
    pub fn with_previews(self) -> Self {
        Self { has_previews: true, ..self }
    }

    /// What the desired table depends on beside the profile; the section is the profile's one.
    pub(super) async fn facts(&self, section: &Firewall) -> &Result<Facts, String> {
        self.facts.get_or_init(|| Facts::gather(section, self)).await
    }

    /// Whether a packet was sent over loopback, and arrived: before any table is listed, so that what counts packets has
    /// had one to count.
    pub(super) async fn looped(&self) -> bool {
        *self.looped.get_or_init(|| self.host.loop_a_packet()).await
    }

    /// All tables, without the elements of sets: however large these are, one listing serves whoever does not ask for
    /// them.
    pub(super) async fn tables(&self) -> &Declared {
        let list = async || {
            self.looped().await;
            // Where the kernel does not tell, what the sets hold is not known by it.
            let before = self.host.tables().ok();
            let listing = self.host.ask("nft", &nft::DECLARED).await;
            let listing = listing.and_then(nft::as_json).map_err(|error| error.chain());
            Declared { before, listing }
        };
        self.tables.get_or_init(list).await
    }

    /// What sshd says it would do with any login.
    pub(super) async fn sshd(&self) -> &Answers {
        self.sshd.get_or_init(|| ssh::ask(self.host, None)).await
    }
}
