use super::*;

fn deployment(status: Value) -> Object {
    Object::from_value(
        json!({"metadata": {"name": "d", "generation": 2}, "spec": {"replicas": 3}, "status": status}),
    )
    .unwrap()
}

fn said(status: Value) -> String {
    let (Progress::Done(text) | Progress::Waiting(text) | Progress::Stuck(text)) =
        progress(&deployment(status));
    text
}

#[test]
fn a_rollout_is_told_step_by_step() {
    assert!(said(json!({"observedGeneration": 1})).contains("to be observed"));
    assert!(
        said(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}))
            .contains("1 out of 3 new replicas")
    );
    assert!(
        said(json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3}))
            .contains("1 old replicas are pending")
    );
    let almost =
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2});
    assert!(said(almost).contains("2 of 3 updated replicas are available"));
    let done = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
    assert_eq!(
        progress(&deployment(done)),
        Progress::Done("deployment \"d\" successfully rolled out".into())
    );
}

#[test]
fn a_rollout_that_exceeds_its_deadline_is_stuck() {
    let conditions =
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    let late = deployment(json!({"observedGeneration": 2, "conditions": conditions}));
    assert!(matches!(progress(&late), Progress::Stuck(_)));
}
