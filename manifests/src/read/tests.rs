use proptest::prelude::*;
use serde_json::json;

use super::*;

fn problems(text: &str) -> Vec<String> {
    read("shop.yaml", text.as_bytes()).problems.iter().map(ToString::to_string).collect()
}

fn values(text: &str) -> Vec<Value> {
    let reading = read("shop.yaml", text.as_bytes());
    assert_eq!(reading.problems, []);
    reading.documents.into_iter().map(|document| document.object.into_value()).collect()
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\n";

#[test]
fn documents_are_read_with_their_lines() {
    let text = format!("# the shop\n---\n{CONFIG}---\n---\n# nothing\n---\r\n{CONFIG}...\n");
    let reading = read("shop.yaml", text.as_bytes());
    assert_eq!(reading.problems, []);
    let lines: Vec<usize> = reading.documents.iter().map(|document| document.line).collect();
    assert_eq!(lines, [3, 11]);
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_would_be_right() {
    let text = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: payment
spec:
  replicaz: 2
  selector:
    matchLabels: {app: payment}
  template:
    metadata:
      labels: {app: payment}
    spec:
      containers:
        - name: payment
          image: payment:1
          imagePullPolicy: never
          env:
            - name: PORT
              value: 8080
";
    assert_eq!(
        problems(text),
        [
            "shop.yaml:6:3: Deployment payment: spec.replicaz: Unknown field: did you mean \"replicas\"?",
            "shop.yaml:16:28: Deployment payment: spec.template.spec.containers[0].imagePullPolicy: Unsupported \
             value: \"never\": did you mean \"Never\"? supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "shop.yaml:19:22: Deployment payment: spec.template.spec.containers[0].env[0].value: Invalid value: \
             8080: must be a string, this is a number; write it in quotes",
        ]
    );
}

#[test]
fn mistakes_of_all_documents_are_told_even_when_the_last_is_not_yaml() {
    let text = format!("{CONFIG}datum: x\n---\nkind: Podd\napiVersion: v1\n---\na: [1\nb: }}\n");
    let problems = problems(&text);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(
        problems[0]
            .starts_with("shop.yaml:5:1: ConfigMap shop: datum: Unknown field: did you mean \"data\"?")
    );
    assert_eq!(problems[1], "shop.yaml:7:7: Podd: kind: there is no kind \"Podd\"; did you mean \"Pod\"?");
    assert!(problems[2].contains("not YAML"), "{}", problems[2]);
}

#[test]
fn yaml_is_read_as_it_is_written_in_the_wild() {
    let anchors = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: shop, labels: &l {app: shop,}}
data:
  <<: *l
  80: \"x\"
  off: 'y'
  more: !!str 5
  text: |
    line
";
    let data = &values(anchors)[0]["data"];
    assert_eq!(*data, json!({"app": "shop", "80": "x", "off": "y", "more": "5", "text": "line\n"}));
    let crlf =
        "apiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: shop\r\ndata:\r\n  a: \"it\\'s\"\r\n";
    let reading = read("shop.yaml", crlf.replace("\\'", "'").as_bytes());
    assert_eq!(reading.problems, []);
}

#[test]
fn an_apostrophe_may_be_escaped_between_double_quotes() {
    let data = |line: &str| {
        values(&format!("{CONFIG}data:\n  'a': \"first \\' \\n\\' one\"\n{line}\n"))[0]["data"].clone()
    };
    assert_eq!(data("  b: \"it\\'s\""), json!({"a": "first ' \n' one", "b": "it's"}));
    assert_eq!(data("  b: |\n    it\\'s")["b"], "it\\'s\n", "elsewhere it stays as it is");
    assert_eq!(problems("a: \"\\d \\'\"\n").len(), 1);
}

#[test]
fn plain_scalars_mean_what_they_mean_to_kubectl() {
    for (text, value) in [
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0x10", json!(16)),
        ("08", json!(8.0)),
        ("-3", json!(-3)),
        (".5", json!(0.5)),
        ("1e3", json!(1000.0)),
        ("yes", json!(true)),
        ("~", Value::Null),
        ("1.2.3", json!("1.2.3")),
        ("64Mi", json!("64Mi")),
        ("2026-01-01", json!("2026-01-01")),
        ("1e999", json!("1e999")),
        ("-", json!("-")),
        (".", json!(".")),
        ("0x", json!("0x")),
    ] {
        assert_eq!(scalar::plain(text), value, "{text}");
    }
}

#[test]
fn json_is_read_too() {
    let text =
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "\u00e4\n"}}"#;
    assert_eq!(values(text)[0]["data"]["k"], "ä\n");
}

