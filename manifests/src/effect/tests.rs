use serde_json::json;

use super::*;

#[test]
fn what_is_set_and_not_acted_on_is_named_with_what_happens_instead() {
    let deployment = Object::from_value(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {
            "serviceAccountName": "till", "schedulerName": "default-scheduler", "hostPID": false,
            "containers": [{"name": "a"}, {"name": "b", "tty": true}],
        }}}}),
    )
    .unwrap();
    let warnings: Vec<_> =
        not_acted_on(&deployment).iter().map(|one| (one.path.to_string(), one.to_string())).collect();
    assert_eq!(
        warnings,
        [
            (
                "spec.template.spec.serviceAccountName".into(),
                "spec.template.spec.serviceAccountName is not acted on: pods have no credentials for the API".into()
            ),
            (
                "spec.template.spec.containers[1].tty".into(),
                "spec.template.spec.containers[*].tty is not acted on: a container's output is a pipe; exec -t has a terminal"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn what_defaults_put_in_is_not_warned_of() {
    for value in [
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{
            "name": "a", "image": "a", "livenessProbe": {"httpGet": {"port": 1}}}], "volumes": [{"name": "v"}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": []}}}}),
    ] {
        let mut object = Object::from_value(value).unwrap();
        crate::default::set_defaults(&mut object);
        assert_eq!(not_acted_on(&object), []);
    }
}

#[test]
fn every_path_of_the_table_is_one_of_the_schema() {
    for kind in Kind::ALL {
        for (prefix, rule) in rules(kind) {
            let mut place = crate::schema::Place::root(kind);
            let steps = prefix.split('.').filter(|step| !step.is_empty()).chain(rule.path.split('.'));
            for step in steps {
                let name = step.strip_suffix("[*]").unwrap_or(step);
                place = place.field(name).unwrap_or_else(|| panic!("{kind}: {}: no {name}", rule.path));
                place = if name == step { place } else { place.item().unwrap() };
            }
        }
    }
}

#[test]
fn the_page_about_fields_is_the_table() {
    let page = include_str!("../../../docs/fields.md");
    assert!(page == markdown(), "docs/fields.md differs from the table; it should read:\n{}", markdown());
}
