//! Whether a table is nothing but a table. Who owns one can make it run their code as whoever asks for its rows: by a view
//! in its place, a type of its own with a cast to what is asked for, or anything that PostgreSQL evaluates as it plans (an
//! index over a function, statistics over one: relcache.c, `RelationGetIndexExpressions`; plancat.c, `get_relation_info`);
//! and as whoever adds rows, by a trigger, a default, a constraint. The owner of a signer's database is not to become
//! holdfast's role, nor a superuser.
//!
//! What is found holds for as long as the table is locked, where rows are added. Who may only read can take no lock that
//! keeps an index from being made meanwhile, so what COPY can give is asked for with that: it plans nothing (copyto.c).

use super::{
    judge::DKG_TABLE,
    server::{ServerError, Session},
};

/// What is done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Its rows are asked for.
    Read,
    /// Rows are added.
    Write,
}

/// What a table has, whatever is done with it: its columns' types, and all of its parts that need what is not PostgreSQL's
/// own, which is pinned, so that no dependency is kept of it. An enum's functions are PostgreSQL's. `{t}` is its number.
const PARTS: &str = "\
WITH columns AS (SELECT a.attname, t.oid AS type, t.typtype, n.nspname = 'pg_catalog' AS is_known \
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace \
WHERE a.attrelid = {t} AND a.attnum > 0 AND NOT a.attisdropped), \
made AS (SELECT d.classid, d.objid FROM pg_depend d WHERE d.refclassid NOT IN ('pg_class'::regclass, \
'pg_namespace'::regclass, 'pg_constraint'::regclass, 'pg_collation'::regclass, 'pg_extension'::regclass) \
AND NOT (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT oid FROM pg_type WHERE typtype = 'e')))";

/// What is wrong with a table whichever way it is used.
const READING: &str = "\
SELECT 'it is no table' AS fault WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = {t} AND relkind = 'r') \
UNION ALL SELECT DISTINCT 'it has heirs or partitions, or is one' FROM pg_inherits WHERE {t} IN (inhparent, inhrelid) \
UNION ALL SELECT 'its column ' || quote_ident(attname) || ' has a type that somebody made' FROM columns \
WHERE NOT is_known AND typtype <> 'e' \
UNION ALL SELECT DISTINCT 'a type of it has a cast that somebody wrote' FROM pg_cast, columns \
WHERE NOT is_known AND castfunc <> 0 AND type IN (castsource, casttarget) \
UNION ALL SELECT DISTINCT 'an index, a constraint or a statistic of it uses what somebody made' FROM made WHERE \
(classid = 'pg_class'::regclass AND objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = {t})) OR \
(classid = 'pg_constraint'::regclass AND objid IN (SELECT oid FROM pg_constraint WHERE conrelid = {t})) OR \
(classid = 'pg_statistic_ext'::regclass AND objid IN (SELECT oid FROM pg_statistic_ext WHERE stxrelid = {t}))";

/// What is wrong with one to which rows are added.
const WRITING: &str = "\
UNION ALL SELECT DISTINCT 'it has a trigger' FROM pg_trigger WHERE tgrelid = {t} AND NOT tgisinternal \
UNION ALL SELECT DISTINCT 'it has a rule' FROM pg_rewrite WHERE ev_class = {t} \
UNION ALL SELECT DISTINCT 'a default of it uses what somebody made' FROM made \
WHERE classid = 'pg_attrdef'::regclass AND objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = {t})";

/// What is wrong with one whose status is not what it is cast to as it is put back: the type of that name may be a domain,
/// whose constraints would run.
const STATUS: &str = "\
UNION ALL SELECT 'its status is not of the enum sbtc_signer.dkg_shares_status' WHERE NOT EXISTS (SELECT FROM columns \
WHERE attname = 'dkg_shares_status' AND typtype = 'e' AND type = to_regtype('sbtc_signer.dkg_shares_status'))";

/// Asks what is wrong with a table that is there, one thing on a line; nothing: it is a table.
pub(super) fn question(table: &str, what: Use) -> String {
    let more = if what == Use::Write { WRITING } else { "" };
    let status = if table == DKG_TABLE { STATUS } else { "" };
    let number = format!("'{table}'::regclass");
    format!("{PARTS} {READING} {more} {status}").replace("{t}", &number)
}

/// The values of a column of a table, in no order; nothing is planned for it.
///
/// # Errors
/// When it is no table, or may not be read.
pub(super) fn column(
    session: Session,
    table: &str,
    column: &str,
) -> Result<(Session, Vec<String>), ServerError> {
    // What separates columns is written with a backslash within a value: none looks like the end of an answer.
    let copy = format!("COPY {table} ({column}) TO STDOUT (FORMAT text, DELIMITER '-')");
    let (session, answer) = session.ask(&copy)?;
    Ok((session, answer.lines().map(value).collect()))
}

/// A value of COPY's text format as it was.
fn value(line: &str) -> String {
    let (mut value, mut rest) = (String::new(), line.chars());
    while let Some(each) = rest.next() {
        value.push(match each {
            '\\' => match rest.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    value
}

/// What the answer comes to.
pub(super) fn judge(table: &str, answer: &str) -> Result<(), ServerError> {
    let faults: Vec<_> = answer.lines().filter(|line| !line.is_empty()).collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(ServerError::NotPlain { table: table.to_owned(), faults: faults.join(", ") })
}

/// Whether a table is there. One that is stays as it is found until the transaction ends.
///
/// # Errors
/// When it is not a table alone, or somebody else's lock on it lasts too long.
pub(super) fn table(
    session: Session,
    table: &str,
    what: Use,
) -> Result<(Session, bool), ServerError> {
    let (session, there) = session.ask(&format!("SELECT to_regclass('{table}') IS NOT NULL"))?;
    if there.trim() != "t" {
        return Ok((session, false));
    }
    let mode = match what {
        Use::Read => "ACCESS SHARE",
        Use::Write => "SHARE ROW EXCLUSIVE",
    };
    let (session, _) = session.ask(&format!("LOCK TABLE {table} IN {mode} MODE"))?;
    let (session, faults) = session.ask(&question(table, what))?;
    judge(table, &faults)?;
    Ok((session, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_whatever_is_in_it() {
        assert_eq!(value("0001\\-first"), "0001-first");
        assert_eq!(value("a\\nb\\\\n\\t\\r\\v\\f\\b"), "a\nb\\n\t\r\u{b}\u{c}\u{8}");
        assert_eq!(value("\\"), "\\");
    }

    #[test]
    fn only_dkg_rows_have_a_status() {
        assert!(question(DKG_TABLE, Use::Read).contains("of the enum"));
        assert!(!question("sbtc_signer.bitcoin_blocks", Use::Read).contains("of the enum"));
    }
}
