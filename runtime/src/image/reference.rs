//! Names of images, as Docker and Kubernetes write them: `payment`, `shop/payment:1`,
//! `registry:5000/payment@sha256:…`. Pure.
//!
//! The grammar is that of `github.com/distribution/reference`.

use std::fmt;
use std::str::FromStr;

/// The registry of names that carry none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Where the default registry keeps names of one component.
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
/// Longest `registry/repository`, in bytes.
const NAME_LENGTH_MAX: usize = 255;
/// Longest tag, in bytes.
const TAG_LENGTH_MAX: usize = 128;

/// A full name: `docker.io/library/payment:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing but a tag or a digest, or nothing at all.
    #[error("image name {name:?} has no repository")]
    NoRepository {
        /// As given.
        name: String,
    },
    /// The part between the registry and the tag.
    #[error(
        "image name {name:?}: {component:?} is no repository: lower case letters and digits, separated by '.', '_', '-' or '/'"
    )]
    Repository {
        /// As given.
        name: String,
        /// The component that breaks the grammar.
        component: String,
    },
    /// The part before the first slash.
    #[error("image name {name:?}: {registry:?} is no host or host:port")]
    Registry {
        /// As given.
        name: String,
        /// The host that breaks the grammar.
        registry: String,
    },
    /// The part after the colon.
    #[error(
        "image name {name:?}: {tag:?} is no tag: at most 128 letters, digits, '_', '.', '-', not beginning with '.' or '-'"
    )]
    Tag {
        /// As given.
        name: String,
        /// The tag that breaks the grammar.
        tag: String,
    },
    /// The part after the at sign.
    #[error("image name {name:?}: {digest:?} is no digest: sha256: and 64 hexadecimal digits in lower case")]
    Digest {
        /// As given.
        name: String,
        /// The digest that breaks the grammar.
        digest: String,
    },
    /// Registry and repository together.
    #[error("image name of {length} bytes is too long: at most 255 without tag and digest")]
    TooLong {
        /// In bytes.
        length: usize,
    },
}

impl Reference {
    /// Host, with its port where it has one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `latest` unless said otherwise; none for a name by digest alone.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// `sha256:…` of the manifest.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The name without tag and digest as people write it: `payment`, not `docker.io/library/payment`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        let short = self.repository.strip_prefix("library/").filter(|rest| !rest.contains('/'));
        short.unwrap_or(&self.repository).to_owned()
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag { name: self.to_string(), tag: tag.to_owned() });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(name: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        let (path, tag) = split_tag(rest);
        let (registry, repository) = split_registry(path);
        if repository.is_empty() {
            return Err(ReferenceError::NoRepository { name: name.to_owned() });
        }
        check(name, &registry, &repository, tag, digest)?;
        let tag = tag.or_else(|| digest.is_none().then_some(DEFAULT_TAG));
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

/// A colon after the last slash begins a tag; before it, a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    }
}

/// The first component is a host if it could be none of the default registry's namespaces.
fn split_registry(path: &str) -> (String, String) {
    match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
            (registry.to_owned(), in_namespace(registry, rest))
        }
        _ => (DEFAULT_REGISTRY.to_owned(), in_namespace(DEFAULT_REGISTRY, path)),
    }
}

fn in_namespace(registry: &str, path: &str) -> String {
    if registry == DEFAULT_REGISTRY && !path.is_empty() && !path.contains('/') {
        format!("{DEFAULT_NAMESPACE}/{path}")
    } else {
        path.to_owned()
    }
}

fn check(
    name: &str,
    registry: &str,
    repository: &str,
    tag: Option<&str>,
    digest: Option<&str>,
) -> Result<(), ReferenceError> {
    let length = registry.len() + 1 + repository.len();
    if length > NAME_LENGTH_MAX {
        return Err(ReferenceError::TooLong { length });
    }
    if !is_host(registry) {
        return Err(ReferenceError::Registry { name: name.to_owned(), registry: registry.to_owned() });
    }
    if let Some(component) = repository.split('/').find(|component| !is_component(component)) {
        return Err(ReferenceError::Repository { name: name.to_owned(), component: component.to_owned() });
    }
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(ReferenceError::Tag { name: name.to_owned(), tag: tag.to_owned() });
    }
    if let Some(digest) = digest.filter(|digest| !is_sha256(digest)) {
        return Err(ReferenceError::Digest { name: name.to_owned(), digest: digest.to_owned() });
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let separators = text.split(|c: char| word(u8::try_from(c).unwrap_or(b'/')));
    word(*first)
        && word(*last)
        && separators.into_iter().all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_LENGTH_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_sha256(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests;
