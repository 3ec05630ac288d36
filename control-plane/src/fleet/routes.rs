//! What the front serves: Ingresses and Services of type LoadBalancer, as a table of routes. Pure.
//!
//! The table is small and sent whole at each change; the order of the routes is the order in which the front
//! tries them, as networking.k8s.io/v1 says: exact hosts before wildcards before any host, exact paths before
//! prefixes, longer ones before shorter ones.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressServiceBackend};

use crate::fleet::services::Services;
use crate::snapshot::Snapshot;

#[cfg(test)]
mod tests;

/// The table of routes at this moment.
#[must_use]
pub(super) fn routes(snapshot: &Snapshot, services: &Services, generation: u64) -> proto::RouteTable {
    let mut builder = Builder { services, backends: BTreeMap::new() };
    let mut http = Vec::new();
    for (stored, ingress) in snapshot.all::<Ingress>() {
        builder.ingress(&stored.key().namespace, ingress, &mut http);
    }
    http.sort_by_key(precedence);
    let mut ports = Vec::new();
    for (stored, service) in snapshot.all::<Service>() {
        builder.load_balancer(&stored.key().namespace, &stored.key().name, service, &mut ports);
    }
    proto::RouteTable { generation, http, ports, backends: builder.backends.into_values().collect() }
}

struct Builder<'a> {
    services: &'a Services,
    backends: BTreeMap<String, proto::Backend>,
}

impl Builder<'_> {
    fn ingress(&mut self, namespace: &str, ingress: &Ingress, http: &mut Vec<proto::HttpRoute>) {
        let Some(spec) = &ingress.spec else { return };
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.clone().unwrap_or_default();
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                http.extend(self.backend(namespace, &path.backend).map(|backend| proto::HttpRoute {
                    host: host.clone(),
                    path: path.path.clone().unwrap_or_else(|| "/".to_owned()),
                    exact: path.path_type == "Exact",
                    backend,
                }));
            }
        }
        let default = spec.default_backend.as_ref().and_then(|backend| self.backend(namespace, backend));
        http.extend(default.map(|backend| proto::HttpRoute {
            host: String::new(),
            path: "/".to_owned(),
            exact: false,
            backend,
        }));
    }

    fn load_balancer(
        &mut self,
        namespace: &str,
        name: &str,
        service: &Service,
        ports: &mut Vec<proto::PortRoute>,
    ) {
        let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
        else {
            return;
        };
        for port in spec.ports.iter().flatten() {
            let (Ok(number), Some(backend)) =
                (u32::try_from(port.port), self.add(namespace, name, |wire| wire.port == as_u32(port.port)))
            else {
                continue;
            };
            ports.push(proto::PortRoute { port: number, backend, http: is_http(port) });
        }
    }

    fn backend(&mut self, namespace: &str, backend: &IngressBackend) -> Option<String> {
        let IngressServiceBackend { name, port } = backend.service.as_ref()?;
        let port = port.as_ref()?;
        match (&port.name, port.number) {
            (Some(port), _) => self.add(namespace, name, |wire| wire.name == *port),
            (None, Some(number)) => self.add(namespace, name, |wire| wire.port == as_u32(number)),
            (None, None) => None,
        }
    }

    /// The key of the backend of a service's port. A service that does not exist is a backend without endpoints:
    /// its route answers 503, not another route's content.
    fn add(
        &mut self,
        namespace: &str,
        service: &str,
        wanted: impl Fn(&proto::ServicePort) -> bool,
    ) -> Option<String> {
        let id = format!("{namespace}/{service}");
        let port = self.services.table().get(&id).and_then(|it| it.ports.iter().find(|port| wanted(port)));
        let key = port.map_or_else(|| id.clone(), |port| format!("{id}:{}", port.port));
        let endpoints = port.map(|port| port.endpoints.clone()).unwrap_or_default();
        self.backends.entry(key.clone()).or_insert_with(|| proto::Backend { key: key.clone(), endpoints });
        Some(key)
    }
}

/// Smaller comes first.
fn precedence(route: &proto::HttpRoute) -> (u8, Reverse<usize>, bool, Reverse<usize>) {
    let host = match route.host.as_str() {
        "" => 2,
        host if host.starts_with("*.") => 1,
        _ => 0,
    };
    (host, Reverse(route.host.len()), !route.exact, Reverse(route.path.len()))
}

/// Whether a port says that it speaks HTTP, and so can be balanced by request (Service `appProtocol`, KEP-1507;
/// the name is the older convention).
fn is_http(port: &ServicePort) -> bool {
    let name = port.name.as_deref().unwrap_or_default();
    match port.app_protocol.as_deref() {
        Some(protocol) => protocol == "http",
        None => name == "http" || name.starts_with("http-"),
    }
}

fn as_u32(port: i32) -> u32 {
    u32::try_from(port).unwrap_or_default()
}
