//! What a container may use. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};
use manifests::quantity::{Quantity, QuantityError};
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use crate::pods::desired::Desired;
use crate::pods::qos::qos_class;
use crate::spec::Facts;

/// The most processes and threads of one container: enough for any server, and an end to a fork bomb.
pub const PIDS_MAX: i64 = 4096;
/// The kernel's accounting period.
const CPU_PERIOD_US: u64 = 100_000;
/// The kernel's own minimums.
const CPU_QUOTA_MIN_US: i64 = 1_000;
const CPU_SHARES_MIN: u64 = 2;
const CPU_SHARES_MAX: u64 = 262_144;
const SHARES_PER_CPU: u64 = 1024;

/// An amount that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("resources of container {container}")]
pub struct ResourceError {
    /// Whose.
    pub container: String,
    /// Why.
    #[source]
    pub source: QuantityError,
}

/// Limits become hard limits, requests become shares.
///
/// # Errors
/// When an amount is none; validation has seen to it that there are none such.
pub fn resources(container: &Container) -> Result<LinuxResources, ResourceError> {
    let limit = |name| amount(container, Side::Limits, name);
    let mut cpu = LinuxCpu::default();
    let requested = amount(container, Side::Requests, "cpu")?.or(limit("cpu")?);
    let shares = requested.map_or(0, |cpus| cpus.milli().saturating_mul(SHARES_PER_CPU) / 1000);
    cpu.set_shares(Some(shares.clamp(CPU_SHARES_MIN, CPU_SHARES_MAX)));
    if let Some(cpus) = limit("cpu")? {
        let quota_us = i64::try_from(cpus.milli().saturating_mul(CPU_PERIOD_US) / 1000).unwrap_or(i64::MAX);
        cpu.set_period(Some(CPU_PERIOD_US)).set_quota(Some(quota_us.max(CPU_QUOTA_MIN_US)));
    }
    let mut resources = LinuxResources::default();
    if let Some(memory) = limit("memory")? {
        let bytes = i64::try_from(memory.whole()).unwrap_or(i64::MAX);
        let mut memory = LinuxMemory::default();
        // As much with swap as without: no swap, as in Kubernetes.
        memory.set_limit(Some(bytes)).set_swap(Some(bytes));
        resources.set_memory(Some(memory));
    }
    let mut pids = LinuxPids::default();
    pids.set_limit(PIDS_MAX);
    resources.set_cpu(Some(cpu)).set_pids(Some(pids)).set_devices(None);
    Ok(resources)
}

/// Whom the kernel kills first when the machine's memory runs out: those who asked for the least. Only ever raised:
/// lowering takes a privilege that the agent may lack.
#[must_use]
pub fn oom_score_adj(pod: &Pod, container: &Container, facts: &Facts) -> Option<i32> {
    match qos_class(&Desired::new(pod.clone())) {
        "Guaranteed" => None,
        "BestEffort" => Some(1000),
        _ => {
            let requested =
                amount(container, Side::Requests, "memory").ok().flatten().map_or(0, Quantity::whole);
            let share = u128::from(requested) * 1000 / u128::from(facts.node_memory_bytes.max(1));
            i32::try_from(1000_u128.saturating_sub(share).clamp(2, 999)).ok()
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Limits,
    Requests,
}

fn amount(container: &Container, side: Side, name: &str) -> Result<Option<Quantity>, ResourceError> {
    let Some(resources) = &container.resources else { return Ok(None) };
    let amounts = match side {
        Side::Limits => &resources.limits,
        Side::Requests => &resources.requests,
    };
    let text = amounts.as_ref().and_then(|amounts| amounts.get(name));
    let error = |source| ResourceError { container: container.name.clone(), source };
    text.map(|text| text.0.parse()).transpose().map_err(error)
}
