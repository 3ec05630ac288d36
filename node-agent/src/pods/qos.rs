//! A pod's quality-of-service class, as Kubernetes derives it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::pods::desired::Desired;

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed` when every container limits cpu and memory and requests as much; `BestEffort` when none says
/// anything; `Burstable` otherwise.
#[must_use]
pub fn qos_class(desired: &Desired) -> &'static str {
    if desired
        .all_containers()
        .all(|container| counted(container, Side::Requests) == 0 && counted(container, Side::Limits) == 0)
    {
        "BestEffort"
    } else if desired.all_containers().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[derive(Clone, Copy)]
enum Side {
    Requests,
    Limits,
}

fn resources(container: &Container, side: Side) -> Option<&BTreeMap<String, Quantity>> {
    let resources = container.resources.as_ref()?;
    match side {
        Side::Requests => resources.requests.as_ref(),
        Side::Limits => resources.limits.as_ref(),
    }
}

fn counted(container: &Container, side: Side) -> usize {
    resources(container, side).map_or(0, |all| COUNTED.iter().filter(|name| all.contains_key(**name)).count())
}

/// Requests that are not said are those of the limits.
fn is_guaranteed(container: &Container) -> bool {
    counted(container, Side::Limits) == COUNTED.len()
        && COUNTED.iter().all(|name| {
            let limit = resources(container, Side::Limits).and_then(|all| all.get(*name));
            let request = resources(container, Side::Requests).and_then(|all| all.get(*name));
            request.is_none() || request == limit
        })
}
