use serde_json::json;

use super::*;

fn table() -> Table {
    Table::read(&json!({
        "kind": "Table",
        "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready"}, {"name": "Node", "priority": 1}],
        "rows": [
            {"cells": ["a", "1/1", "n1"], "object": {"metadata": {"namespace": "shop", "labels": {"app": "a"}}}},
            {"cells": ["long\u{1b}[31m", 3, null], "object": {"metadata": {"namespace": "default"}}},
        ],
    }))
    .unwrap()
}

fn rendered(shown: &Shown) -> Vec<String> {
    let table = table();
    let mut lines = vec![table.header(shown)];
    lines.extend(table.rows.iter().map(|row| table.line(row, shown)));
    aligned(&lines)
}

#[test]
fn a_table_shows_what_is_asked_for() {
    assert_eq!(rendered(&Shown::default()), ["NAME        READY", "a           1/1", "long [31m   3"]);
    let all = Shown { wide: true, namespace: true, labels: true, prefix: Some("pod".into()) };
    assert_eq!(
        rendered(&all),
        [
            "NAMESPACE   NAME            READY   NODE     LABELS",
            "shop        pod/a           1/1     n1       app=a",
            "default     pod/long [31m   3       <none>   <none>",
        ]
    );
}

#[test]
fn what_is_no_table_is_not_read_as_one() {
    assert_eq!(Table::read(&json!({"kind": "PodList"})), None);
    assert_eq!(Table::read(&json!({"kind": "Table"})), Some(Table::default()));
}

#[test]
fn lines_that_come_later_align_with_earlier_ones() {
    let mut columns = Columns::default();
    assert_eq!(columns.line(&["abcdef".into(), "1".into()]), "abcdef   1");
    assert_eq!(columns.line(&["a".into(), "2".into()]), "a        2");
}
