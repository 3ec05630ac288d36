//! Who is at the other end of a connection: said by the certificate, never by a message.

use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pki::{FRONTS, NODES, Subject};

const NODE_PREFIX: &str = "system:node:";
const FRONT_PREFIX: &str = "system:front:";
const NAME_MAX: usize = 63;

/// A member of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A node agent, by the name of its node.
    Node(String),
    /// A front, by its name.
    Front(String),
}

impl Member {
    /// The member that a joiner wants to be.
    ///
    /// # Errors
    /// When the role is none, or the name cannot be the name of a Node (RFC 1123).
    pub(super) fn asked(role: proto::Role, name: &str) -> Result<Self, Status> {
        let edges = [name.chars().next(), name.chars().last()];
        let is_name = name.len() <= NAME_MAX
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
            && edges.iter().all(|edge| edge.is_some_and(|c| c.is_ascii_alphanumeric()));
        if !is_name {
            return Err(Status::invalid_argument(format!(
                "{name:?} cannot be a name: use at most {NAME_MAX} of a-z, 0-9, '-' and '.', a letter or digit at both ends"
            )));
        }
        match role {
            proto::Role::Node => Ok(Self::Node(name.to_owned())),
            proto::Role::Front => Ok(Self::Front(name.to_owned())),
            proto::Role::Unspecified => Err(Status::invalid_argument("a joiner must say its role")),
        }
    }

    /// The subject of the member's certificate.
    #[must_use]
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Node(name) => Subject { common_name: format!("{NODE_PREFIX}{name}"), organisation: NODES },
            Self::Front(name) => {
                Subject { common_name: format!("{FRONT_PREFIX}{name}"), organisation: FRONTS }
            }
        }
    }

    /// The member whose certificate a request came with.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let certificates = request.peer_certs();
        let first = certificates.as_ref().and_then(|chain| chain.first());
        let first = first.ok_or_else(|| Status::unauthenticated("a client certificate is required"))?;
        Self::of_certificate(first)
            .ok_or_else(|| Status::permission_denied("the certificate is of no member of the fleet"))
    }

    /// TLS has already checked the signature and the dates.
    fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?;
        let organisation = subject.iter_organization().next()?.as_str().ok()?;
        match organisation {
            NODES => Some(Self::Node(name.strip_prefix(NODE_PREFIX)?.to_owned())),
            FRONTS => Some(Self::Front(name.strip_prefix(FRONT_PREFIX)?.to_owned())),
            _ => None,
        }
    }

    pub(super) fn node(self) -> Result<String, Status> {
        match self {
            Self::Node(name) => Ok(name),
            Self::Front(_) => Err(Status::permission_denied("only a node may do this")),
        }
    }

    pub(super) fn front(self) -> Result<String, Status> {
        match self {
            Self::Front(name) => Ok(name),
            Self::Node(_) => Err(Status::permission_denied("only a front may do this")),
        }
    }
}
