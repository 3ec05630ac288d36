//! The table of services, as nodes and fronts see it: a Service joined with its EndpointSlices. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use manifests::Kind;

use crate::snapshot::{Key, Snapshot, Stored};

#[cfg(test)]
mod tests;

/// The label by which an EndpointSlice says whose it is.
pub(super) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// All services by `namespace/name`, and the generation of the last change.
#[derive(Debug, Default, Clone)]
pub(super) struct Services {
    generation: u64,
    table: BTreeMap<String, proto::Service>,
}

impl Services {
    /// The whole table, for whoever has nothing yet.
    #[must_use]
    pub(super) fn complete(&self) -> proto::ServiceTable {
        proto::ServiceTable {
            generation: self.generation,
            complete: true,
            changed: self.table.values().cloned().collect(),
            removed: Vec::new(),
        }
    }

    /// The services, by `namespace/name`.
    #[must_use]
    pub(super) fn table(&self) -> &BTreeMap<String, proto::Service> {
        &self.table
    }

    /// Looks again at the services that changed keys are about; what became different is returned, if anything.
    pub(super) fn refresh<'a>(
        &mut self,
        snapshot: &Snapshot,
        changed: impl IntoIterator<Item = &'a Key>,
    ) -> Option<proto::ServiceTable> {
        let mut difference = proto::ServiceTable::default();
        for key in changed.into_iter().collect::<BTreeSet<_>>() {
            let id = id(&key.namespace, &key.name);
            match service(snapshot, key) {
                Some(service) if self.table.get(&id) != Some(&service) => {
                    self.table.insert(id, service.clone());
                    difference.changed.push(service);
                }
                Some(_) => {}
                None if self.table.remove(&id).is_some() => difference.removed.push(id),
                None => {}
            }
        }
        if difference.changed.is_empty() && difference.removed.is_empty() {
            return None;
        }
        self.generation += 1;
        difference.generation = self.generation;
        Some(difference)
    }
}

/// The service that a changed object is about: a Service itself, or the one that an EndpointSlice names.
#[must_use]
pub(super) fn service_of(stored: &Stored) -> Option<Key> {
    if stored.key().kind == Kind::Service {
        return Some(stored.key().clone());
    }
    let slice: &EndpointSlice = stored.typed()?;
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(Key::new(Kind::Service, stored.key().namespace.clone(), name.as_str()))
}

fn id(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn service(snapshot: &Snapshot, key: &Key) -> Option<proto::Service> {
    let stored = snapshot.get(key)?;
    let spec = stored.typed::<Service>()?.spec.as_ref()?;
    let slices: Vec<&EndpointSlice> = slices(snapshot, key).collect();
    let ports = spec.ports.iter().flatten().map(|port| service_port(port, &slices)).collect();
    Some(proto::Service {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        cluster_ip: spec.cluster_ip.clone().filter(|ip| ip != "None").unwrap_or_default(),
        ports,
        r#type: spec.type_.clone().unwrap_or_else(|| "ClusterIP".to_owned()),
        external_name: spec.external_name.clone().unwrap_or_default(),
    })
}

fn slices<'a>(snapshot: &'a Snapshot, service: &'a Key) -> impl Iterator<Item = &'a EndpointSlice> {
    snapshot.all_in::<EndpointSlice>(&service.namespace).map(|(_, slice)| slice).filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL)).is_some_and(|name| **name == *service.name)
    })
}

fn service_port(port: &ServicePort, slices: &[&EndpointSlice]) -> proto::ServicePort {
    let name = port.name.clone().unwrap_or_default();
    let mut endpoints: Vec<_> = slices.iter().flat_map(|slice| endpoints(slice, &name)).collect();
    endpoints.sort_by(|a, b| (&a.ip, a.port).cmp(&(&b.ip, b.port)));
    endpoints.dedup_by(|a, b| (&a.ip, a.port) == (&b.ip, b.port));
    proto::ServicePort {
        name,
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        port: u32::try_from(port.port).unwrap_or_default(),
        node_port: port.node_port.and_then(|port| u32::try_from(port).ok()).unwrap_or_default(),
        endpoints,
    }
}

/// The endpoints of a slice at its port of this name.
fn endpoints(slice: &EndpointSlice, name: &str) -> Vec<proto::Endpoint> {
    let ports = slice.ports.iter().flatten();
    let port = ports
        .filter(|port| port.name.as_deref().unwrap_or_default() == name)
        .find_map(|port| port.port.and_then(|port| u32::try_from(port).ok()));
    let Some(port) = port else { return Vec::new() };
    slice.endpoints.iter().flatten().filter_map(|endpoint| wire_endpoint(endpoint, port)).collect()
}

fn wire_endpoint(endpoint: &Endpoint, port: u32) -> Option<proto::Endpoint> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    Some(proto::Endpoint {
        ip: endpoint.addresses.first()?.clone(),
        port,
        // An absent condition is to be read as ready: EndpointConditions, discovery.k8s.io/v1.
        ready: conditions.ready.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        node: endpoint.node_name.clone().unwrap_or_default(),
        target: endpoint.target_ref.as_ref().and_then(|target| target.name.clone()).unwrap_or_default(),
        hostname: endpoint.hostname.clone().unwrap_or_default(),
    })
}
