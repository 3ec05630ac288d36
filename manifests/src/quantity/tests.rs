use proptest::prelude::*;

use super::*;

#[test]
fn cpu_is_read_in_all_its_spellings() {
    for (text, milli) in [
        ("1", 1_000),
        ("0.5", 500),
        (".5", 500),
        ("500m", 500),
        ("1.", 1_000),
        ("0.1m", 1),
        ("1e1", 10_000),
        ("+2", 2_000),
        ("100u", 1),
    ] {
        assert_eq!(milli_cpu(text), Ok(milli), "{text}");
    }
}

#[test]
fn memory_is_read_in_all_its_units() {
    for (text, expected) in [
        ("0", 0),
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("1k", 1_000),
        ("1E", 1_000_000_000_000_000_000),
        ("1e3", 1_000),
        ("12E2", 1_200),
        ("128974848000m", 128_974_848),
        ("7Ei", 7 << 60),
        ("0.0000000001Ki", 1),
    ] {
        assert_eq!(bytes(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_too_large_is_capped_and_what_is_negative_reads_as_nothing() {
    let largest = i64::MAX.unsigned_abs();
    for text in ["1e999", "100Ei", "99999999999999999999999999999999999999999999999999", "90000P"] {
        assert_eq!(bytes(text), Ok(largest), "{text}");
    }
    assert_eq!(bytes("-5"), Ok(0));
    assert!(Quantity::from_str("-1m").unwrap().is_negative());
    assert_eq!(bytes("1e-30"), Ok(1));
    assert_eq!(bytes("0e30000"), Ok(0));
}

#[test]
fn what_is_no_quantity_is_refused() {
    let long = "1".repeat(65);
    for text in [
        "",
        ".",
        "m",
        "1 Mi",
        "1mi",
        "1MiB",
        "1.2.3",
        "--1",
        "0x1",
        "1e",
        "1e99999999",
        "Infinity",
        "１",
        &long,
    ] {
        assert!(Quantity::from_str(text).is_err(), "{text}");
    }
}

#[test]
fn amounts_print_as_kubernetes_prints_them() {
    assert_eq!((format_milli_cpu(1_500), format_milli_cpu(2_000)), ("1500m".into(), "2".into()));
    assert_eq!(
        (format_bytes(64 << 20), format_bytes(1_000), format_bytes(0)),
        ("64Mi".into(), "1000".into(), "0".into())
    );
    assert_eq!(Quantity::from_str("1.5").unwrap().to_string(), "1500m");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,70}|[-+0-9.eEkMGKi]{0,40}") {
        let _ = Quantity::from_str(&text);
    }

    #[test]
    fn printed_amounts_read_back(amount in any::<u32>()) {
        let amount = u64::from(amount);
        prop_assert_eq!(milli_cpu(&format_milli_cpu(amount)), Ok(amount));
        prop_assert_eq!(bytes(&format_bytes(amount)), Ok(amount));
    }
}
