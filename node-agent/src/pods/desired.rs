//! What a pod should be: its object, and what stands in its way before anything is tried.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE_DEFAULT: SignedDuration = SignedDuration::from_secs(30);

/// A pod as it should be.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The object, as assigned.
    pub pod: Pod,
    /// A container's name and why its configuration cannot be made from what was assigned: a ConfigMap, Secret
    /// or key that is missing.
    pub config_errors: BTreeMap<String, String>,
    /// Why the volumes' content cannot be made from what was assigned.
    pub volumes_blocked: Option<String>,
    /// Changes whenever the content of a volume should.
    pub volumes_content: u64,
    /// The pod's object is gone, or the pod is no longer ours: it is to end without grace.
    pub forgotten: bool,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always, also after success.
    Always,
    /// After a failure.
    OnFailure,
    /// Not at all.
    Never,
}

impl Desired {
    /// A pod that nothing stands in the way of.
    #[must_use]
    pub fn new(pod: Pod) -> Self {
        Self {
            pod,
            config_errors: BTreeMap::new(),
            volumes_blocked: None,
            volumes_content: 0,
            forgotten: false,
        }
    }

    /// The pod's spec, if it has one; a decoded assignment always has.
    #[must_use]
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Init containers, in their order.
    #[must_use]
    pub fn init_containers(&self) -> &[Container] {
        self.spec().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
    }

    /// The pod's containers proper.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        self.spec().map(|spec| spec.containers.as_slice()).unwrap_or_default()
    }

    /// All containers, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers().iter().chain(self.containers())
    }

    /// The container of this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.all_containers().find(|container| container.name == name)
    }

    /// Whether this init container keeps running beside the others (KEP-753).
    #[must_use]
    pub fn is_sidecar(&self, name: &str) -> bool {
        self.init_containers().iter().any(|container| container.name == name && runs_on(container))
    }

    /// Whether this init container has to complete before the next one starts.
    #[must_use]
    pub fn is_plain_init(&self, name: &str) -> bool {
        self.init_containers().iter().any(|container| container.name == name && !runs_on(container))
    }

    /// The restart policy that holds for a container: an init container that succeeded is never repeated, a
    /// sidecar always runs.
    #[must_use]
    pub fn restart_policy(&self, container: &str) -> RestartPolicy {
        let policy = match self.spec().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            Some(_) | None => RestartPolicy::Always,
        };
        if self.is_sidecar(container) {
            RestartPolicy::Always
        } else if self.is_plain_init(container) && policy == RestartPolicy::Always {
            RestartPolicy::OnFailure
        } else {
            policy
        }
    }

    /// Whether the pod is to end.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.forgotten || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// How long its containers may take to end after they were asked to.
    #[must_use]
    pub fn grace(&self) -> SignedDuration {
        if self.forgotten {
            return SignedDuration::ZERO;
        }
        let of_spec = self.spec().and_then(|spec| spec.termination_grace_period_seconds);
        self.pod
            .metadata
            .deletion_grace_period_seconds
            .or(of_spec)
            .map_or(GRACE_DEFAULT, |seconds| SignedDuration::from_secs(seconds.clamp(0, i64::from(i32::MAX))))
    }
}

impl RestartPolicy {
    /// Whether a container that ended with `exit_code` is started again.
    #[must_use]
    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

fn runs_on(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}
