//! The administrator's way in: a kubeconfig with a client certificate of its own.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::pki::Identity;

/// The text of a kubeconfig (JSON is YAML) for the API at `address`.
pub(crate) fn kubeconfig(address: SocketAddr, ca_pem: &str, identity: &Identity) -> String {
    let name = "minikube-ish";
    let base64 = |text: &str| STANDARD.encode(text);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority-data": base64(ca_pem),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": base64(&identity.certificate_pem),
            "client-key-data": base64(&identity.key_pem),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    });
    serde_json::to_string_pretty(&config).expect("JSON values serialize") + "\n"
}
