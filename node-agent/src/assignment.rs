//! A pod that the control plane gave to this node, decoded from the wire, and all that it refers to.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

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
        if pod.spec.is_none() {
            return Err(AssignmentError::PodIdentity("spec"));
        }
        Ok(Self { pod, references: References::decode(&wire.references)? })
    }
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
