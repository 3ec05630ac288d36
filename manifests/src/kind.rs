//! The closed set of kinds that a user may say, and every name each of them goes by.
//!
//! Whoever matches on [`Kind`] learns from the compiler when a kind is added. Knows no object's insides.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind that the cluster serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the Kubernetes kind of that name")]
pub enum Kind {
    Namespace,
    Node,
    ConfigMap,
    Secret,
    ServiceAccount,
    Service,
    Pod,
    Event,
    ReplicaSet,
    Deployment,
    EndpointSlice,
    Ingress,
    Lease,
}

/// What is fixed about a kind: its place in the API and the names users call it by.
#[derive(Debug)]
pub struct KindInfo {
    /// The API group; empty for core.
    pub group: &'static str,
    /// The one version served.
    pub version: &'static str,
    /// As written in manifests: `Deployment`.
    pub kind: &'static str,
    /// As written in URLs: `deployments`.
    pub plural: &'static str,
    /// Lower case: `deployment`.
    pub singular: &'static str,
    /// Abbreviations that kubectl's users know: `deploy`.
    pub short_names: &'static [&'static str],
    /// Names of groups of kinds: `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// Renewed so often that it is kept in memory only and never reaches the disk.
    pub volatile: bool,
    /// Whether it has a status that is written apart, through `/status`.
    pub status: bool,
    /// Whether it has `spec.replicas`, which is served as `/scale` too.
    pub scale: bool,
    /// The name of its definition in the OpenAPI schema.
    pub definition: &'static str,
}

const PLAIN: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    volatile: false,
    status: false,
    scale: false,
    definition: "",
};

static NAMESPACE: KindInfo = KindInfo {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    namespaced: false,
    status: true,
    definition: "io.k8s.api.core.v1.Namespace",
    ..PLAIN
};

static NODE: KindInfo = KindInfo {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    namespaced: false,
    status: true,
    definition: "io.k8s.api.core.v1.Node",
    ..PLAIN
};

static CONFIG_MAP: KindInfo = KindInfo {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    definition: "io.k8s.api.core.v1.ConfigMap",
    ..PLAIN
};

static SECRET: KindInfo = KindInfo {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    definition: "io.k8s.api.core.v1.Secret",
    ..PLAIN
};

static SERVICE_ACCOUNT: KindInfo = KindInfo {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    definition: "io.k8s.api.core.v1.ServiceAccount",
    ..PLAIN
};

static SERVICE: KindInfo = KindInfo {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    status: true,
    definition: "io.k8s.api.core.v1.Service",
    ..PLAIN
};

static POD: KindInfo = KindInfo {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    status: true,
    definition: "io.k8s.api.core.v1.Pod",
    ..PLAIN
};

static EVENT: KindInfo = KindInfo {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    definition: "io.k8s.api.core.v1.Event",
    ..PLAIN
};

static REPLICA_SET: KindInfo = KindInfo {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    status: true,
    scale: true,
    definition: "io.k8s.api.apps.v1.ReplicaSet",
    ..PLAIN
};

static DEPLOYMENT: KindInfo = KindInfo {
    group: "apps",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    status: true,
    scale: true,
    definition: "io.k8s.api.apps.v1.Deployment",
    ..PLAIN
};

static ENDPOINT_SLICE: KindInfo = KindInfo {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    definition: "io.k8s.api.discovery.v1.EndpointSlice",
    ..PLAIN
};

static INGRESS: KindInfo = KindInfo {
    group: "networking.k8s.io",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    status: true,
    definition: "io.k8s.api.networking.v1.Ingress",
    ..PLAIN
};

static LEASE: KindInfo = KindInfo {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    volatile: true,
    definition: "io.k8s.api.coordination.v1.Lease",
    ..PLAIN
};

impl Kind {
    /// Every kind, each before those whose objects refer to it, so that creating in this order finds everything there.
    pub const ALL: [Kind; 13] = [
        Kind::Namespace,
        Kind::Node,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::ServiceAccount,
        Kind::Service,
        Kind::Pod,
        Kind::Event,
        Kind::ReplicaSet,
        Kind::Deployment,
        Kind::EndpointSlice,
        Kind::Ingress,
        Kind::Lease,
    ];

    /// What is fixed about this kind.
    pub fn info(self) -> &'static KindInfo {
        match self {
            Kind::Namespace => &NAMESPACE,
            Kind::Node => &NODE,
            Kind::ConfigMap => &CONFIG_MAP,
            Kind::Secret => &SECRET,
            Kind::ServiceAccount => &SERVICE_ACCOUNT,
            Kind::Service => &SERVICE,
            Kind::Pod => &POD,
            Kind::Event => &EVENT,
            Kind::ReplicaSet => &REPLICA_SET,
            Kind::Deployment => &DEPLOYMENT,
            Kind::EndpointSlice => &ENDPOINT_SLICE,
            Kind::Ingress => &INGRESS,
            Kind::Lease => &LEASE,
        }
    }

    /// As written in manifests: `apps/v1`, or `v1` for core.
    pub fn api_version(self) -> String {
        let info = self.info();
        if info.group.is_empty() {
            info.version.to_owned()
        } else {
            format!("{}/{}", info.group, info.version)
        }
    }

    /// As kubectl prints and takes it: `deployment.apps`, or `pod` for core.
    pub fn qualified(self) -> String {
        let info = self.info();
        if info.group.is_empty() {
            info.singular.to_owned()
        } else {
            format!("{}.{}", info.singular, info.group)
        }
    }

    /// The kind of a manifest's `apiVersion` and `kind`, which must be spelled exactly.
    pub fn of(api_version: &str, kind: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.info().kind == kind && k.api_version() == api_version)
    }

    /// The kind at a place in the API: `("apps", "v1", "deployments")`.
    pub fn at(group: &str, version: &str, plural: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| {
            let info = k.info();
            info.plural == plural && info.group == group && info.version == version
        })
    }

    /// The kind that a user means by a word, in any of its names and any case: `deploy`, `deployments`,
    /// `Deployment`, `deployments.apps`, `deployments.v1.apps`.
    pub fn find(word: &str) -> Option<Kind> {
        let word = word.to_ascii_lowercase();
        let (name, place) = word.split_once('.').unwrap_or((&word, ""));
        Kind::ALL.into_iter().find(|kind| {
            let info = kind.info();
            let named = info.plural == name || info.singular == name || info.short_names.contains(&name);
            let versioned = place.strip_prefix(info.version).and_then(|rest| rest.strip_prefix('.'));
            named && (place.is_empty() || place == info.group || versioned == Some(info.group))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.info().kind)
    }
}

#[cfg(test)]
mod tests;
