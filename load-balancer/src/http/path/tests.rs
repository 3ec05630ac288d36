use super::*;

#[test]
fn a_dot_segment_is_refused_however_it_is_spelt() {
    for path in [
        "/public/../admin",
        "/public/./admin",
        "/..",
        "/.",
        "/public/..",
        "/public/%2e%2e/admin",
        "/public/%2E./admin",
        "/public/.%2e/admin",
        "/public/%2e/admin",
        "/public%2f..%2fadmin",
        "/public/..%2Fadmin",
        "/public%2F%2e%2E/admin",
        "/public/..\\admin",
        "/public%5c..%5cadmin",
        "/public/..;x=1/admin",
    ] {
        assert_eq!(check(path), Err(Refusal::Path), "{path}");
    }
}

#[test]
fn dots_in_names_and_encoded_slashes_alone_are_served() {
    for path in
        ["/", "*", "", "/a.b/..c/d..", "/...", "/.well-known/x", "/a%2fb", "/%252e%252e/x", "/100%", "/%2"]
    {
        assert_eq!(check(path), Ok(()), "{path}");
    }
}
