//! nft's text listing of a table as a before-image: what counts by itself is left out, and what ends by itself keeps the
//! moment at which it ends.
//!
//! nft says of an element how much of its time is left. Loaded again later, that would give it more time than it had;
//! so the time left becomes a moment here (`expires @1790000000`, seconds since the epoch), and what is left of it by
//! then when it is loaded. Elements that packets have added (sets with flag `dynamic`) come and go with the traffic and
//! are not part of the state, and nor are counts.

use jiff::Timestamp;

/// How much two readings of one end may differ, in seconds: nft's are rounded, and kernels keep time in ticks.
pub const TOLERANCE_SECONDS: i64 = 60;

/// Elements that end within so many seconds may be there or not.
const ABOUT_NOW_SECONDS: i64 = 5;

/// Makes a before-image of what nft listed at this moment (with counts and times, in numbers).
pub fn keep(text: &str, now: Timestamp) -> String {
    let text = without_counts(text);
    each_element(&text, |element, set| {
        if set.is_dynamic {
            return None;
        }
        Some(with_expiry(element, |left| {
            let left = seconds(left)?;
            Some(format!("@{}", now.as_second().saturating_add(left)))
        }))
    })
}

/// The text for nft that makes the table so again at this moment: what has ended by then is left out.
pub fn at(text: &str, now: Timestamp) -> String {
    each_element(text, |element, _| {
        let Some(end) = end_of(element) else { return Some(element.to_owned()) };
        let left = end.saturating_sub(now.as_second());
        if left <= 0 {
            return None;
        }
        // A clock that was set back must not give it more than it was ever given.
        let most = words(element)
            .windows(2)
            .find(|pair| pair[0] == "timeout")
            .and_then(|pair| seconds(pair[1]));
        let left = left.min(most.unwrap_or(i64::MAX));
        Some(with_expiry(element, |_| Some(format!("{left}s"))))
    })
}

/// Whether two before-images are of the same state, as seen at this moment.
pub fn is_same(one: &str, other: &str, now: Timestamp) -> bool {
    let (one, other) = (Sorted::of(one, now), Sorted::of(other, now));
    let is_near = |(a, b): (&i64, &i64)| a.abs_diff(*b) <= TOLERANCE_SECONDS.unsigned_abs();
    one.text == other.text
        && one.ends.len() == other.ends.len()
        && one.ends.iter().zip(&other.ends).all(is_near)
}

/// A listing whose order and remaining times mean nothing any more.
struct Sorted {
    /// Without times, elements sorted within their lines.
    text: String,
    /// The ends of the elements, in the order of the sorted elements.
    ends: Vec<i64>,
}

impl Sorted {
    fn of(text: &str, now: Timestamp) -> Self {
        let soon = now.as_second().saturating_add(ABOUT_NOW_SECONDS);
        let mut elements: Vec<(String, Option<i64>)> = Vec::new();
        let text = each_element(text, |element, set| {
            let end = end_of(element);
            if end.is_some_and(|end| end <= soon) {
                return None;
            }
            // What it was given once means nothing when it has been loaded with what was left of that.
            let mut kept = vec![set.name];
            let mut rest = words(element).into_iter();
            while let Some(word) = rest.next() {
                if matches!(word, "timeout" | "expires") {
                    rest.next();
                } else {
                    kept.push(word);
                }
            }
            elements.push((kept.join(" "), end));
            None
        });
        elements.sort();
        let ends = elements.iter().filter_map(|(_, end)| *end).collect();
        let elements: Vec<String> = elements
            .into_iter()
            .map(|(element, end)| format!("{element} {}", end.is_some()))
            .collect();
        Self { text: format!("{text}\n{}", elements.join("\n")), ends }
    }
}

/// The end of an element of a before-image, in seconds since the epoch.
fn end_of(element: &str) -> Option<i64> {
    let words = words(element);
    let pair = words.windows(2).find(|pair| pair[0] == "expires")?;
    pair[1].strip_prefix('@')?.parse().ok()
}

