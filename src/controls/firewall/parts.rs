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
