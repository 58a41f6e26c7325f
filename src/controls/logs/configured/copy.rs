//! The copy that rsyslog keeps of the journal, and for how long.

use super::checks;
use crate::{
    engine::check::{Judgement, Verdict},
    host::{HostError, Reader},
};

/// The daemon, and how its files are rotated, as Debian's package has them.
const UNIT: &str = "rsyslog.service";
const RULE: &str = "/etc/logrotate.d/rsyslog";

/// rsyslog's copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// How many days its files are kept for; `None` where the rule does not tell.
    days: Option<u64>,
}

/// Reads whether there is one; `None` where no rsyslog runs.
pub(super) async fn read(host: &Reader) -> Result<Option<Copy>, String> {
    let ask = async {
        let unit = host.systemd().await?.unit(UNIT).await?;
        if !unit.is_running() {
            return Ok(None);
        }
        let rule = host.files().text(RULE)?;
        Ok(Some(Copy { days: rule.as_deref().and_then(days) }))
    };
    ask.await.map_err(|error: HostError| error.chain())
}

/// For how long a rule of logrotate's keeps files: so many, each of so long; or until an age.
fn days(rule: &str) -> Option<u64> {
    let (mut each, mut files, mut age) = (None, None, None);
    for line in rule.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("hourly" | "daily"), _) => each = Some(1),
            (Some("weekly"), _) => each = Some(7),
            (Some("monthly"), _) => each = Some(30),
            (Some("yearly"), _) => each = Some(365),
            (Some("rotate"), Some(number)) => files = number.parse::<u64>().ok(),
            (Some("maxage"), Some(number)) => age = number.parse::<u64>().ok(),
            _ => {}
        }
    }
    let by_number = each.zip(files).map(|(each, files): (u64, u64)| each.saturating_mul(files));
    [by_number, age].into_iter().flatten().min()
}

/// Told, and no finding.
pub(super) fn judge(found: &Result<Option<Copy>, String>) -> Judgement {
    let verdict = match found {
        Err(why) => Verdict::Unknown { why: why.clone() },
        Ok(None) => Verdict::NotApplicable { why: "no rsyslog runs here".to_owned() },
        Ok(Some(Copy { days: Some(days) })) => {
            Verdict::Holds { observed: format!("rsyslog keeps a second copy for {days} days") }
        }
        Ok(Some(Copy { days: None })) => Verdict::Holds {
            observed: format!("rsyslog keeps a second copy; {RULE} does not say for how long"),
        },
    };
    Judgement::new(checks::COPY, "whatever there is, is known", verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_rule_keeps() {
        let debian = "/var/log/syslog\n{\n\trotate 4\n\tweekly\n\tmissingok\n\tcompress\n\tpostrotate\n\
                      \t\t/usr/lib/rsyslog/rsyslog-rotate\n\tendscript\n}\n";
        assert_eq!(days(debian), Some(28));
        assert_eq!(days("daily\nrotate 100\nmaxage 5\n"), Some(5));
        assert_eq!(days("# daily\nrotate 100\n"), None);
        assert_eq!(days(""), None);
    }
}
