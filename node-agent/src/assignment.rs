//! A pod that the control plane gave to this node, decoded from the wire, and all that it refers to.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

/// The longest name that Kubernetes has.
const NAME_MAX: usize = 253;

/// A pod and the ConfigMaps and Secrets that it refers to and that exist.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The pod's object.
    pub pod: Pod,
    /// What it refers to.
    pub references: References,
}

/// ConfigMaps and Secrets of one namespace, by name.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// By `metadata.name`.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// By `metadata.name`.
    pub secrets: BTreeMap<String, Secret>,
}

/// An assignment that cannot be read; nothing of it is acted on.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// The pod's JSON is no v1.Pod.
    #[error("the assigned pod is not a v1.Pod")]
    Pod(#[source] serde_json::Error),
    /// The pod lacks what identifies it.
    #[error("the assigned pod has no {0}")]
    PodIdentity(&'static str),
    /// A name that could not be that of a file.
    #[error("{0:?} is no name for a pod, container or volume")]
    Name(String),
    /// A reference's JSON is neither a v1.ConfigMap nor a v1.Secret.
    #[error("reference {index} is neither a v1.ConfigMap nor a v1.Secret")]
    Reference {
        /// Which one.
        index: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Assignment {
    /// Decodes what crossed the wire.
    ///
    /// # Errors
    /// When the pod or one of its references is not what it should be.
    pub fn decode(wire: &proto::Assignment) -> Result<Self, AssignmentError> {
        let pod: Pod = serde_json::from_slice(&wire.pod).map_err(AssignmentError::Pod)?;
        let identity = [
            ("metadata.uid", &pod.metadata.uid),
            ("metadata.name", &pod.metadata.name),
            ("metadata.namespace", &pod.metadata.namespace),
        ];
        for (field, value) in identity {
            if value.as_deref().is_none_or(str::is_empty) {
                return Err(AssignmentError::PodIdentity(field));
            }
        }
        let Some(spec) = &pod.spec else { return Err(AssignmentError::PodIdentity("spec")) };
        let names = spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|one| &one.name);
        let names = names.chain(spec.volumes.iter().flatten().map(|volume| &volume.name));
        let identity = identity.iter().filter_map(|(_, value)| value.as_ref());
        if let Some(name) = names.chain(identity).find(|name| !is_path_component(name)) {
            return Err(AssignmentError::Name(name.clone()));
        }
        Ok(Self { pod, references: References::decode(&wire.references)? })
    }
}

/// Names become names of files and cgroups: whatever the control plane says, they lead nowhere else.
fn is_path_component(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(plain)
}

impl References {
    fn decode(wire: &[Bytes]) -> Result<Self, AssignmentError> {
        let mut references = Self::default();
        for (index, bytes) in wire.iter().enumerate() {
            references.add(bytes).map_err(|source| AssignmentError::Reference { index, source })?;
        }
        Ok(references)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Kind {
            kind: String,
        }
        let kind: Kind = serde_json::from_slice(bytes)?;
        if kind.kind == "Secret" {
            let secret: Secret = serde_json::from_slice(bytes)?;
            self.secrets.insert(secret.metadata.name.clone().unwrap_or_default(), secret);
        } else {
            let map: ConfigMap = serde_json::from_slice(bytes)?;
            self.config_maps.insert(map.metadata.name.clone().unwrap_or_default(), map);
        }
        Ok(())
    }
}