#[test]
fn the_items_of_lists_are_objects() {
    let item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    assert_eq!(values(&format!("{{apiVersion: v1, kind: List, items: [{item}, {item}]}}")).len(), 2);
    assert_eq!(values(&format!("{{apiVersion: v1, kind: ConfigMapList, items: [{item}]}}")).len(), 1);
}

#[test]
fn duplicate_keys_are_refused() {
    let problems = problems(&format!("{CONFIG}  name: other\n"));
    assert_eq!(problems, ["shop.yaml:5:3: key \"name\" is already set in this map"]);
}

#[test]
fn a_kind_of_kubernetes_that_is_not_served_is_called_so() {
    let problems = problems("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\n");
    assert_eq!(
        problems,
        [
            "shop.yaml:2:7: StatefulSet a: kind: StatefulSet is a kind of Kubernetes that this cluster does not serve"
        ]
    );
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_grows() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let last = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [last.as_str(); 10].join(", ")));
    }
    let problems = problems(&bomb);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("refused: more than 500000 values"), "{problems:#?}");
}

#[test]
fn what_is_too_deep_too_long_or_too_much_is_refused() {
    for nested in ["[".repeat(5_000), "{a: ".repeat(5_000), "- ".repeat(5_000), "&a [*a, ".repeat(100)] {
        assert_eq!(problems(&nested).len(), 1);
    }
    let problems = problems(&"- ".repeat(100));
    assert!(problems[0].contains("nested more than 64 levels deep"), "{problems:?}");
    let limits = Limits { text_bytes: 10, documents: 2, ..Limits::DEFAULT };
    let long = read_within("a", CONFIG.as_bytes(), &limits).problems;
    assert_eq!(long[0].to_string(), "a:1:1: refused: more than 10 bytes of text");
    let many =
        read_within("a", b"a\n---\na\n---\na\n---\na\n", &Limits { text_bytes: 100, ..limits }).problems;
    assert!(many.last().unwrap().message.contains("more than 2 documents"), "{many:?}");
}

#[test]
fn a_map_of_many_keys_is_read_in_time_that_grows_with_its_length() {
    let mut text = format!("{CONFIG}data:\n");
    (0..50_000).for_each(|key| text.push_str(&format!("  key{key}: v\n")));
    text.push_str("  key7: again\n");
    // Quadratic, this would take minutes.
    assert_eq!(problems(&text), ["shop.yaml:50006:3: key \"key7\" is already set in this map"]);
}

#[test]
fn text_that_is_no_text_is_refused_with_its_place() {
    let problems = read("a", b"a: b\nc: \xFF").problems;
    assert_eq!(problems[0].to_string(), "a:2:4: not UTF-8 text");
    assert_eq!(
        self::problems("just words"),
        ["shop.yaml:1:1: expected an object with apiVersion and kind, found a string"]
    );
    assert_eq!(self::problems(""), [""; 0]);
}

#[test]
fn an_alias_of_itself_is_refused() {
    assert!(problems("a: &a [*a]\n").iter().any(|problem| problem.contains("contains it")));
}

#[test]
fn more_mistakes_than_anyone_reads_are_counted() {
    let mut text = CONFIG.to_owned();
    (0..150).for_each(|index| text.push_str(&format!("wrong{index}: 1\n")));
    let problems = problems(&text);
    assert_eq!(problems.len(), 101);
    assert!(problems[100].ends_with("and 50 more mistakes after this"), "{}", problems[100]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("a", &bytes);
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(text in "([-:?&*!|>'\"%@`{}\\[\\],# \n]|[a-c0-9.]|kind: |apiVersion: v1\n|<<: |---\n|  ){0,60}") {
        let _ = read("a", text.as_bytes());
    }

    #[test]
    fn whatever_json_says_is_read_the_same_from_yaml(name in "[a-z]{1,8}", values in prop::collection::btree_map("[a-z]{1,5}", "\\PC{0,20}", 0..4)) {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values});
        let reading = read("a", object.to_string().as_bytes());
        prop_assert_eq!(&reading.problems, &[]);
        prop_assert_eq!(reading.documents[0].object.clone().into_value(), object);
    }
}
