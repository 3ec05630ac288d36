use super::*;

#[test]
fn names_that_kubernetes_takes_pass() {
    for text in ["a", "payment-2", "0"] {
        assert_eq!(dns_label(text), Ok(()), "{text}");
    }
    assert_eq!(dns_subdomain("shop.example.com"), Ok(()));
    assert_eq!(qualified_name("app.kubernetes.io/name"), Ok(()));
    assert_eq!(wildcard_subdomain("*.example.com"), Ok(()));
    assert_eq!(port_name("http-2"), Ok(()));
    assert_eq!(env_name("my.VAR_1"), Ok(()));
    assert_eq!(config_key("redis.conf"), Ok(()));
}

#[test]
fn names_that_kubernetes_refuses_fail() {
    let long = "a".repeat(64);
    for text in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &long] {
        assert!(dns_label(text).is_err(), "{text}");
    }
    for text in ["", "a..b", ".a", "a.", "*.a"] {
        assert!(dns_subdomain(text).is_err(), "{text}");
    }
    for text in ["", "/a", "a/", "a/b/c", "-a", "a b"] {
        assert!(qualified_name(text).is_err(), "{text}");
    }
    for text in ["", "80", "a--b", "this-is-far-too-long"] {
        assert!(port_name(text).is_err(), "{text}");
    }
    for text in ["", "A=B", "A\nB"] {
        assert!(env_name(text).is_err(), "{text}");
    }
    for text in ["", ".", "..", "..a", "a/b"] {
        assert!(config_key(text).is_err(), "{text}");
    }
    assert!(dns_label_1035("0a").is_err());
}
