//! Joining: a key made here, a certificate signed there, both kept for the next start.
//!
//! The key never leaves the machine. Nodes and fronts join in the same way.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use proto::JoinRequest;
use proto::fleet_client::FleetClient;
use tokio::io::AsyncWriteExt;
use tonic::transport::Identity;

use super::{LinkConfig, dial};

/// Why a member could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A file of the identity could not be read or written.
    #[error("cannot keep the identity in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key or a request could not be made.
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    /// The control plane could not be reached.
    #[error("cannot ask for a certificate")]
    Dial(#[source] Box<super::LinkError>),
    /// The control plane said no: a wrong token, a name that is not one.
    #[error("the control plane gave no certificate")]
    Refused(#[source] Box<tonic::Status>),
}

/// The identity of this member: from its folder, or by joining.
///
/// # Errors
/// When there is none and none could be had.
pub async fn identity(config: &LinkConfig, role: proto::Role) -> Result<Identity, JoinError> {
    let (certificate_path, key_path) = paths(&config.identity_dir);
    if let Some(certificate) = read(&certificate_path).await?
        && let Some(key) = read(&key_path).await?
    {
        return Ok(Identity::from_pem(certificate, key));
    }
    let (certificate, key) = join(config, role).await?;
    write_private(&key_path, &key).await?;
    write_private(&certificate_path, &certificate).await?;
    Ok(Identity::from_pem(certificate, key))
}

/// Forgets the identity, so that the next start joins again.
///
/// # Errors
/// When the files are there and cannot be removed.
pub async fn forget(config: &LinkConfig) -> Result<(), JoinError> {
    let (certificate, key) = paths(&config.identity_dir);
    for path in [certificate, key] {
        match tokio::fs::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(JoinError::File { path, source }),
        }
    }
    Ok(())
}

async fn join(config: &LinkConfig, role: proto::Role) -> Result<(String, String), JoinError> {
    let key = rcgen::KeyPair::generate().map_err(JoinError::Key)?;
    let request = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(JoinError::Key)?;
    let channel = dial(config, None).await.map_err(|error| JoinError::Dial(Box::new(error)))?;
    let request = JoinRequest {
        token: config.join_token.clone(),
        csr_pem: request,
        role: role.into(),
        name: config.name.clone(),
    };
    let response = FleetClient::new(channel)
        .join(request)
        .await
        .map_err(|status| JoinError::Refused(Box::new(status)))?;
    Ok((response.into_inner().certificate_pem, key.serialize_pem()))
}

fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("client.pem"), dir.join("client.key"))
}

async fn read(path: &Path) -> Result<Option<String>, JoinError> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JoinError::File { path: path.to_owned(), source }),
    }
}

async fn write_private(path: &Path, text: &str) -> Result<(), JoinError> {
    let failed = |source| JoinError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let draft = path.with_extension("draft");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = tokio::fs::OpenOptions::from(options).open(&draft).await.map_err(failed)?;
    file.write_all(text.as_bytes()).await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    tokio::fs::rename(&draft, path).await.map_err(failed)
}
