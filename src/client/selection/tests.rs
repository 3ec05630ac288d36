use super::*;

fn parsed(words: &[&str]) -> Vec<(Kind, Vec<String>)> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    parse(&words).unwrap().into_iter().map(|one| (one.kind, one.names)).collect()
}

fn error(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    parse(&words).unwrap_err().to_string()
}

#[test]
fn kinds_and_names_are_read_in_all_forms() {
    assert_eq!(parsed(&["pods"]), [(Kind::Pod, vec![])]);
    assert_eq!(parsed(&["po,svc"]), [(Kind::Pod, vec![]), (Kind::Service, vec![])]);
    assert_eq!(parsed(&["deploy", "a", "b"]), [(Kind::Deployment, vec!["a".into(), "b".into()])]);
    assert_eq!(
        parsed(&["pod/a", "svc/b", "pods/c"]),
        [(Kind::Pod, vec!["a".into(), "c".into()]), (Kind::Service, vec!["b".into()])]
    );
    let all: Vec<Kind> = parsed(&["all"]).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(all, [Kind::Pod, Kind::Service, Kind::ReplicaSet, Kind::Deployment]);
}

#[test]
fn what_cannot_be_meant_is_told_with_what_could() {
    assert_eq!(
        error(&["deploymnet"]),
        "there is no kind of object called \"deploymnet\"; did you mean \"deployment\"?"
    );
    assert_eq!(error(&["pod/a", "b"]), "\"b\" has no kind; where one argument is KIND/NAME, all must be");
    assert_eq!(error(&["pod/"]), "\"pod/\" is not of the form KIND/NAME");
    assert!(error(&[]).starts_with("say which kind"));
}
