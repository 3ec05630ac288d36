//! How the lists of Kubernetes' types are merged. The generated schemas do not say it, so this table does.
//!
//! Source: `x-kubernetes-patch-*` and `x-kubernetes-list-*` in Kubernetes' `api/openapi-spec/swagger.json`, v1.37.
//! A strategic merge key is not always the key of server-side apply: ports have `containerPort` for the one and
//! `containerPort` + `protocol` for the other.

use super::{ListMerge, ListType};

/// What is special about one field.
#[derive(Debug)]
pub(super) struct Rule {
    /// The type, without its package: `PodSpec`.
    pub(super) owner: &'static str,
    pub(super) field: &'static str,
    /// How a strategic merge patch merges it; none: it replaces it.
    pub(super) merge: Option<ListMerge>,
    /// How server-side apply tells the items apart.
    pub(super) list_type: ListType,
    /// Whether a strategic merge patch may send `$retainKeys` for it.
    pub(super) retain_keys: bool,
}

const fn by_key(owner: &'static str, field: &'static str, keys: &'static [&'static str]) -> Rule {
    let merge = Some(ListMerge::ByKey(keys[0]));
    Rule { owner, field, merge, list_type: ListType::Map(keys), retain_keys: false }
}

const fn retaining(owner: &'static str, field: &'static str, keys: &'static [&'static str]) -> Rule {
    Rule { retain_keys: true, ..by_key(owner, field, keys) }
}

/// Merged by key in a strategic merge patch, owned as a whole in server-side apply.
const fn patched_by_key(owner: &'static str, field: &'static str, keys: &'static [&'static str]) -> Rule {
    Rule { list_type: ListType::Atomic, ..by_key(owner, field, keys) }
}

/// Replaced in a strategic merge patch, owned item by item in server-side apply.
const fn applied_by_key(owner: &'static str, field: &'static str, keys: &'static [&'static str]) -> Rule {
    Rule { merge: None, ..by_key(owner, field, keys) }
}

const fn primitives(owner: &'static str, field: &'static str) -> Rule {
    Rule { owner, field, merge: Some(ListMerge::Primitives), list_type: ListType::Set, retain_keys: false }
}

pub(super) static RULES: &[Rule] = &[
    // metadata
    primitives("ObjectMeta", "finalizers"),
    by_key("ObjectMeta", "ownerReferences", &["uid"]),
    // pods
    by_key("PodSpec", "containers", &["name"]),
    by_key("PodSpec", "initContainers", &["name"]),
    by_key("PodSpec", "ephemeralContainers", &["name"]),
    by_key("PodSpec", "hostAliases", &["ip"]),
    by_key("PodSpec", "imagePullSecrets", &["name"]),
    by_key("PodSpec", "schedulingGates", &["name"]),
    by_key("PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    by_key("PodSpec", "evictionResponders", &["name"]),
    retaining("PodSpec", "resourceClaims", &["name"]),
    retaining("PodSpec", "volumes", &["name"]),
    by_key("Container", "env", &["name"]),
    by_key("Container", "ports", &["containerPort", "protocol"]),
    by_key("Container", "volumeDevices", &["devicePath"]),
    by_key("Container", "volumeMounts", &["mountPath"]),
    by_key("EphemeralContainer", "env", &["name"]),
    by_key("EphemeralContainer", "ports", &["containerPort", "protocol"]),
    by_key("EphemeralContainer", "volumeDevices", &["devicePath"]),
    by_key("EphemeralContainer", "volumeMounts", &["mountPath"]),
    applied_by_key("ResourceRequirements", "claims", &["name"]),
    by_key("PodStatus", "conditions", &["type"]),
    patched_by_key("PodStatus", "hostIPs", &["ip"]),
    by_key("PodStatus", "podIPs", &["ip"]),
    retaining("PodStatus", "resourceClaimStatuses", &["name"]),
    by_key("ContainerStatus", "allocatedResourcesStatus", &["name"]),
    by_key("ContainerStatus", "volumeMounts", &["mountPath"]),
    // nodes and namespaces
    primitives("NodeSpec", "podCIDRs"),
    by_key("NodeStatus", "addresses", &["type"]),
    by_key("NodeStatus", "conditions", &["type"]),
    by_key("NamespaceStatus", "conditions", &["type"]),
    // services
    by_key("ServiceSpec", "ports", &["port", "protocol"]),
    by_key("ServiceStatus", "conditions", &["type"]),
    by_key("ServiceAccount", "secrets", &["name"]),
    // workloads
    Rule {
        owner: "DeploymentSpec",
        field: "strategy",
        merge: None,
        list_type: ListType::Atomic,
        retain_keys: true,
    },
    by_key("DeploymentStatus", "conditions", &["type"]),
    by_key("ReplicaSetStatus", "conditions", &["type"]),
];

/// The rule of a field of a type, which is given by its full definition name.
pub(super) fn rule(definition: &str, field: &str) -> Option<&'static Rule> {
    let owner = definition.rsplit('.').next().unwrap_or(definition);
    RULES.iter().find(|rule| rule.owner == owner && rule.field == field)
}
