//! From a pod's container to an OCI runtime spec. Pure: everything that has to be looked up comes in.
//!
//! The isolation itself is the runtime's default; this file only adds what the pod says and takes away what it
//! gives up.

use std::net::IpAddr;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Pod};
use oci_spec::runtime::{Mount, Spec};
use runtime::image::ImageConfig;
use runtime::protocol::Seccomp;

use crate::assignment::References;

pub mod env;
pub mod field;
pub mod files;
pub mod resources;
pub mod security;
pub mod user;

/// What a pod's containers may ask about the pod and its node while they start.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The pod's address, once it has one.
    pub pod_ip: Option<IpAddr>,
    /// The node's address.
    pub host_ip: IpAddr,
    /// The node's name.
    pub node_name: String,
    /// What the node can give in all: what a limit that nobody set reads as.
    pub node_cpu_milli: u64,
    /// See `node_cpu_milli`.
    pub node_memory_bytes: u64,
}

/// A container's configuration that cannot be made. Most go away when the pod or what it refers to is changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// Its environment.
    #[error(transparent)]
    Env(#[from] env::EnvError),
    /// Whom it runs as.
    #[error(transparent)]
    User(#[from] user::UserError),
    /// What it may do.
    #[error(transparent)]
    Security(#[from] security::SecurityError),
    /// What it may use.
    #[error(transparent)]
    Resources(#[from] resources::ResourceError),
    /// Neither the pod nor the image names a program.
    #[error("container {container} has no command, and neither has its image")]
    NoCommand {
        /// Its name.
        container: String,
    },
}

/// Everything that a container's spec is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The pod's object.
    pub pod: &'a Pod,
    /// The container, one of the pod's.
    pub container: &'a Container,
    /// What the pod refers to.
    pub references: &'a References,
    /// How the image's author would run it.
    pub image: &'a ImageConfig,
    /// `/etc/passwd` and `/etc/group` of the image, for users that are named.
    pub accounts: &'a user::Accounts,
    /// See [`Facts`].
    pub facts: &'a Facts,
    /// Volumes and files, ready to be mounted.
    pub mounts: Vec<Mount>,
}

/// A container's spec, and the filter of system calls that goes with it.
#[derive(Debug)]
pub struct Built {
    /// For the runtime.
    pub spec: Spec,
    /// For the runtime.
    pub seccomp: Seccomp,
}

/// Builds the spec.
///
/// # Errors
/// When the pod asks for something that cannot be made from what it refers to.
pub fn build(inputs: Inputs<'_>) -> Result<Built, SpecError> {
    let Inputs { pod, container, references, image, accounts, facts, mounts } = inputs;
    let environment = env::environment(pod, container, references, facts)?;
    let args = arguments(container, image, &environment)?;
    let user = user::user(pod, container, image, accounts)?;
    let mut spec = runtime::defaults::spec();
    let cwd = [container.working_dir.as_deref(), Some(image.working_dir.as_str())]
        .into_iter()
        .flatten()
        .find(|path| !path.is_empty())
        .unwrap_or("/");
    if let Some(process) = spec.process_mut() {
        process
            .set_args(Some(args))
            .set_env(Some(env::merged(&[runtime::defaults::PATH.to_owned()], &image.env, &environment)))
            .set_cwd(PathBuf::from(cwd))
            .set_user(user)
            .set_oom_score_adj(resources::oom_score_adj(pod, container, facts));
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_resources(Some(resources::resources(container)?));
    }
    spec.set_hostname(None);
    spec.mounts_mut().get_or_insert_default().extend(mounts);
    let seccomp = security::apply(&mut spec, pod, container)?;
    Ok(Built { spec, seccomp })
}

/// Kubernetes' table of `command`, `args`, ENTRYPOINT and CMD: a `command` sets aside both of the image's.
fn arguments(
    container: &Container,
    image: &ImageConfig,
    environment: &[(String, String)],
) -> Result<Vec<String>, SpecError> {
    let expanded =
        |words: &[String]| words.iter().map(|word| env::expand(word, environment)).collect::<Vec<_>>();
    let command = container.command.as_deref().filter(|words| !words.is_empty()).map(expanded);
    let args = container.args.as_deref().filter(|words| !words.is_empty()).map(expanded);
    let (mut words, rest) = match (command, args) {
        (Some(command), args) => (command, args.unwrap_or_default()),
        (None, Some(args)) => (image.entrypoint.clone(), args),
        (None, None) => (image.entrypoint.clone(), image.cmd.clone()),
    };
    words.extend(rest);
    if words.is_empty() {
        return Err(SpecError::NoCommand { container: container.name.clone() });
    }
    Ok(words)
}

/// A bind mount of a host path into the container.
#[must_use]
pub fn bind_mount(source: PathBuf, destination: &str, read_only: bool) -> Mount {
    let access = if read_only { "ro" } else { "rw" };
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(destination))
        .set_typ(Some("bind".to_owned()))
        .set_source(Some(source))
        .set_options(Some(["rbind", "rprivate", access].map(str::to_owned).to_vec()));
    mount
}

#[cfg(test)]
mod tests;
