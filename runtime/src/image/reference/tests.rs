use super::*;
use proptest::prelude::*;

fn full(name: &str) -> String {
    name.parse::<Reference>().unwrap_or_else(|error| panic!("{name}: {error}")).to_string()
}

#[test]
fn short_names_mean_what_docker_means() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (given, meant) in [
        ("payment", "docker.io/library/payment:latest".to_owned()),
        ("payment:1", "docker.io/library/payment:1".to_owned()),
        ("shop/payment", "docker.io/shop/payment:latest".to_owned()),
        ("docker.io/payment", "docker.io/library/payment:latest".to_owned()),
        ("index.docker.io/payment", "docker.io/library/payment:latest".to_owned()),
        ("localhost/payment", "localhost/payment:latest".to_owned()),
        ("localhost:5000/payment:v1.2", "localhost:5000/payment:v1.2".to_owned()),
        ("ghcr.io/a/b/c__d:X", "ghcr.io/a/b/c__d:X".to_owned()),
        (&format!("payment@{digest}"), format!("docker.io/library/payment@{digest}")),
        (&format!("payment:1@{digest}"), format!("docker.io/library/payment:1@{digest}")),
    ] {
        assert_eq!(full(given), meant, "{given}");
    }
}

#[test]
fn familiar_names_leave_out_the_default_registry() {
    let familiar = |name: &str| name.parse::<Reference>().unwrap().familiar_name();
    assert_eq!(familiar("payment:1"), "payment");
    assert_eq!(familiar("shop/payment"), "shop/payment");
    assert_eq!(familiar("ghcr.io/shop/payment"), "ghcr.io/shop/payment");
}

#[test]
fn what_is_no_name_is_refused_with_its_reason() {
    let refused = |name: &str| name.parse::<Reference>().expect_err(name);
    for name in ["", ":tag", "@sha256:00"] {
        assert!(matches!(refused(name), ReferenceError::NoRepository { .. }), "{name}");
    }
    for name in ["Payment", "a//b", "/a", "a/", "a..b", "a___b", "-a", "a-", "a b", "é"] {
        assert!(matches!(refused(name), ReferenceError::Repository { .. }), "{name}");
    }
    for name in ["a:", "a:.x", "a:é", &format!("a:{}", "x".repeat(129))] {
        assert!(matches!(refused(name), ReferenceError::Tag { .. }), "{name}");
    }
    assert!(matches!(refused("a@md5:00"), ReferenceError::Digest { .. }));
    for name in ["ho_st.x/a", "../etc", "a:b:1/c"] {
        assert!(matches!(refused(name), ReferenceError::Registry { .. }), "{name}");
    }
    assert!(matches!(refused(&"a".repeat(300)), ReferenceError::TooLong { .. }));
}

proptest! {
    #[test]
    fn a_full_name_means_itself(name in "[a-zA-Z0-9_./:@-]{0,40}") {
        if let Ok(reference) = name.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
        }
    }
}
