//! The rules that every host has: without them IP itself does not work, or the host loses its address.
//!
//! ICMP follows RFC 4890 §4.4 (traffic to the host itself). It comes before `ct state invalid drop`, because connection
//! tracking does not track neighbour discovery, and calls an ICMP error invalid whose connection it has forgotten.

use nftables::{schema::NfListObject, stmt::Statement};

use super::terms::{
    INPUT, accept, any_of, at_most, count, ct_state, drop_it, field, from_loopback, ip_version, is,
    log, number, numbers, per_second, prefix, rule, run,
};
use crate::profile::schema::Firewall;

/// The comment of the rule that counts every packet; it is found by it.
pub(super) const SEEN: &str = "packets to this host";
/// The comment of the rules that log what was dropped.
pub(super) const LOGGED: &str = "log of what is not let in";
/// The comment of the rule that counts what was not let in.
pub(super) const DROPPED: &str = "not let in";

/// What the kernel's log begins each dropped packet with.
const LOG_PREFIX: &str = "holdfast drop: ";

/// The hop limit of a packet that no router has forwarded: the sender is on the same link.
const NOT_FORWARDED: u8 = 255;

/// Pings answered per second, and at once. Enough for several monitors; too few to be of use in a flood.
const PINGS: (u32, u32) = (10, 20);

/// First of all: what is counted, and what never left this host.
pub(super) fn first() -> Vec<NfListObject<'static>> {
    vec![
        rule(INPUT, SEEN, vec![count()]),
        rule(INPUT, "this host to itself", vec![from_loopback(), accept()]),
    ]
}

/// What has been let in before.
pub(super) fn answers() -> NfListObject<'static> {
    rule(
        INPUT,
        "answers to this host, and what was let in before",
        vec![ct_state(&["established", "related"]), accept()],
    )
}

/// What IPv6 and IPv4 need to work at all.
pub(super) fn icmp() -> Vec<NfListObject<'static>> {
    let icmpv6 = |types| is(field("icmpv6", "type"), types);
    let on_link = || is(field("ip6", "hoplimit"), number(NOT_FORWARDED));
    vec![
        icmpv6_errors(INPUT),
        // Solicitations and advertisements of routers and neighbours, forward and inverse. Redirects (137) are not among
        // them: RFC 4890 leaves them to the operator, and a server has one router.
        rule(
            INPUT,
            "neighbour discovery, from this link",
            vec![icmpv6(numbers(&[133, 134, 135, 136, 141, 142])), on_link(), accept()],
        ),
        rule(
            INPUT,
            "secure neighbour discovery, from this link",
            vec![icmpv6(numbers(&[148, 149])), on_link(), accept()],
        ),
        // A host that is only just getting its address reports from `::`.
        rule(
            INPUT,
            "multicast listeners, from this link",
            vec![
                is(field("ip6", "saddr"), any_of([unspecified(), link_local()])),
                icmpv6(numbers(&[130, 131, 132, 143])),
                accept(),
            ],
        ),
        rule(
            INPUT,
            "multicast routers, from this link",
            vec![is(field("ip6", "saddr"), link_local()), icmpv6(run(151, 153)), accept()],
        ),
        icmp_errors(INPUT),
    ]
}

/// Answers to pings, at a limited rate, if the section wants them.
pub(super) fn ping(section: &Firewall) -> Vec<NfListObject<'static>> {
    let echo_request = |(protocol, number_of_it): (&'static str, u8)| {
        let statements = vec![
            is(field(protocol, "type"), number(number_of_it)),
            at_most(per_second(PINGS.0), PINGS.1),
            accept(),
        ];
        rule(INPUT, "ping", statements)
    };
    let requests = if section.ping { &[("icmpv6", 128), ("icmp", 8)][..] } else { &[] };
    requests.iter().copied().map(echo_request).collect()
}

/// Destination unreachable, packet too big, time exceeded, parameter problem.
pub(super) fn icmpv6_errors(chain: &'static str) -> NfListObject<'static> {
    rule(chain, "icmpv6 errors", vec![is(field("icmpv6", "type"), run(1, 4)), accept()])
}

/// Destination unreachable ("fragmentation needed" is one), time exceeded, parameter problem.
pub(super) fn icmp_errors(chain: &'static str) -> NfListObject<'static> {
    rule(chain, "icmp errors", vec![is(field("icmp", "type"), numbers(&[3, 11, 12])), accept()])
}

/// What no rule has let through. The policy says the same, and is not enough: the kernel takes all rules of a new table
/// into force at once, but the policy of each of its chains only later, when those of the old table are gone already.
/// For some microseconds everything would be let in (tests/gap.rs has seen it).
pub(super) fn rest(chain: &'static str) -> NfListObject<'static> {
    rule(chain, "nothing else", vec![drop_it()])
}

/// What belongs to no connection and opens none.
pub(super) fn invalid() -> NfListObject<'static> {
    rule(INPUT, "belongs to no connection", vec![ct_state(&["invalid"]), drop_it()])
}

/// The log of what is dropped, if the section wants one. The limit is the log's; what follows drops every packet.
pub(super) fn log_drops(section: &Firewall, chain: &'static str) -> Option<NfListObject<'static>> {
    let drops = &section.log_drops;
    let statements = || vec![at_most(drops.rate, drops.burst), log(LOG_PREFIX)];
    drops.enabled.then(|| rule(chain, LOGGED, statements()))
}

/// Offers and answers of DHCP servers. They answer broadcasts and multicasts, so to connection tracking they are no
/// answers; a host that loses its lease hours after an apply is locked out without anybody near.
pub(super) fn dhcp() -> Vec<NfListObject<'static>> {
    let udp = |from: u16, to: u16| -> [Statement<'static>; 2] {
        [is(field("udp", "sport"), number(from)), is(field("udp", "dport"), number(to))]
    };
    let [from_server, to_client] = udp(67, 68);
    let [from_server6, to_client6] = udp(547, 546);
    vec![
        rule(
            INPUT,
            "dhcp to its client",
            vec![ip_version("ipv4"), from_server, to_client, accept()],
        ),
        rule(
            INPUT,
            "dhcpv6 to its client",
            vec![is(field("ip6", "saddr"), link_local()), from_server6, to_client6, accept()],
        ),
    ]
}

fn link_local() -> nftables::expr::Expression<'static> {
    prefix(&"fe80::", 10)
}

fn unspecified() -> nftables::expr::Expression<'static> {
    nftables::expr::Expression::String("::".into())
}
