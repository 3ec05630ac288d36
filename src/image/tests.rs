use super::*;

fn summary(name: &str, size_bytes: u64, created: Option<&str>) -> ImageSummary {
    ImageSummary {
        reference: name.parse().expect("a name"),
        digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
        size_bytes,
        created: created.map(str::to_owned),
        stored_at: 1_700_000_000,
    }
}

#[test]
fn the_table_is_aligned() {
    let images = [
        summary("shop/payment:1", 12_345_678, Some("2026-01-02T03:04:05.678Z")),
        summary("redis", 999, Some("1970-01-01T00:00:00Z")),
    ];
    assert_eq!(
        table(&images),
        "NAME           TAG      DIGEST         SIZE     CREATED\n\
         shop/payment   1        0123456789ab   12.3MB   2026-01-02T03:04:05Z\n\
         redis          latest   0123456789ab   999B     2023-11-14T22:13:20Z\n"
    );
}

#[test]
fn sizes_have_three_digits() {
    for (bytes, text) in [
        (0, "0B"),
        (999, "999B"),
        (1_000, "1.00kB"),
        (9_990, "9.99kB"),
        (12_340, "12.3kB"),
        (999_499, "999kB"),
        (999_999, "1.00MB"),
        (u64::MAX, "18446744TB"),
    ] {
        assert_eq!(human_size(bytes), text, "{bytes}");
    }
}

#[test]
fn further_files_need_an_absolute_place() {
    assert!(extra_file("a:/b").is_ok());
    for wrong in ["a", "a:b", ":/b", ""] {
        assert!(extra_file(wrong).is_err(), "{wrong}");
    }
}
