//! The cluster's certificate authority: made once, kept in one private folder, trusted by everybody.
//!
//! It knows no sockets and no clock: the time comes in, certificates go out. Servers and clients are told
//! apart by extended key usage, people and machines by organisation (`system:masters`, `system:nodes`,
//! `system:fronts`), as Kubernetes does.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

#[cfg(test)]
mod tests;

/// The organisation of certificates whose owner may do everything.
pub const MASTERS: &str = "system:masters";
/// The organisation of node agents.
pub const NODES: &str = "system:nodes";
/// The organisation of fronts.
pub const FRONTS: &str = "system:fronts";

const CA_YEARS: i32 = 10;
const LEAF_YEARS: i32 = 1;
const TOKEN_BYTES: usize = 24;

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the authority could not be read or written.
    #[error("cannot keep the cluster's keys in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate could not be made or read.
    #[error("cannot make the certificate of {subject}")]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The user's name, e.g. `system:node:node-1`.
    pub common_name: String,
    /// The group, e.g. [`NODES`].
    pub organisation: &'static str,
}

/// The certificate authority, with the token by which new members prove that they were invited.
pub struct Authority {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    join_token: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority that lives in `dir`, or founds it there.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or holds something that is not a key.
    pub fn open(dir: &Path, now: Timestamp, rng: &mut impl Rng) -> Result<Self, PkiError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(file_error(dir))?;
        let key_pem =
            read_or_create(&dir.join("ca.key"), || Ok(generate_key("the authority")?.serialize_pem()))?;
        let key = KeyPair::from_pem(&key_pem).map_err(certificate_error("the authority"))?;
        let ca_pem = read_or_create(&dir.join("ca.pem"), || {
            let certificate = ca_params(now).self_signed(&key).map_err(certificate_error("the authority"))?;
            Ok(certificate.pem())
        })?;
        let join_token = read_or_create(&dir.join("join.token"), || Ok(new_token(rng)))?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key).map_err(certificate_error("the authority"))?;
        Ok(Self { ca_pem, issuer, join_token: join_token.trim().to_owned() })
    }

    /// The certificate that everybody trusts.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The secret that lets a node or a front join.
    #[must_use]
    pub fn join_token(&self) -> &str {
        &self.join_token
    }

    /// Whether `token` is the join token, in time that does not depend on how much of it is right.
    #[must_use]
    pub fn accepts(&self, token: &str) -> bool {
        let (ours, theirs) = (self.join_token.as_bytes(), token.as_bytes());
        ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }

    /// A server's identity, valid for the host names and addresses of `names`.
    ///
    /// # Errors
    /// When a name is not a host name or address.
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<Identity, PkiError> {
        let subject = "the control plane";
        let mut params = CertificateParams::new(names).map_err(certificate_error(subject))?;
        params.distinguished_name = distinguished_name("control-plane", "minikube-ish");
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth, subject, now)
    }

    /// A client's identity, key included.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn issue_client(&self, subject: &Subject, now: Timestamp) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(&subject.common_name, subject.organisation);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth, &subject.common_name, now)
    }

    /// Signs the key of a certificate signing request. Whatever else the request asks for is ignored:
    /// the subject is ours to say.
    ///
    /// # Errors
    /// When the request is not one.
    pub fn sign_request(&self, csr_pem: &str, subject: &Subject, now: Timestamp) -> Result<String, PkiError> {
        let failed = certificate_error(&subject.common_name);
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(&failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(&subject.common_name, subject.organisation);
        set_leaf_usage(&mut params, ExtendedKeyUsagePurpose::ClientAuth, now);
        request.params = params;
        Ok(request.signed_by(&self.issuer).map_err(&failed)?.pem())
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        subject: &str,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        set_leaf_usage(&mut params, usage, now);
        let key = generate_key(subject)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(certificate_error(subject))?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn ca_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name("minikube-ish-ca", "minikube-ish");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, CA_YEARS);
    params
}

fn set_leaf_usage(params: &mut CertificateParams, usage: ExtendedKeyUsagePurpose, now: Timestamp) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_validity(params, now, LEAF_YEARS);
}

/// From a day ago (clocks of machines differ) to a day of `years` from now.
fn set_validity(params: &mut CertificateParams, now: Timestamp, years: i32) {
    let day = |timestamp: Timestamp| {
        let date = timestamp.to_zoned(TimeZone::UTC).date();
        (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let (year, month, first) = day(now - jiff::SignedDuration::from_hours(24));
    params.not_before = rcgen::date_time_ymd(year, month, first);
    // The 29th of February exists only in some years; the 28th always does.
    params.not_after = rcgen::date_time_ymd(year + years, month, first.min(28));
}

fn distinguished_name(common_name: &str, organisation: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, organisation);
    name
}

fn generate_key(subject: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(certificate_error(subject))
}

fn new_token(rng: &mut impl Rng) -> String {
    let mut bytes = [0_u8; TOKEN_BYTES];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_or_create(
    path: &Path,
    create: impl FnOnce() -> Result<String, PkiError>,
) -> Result<String, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = create()?;
            write_private(path, &text).map_err(file_error(path))?;
            Ok(text)
        }
        Err(source) => Err(PkiError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// Whatever the file system says.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::File { path: path.clone(), source }
}

fn certificate_error(subject: &str) -> impl Fn(rcgen::Error) -> PkiError {
    let subject = subject.to_owned();
    move |source| PkiError::Certificate { subject: subject.clone(), source }
}
