//! Networks cut into parts. Pure arithmetic.

use ipnet::IpNet;

/// Takes everything that lies in `nets` out of `rest`, and returns it.
pub(super) fn take_out(rest: &mut Vec<IpNet>, nets: &[IpNet]) -> Vec<IpNet> {
    let mut taken = Vec::new();
    for net in nets {
        let mut left = Vec::new();
        for part in rest.drain(..) {
            if net.contains(&part) {
                taken.push(part);
            } else if part.contains(net) {
                taken.push(*net);
                left.extend(without(part, *net));
            } else {
                left.push(part);
            }
        }
        *rest = left;
    }
    taken
}

/// The networks that make up `whole` without `part`, which lies in it: one for each bit of its prefix that is longer.
pub fn without(whole: IpNet, part: IpNet) -> Vec<IpNet> {
    let mut left = Vec::new();
    let mut at = part;
    while at.prefix_len() > whole.prefix_len() {
        let Some(parent) = at.supernet() else { break };
        let halves = parent.subnets(at.prefix_len()).into_iter().flatten();
        left.extend(halves.filter(|half| *half != at));
        at = parent;
    }
    left
}

/// Those of `nets`, which are sorted and have no overlaps, that have an address in common with `net`.
pub(super) fn overlapping(nets: &[IpNet], net: IpNet) -> &[IpNet] {
    let first = nets.partition_point(|each| each.broadcast() < net.network());
    let count = nets[first..].partition_point(|each| each.network() <= net.broadcast());
    &nets[first..first + count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(all: &[&str]) -> Vec<IpNet> {
        all.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn those_that_overlap() {
        let list = nets(&["10.0.0.0/8", "192.0.2.0/25", "192.0.2.200/32", "2001:db8::/32"]);
        let cases = [
            ("192.0.2.0/24", &list[1..3]),
            ("192.0.2.200/32", &list[2..3]),
            ("10.1.2.3/32", &list[..1]),
            ("0.0.0.0/0", &list[..3]),
            ("::/0", &list[3..]),
            ("11.0.0.0/8", &[]),
        ];
        for (net, expected) in cases {
            assert_eq!(overlapping(&list, net.parse().unwrap()), expected, "{net}");
        }
    }

    #[test]
    fn cut_out() {
        let mut rest = nets(&["192.0.2.0/30"]);
        let taken = take_out(&mut rest, &nets(&["192.0.2.1/32", "198.51.100.0/24"]));
        rest.sort();
        assert_eq!(
            (taken, rest),
            (nets(&["192.0.2.1/32"]), nets(&["192.0.2.0/32", "192.0.2.2/31"]))
        );
    }
}
