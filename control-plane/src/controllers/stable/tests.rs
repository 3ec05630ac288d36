use super::*;

#[test]
fn the_same_parts_give_the_same_name_in_every_release() {
    assert_eq!(hash([b"a".as_slice()]), 0x089b_c907_b544_c769);
    assert_eq!(name("payment", &suffix(hash([b"a".as_slice()]), 5)), "payment-z2wm8");
}

#[test]
fn parts_do_not_run_into_each_other() {
    assert_ne!(hash([b"ab".as_slice(), b"c"]), hash([b"a".as_slice(), b"bc"]));
}

#[test]
fn a_long_base_is_shortened_to_leave_a_label() {
    let name = name(&"x".repeat(80), &suffix(7, 10));
    assert_eq!(name.len(), 63);
}
