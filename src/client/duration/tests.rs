use super::*;

#[test]
fn lengths_are_read_in_all_units() {
    for (text, millis) in
        [("30s", 30_000), ("1m30s", 90_000), ("250ms", 250), ("10", 10_000), ("1h", 3_600_000), ("0s", 0)]
    {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "s", "1", "1x", "-1s", "1.5s", "99999999999s", "1s2"] {
        assert_eq!(parse(text).is_err(), text != "1", "{text}");
    }
}

#[test]
fn ages_read_like_kubectls() {
    let now = Timestamp::from_second(1_000_000_000).unwrap();
    for (seconds, shown) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (1_200, "20m"),
        (11_000, "3h3m"),
        (100_000, "27h"),
        (180_000, "2d2h"),
        (864_000, "10d"),
        (70_000_000, "2y80d"),
        (-5, "0s"),
    ] {
        assert_eq!(age(Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now), shown, "{seconds}");
    }
}
