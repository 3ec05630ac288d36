//! Which ReplicaSet is the one of the Deployment's present template, what it is called, and which revision it is.

use manifests::{Kind, Object};
use serde_json::{Value, json};

use super::{Set, View, annotate_sizes};
use crate::change::Change;
use crate::controllers::{Plan, owner, stable};
use crate::snapshot::{Key, Stored};

/// The label that tells the pods of one template from those of another.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";
/// The number of a set's template, and on a Deployment the number of its present one.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Earlier numbers of a template that came back.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Earlier numbers that are remembered at most.
const REVISION_HISTORY_MAX: usize = 100;
/// Annotations of a Deployment that mean nothing on its sets.
const NOT_COPIED: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    super::DESIRED_REPLICAS,
    super::MAX_REPLICAS,
];
/// Characters of a hash in a name.
const HASH_LEN: usize = 10;

/// The set of the Deployment's present template; the oldest, should there be several.
pub(super) fn current<'v, 'a>(view: &'v View<'a>) -> Option<&'v Set<'a>> {
    let wanted = template_of(view.stored);
    view.sets.iter().find(|set| !set.stored.is_deleting() && template_of(set.stored) == wanted)
}

/// The revision that a set says it is; 0 if it says none.
pub(super) fn revision(set: &Stored) -> u64 {
    set.object().annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The new set for the present template, with so many replicas.
pub(super) fn new_set(view: &View<'_>, replicas: usize) -> Object {
    let template = template_of(view.stored);
    let (hash, name) = free_name(view, &template);
    let deployment = view.stored;
    let mut set = Object::new(Kind::ReplicaSet, &deployment.key().namespace, &name);
    let mut labels = template["metadata"]["labels"].clone();
    labels[TEMPLATE_HASH] = json!(hash);
    let mut selector = deployment.object().at(&["spec", "selector"]).cloned().unwrap_or_default();
    selector["matchLabels"][TEMPLATE_HASH] = json!(hash);
    let mut own_template = template;
    own_template["metadata"]["labels"] = labels.clone();
    for (key, value) in deployment.object().annotations() {
        if !NOT_COPIED.contains(&key) {
            set.set(&["metadata", "annotations", key], value);
        }
    }
    set.set(&["metadata", "labels"], labels);
    set.set(&["metadata", "annotations", REVISION], next_revision(view, None).to_string());
    set.set(&["metadata", "ownerReferences"], json!([owner::reference(deployment)]));
    annotate_sizes(&mut set, &view.spec);
    set.set(&["spec", "replicas"], replicas);
    set.set(&["spec", "minReadySeconds"], view.spec.min_ready_seconds);
    set.set(&["spec", "selector"], selector);
    set.set(&["spec", "template"], own_template);
    set
}

/// How many names for the present template are taken by sets of other templates, which the status reports.
pub(super) fn collisions_of(view: &View<'_>) -> u64 {
    collisions(view, &template_of(view.stored))
}

fn collisions(view: &View<'_>, template: &Value) -> u64 {
    let is_taken = |count: &u64| {
        let (_, name) = name(view.stored, template, *count);
        view.snapshot.get(&Key::new(Kind::ReplicaSet, view.stored.key().namespace.as_ref(), name)).is_some()
    };
    (0..).take_while(is_taken).count() as u64
}

fn free_name(view: &View<'_>, template: &Value) -> (String, String) {
    name(view.stored, template, collisions(view, template))
}

fn name(deployment: &Stored, template: &Value, collisions: u64) -> (String, String) {
    let hash = stable::hash([template.to_string().as_bytes(), &collisions.to_le_bytes()]);
    let hash = stable::suffix(hash, HASH_LEN);
    let name = stable::name(&deployment.key().name, &hash);
    (hash, name)
}

/// The pod template, without the label that only sets have.
fn template_of(object: &Stored) -> Value {
    let mut template = object.object().at(&["spec", "template"]).cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

/// Keeps the revisions in order: the present template has the highest, and the Deployment says which it is.
pub(super) fn plan_revision(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    let Some(set) = current else { return };
    let revision = next_revision(view, current).max(set.revision);
    let is_touched = plan.changes.iter().any(|change| change.key().as_ref() == Some(set.stored.key()));
    if set.revision != revision && !is_touched {
        plan.push_because(
            Change::Update(renumbered(set, revision)),
            format!("{}: revision {revision}", set.name()),
        );
    }
    let deployment = view.stored.object();
    if deployment.annotation(REVISION) != Some(&revision.to_string()) {
        let mut updated = deployment.clone();
        updated.set(&["metadata", "annotations", REVISION], revision.to_string());
        plan.push(Change::Update(updated));
    }
}

fn next_revision(view: &View<'_>, current: Option<&Set<'_>>) -> u64 {
    view.old(current).map(|set| set.revision).max().unwrap_or_default() + 1
}

fn renumbered(set: &Set<'_>, revision: u64) -> Object {
    let mut updated = set.stored.object().clone();
    updated.set(&["metadata", "annotations", REVISION], revision.to_string());
    if set.revision > 0 {
        let earlier = set.stored.object().annotation(REVISION_HISTORY).unwrap_or_default();
        let mut numbers: Vec<&str> = earlier.split(',').filter(|number| !number.is_empty()).collect();
        let last = set.revision.to_string();
        numbers.push(&last);
        let forgotten = numbers.len().saturating_sub(REVISION_HISTORY_MAX);
        updated.set(&["metadata", "annotations", REVISION_HISTORY], numbers[forgotten..].join(","));
    }
    updated
}

/// Deletes the empty sets of templates that are too long ago to go back to.
pub(super) fn plan_history(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    if current.is_none() || !plan.is_empty() {
        // Not while anything else still moves.
        return;
    }
    let is_spent = |set: &&Set<'_>| set.replicas == 0 && set.pods.is_empty() && !set.stored.is_deleting();
    let mut spent: Vec<&Set<'_>> = view.old(current).filter(is_spent).collect();
    spent.sort_by_key(|set| set.revision);
    let surplus = spent.len().saturating_sub(view.spec.revision_history_limit);
    for set in &spent[..surplus] {
        let reason = format!("{}: more than {} old revisions", set.name(), view.spec.revision_history_limit);
        plan.push_because(Change::delete(set.stored.key().clone(), set.stored.uid().clone()), reason);
    }
}
