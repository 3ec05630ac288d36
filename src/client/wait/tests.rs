use serde_json::json;

use super::*;

#[test]
fn goals_are_read_in_kubectls_forms() {
    let condition = |status: &str| Goal::Condition { name: "Ready".into(), status: status.into() };
    assert_eq!(goal("condition=Ready"), Ok(condition("true")));
    assert_eq!(goal("condition=Ready=False"), Ok(condition("False")));
    assert_eq!(goal("delete"), Ok(Goal::Gone));
    let phase = Goal::Field { path: vec!["status".into(), "phase".into()], value: Some("Running".into()) };
    assert_eq!(goal("jsonpath={.status.phase}=Running"), Ok(phase));
    assert!(goal("ready").is_err() && goal("jsonpath=status").is_err());
}

#[test]
fn a_condition_counts_only_once_it_is_about_the_present_spec() {
    let object = |observed: i64| {
        Object::from_value(json!({
            "metadata": {"generation": 2},
            "status": {"observedGeneration": observed, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap()
    };
    let ready = goal("condition=ready").unwrap();
    assert!(ready.is_met(Some(&object(2))) && !ready.is_met(Some(&object(1))) && !ready.is_met(None));
    assert!(goal("delete").unwrap().is_met(None));
    assert!(goal("jsonpath={.status.phase}=Running").unwrap().is_met(Some(&object(2))));
    assert!(!goal("jsonpath={.status.phase}=Failed").unwrap().is_met(Some(&object(2))));
}
