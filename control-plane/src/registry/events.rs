//! Events: what happened, counted instead of repeated.
//!
//! An event's name is a function of what it says, so that the same thing said again finds the event that is there.

use manifests::{Kind, Object};
use serde_json::json;

use super::{Context, Effect, Status, create, namespaces, put_or_remove, rfc3339};
use crate::change::EventIntent;
use crate::snapshot::{Key, Snapshot};

/// Where events about objects of no namespace live.
const DEFAULT_NAMESPACE: &str = "default";
/// How long a message may be, as in Kubernetes.
const MESSAGE_MAX_CHARS: usize = 1024;
/// How much of the regarded object's name goes into the event's, so that the whole stays a name.
const NAME_MAX_CHARS: usize = 230;

/// Records that something happened.
pub(super) fn record(
    snapshot: &Snapshot,
    intent: &EventIntent,
    context: &mut Context<'_>,
) -> Result<Effect, Status> {
    let namespace = match &*intent.regarding.namespace {
        "" => DEFAULT_NAMESPACE,
        namespace => namespace,
    };
    let regarding: String = intent.regarding.name.chars().take(NAME_MAX_CHARS).collect();
    let name = format!("{regarding}.{:016x}", fingerprint(intent));
    let key = Key::new(Kind::Event, namespace, name.as_str());
    if let Some(stored) = snapshot.get(&key) {
        let mut object = stored.object().clone();
        object.set(&["count"], object.i64_at(&["count"]).unwrap_or(0) + 1);
        object.set(&["lastTimestamp"], rfc3339(context.now));
        return Ok(put_or_remove(stored, object));
    }
    namespaces::check_accepts(snapshot, &key)?;
    Ok(Effect::Put(event(intent, namespace, &name, context)))
}

fn event(intent: &EventIntent, namespace: &str, name: &str, context: &mut Context<'_>) -> Object {
    let now = context.now;
    let regarding = &intent.regarding;
    let mut object = Object::new(Kind::Event, namespace, name);
    object.set(&["metadata", "uid"], create::uid(context.random));
    object.set(&["metadata", "creationTimestamp"], rfc3339(now));
    let mut involved = json!({
        "apiVersion": regarding.kind.api_version(),
        "kind": regarding.kind.info().kind,
        "name": &*regarding.name,
        "uid": &*intent.uid,
    });
    if !regarding.namespace.is_empty() {
        involved["namespace"] = json!(&*regarding.namespace);
    }
    if !intent.field_path.is_empty() {
        involved["fieldPath"] = json!(intent.field_path);
    }
    let mut source = json!({"component": intent.component});
    if !intent.host.is_empty() {
        source["host"] = json!(intent.host);
    }
    let message: String = intent.message.chars().take(MESSAGE_MAX_CHARS).collect();
    object.set(&["involvedObject"], involved);
    object.set(&["source"], source);
    object.set(&["type"], intent.severity.to_string());
    object.set(&["reason"], intent.reason.as_str());
    object.set(&["message"], message);
    object.set(&["count"], 1);
    object.set(&["firstTimestamp"], rfc3339(now));
    object.set(&["lastTimestamp"], rfc3339(now));
    object.set(&["reportingComponent"], intent.component);
    object.set(&["reportingInstance"], intent.host.as_str());
    object
}

/// FNV-1a over all that makes two events the same.
fn fingerprint(intent: &EventIntent) -> u64 {
    let severity = intent.severity.to_string();
    let kind = intent.regarding.kind.info().kind;
    let parts = [
        kind,
        &*intent.uid,
        &intent.field_path,
        &severity,
        &intent.reason,
        &intent.message,
        intent.component,
        &intent.host,
    ];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
