//! Which JSON value a YAML scalar stands for, as Kubernetes' tools have it: YAML 1.1's `yes` and `0644` included,
//! because manifests in the wild are written for them.

use serde_json::{Number, Value};

/// The value of a plain (unquoted) scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    integer(text).or_else(|| float(text, unsigned))
}

/// Decimal, `0x`, `0o`, `0b`, and octal by a leading zero.
fn integer(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'0'..=b'9', ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Number::from);
    signed.or_else(|| sign.is_empty().then(|| u64::from_str_radix(digits, radix).ok().map(Number::from))?)
}

/// Digits with a point or an exponent; JSON has no infinity, so what overflows is text.
fn float(text: &str, unsigned: &str) -> Option<Number> {
    let written = unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let has_digit =
        unsigned.split(['e', 'E']).next().is_some_and(|part| part.bytes().any(|b| b.is_ascii_digit()));
    if !written || !has_digit {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}
