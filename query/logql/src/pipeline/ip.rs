//! `ip("..")`: addresses in a text, compared with an address, a network or a range.
//!
//! A text is searched for what may begin an address; from there, whatever characters an address has are one, or none. So
//! `10.0.0.1.` is no address, and a port behind an IPv6 address spoils it: Loki's rule. Source: Loki `pkg/logql/log/ip.go`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::StageFault;

/// Addresses that a filter looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpMatcher {
    low: IpAddr,
    high: IpAddr,
}

impl IpMatcher {
    /// Reads `addr`, `addr/bits` or `low-high`, without spaces, of either family.
    ///
    /// # Errors
    /// [`StageFault::Ip`] for anything else.
    pub fn new(pattern: &str) -> Result<Self, StageFault> {
        let bounds = match (pattern.split_once('-'), pattern.split_once('/')) {
            (Some((low, high)), _) => low.parse().ok().zip(high.parse().ok()),
            (None, Some((address, bits))) => network(address, bits),
            (None, None) => pattern.parse().ok().map(|address| (address, address)),
        };
        let bounds = bounds.filter(|(low, high): &(IpAddr, IpAddr)| low.is_ipv4() == high.is_ipv4() && low <= high);
        let (low, high) = bounds.ok_or_else(|| StageFault::Ip { pattern: pattern.to_owned() })?;
        Ok(IpMatcher { low, high })
    }

    /// Whether `text` has an address that is looked for.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let length = if begins_v4(rest) {
                span(rest, |c| c.is_ascii_digit() || c == b'.')
            } else if begins_v6(rest) {
                span(rest, |c| c.is_ascii_hexdigit() || c == b':' || c == b'.')
            } else {
                0
            };
            if length > 0 && self.holds(&rest[..length]) {
                return true;
            }
            at += length + 1;
        }
        false
    }

    fn holds(&self, address: &[u8]) -> bool {
        let address = std::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
        address.is_some_and(|a| a.is_ipv4() == self.low.is_ipv4() && self.low <= a && a <= self.high)
    }
}

fn network(address: &str, bits: &str) -> Option<(IpAddr, IpAddr)> {
    let is_number = bits.bytes().all(|c| c.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u32 = bits.parse().ok().filter(|_| is_number)?;
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let low = address.to_bits() & !host;
            (bits <= 32).then(|| (IpAddr::V4(Ipv4Addr::from_bits(low)), IpAddr::V4(Ipv4Addr::from_bits(low | host))))
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            let low = address.to_bits() & !host;
            (bits <= 128).then(|| (IpAddr::V6(Ipv6Addr::from_bits(low)), IpAddr::V6(Ipv6Addr::from_bits(low | host))))
        }
    }
}

fn span(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|c| !belongs(*c)).unwrap_or(text.len())
}

/// A digit and a dot within three characters behind it.
fn begins_v4(text: &[u8]) -> bool {
    matches!(text, [a, b, c, d, ..] if a.is_ascii_digit() && (*b == b'.' || *c == b'.' || *d == b'.'))
}

/// `::` and a digit, or up to four digits and a colon; five characters at least.
fn begins_v6(text: &[u8]) -> bool {
    let Some(start) = text.first_chunk::<5>() else { return false };
    if start.starts_with(b"::") {
        return start[2].is_ascii_hexdigit();
    }
    let digits = span(start, |c| c.is_ascii_hexdigit());
    (1..=4).contains(&digits) && start[digits] == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for good in ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.1-10.0.0.9", "::1", "2001:db8::/32", "::1-::9", "::/0"] {
            assert!(IpMatcher::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "10.0.0", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1 - 10.0.0.2", "10.0.0.1-::1", "::/129", "1.2.3.4/08", "x"]
        {
            assert!(IpMatcher::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_in_a_text() {
        #[track_caller]
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(IpMatcher::new(pattern).unwrap().is_in(text.as_bytes()), expected);
        }
        check("10.0.0.0/8", "from 10.5.3.2 to 192.168.0.1", true);
        check("10.0.0.0/8", "from 11.5.3.2", false);
        check("192.168.0.1", "1.2.3.4 192.168.0.1", true);
        check("192.168.0.1", "at 192.168.0.1:8080", true);
        check("192.168.0.1", "at 192.168.0.1.", false); // the dot belongs to the run
        check("2001:db8::/32", "client 2001:db8::17 asked", true);
        check("2001:db8::/32", "client [2001:db8::17]", true);
        check("::1", "on ::1 now", true);
        check("0.0.0.0/0", "", false);
        check("0.0.0.0/0", "::ffff:1.2.3.4", false); // another family
    }
}
