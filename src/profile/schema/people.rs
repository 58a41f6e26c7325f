//! Who: the profile's own description, people, and the waivers they approve.

use jiff::{Timestamp, civil};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::types::{
    AgeRecipient, CheckId, HttpUrl, Moment, SshKey, Text, TimeZoneName, Until, UserName,
};

/// What a profile is and where it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What this profile is for, in one line. Absent: reports name the file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,

    /// Where the profile is kept and reviewed. Absent: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<HttpUrl>,
}

/// A person with a part in running this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's account name, by which the rest of the profile refers to them.
    pub name: UserName,

    /// The person's public keys. Absent: not managed. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_keys: Option<Vec<SshKey>>,

    /// To whom what this person keeps is encrypted: backups, for one. Absent: they can open none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_recipient: Option<AgeRecipient>,

    /// Where the person's day is. Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZoneName>,

    /// The last day of this person's part, for somebody who has left. What they signed by then goes on to count, and nothing
    /// that is newer does: keep them here for as long as it is in use. Absent: they are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

impl Person {
    /// Whether what they sign at a moment counts; if not, the last day on which it did.
    ///
    /// # Errors
    /// That day.
    pub fn is_here(&self, at: Timestamp) -> Result<(), Until> {
        match self.until {
            Some(until) if at >= Moment::Day(until).end() => Err(until),
            _ => Ok(()),
        }
    }
}

/// Leave for one check to fail, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The check that may fail, or with `/` and a name the part of it.
    pub check: CheckId,

    /// Why it may; every report repeats this.
    pub reason: Text,

    /// Who answers for it.
    pub approved_by: UserName,

    /// The last day it counts. From the next day on the check fails as if nothing had been waived.
    pub until: Until,
}

impl Waiver {
    /// Whether it counts for nothing by `today`.
    pub fn is_expired(&self, today: civil::Date) -> bool {
        self.until.is_over(today)
    }
}
