//! The messages that clients send in protobuf: numbers, names in JSON, and types of their fields.
//!
//! Source: `generated.proto` of `k8s.io/api` and `k8s.io/apimachinery`.

use super::Field;
use super::Type::{
    self, BytesMap, Count, Flag, Ignored, Inline, IntOrString, Many, Mark, Number, One, Text, TextMap, Texts,
    Time,
};

/// The message of a kind.
pub(super) fn of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "Service") => SERVICE,
        ("apps/v1", "Deployment") => DEPLOYMENT,
        ("networking.k8s.io/v1", "Ingress") => INGRESS,
        (_, "DeleteOptions") => DELETE_OPTIONS,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview" | "SelfSubjectRulesReview") => REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => REVIEW,
        _ => return None,
    })
}

const fn f(number: u64, name: &'static str, is: Type) -> Field {
    Field { number, name, is }
}

const METADATA: &[Field] = &[
    f(1, "name", Text),
    f(2, "generateName", Text),
    f(3, "namespace", Text),
    f(4, "selfLink", Text),
    f(5, "uid", Text),
    f(6, "resourceVersion", Text),
    f(7, "generation", Count),
    f(8, "creationTimestamp", Time),
    f(9, "deletionTimestamp", Time),
    f(10, "deletionGracePeriodSeconds", Number),
    f(11, "labels", TextMap),
    f(12, "annotations", TextMap),
    f(13, "ownerReferences", Many(OWNER)),
    f(14, "finalizers", Texts),
    f(17, "managedFields", Ignored),
];

const OWNER: &[Field] = &[
    f(1, "kind", Text),
    f(3, "name", Text),
    f(4, "uid", Text),
    f(5, "apiVersion", Text),
    f(6, "controller", Flag),
    f(7, "blockOwnerDeletion", Flag),
];

const NAMESPACE: &[Field] = &[
    f(1, "metadata", One(METADATA)),
    f(2, "spec", One(&[f(1, "finalizers", Texts)])),
    f(3, "status", Ignored),
];

const CONFIG_MAP: &[Field] = &[
    f(1, "metadata", One(METADATA)),
    f(2, "data", TextMap),
    f(3, "binaryData", BytesMap),
    f(4, "immutable", Flag),
];

const SECRET: &[Field] = &[
    f(1, "metadata", One(METADATA)),
    f(2, "data", BytesMap),
    f(3, "type", Text),
    f(4, "stringData", TextMap),
    f(5, "immutable", Flag),
];

const NAMED: &[Field] = &[f(1, "name", Text)];

const SERVICE_ACCOUNT: &[Field] = &[
    f(1, "metadata", One(METADATA)),
    f(3, "imagePullSecrets", Many(NAMED)),
    f(4, "automountServiceAccountToken", Flag),
];

const SERVICE: &[Field] =
    &[f(1, "metadata", One(METADATA)), f(2, "spec", One(SERVICE_SPEC)), f(3, "status", Ignored)];

const SERVICE_SPEC: &[Field] = &[
    f(1, "ports", Many(SERVICE_PORT)),
    f(2, "selector", TextMap),
    f(3, "clusterIP", Text),
    f(4, "type", Text),
    f(5, "externalIPs", Texts),
    f(7, "sessionAffinity", Text),
    f(8, "loadBalancerIP", Text),
    f(9, "loadBalancerSourceRanges", Texts),
    f(10, "externalName", Text),
    f(11, "externalTrafficPolicy", Text),
    f(12, "healthCheckNodePort", Count),
    f(13, "publishNotReadyAddresses", Mark),
    f(17, "ipFamilyPolicy", Text),
    f(18, "clusterIPs", Texts),
    f(19, "ipFamilies", Texts),
    f(20, "allocateLoadBalancerNodePorts", Flag),
    f(21, "loadBalancerClass", Text),
    f(22, "internalTrafficPolicy", Text),
];

const SERVICE_PORT: &[Field] = &[
    f(1, "name", Text),
    f(2, "protocol", Text),
    f(3, "port", Count),
    f(4, "targetPort", IntOrString),
    f(5, "nodePort", Count),
    f(6, "appProtocol", Text),
];

const DEPLOYMENT: &[Field] =
    &[f(1, "metadata", One(METADATA)), f(2, "spec", One(DEPLOYMENT_SPEC)), f(3, "status", Ignored)];

