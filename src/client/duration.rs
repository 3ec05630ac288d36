//! Lengths of time as users write them (`90s`, `1m30s`) and as kubectl shows them (`5m12s`, `3d4h`). Pure.

use std::time::Duration;

use jiff::Timestamp;

/// Reads `1h`, `2m30s`, `500ms`, or a bare number of seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is not a length of time such as 30s or 2m");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(problem)?;
        let amount: u32 = rest[..digits].parse().map_err(|_| problem())?;
        let unit = &rest[digits..];
        let length = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let one = match &unit[..length] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return Err(problem()),
        };
        total = one.checked_mul(amount).and_then(|part| total.checked_add(part)).ok_or_else(problem)?;
        rest = &unit[length..];
    }
    if text.is_empty() { Err(problem()) } else { Ok(total) }
}

/// How long ago something was, in two units at most. Source: apimachinery `pkg/util/duration`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests;
