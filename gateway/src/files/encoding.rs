//! `Accept-Encoding` (RFC 9110 §12.5.3).

use http::{HeaderMap, header};

/// A coding of content that clients may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Encoding {
    Brotli,
    Zstd,
    Gzip,
}

/// Weights in thousandths; 0 = not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    weights: [u16; Encoding::ALL.len()],
    identity: u16,
}

// === impl Encoding ===

impl Encoding {
    /// In the order of what they save.
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Name in `Content-Encoding`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// End of the names of files.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }
}

// === impl Accepted ===

impl Accepted {
    /// Without the field nothing is compressed: who does not name a coding may not know it.
    pub(super) fn read(request: &HeaderMap) -> Self {
        let mut given: [Option<u16>; Encoding::ALL.len()] = Default::default();
        let (mut identity, mut others) = (None, None);
        let lines = request.get_all(header::ACCEPT_ENCODING).iter();
        for item in lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
        {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let coding = coding.trim().to_ascii_lowercase();
            let weight = Some(weight(parameters));
            match coding.as_str() {
                "identity" => identity = weight,
                "*" => others = weight,
                "x-gzip" => given[2] = weight,
                coding => {
                    let known = Encoding::ALL
                        .iter()
                        .position(|known| known.token() == coding);
                    if let Some(known) = known {
                        given[known] = weight;
                    }
                }
            }
        }
        Self {
            weights: given.map(|weight| weight.or(others).unwrap_or(0)),
            identity: identity.unwrap_or(0),
        }
    }

    /// The codings that are accepted and not liked less than none, best first.
    pub(super) fn in_order(&self, codings: &[Encoding]) -> Vec<Encoding> {
        let mut accepted: Vec<_> = Encoding::ALL
            .iter()
            .zip(self.weights)
            .filter(|(coding, weight)| {
                *weight > 0 && *weight >= self.identity && codings.contains(coding)
            })
            .collect();
        // Stable, so of equal ones the one that saves more.
        accepted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        accepted.into_iter().map(|(coding, _)| *coding).collect()
    }

    /// The first of them.
    pub(super) fn best(&self, codings: &[Encoding]) -> Option<Encoding> {
        self.in_order(codings).first().copied()
    }
}

/// `q=` with up to three decimals (RFC 9110 §12.4.2); what is something else counts as 0, as if it had not been named.
fn weight(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    let Some((name, value)) = parameters.split_once('=') else {
        return if parameters.is_empty() { 1000 } else { 0 };
    };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 0;
    }
    let value = value.trim();
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, is_number) {
        ("0", true) => format!("{decimals:0<3}").parse().unwrap_or(0),
        ("1", true) if decimals.bytes().all(|byte| byte == b'0') => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(line: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, line.parse().unwrap());
        let codings = Accepted::read(&headers).in_order(&Encoding::ALL);
        let tokens: Vec<_> = codings.into_iter().map(Encoding::token).collect();
        tokens.join(" ")
    }

    #[test]
    fn weights_decide_and_savings_break_ties() {
        for (line, expected) in [
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZIP;Q=0.5, br ; q=0.4", "gzip br"),
            ("br;q=0, *", "zstd gzip"),
            ("*;q=0", ""),
            ("gzip;q=0.000, br;q=1.000", "br"),
            ("identity;q=0.5, gzip;q=0.4, br;q=0.6", "br"),
            ("gzip;q=1.5, br;q=x, zstd;level=1", ""),
            ("identity", ""),
            ("", ""),
        ] {
            assert_eq!(order(line), expected, "{line}");
        }
        assert_eq!(Accepted::read(&HeaderMap::new()), Accepted::default());
    }

    proptest! {
        #[test]
        fn anything_is_read_and_nothing_refused_is_used(line in "[a-z0-9*;=.,q ]{0,40}") {
            let codings = order(&line);
            prop_assert!(codings.is_empty() || line.contains('*') || codings.split(' ').all(|coding| line.contains(coding)));
        }
    }
}