const DEPLOYMENT_SPEC: &[Field] = &[
    f(1, "replicas", Number),
    f(2, "selector", One(LABEL_SELECTOR)),
    f(3, "template", One(TEMPLATE)),
    f(4, "strategy", One(STRATEGY)),
    f(5, "minReadySeconds", Count),
    f(6, "revisionHistoryLimit", Number),
    f(7, "paused", Mark),
    f(9, "progressDeadlineSeconds", Number),
];

const LABEL_SELECTOR: &[Field] = &[
    f(1, "matchLabels", TextMap),
    f(2, "matchExpressions", Many(&[f(1, "key", Text), f(2, "operator", Text), f(3, "values", Texts)])),
];

const STRATEGY: &[Field] = &[
    f(1, "type", Text),
    f(2, "rollingUpdate", One(&[f(1, "maxUnavailable", IntOrString), f(2, "maxSurge", IntOrString)])),
];

const TEMPLATE: &[Field] = &[f(1, "metadata", One(METADATA)), f(2, "spec", One(POD_SPEC))];

/// What `kubectl create` can say of a pod; a client that says more sends JSON.
const POD_SPEC: &[Field] = &[
    f(2, "containers", Many(CONTAINER)),
    f(3, "restartPolicy", Text),
    f(4, "terminationGracePeriodSeconds", Number),
    f(5, "activeDeadlineSeconds", Number),
    f(6, "dnsPolicy", Text),
    f(7, "nodeSelector", TextMap),
    f(8, "serviceAccountName", Text),
    f(9, "serviceAccount", Text),
    f(10, "nodeName", Text),
    f(11, "hostNetwork", Mark),
    f(12, "hostPID", Mark),
    f(13, "hostIPC", Mark),
    f(14, "securityContext", One(&[])),
    f(15, "imagePullSecrets", Many(NAMED)),
    f(16, "hostname", Text),
    f(17, "subdomain", Text),
    f(19, "schedulerName", Text),
    f(20, "initContainers", Many(CONTAINER)),
    f(24, "priorityClassName", Text),
];

const CONTAINER: &[Field] = &[
    f(1, "name", Text),
    f(2, "image", Text),
    f(3, "command", Texts),
    f(4, "args", Texts),
    f(5, "workingDir", Text),
    f(6, "ports", Many(CONTAINER_PORT)),
    f(7, "env", Many(&[f(1, "name", Text), f(2, "value", Text)])),
    f(8, "resources", One(&[])),
    f(13, "terminationMessagePath", Text),
    f(14, "imagePullPolicy", Text),
    f(16, "stdin", Mark),
    f(17, "stdinOnce", Mark),
    f(18, "tty", Mark),
    f(20, "terminationMessagePolicy", Text),
];

const CONTAINER_PORT: &[Field] = &[
    f(1, "name", Text),
    f(2, "hostPort", Count),
    f(3, "containerPort", Count),
    f(4, "protocol", Text),
    f(5, "hostIP", Text),
];

const INGRESS: &[Field] =
    &[f(1, "metadata", One(METADATA)), f(2, "spec", One(INGRESS_SPEC)), f(3, "status", Ignored)];

const INGRESS_SPEC: &[Field] = &[
    f(1, "defaultBackend", One(BACKEND)),
    f(2, "tls", Many(&[f(1, "hosts", Texts), f(2, "secretName", Text)])),
    f(3, "rules", Many(&[f(1, "host", Text), f(2, "ingressRuleValue", Inline(&[f(1, "http", One(HTTP))]))])),
    f(4, "ingressClassName", Text),
];

const HTTP: &[Field] =
    &[f(1, "paths", Many(&[f(1, "path", Text), f(2, "backend", One(BACKEND)), f(3, "pathType", Text)]))];

const BACKEND: &[Field] = &[f(
    4,
    "service",
    One(&[f(1, "name", Text), f(2, "port", One(&[f(1, "name", Text), f(2, "number", Count)]))]),
)];

const DELETE_OPTIONS: &[Field] = &[
    f(1, "gracePeriodSeconds", Number),
    f(2, "preconditions", One(&[f(1, "uid", Text), f(2, "resourceVersion", Text)])),
    f(3, "orphanDependents", Flag),
    f(4, "propagationPolicy", Text),
    f(5, "dryRun", Texts),
];

/// Reviews are answered the same whatever they ask.
const REVIEW: &[Field] = &[f(1, "metadata", Ignored), f(2, "spec", Ignored), f(3, "status", Ignored)];
