use super::*;

#[test]
fn every_reference_leads_to_a_definition() {
    let text = serde_json::to_string(definitions()).unwrap();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let reference = reference.split('"').next().unwrap();
        let name = reference.strip_prefix("#/definitions/").unwrap();
        assert!(definitions().contains_key(name), "{reference}");
    }
    for kind in Kind::ALL {
        let definition = &definitions()[kind.info().definition];
        assert_eq!(definition["x-kubernetes-group-version-kind"][0]["kind"], kind.info().kind);
    }
}

#[test]
fn every_rule_is_about_a_field_that_exists_and_its_key_is_a_field_of_the_items() {
    for rule in rules::RULES {
        let mut owners = SCHEMAS.types.values().filter(|one| one.name.ends_with(&format!(".{}", rule.owner)));
        let owner =
            owners.find(|one| one.fields.contains_key(rule.field)).unwrap_or_else(|| panic!("{rule:?}"));
        let place = Place { shape: &owner.fields[rule.field], rule: None };
        if let ListType::Map(keys) = rule.list_type {
            let item = place.item().unwrap();
            assert!(keys.iter().all(|key| item.field(key).is_some()), "{rule:?}");
        }
    }
}

#[test]
fn lists_are_merged_by_the_keys_of_kubernetes() {
    let pod_template = ["spec", "template", "spec", "containers"];
    assert_eq!(list_merge(Kind::Deployment, &pod_template), Some(ListMerge::ByKey("name")));
    let env = ["spec", "containers", "env"];
    assert_eq!(list_merge(Kind::Pod, &env), Some(ListMerge::ByKey("name")));
    assert_eq!(
        list_merge(Kind::Pod, &["spec", "containers", "ports"]),
        Some(ListMerge::ByKey("containerPort"))
    );
    assert_eq!(list_merge(Kind::Pod, &["spec", "tolerations"]), None);
    assert_eq!(list_merge(Kind::Pod, &["spec", "containers", "args"]), None);
    assert_eq!(list_merge(Kind::Service, &["spec", "ports"]), Some(ListMerge::ByKey("port")));
    assert_eq!(list_merge(Kind::Lease, &["metadata", "finalizers"]), Some(ListMerge::Primitives));
    assert_eq!(list_merge(Kind::Pod, &["spec", "nonsense"]), None);
}

#[test]
fn the_served_schema_says_how_lists_are_merged() {
    let env = &definitions()["io.k8s.api.core.v1.Container"]["properties"]["env"];
    assert_eq!(env["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(env["x-kubernetes-patch-merge-key"], "name");
    let ports = &definitions()["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    let strategy = &definitions()["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
}

#[test]
fn places_walk_fields_maps_and_items() {
    let containers = Place::root(Kind::Pod).field("spec").and_then(|spec| spec.field("containers")).unwrap();
    assert_eq!(containers.list_type(), ListType::Map(&["name"]));
    let cpu =
        containers.item().and_then(|one| one.field("resources")?.field("limits")?.field("cpu")).unwrap();
    assert_eq!(cpu.shape(), &Shape::Quantity);
    assert!(containers.item().unwrap().field("imagePulPolicy").is_none());
}
