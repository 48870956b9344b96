//! Sizes in settings, as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written as `64MiB`, `512KiB`, `1GiB` or `0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub usize);

/// Not a size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "not a size, write a whole number with KiB, MiB or GiB such as 64MiB, or a number of bytes"
)]
pub struct SizeError;

const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_unit = |(unit, bits)| Some((text.strip_suffix(unit)?, bits));
        let (digits, bits) = UNITS.into_iter().find_map(of_unit).unwrap_or((text, 0));
        let digits = digits.trim_end();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError);
        }
        let number: usize = digits.parse().map_err(|_| SizeError)?;
        number.checked_mul(1 << bits).map(Self).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |bits: u32| self.0 > 0 && self.0.is_multiple_of(1 << bits);
        match UNITS.into_iter().find(|(_, bits)| whole(*bits)) {
            Some((unit, bits)) => write!(formatter, "{}{unit}", self.0 >> bits),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_back() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("64MiB", 64 << 20, "64MiB"),
            ("64 MiB", 64 << 20, "64MiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("2GiB", 2 << 30, "2GiB"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, written));
        }
        for wrong in [
            "",
            "MiB",
            "-1",
            "+1",
            "1.5MiB",
            "64MB",
            "64M",
            "99999999999GiB",
            "1 2",
        ] {
            assert_eq!(wrong.parse::<Size>(), Err(SizeError), "{wrong}");
        }
    }
}
