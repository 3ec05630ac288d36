//! The table itself. Who makes a field work takes its line out here.

use serde_json::Value;

use crate::kind::Kind;

/// A field without effect.
#[derive(Debug)]
pub(super) struct Ignored {
    /// Field names joined by dots; `name[*]` is every item of a list, `*` every key of a map.
    pub(super) path: &'static str,
    /// What happens instead, as half a sentence.
    pub(super) instead: &'static str,
    /// Values that mean what happens anyway.
    pub(super) harmless: &'static [Harmless],
}

/// A value that needs no warning.
#[derive(Debug)]
pub(super) enum Harmless {
    Text(&'static str),
    True,
}

impl Ignored {
    pub(super) fn is_harmless(&self, value: &Value) -> bool {
        self.harmless.iter().any(|harmless| match harmless {
            Harmless::Text(text) => value == text,
            Harmless::True => value == &Value::Bool(true),
        })
    }
}

const fn ignored(path: &'static str, instead: &'static str) -> Ignored {
    Ignored { path, instead, harmless: &[] }
}

const fn unless(harmless: &'static [Harmless], path: &'static str, instead: &'static str) -> Ignored {
    Ignored { path, instead, harmless }
}

/// Under the spec of a pod.
pub(super) const POD_SPEC: &[Ignored] = &[
    ignored("activeDeadlineSeconds", "the pod runs until it ends or is deleted"),
    ignored("affinity.podAffinity", "pods are placed by resources, node affinity, taints and spreading"),
    ignored("affinity.podAntiAffinity", "use topologySpreadConstraints to spread pods"),
    unless(
        &[Harmless::True],
        "automountServiceAccountToken",
        "no token is mounted; pods have no credentials for the API",
    ),
    unless(
        &[Harmless::True],
        "enableServiceLinks",
        "no variables are made for services; use their DNS names",
    ),
    ignored("ephemeralContainers", "use exec to look into a running container"),
    ignored("evictionResponders", "nobody is asked before an eviction"),
    ignored("hostIPC", "the pod has its own IPC namespace"),
    ignored("hostPID", "containers see their own processes only"),
    ignored("hostUsers", "the node's settings decide about user namespaces"),
    ignored("hostnameOverride", "the hostname is the pod's `hostname` or name"),
    ignored("imagePullSecrets", "images are loaded with `image load` or pulled without credentials"),
    ignored("os", "nodes run Linux"),
    ignored("overhead.ephemeral-storage", "disk is not counted"),
    ignored("preemptionPolicy", "no pod is evicted to make room for another"),
    ignored("priorityClassName", "no classes are known; set `priority` itself"),
    ignored("readinessGates", "a pod is ready when its containers are"),
    ignored("resourceClaims", "there are no devices to claim"),
    ignored("resources", "set requests and limits on containers"),
    ignored("runtimeClassName", "there is one runtime"),
    ignored("schedulingGroup", "every pod is scheduled by itself"),
    ignored("securityContext.appArmorProfile", "the node's own confinement applies"),
    ignored("securityContext.seLinuxOptions", "the node's own confinement applies"),
    ignored("securityContext.windowsOptions", "nodes run Linux"),
    unless(&[Harmless::Text("default")], "serviceAccountName", "pods have no credentials for the API"),
    ignored("setHostnameAsFQDN", "the hostname is the short name"),
    ignored("shareProcessNamespace", "each container sees its own processes only"),
    ignored(
        "containers[*].livenessProbe.grpc",
        "the probe is not sent, as if it were not there; use tcpSocket or exec",
    ),
    ignored(
        "containers[*].readinessProbe.grpc",
        "the probe is not sent, as if it were not there; use tcpSocket or exec",
    ),
    ignored(
        "containers[*].startupProbe.grpc",
        "the probe is not sent, as if it were not there; use tcpSocket or exec",
    ),
    unless(
        &[Harmless::Text("HTTP")],
        "containers[*].livenessProbe.httpGet.scheme",
        "the probe is not sent, as if it were not there; use HTTP, tcpSocket or exec",
    ),
    unless(
        &[Harmless::Text("HTTP")],
        "containers[*].readinessProbe.httpGet.scheme",
        "the probe is not sent, as if it were not there; use HTTP, tcpSocket or exec",
    ),
    unless(
        &[Harmless::Text("HTTP")],
        "containers[*].startupProbe.httpGet.scheme",
        "the probe is not sent, as if it were not there; use HTTP, tcpSocket or exec",
    ),
    ignored("containers[*].resizePolicy", "a change of resources replaces the pod"),
    ignored("containers[*].resources.claims", "there are no devices to claim"),
    ignored("containers[*].resources.limits.ephemeral-storage", "disk is not limited"),
    ignored("containers[*].resources.requests.ephemeral-storage", "disk is not counted"),
    ignored("containers[*].securityContext.appArmorProfile", "the node's own confinement applies"),
    unless(&[Harmless::Text("Default")], "containers[*].securityContext.procMount", "/proc is masked"),
    ignored("containers[*].securityContext.seLinuxOptions", "the node's own confinement applies"),
    ignored("containers[*].securityContext.windowsOptions", "nodes run Linux"),
    unless(
        &[Harmless::Text("/dev/termination-log")],
        "containers[*].terminationMessagePath",
        "use the log to see why a container ended",
    ),
    unless(
        &[Harmless::Text("File")],
        "containers[*].terminationMessagePolicy",
        "use the log to see why a container ended",
    ),
    ignored("containers[*].tty", "a container's output is a pipe; exec -t has a terminal"),
    ignored("containers[*].volumeDevices", "there are no block volumes"),
    unless(&[Harmless::Text("None")], "containers[*].volumeMounts[*].mountPropagation", "mounts are private"),
    ignored("containers[*].volumeMounts[*].recursiveReadOnly", "readOnly holds for the mount itself"),
];

/// Under whole objects, by kind.
pub(super) const RULES: &[(Kind, &[Ignored])] = &[
    (
        Kind::Node,
        &[
            ignored("spec.configSource", "nodes are configured where they run"),
            ignored("spec.providerID", "there is no cloud"),
        ],
    ),
    (
        Kind::Service,
        &[
            ignored("spec.externalIPs", "the service is reached at its cluster IP, node port or the front"),
            unless(
                &[Harmless::Text("Cluster")],
                "spec.externalTrafficPolicy",
                "requests go to every ready endpoint of the cluster",
            ),
            ignored("spec.healthCheckNodePort", "the front asks the endpoints themselves"),
            unless(
                &[Harmless::Text("Cluster")],
                "spec.internalTrafficPolicy",
                "requests go to every ready endpoint of the cluster",
            ),
            unless(&[Harmless::Text("SingleStack")], "spec.ipFamilyPolicy", "addresses are IPv4"),
            ignored("spec.loadBalancerClass", "there is one front, which takes every service"),
            ignored("spec.loadBalancerIP", "the front has one address"),
            ignored(
                "spec.loadBalancerSourceRanges",
                "the front takes requests from everywhere it can be reached",
            ),
            unless(
                &[Harmless::Text("None")],
                "spec.sessionAffinity",
                "each connection goes to any ready endpoint",
            ),
            ignored("spec.trafficDistribution", "requests go to every ready endpoint of the cluster"),
        ],
    ),
    (
        Kind::Ingress,
        &[
            ignored("spec.ingressClassName", "there is one front, which takes every ingress"),
            ignored("spec.tls", "the front speaks plain HTTP"),
        ],
    ),
    (
        Kind::ServiceAccount,
        &[
            ignored(
                "automountServiceAccountToken",
                "no token is mounted; pods have no credentials for the API",
            ),
            ignored("imagePullSecrets", "images are loaded with `image load` or pulled without credentials"),
            ignored("secrets", "pods have no credentials for the API"),
        ],
    ),
    (
        Kind::EndpointSlice,
        &[
            ignored("endpoints[*].hints", "requests go to every ready endpoint of the cluster"),
            ignored("ports[*].appProtocol", "the front speaks HTTP/1.1 to endpoints"),
        ],
    ),
];
