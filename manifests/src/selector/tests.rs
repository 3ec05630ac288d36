use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn every_operator_selects_as_kubernetes_says() {
    let shop = labels(&[("app", "shop"), ("tier", "front"), ("size", "5")]);
    for (text, selected) in [
        ("", true),
        ("app=shop", true),
        ("app == shop", true),
        ("app=bank", false),
        ("app!=bank", true),
        ("absent!=anything", true),
        ("tier in (front, back)", true),
        ("tier notin (front, back)", false),
        ("absent notin (a)", true),
        ("app", true),
        ("!app", false),
        ("!canary,app=shop", true),
        ("size>4,size<6", true),
        ("size>5", false),
        ("in in (a),notin", false),
        ("example.com/x=", false),
    ] {
        assert_eq!(Selector::parse(text).unwrap().matches(&shop), selected, "{text}");
    }
}

#[test]
fn what_is_no_selector_is_refused_with_what_was_expected() {
    for text in
        ["=a", "app in", "app in ()x", "app=a b", "app,,b", "!", "a>b", "app in (a", "-=x", "a=b,", "a=ü"]
    {
        assert!(Selector::parse(text).is_err(), "{text}");
    }
    let message = Selector::parse("app in a").unwrap_err().to_string();
    assert_eq!(message, r#"selector "app in a": expected '(', found "a""#);
}

#[test]
fn match_labels_and_match_expressions_must_all_hold() {
    let mut selector = LabelSelector {
        match_labels: Some(labels(&[("app", "shop")])),
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "tier".into(),
            operator: "NotIn".into(),
            values: Some(vec!["back".into()]),
        }]),
    };
    let read = Selector::from_label_selector(&selector).unwrap();
    assert!(read.matches(&labels(&[("app", "shop"), ("tier", "front")])));
    assert!(!read.matches(&labels(&[("app", "shop"), ("tier", "back")])));
    assert_eq!(read.to_string(), "app=shop,tier!=back");
    selector.match_expressions.as_mut().unwrap()[0].values = None;
    assert!(Selector::from_label_selector(&selector).is_err());
}

#[test]
fn field_selectors_compare_text_and_absent_is_empty() {
    let pod =
        Object::from_value(json!({"metadata": {"name": "a,b"}, "status": {"phase": "Running"}, "n": 3}))
            .unwrap();
    for (text, selected) in [
        ("", true),
        ("metadata.name=a\\,b,status.phase!=Failed", true),
        ("metadata.name==a\\,b", true),
        ("spec.nodeName=", true),
        ("spec.nodeName!=", false),
        ("n=3", true),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(&pod), selected, "{text}");
    }
    assert!(FieldSelector::parse("metadata.name").is_err());
    assert_eq!(FieldSelector::parse("metadata.name=x").unwrap().name(), Some("x"));
}

fn a_word() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9]{0,5}[a-z0-9])?"
}

fn a_test() -> impl Strategy<Value = Test> {
    let some = || prop::collection::btree_set(a_word(), 1..4).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        some().prop_map(Test::In),
        some().prop_map(Test::NotIn),
        Just(Test::Exists),
        Just(Test::Absent),
        any::<u32>().prop_map(|n| Test::GreaterThan(i64::from(n))),
        any::<u32>().prop_map(|n| Test::LessThan(i64::from(n))),
    ]
}

proptest! {
    #[test]
    fn a_printed_selector_reads_back_as_itself(tests in prop::collection::vec((a_word(), a_test()), 0..6)) {
        let selector = Selector::new(tests.into_iter().map(|(key, test)| Requirement { key, test }).collect());
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}|[a!=,() <>n]{0,20}") {
        let _ = Selector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }
}
