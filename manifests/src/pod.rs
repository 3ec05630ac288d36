//! Readings of a Pod that several rooms must agree on: what it asks for, whether it is ready, whether it has ended,
//! what happens to a container that exits.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::quantity::Quantity;

/// Amounts of what a node shares out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: u64,
    /// Memory.
    pub memory_bytes: u64,
}

impl Resources {
    /// Reads `cpu` and `memory` of a resource map; what is absent, or no quantity, counts as nothing.
    pub fn of(amounts: Option<&BTreeMap<String, RawQuantity>>) -> Resources {
        let amount = |name| {
            let text = amounts.and_then(|amounts| amounts.get(name)).map_or("0", |quantity| &quantity.0);
            Quantity::from_str(text).unwrap_or_default()
        };
        Resources { milli_cpu: amount("cpu").milli(), memory_bytes: amount("memory").whole() }
    }

    /// The sum, at most the largest number.
    pub fn plus(self, other: Resources) -> Resources {
        Resources {
            milli_cpu: self.milli_cpu.saturating_add(other.milli_cpu),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    /// The difference, at least nothing.
    pub fn minus(self, other: Resources) -> Resources {
        Resources {
            milli_cpu: self.milli_cpu.saturating_sub(other.milli_cpu),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }

    /// The larger of each.
    pub fn max(self, other: Resources) -> Resources {
        Resources {
            milli_cpu: self.milli_cpu.max(other.milli_cpu),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }

    /// Whether this fits into `room`.
    pub fn fits(self, room: Resources) -> bool {
        self.milli_cpu <= room.milli_cpu && self.memory_bytes <= room.memory_bytes
    }
}

/// What a container asks for. Kubernetes' rule: what has a limit and no request asks for its limit.
pub fn container_requests(container: &Container) -> Resources {
    let Some(resources) = &container.resources else { return Resources::default() };
    let mut asked = resources.limits.clone().unwrap_or_default();
    asked.extend(resources.requests.clone().unwrap_or_default());
    Resources::of(Some(&asked))
}

/// What a pod asks of its node: the larger of what its containers need together, and what each init container
/// needs beside the sidecars that started before it; plus overhead.
///
/// Source: Kubernetes `component-helpers/resource`, KEP-753.
pub fn requests(spec: &PodSpec) -> Resources {
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = container_requests(container);
        if is_sidecar(container) {
            sidecars = sidecars.plus(own);
            starting = starting.max(sidecars);
        } else {
            starting = starting.max(sidecars.plus(own));
        }
    }
    let running = spec.containers.iter().map(container_requests).fold(sidecars, Resources::plus);
    running.max(starting).plus(Resources::of(spec.overhead.as_ref()))
}

/// Whether an init container is one that keeps running beside the others (KEP-753).
pub fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Accepted; not all of its containers have started.
    Pending,
    /// On a node, with a container that runs, or is about to again.
    Running,
    /// Every container ended well, and none will be restarted.
    Succeeded,
    /// Every container ended, at least one badly, and none will be restarted.
    Failed,
    /// Its node cannot be asked.
    Unknown,
}

impl Phase {
    /// As written in `status.phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Unknown => "Unknown",
        }
    }

    /// Whether nothing of the pod will ever run again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

/// A pod's phase; one that says nothing yet is pending.
pub fn phase(pod: &Pod) -> Phase {
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

/// Whether nothing of the pod will ever run again.
pub fn is_terminal(pod: &Pod) -> bool {
    phase(pod).is_terminal()
}

/// Whether the pod was asked to go.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod says that it can take requests.
pub fn is_ready(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| condition_is_true(status, "Ready"))
}

/// Whether a condition of this type is there and `True`.
pub fn condition_is_true(status: &PodStatus, condition_type: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == condition_type && condition.status == "True")
}

/// What happens to a container that exits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It is started again.
    #[default]
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays as it is.
    Never,
}

impl RestartPolicy {
    /// A pod's policy; `Always` where it says none.
    pub fn of(spec: &PodSpec) -> RestartPolicy {
        match spec.restart_policy.as_deref() {
            Some("OnFailure") => RestartPolicy::OnFailure,
            Some("Never") => RestartPolicy::Never,
            _ => RestartPolicy::Always,
        }
    }

    /// Whether a container that exited with this code is started again.
    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }
}

/// How long a pod may take to end after SIGTERM, in seconds.
pub fn grace_seconds(spec: &PodSpec) -> u64 {
    let seconds = spec.termination_grace_period_seconds.unwrap_or(TERMINATION_GRACE_SECONDS);
    u64::try_from(seconds).unwrap_or(0)
}

/// Kubernetes' default of `terminationGracePeriodSeconds`.
pub const TERMINATION_GRACE_SECONDS: i64 = 30;

#[cfg(test)]
mod tests;
