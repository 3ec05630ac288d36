//! Ages, as kubectl writes them: two units at most, fewer as it gets longer.

use jiff::Timestamp;
use manifests::Object;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How long an object has been there.
pub(super) fn age_of(object: &Object, now: Timestamp) -> String {
    object.creation_timestamp().map_or_else(|| "<unknown>".to_owned(), |then| since(then, now))
}

/// How long ago a time was that an object tells.
pub(super) fn since_text(text: Option<&str>, now: Timestamp) -> String {
    let then = text.and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or_else(|| "<unknown>".to_owned(), |then| since(then, now))
}

fn since(then: Timestamp, now: Timestamp) -> String {
    duration(now.as_second().saturating_sub(then.as_second()))
}

fn duration(seconds: i64) -> String {
    let pair = |large: i64, a: char, small: i64, b: char| {
        let (whole, rest) = (seconds / large, seconds % large / small);
        if rest == 0 { format!("{whole}{a}") } else { format!("{whole}{a}{rest}{b}") }
    };
    match seconds {
        // Clocks differ by a little; an age is never negative.
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(MINUTE, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(HOUR, 'h', MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(DAY, 'd', HOUR, 'h'),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(YEAR, 'y', DAY, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_fewer_units_the_longer_it_gets() {
        let cases = [
            (-3, "0s"),
            (59, "59s"),
            (119, "119s"),
            (120, "2m"),
            (135, "2m15s"),
            (3_599, "59m"),
            (3 * HOUR + 5 * MINUTE, "3h5m"),
            (9 * HOUR + 5 * MINUTE, "9h"),
            (2 * DAY + HOUR, "2d1h"),
            (30 * DAY, "30d"),
            (3 * YEAR, "3y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected);
        }
    }
}
