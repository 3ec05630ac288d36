//! Kubernetes quantities: `500m`, `1.5`, `64Mi`, `1e3`. Exact, never through floating point.
//!
//! Source: apimachinery `pkg/api/resource/quantity.go`.

use std::fmt;
use std::str::FromStr;

/// Longest text that is read as a quantity.
const TEXT_LEN_MAX: usize = 64;
/// The largest magnitude: 2^63 - 1, in billionths.
const NANOS_MAX: i128 = (i64::MAX as i128) * NANO;
const NANO: i128 = 1_000_000_000;

/// An amount, in billionths, so that every suffix down to `n` is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

/// Text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity such as 500m, 1.5 or 64Mi")]
pub struct QuantityError {
    /// The text.
    pub text: String,
}

impl Quantity {
    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Thousandths, rounded up: what `cpu` is counted in. Negative reads as 0.
    pub fn milli(self) -> u64 {
        self.scaled(1_000_000)
    }

    /// Whole units, rounded up: bytes of `memory`, or a count. Negative reads as 0.
    pub fn whole(self) -> u64 {
        self.scaled(NANO)
    }

    /// Whether it is a whole number, as counts must be.
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    fn scaled(self, unit: i128) -> u64 {
        let units = self.nanos.max(0).unsigned_abs().div_ceil(unit.unsigned_abs());
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

/// The milli-CPU of a `cpu` quantity, rounded up.
pub fn milli_cpu(text: &str) -> Result<u64, QuantityError> {
    Quantity::from_str(text).map(Quantity::milli)
}

/// The bytes of a `memory` quantity, rounded up.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    Quantity::from_str(text).map(Quantity::whole)
}

/// Milli-CPU as Kubernetes prints them: `250m`, `2`.
pub fn format_milli_cpu(milli: u64) -> String {
    if milli.is_multiple_of(1_000) { (milli / 1_000).to_string() } else { format!("{milli}m") }
}

/// Bytes in the largest binary unit that leaves no remainder: `64Mi`, `1536Mi`, `1000`.
pub fn format_bytes(bytes: u64) -> String {
    let units = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let exact = units.iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    match exact {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        let error = || QuantityError { text: text.chars().take(TEXT_LEN_MAX).collect() };
        if text.len() > TEXT_LEN_MAX {
            return Err(error());
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let nanos = nanos(number, suffix).ok_or_else(error)?;
        Ok(Quantity { nanos: if negative { -nanos } else { nanos } })
    }
}

/// `number` times what `suffix` stands for, in billionths, rounded up and capped as Kubernetes does.
fn nanos(number: &str, suffix: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (binary, exponent) = multiplier(suffix)?;
    let mut mantissa: i128 = 0;
    let mut scale = exponent + 9;
    let mut inexact = false;
    for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if mantissa > i128::MAX / 100 {
            // Far beyond what counts: only the magnitude, and whether something was left, still matter.
            inexact |= digit != b'0';
            scale += i32::from(index < whole.len());
            continue;
        }
        mantissa = mantissa * 10 + i128::from(digit - b'0');
        scale -= i32::from(index >= whole.len());
    }
    Some(scaled(mantissa, scale, binary, inexact))
}

/// `mantissa * 10^scale * 2^binary`, rounded up, capped.
fn scaled(mut mantissa: i128, scale: i32, binary: u32, mut inexact: bool) -> i128 {
    let mut remaining = scale;
    let mut shift = binary;
    while mantissa != 0 && (remaining > 0 || shift > 0) {
        if mantissa > NANOS_MAX && remaining >= 0 {
            return NANOS_MAX;
        }
        if shift > 0 && mantissa < i128::MAX >> 10 {
            mantissa <<= 10;
            shift -= 10;
        } else if remaining > 0 {
            mantissa *= 10;
            remaining -= 1;
        } else {
            inexact |= mantissa % 10 != 0;
            mantissa /= 10;
            remaining += 1;
        }
    }
    while mantissa != 0 && remaining < 0 {
        inexact |= mantissa % 10 != 0;
        mantissa /= 10;
        remaining += 1;
    }
    (mantissa + i128::from(inexact)).min(NANOS_MAX)
}

/// What a suffix stands for: a power of two, and a power of ten.
fn multiplier(suffix: &str) -> Option<(u32, i32)> {
    let powers = match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse::<i16>().ok()?.into()),
    };
    Some(powers)
}

impl fmt::Display for Quantity {
    /// The canonical decimal form: `1500m`, `2`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [(NANO, ""), (NANO / 1_000, "m"), (NANO / 1_000_000, "u"), (1, "n")];
        let (unit, suffix) = unit.into_iter().find(|(unit, _)| self.nanos % unit == 0).unwrap_or((1, "n"));
        write!(formatter, "{}{suffix}", self.nanos / unit)
    }
}

#[cfg(test)]
mod tests;
