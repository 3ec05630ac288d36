use super::*;

fn routes(rules: &[(&str, &str, bool, &'static str)]) -> Routes<&'static str> {
    Routes::new(rules.iter().map(|(host, path, exact, to)| (host.to_string(), path.to_string(), *exact, *to)))
}

#[test]
fn the_examples_of_the_ingress_documentation_hold() {
    for (prefix, path, matches) in [
        ("/", "/anything", true),
        ("/foo", "/foo", true),
        ("/foo", "/foo/", true),
        ("/foo/", "/foo", true),
        ("/foo/", "/foo/", true),
        ("/aaa/bb", "/aaa/bbb", false),
        ("/aaa/bbb", "/aaa/bbb", true),
        ("/aaa/bbb/", "/aaa/bbb", true),
        ("/aaa/bbb", "/aaa/bbb/", true),
        ("/aaa/bbb", "/aaa/bbb/ccc", true),
        ("/aaa/bbb", "/aaa/bbbxyz", false),
    ] {
        assert_eq!(routes(&[("", prefix, false, "x")]).find("h", path).is_some(), matches, "{prefix} {path}");
    }
    for (exact, path, matches) in [("/foo", "/foo", true), ("/foo", "/bar", false), ("/foo", "/foo/", false)]
    {
        assert_eq!(routes(&[("", exact, true, "x")]).find("h", path).is_some(), matches, "{exact} {path}");
    }
}

#[test]
fn the_longest_path_wins_and_an_exact_one_before_its_prefix() {
    let routes = routes(&[
        ("", "/", false, "root"),
        ("", "/shop", false, "shop"),
        ("", "/shop/pay", false, "prefix"),
        ("", "/shop/pay", true, "exact"),
    ]);
    assert_eq!(routes.find("h", "/shop/pay"), Some(&"exact"));
    assert_eq!(routes.find("h", "/shop/pay/1"), Some(&"prefix"));
    assert_eq!(routes.find("h", "/shop/x"), Some(&"shop"));
    assert_eq!(routes.find("h", "/x"), Some(&"root"));
}

#[test]
fn a_precise_host_goes_before_a_wildcard_before_any_and_ports_do_not_matter() {
    let routes = routes(&[
        ("", "/", false, "any"),
        ("*.shop.example", "/", false, "wildcard"),
        ("pay.shop.example", "/", false, "precise"),
    ]);
    assert_eq!(routes.find("PAY.shop.example:8080", "/"), Some(&"precise"));
    assert_eq!(routes.find("x.shop.example", "/"), Some(&"wildcard"));
    assert_eq!(routes.find("x.y.shop.example", "/"), Some(&"any"), "a wildcard is one label");
    assert_eq!(routes.find("shop.example", "/"), Some(&"any"));
    assert_eq!(routes.find("[::1]:80", "/"), Some(&"any"));
}

#[test]
fn a_host_without_the_path_falls_back_to_the_rules_for_any_host() {
    let routes = routes(&[("a", "/x", false, "a"), ("", "/", false, "any")]);
    assert_eq!(routes.find("a", "/y"), Some(&"any"));
}
