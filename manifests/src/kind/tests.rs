use super::*;

#[test]
fn every_name_of_a_kind_finds_it() {
    for word in
        ["deploy", "deployments", "deployment", "Deployment", "deployments.apps", "deployment.v1.apps"]
    {
        assert_eq!(Kind::find(word), Some(Kind::Deployment), "{word}");
    }
    for kind in Kind::ALL {
        let info = kind.info();
        for word in [info.kind, info.plural, info.singular].iter().chain(info.short_names) {
            assert_eq!(Kind::find(word), Some(kind), "{word}");
        }
        assert_eq!(Kind::of(&kind.api_version(), info.kind), Some(kind));
        assert_eq!(Kind::at(info.group, info.version, info.plural), Some(kind));
        assert_eq!(Kind::find(&kind.qualified()), Some(kind));
    }
}

#[test]
fn a_word_with_the_wrong_group_finds_nothing() {
    for word in ["deployments.core", "pods.apps", "deployments.v2.apps", "deploymentz", "", "."] {
        assert_eq!(Kind::find(word), None, "{word}");
    }
    assert_eq!(Kind::of("v1", "Deployment"), None);
}

#[test]
fn all_kinds_are_listed_once_in_declaration_order() {
    assert!(Kind::ALL.is_sorted());
    assert!(Kind::ALL.windows(2).all(|pair| pair[0] != pair[1]));
}
