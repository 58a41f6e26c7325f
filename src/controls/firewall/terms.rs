//! The few words of nft's language that the ruleset is made of, over the typed schema of the `nftables` crate.
//! Ports and protocols are numbers here: names depend on `/etc/services` and `/etc/protocols`.

use nftables::{
    expr::{
        BinaryOperation, CT, CTDir, Expression, Meta, MetaKey, NamedExpression, Payload,
        PayloadField, Prefix, Range, SetItem,
    },
    schema::{NfListObject, Rule},
    stmt::{
        Accept, AnonymousCounter, Counter, Drop, JumpTarget, Limit, Log, LogLevel, Match, Operator,
        Statement,
    },
    types::NfFamily,
};

use crate::{
    host::nft::TABLE,
    profile::types::{Interface, Rate, RateUnit},
};

/// The chain that judges what is sent to this host.
pub(super) const INPUT: &str = "input";

/// One rule. The comment says what it is for, in listings and in findings.
pub(super) fn rule(
    chain: &'static str,
    comment: impl Into<String>,
    expr: Vec<Statement<'static>>,
) -> NfListObject<'static> {
    NfListObject::Rule(Rule {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        chain: chain.into(),
        expr: expr.into(),
        comment: Some(comment.into().into()),
        ..Rule::default()
    })
}

/// Lets the packet in, as far as this table is concerned.
pub(super) const fn accept() -> Statement<'static> {
    Statement::Accept(None::<Accept>)
}

/// Drops the packet, whatever other tables say.
pub(super) const fn drop_it() -> Statement<'static> {
    Statement::Drop(None::<Drop>)
}

/// Goes on in another chain, and comes back when nothing there decides.
pub(super) fn jump(chain: &'static str) -> Statement<'static> {
    Statement::Jump(JumpTarget { target: chain.into() })
}

/// Counts the packet.
pub(super) const fn count() -> Statement<'static> {
    Statement::Counter(Counter::Anonymous(None::<AnonymousCounter>))
}

/// Lets a rule go on for so many packets only.
pub(super) fn at_most(rate: Rate, burst: u32) -> Statement<'static> {
    Statement::Limit(Limit {
        rate: rate.count,
        rate_unit: None,
        per: Some(rate.per.as_str().into()),
        burst: Some(burst),
        burst_unit: None,
        inv: None,
    })
}

/// So many a second.
pub(super) const fn per_second(count: u32) -> Rate {
    Rate { count, per: RateUnit::Second }
}

/// Writes the packet's headers to the kernel's log.
pub(super) fn log(prefix: &'static str) -> Statement<'static> {
    let to_kernel_log = Log::new(None);
    Statement::Log(Some(Log {
        prefix: Some(prefix.into()),
        level: Some(LogLevel::Info),
        ..to_kernel_log
    }))
}

/// Goes on only if both sides are equal, or the left one is in the set on the right.
pub(super) const fn is(
    left: Expression<'static>,
    right: Expression<'static>,
) -> Statement<'static> {
    Statement::Match(Match { left, right, op: Operator::EQ })
}

/// Goes on only if the connection is in one of these states.
pub(super) fn ct_state(states: &[&'static str]) -> Statement<'static> {
    let right = match states {
        [only] => Expression::String((*only).into()),
        several => Expression::List(
            several.iter().map(|state| Expression::String((*state).into())).collect(),
        ),
    };
    Statement::Match(Match { left: tracked("state", None), right, op: Operator::IN })
}

/// Goes on only if the connection's destination has been replaced, as container engines do to publish a port.
pub(super) fn is_dnat() -> Statement<'static> {
    let right = Expression::String("dnat".into());
    Statement::Match(Match { left: tracked("status", None), right, op: Operator::IN })
}

/// The port that the connection was opened to, before its destination was replaced.
pub(super) fn first_port() -> Expression<'static> {
    tracked("proto-dst", Some(CTDir::Original))
}

/// What connection tracking knows.
fn tracked(key: &'static str, dir: Option<CTDir>) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir }))
}

/// Only packets of this protocol.
pub(super) fn protocol(number_of_it: u8) -> Statement<'static> {
    is(meta(MetaKey::L4proto), number(number_of_it))
}

/// Only packets that entered by an interface of this name or pattern. By name, never by index: interfaces come and go,
/// and a rule by index cannot even be loaded before there is one.
pub(super) fn enters_by(interface: &Interface) -> Statement<'static> {
    is(meta(MetaKey::Iifname), Expression::String(interface.to_string().into()))
}

/// A field of a packet's header.
pub(super) fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

/// The loopback interface. By index: `lo` always is the first, in every network namespace, and cannot be renamed away.
pub(super) fn from_loopback() -> Statement<'static> {
    is(meta(MetaKey::Iif), Expression::String("lo".into()))
}

/// Only packets of one version of IP, `ipv4` or `ipv6`.
pub(super) fn ip_version(name: &'static str) -> Statement<'static> {
    is(meta(MetaKey::Nfproto), Expression::String(name.into()))
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

/// Only packets that leave by an interface of this name or pattern.
pub(super) fn leaves_by(interface: &Interface) -> Statement<'static> {
    is(meta(MetaKey::Oifname), Expression::String(interface.to_string().into()))
}

/// What leaves by the loopback interface: see [`from_loopback`].
pub(super) fn to_loopback() -> Statement<'static> {
    is(meta(MetaKey::Oif), Expression::String("lo".into()))
}

/// What of an address this mask leaves.
pub(super) fn masked(address: Expression<'static>, mask: &'static str) -> Expression<'static> {
    let mask = Expression::String(mask.into());
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(address, mask)))
}

/// What is in a set of this name.
pub(super) fn from_set(name: &str) -> Expression<'static> {
    Expression::String(format!("@{name}").into())
}

/// A number.
pub(super) fn number(value: impl Into<u32>) -> Expression<'static> {
    Expression::Number(value.into())
}

/// An unbroken run of numbers, both ends included; a single one where they are equal.
pub(super) fn run(first: u16, last: u16) -> Expression<'static> {
    if first == last {
        return number(first);
    }
    Expression::Range(Box::new(Range { range: [number(first), number(last)] }))
}

/// A network.
pub(super) fn prefix(address: &impl ToString, len: u8) -> Expression<'static> {
    let addr = Box::new(Expression::String(address.to_string().into()));
    Expression::Named(NamedExpression::Prefix(Prefix { addr, len: len.into() }))
}

/// Any of these.
pub(super) fn any_of(items: impl IntoIterator<Item = Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Set(items.into_iter().map(SetItem::Element).collect()))
}

/// Any of these numbers.
pub(super) fn numbers(values: &[u8]) -> Expression<'static> {
    any_of(values.iter().map(|value| number(*value)))
}