/// Replaces what follows the word `expires`, if it is there and the new one can be had.
fn with_expiry(element: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let words = words(element);
    let Some(at) = words.windows(2).position(|pair| pair[0] == "expires") else {
        return element.to_owned();
    };
    match replace(words[at + 1]) {
        Some(new) => {
            let mut words: Vec<&str> = words;
            words[at + 1] = &new;
            words.join(" ")
        }
        None => element.to_owned(),
    }
}

/// The words of an element; what is in quotes is one.
fn words(element: &str) -> Vec<&str> {
    let (mut words, mut quoted, mut start) = (Vec::new(), false, None);
    for (at, c) in element.char_indices() {
        if c == '"' {
            quoted = !quoted;
        }
        match (c.is_whitespace() && !quoted, start) {
            (true, Some(from)) => {
                words.push(&element[from..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| &element[from..]));
    words
}

/// A time as nft prints it, `1d2h3m4s5ms`, in whole seconds.
pub fn seconds(text: &str) -> Option<i64> {
    let (mut total_ms, mut rest) = (0i64, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "w" => 604_800_000,
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        total_ms = total_ms.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = tail;
    }
    Some(total_ms / 1000)
}

/// Takes the counts away: of rules, elements and named counters.
fn without_counts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let words = words(line);
        // The body of a named counter or quota.
        if let ["packets", packets, "bytes", bytes] = words.as_slice()
            && [packets, bytes].iter().all(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
        {
            continue;
        }
        let mut rest = line;
        for window in words.windows(5) {
            if let ["counter", "packets", packets, "bytes", bytes] = window {
                let counted = format!("counter packets {packets} bytes {bytes}");
                if let Some((before, after)) = rest.split_once(&counted) {
                    out.push_str(before);
                    out.push_str("counter");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
    }
    out
}

/// A set or map, as far as its listing has been read.
struct Set<'a> {
    /// The line that begins it.
    name: &'a str,
    /// Packets add to it.
    is_dynamic: bool,
}

/// Goes through the elements of every set and map: each becomes what `change` makes of it (it is told of
/// which set it is), or goes. All else stays as it is.
fn each_element(text: &str, mut change: impl FnMut(&str, &Set<'_>) -> Option<String>) -> String {
    const OPEN: &str = "elements = { ";
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let mut set = Set { name: "", is_dynamic: false };
    while !rest.is_empty() {
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim();
        if line.starts_with("set ") || line.starts_with("map ") {
            set = Set { name: line, is_dynamic: false };
        }
        if let Some(flags) = line.strip_prefix("flags ") {
            set.is_dynamic = flags.split(',').any(|flag| flag.trim() == "dynamic");
        }
        let body = rest.find(OPEN).filter(|at| line.starts_with(OPEN) && *at < end);
        let Some(at) = body else {
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        };
        let (elements, after) = split_elements(&rest[at + OPEN.len()..]);
        let kept: Vec<String> =
            elements.iter().filter_map(|element| change(element.trim(), &set)).collect();
        if kept.is_empty() {
            // An empty list is not what nft reads; the whole line goes.
            rest = after.strip_prefix('\n').unwrap_or(after);
        } else {
            out.push_str(&rest[..at + OPEN.len()]);
            out.push_str(&kept.join(",\n\t\t\t     "));
            out.push_str(" }");
            rest = after;
        }
    }
    out
}

/// The elements up to the brace that closes the list, and what follows it.
fn split_elements(text: &str) -> (Vec<&str>, &str) {
    let (mut elements, mut quoted, mut from) = (Vec::new(), false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                elements.push(&text[from..at]);
                from = at + 1;
            }
            '}' if !quoted => {
                elements.push(&text[from..at]);
                return (elements, &text[at + 1..]);
            }
            _ => {}
        }
    }
    elements.push(&text[from..]);
    (elements, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "table inet holdfast {\n\tset guests {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t\telements = { 10.0.0.0/8 timeout 1h30m expires 59m58s996ms, 11.0.0.0/8,\n\t\t\t     192.0.2.1 timeout 300s expires 3s comment \"a, b } expires 9h\" }\n\t}\n\n\tset rates {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 60s\n\t\telements = { 192.0.2.9 limit rate over 10/minute burst 10 packets expires 50s }\n\t}\n\n\tcounter all {\n\t\tpackets 7 bytes 700\n\t}\n\n\tchain input {\n\t\tcounter packets 1 bytes 20 accept comment \"counter packets 3 bytes 4\"\n\t}\n}\n";

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn keeps_ends_and_leaves_counts_and_traffic_out() {
        let kept = keep(LISTED, moment(1_000_000));
        assert_eq!(
            kept,
            "table inet holdfast {\n\tset guests {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t\telements = { 10.0.0.0/8 timeout 1h30m expires @1003598,\n\t\t\t     11.0.0.0/8,\n\t\t\t     192.0.2.1 timeout 300s expires @1000003 comment \"a, b } expires 9h\" }\n\t}\n\n\tset rates {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 60s\n\t}\n\n\tcounter all {\n\t}\n\n\tchain input {\n\t\tcounter accept comment \"counter packets 3 bytes 4\"\n\t}\n}\n"
        );
    }

    #[test]
    fn gives_back_what_is_left_and_no_more() {
        let kept = keep(LISTED, moment(1_000_000));
        let later = at(&kept, moment(1_000_010));
        assert!(later.contains("10.0.0.0/8 timeout 1h30m expires 3588s,"), "{later}");
        assert!(later.contains("11.0.0.0/8 }"), "{later}");
        assert!(!later.contains("192.0.2.1"), "it has ended: {later}");
        let none = at(&kept, moment(2_000_000));
        assert!(none.contains("elements = { 11.0.0.0/8 }"), "{none}");
        let back = at(&kept, moment(0));
        assert!(back.contains("10.0.0.0/8 timeout 1h30m expires 5400s"), "{back}");
        let only = kept.replace("11.0.0.0/8,\n\t\t\t     ", "");
        let empty = at(&only, moment(2_000_000));
        assert!(!empty.contains("elements"), "{empty}");
    }

    #[test]
    fn the_same_state_looks_different_later() {
        let before = keep(LISTED, moment(1_000_000));
        // Ten seconds on, loaded again: another time given, another order, one of them over.
        let after = "table inet holdfast {\n\tset guests {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t\telements = { 11.0.0.0/8, 10.0.0.0/8 timeout 3588s expires 3587s }\n\t}\n\n\tset rates {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 60s\n\t}\n\n\tcounter all {\n\t}\n\n\tchain input {\n\t\tcounter packets 9 bytes 9 accept comment \"counter packets 3 bytes 4\"\n\t}\n}\n";
        let now = moment(1_000_010);
        assert!(is_same(&before, &keep(after, now), now));
        let longer = after.replace("expires 3587s", "expires 3900s");
        assert!(!is_same(&before, &keep(&longer, now), now), "it was given more time");
        let forever = after.replace(" timeout 3588s expires 3587s", "");
        assert!(!is_same(&before, &keep(&forever, now), now), "it was made to last");
        let more = after.replace("11.0.0.0/8,", "11.0.0.0/8, 12.0.0.0/8,");
        assert!(!is_same(&before, &keep(&more, now), now), "one was added");
        let other = after.replace("accept", "drop");
        assert!(!is_same(&before, &keep(&other, now), now), "a rule is another");
    }

    #[test]
    fn times_are_read_as_nft_prints_them() {
        assert_eq!(seconds("1d2h3m4s5ms"), Some(93_784));
        assert_eq!(seconds("5399s"), Some(5399));
        for bad in ["", "s", "5", "5y", "@7"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
