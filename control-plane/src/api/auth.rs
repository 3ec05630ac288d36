//! Who calls: a client certificate of the group that may do everything, or the bearer token.
//!
//! TLS has verified that a certificate is of our authority and in time; what it *allows* is decided here. There is
//! one right, to do everything: finer ones are accepted in manifests and not acted on.

use http::{HeaderMap, header};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::registry::{Reason, Status};

/// The group whose members may do everything, as in Kubernetes.
pub const MASTERS: &str = "system:masters";

/// What a caller must show.
#[derive(Debug, Clone, Default)]
pub struct Authenticator {
    token_hashes: Vec<[u8; 32]>,
}

/// What a connection shows of its caller.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// The leaf of the client's certificate chain, verified.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

/// A caller that is known and may do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

impl Authenticator {
    /// Accepts members of [`MASTERS`] by certificate, and nobody by token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts this token too. Only its hash is kept.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token_hashes.push(Sha256::digest(token.as_bytes()).into());
        self
    }

    pub(super) fn identify(&self, caller: &Caller, headers: &HeaderMap) -> Result<Identity, Status> {
        if let Some(token) = bearer(headers) {
            return self.by_token(token);
        }
        let Some(certificate) = &caller.certificate else { return Err(unauthorized()) };
        let identity = by_certificate(certificate).ok_or_else(unauthorized)?;
        if identity.groups.iter().any(|group| group == MASTERS) {
            return Ok(identity);
        }
        let message =
            format!("User \"{}\" is not a member of {MASTERS} and may not use this API", identity.name);
        Err(Status::new(Reason::Forbidden, message))
    }

    fn by_token(&self, token: &str) -> Result<Identity, Status> {
        // Comparing hashes tells a guesser nothing by its timing.
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if self.token_hashes.contains(&hash) {
            return Ok(Identity { name: "admin".to_owned(), groups: vec![MASTERS.to_owned()] });
        }
        Err(unauthorized())
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The user and groups of a certificate: its common name and organisations.
fn by_certificate(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(ToOwned::to_owned);
    Some(Identity { name, groups: groups.collect() })
}

fn unauthorized() -> Status {
    Status::new(Reason::Unauthorized, "Unauthorized")
}

#[cfg(test)]
mod tests;
