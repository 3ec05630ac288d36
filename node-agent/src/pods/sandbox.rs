//! Makes and removes what a pod's containers share: the sandbox, its place in the network, its `/etc` files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use runtime::client::Client;
use runtime::protocol::{ContainerState, Failure, Labels, Sandbox, SandboxSpec};
use tokio::time::{Instant, sleep};

use crate::net::NetError;
use crate::pods::host::Host;
use crate::pods::launcher::LauncherError;
use crate::pods::start::LABEL_POD;
use crate::spec::files;

/// How long killed processes may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
const KILL_PAUSE: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;

/// A sandbox that could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    #[error("cannot join the pod network")]
    Net(#[from] NetError),
    #[error("cannot open the network namespace {}", path.display())]
    Namespace {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a container does not end after SIGKILL")]
    Unkillable,
}

/// Makes the sandbox of a pod and returns its address. What an earlier try left behind is removed first.
pub(crate) async fn create(host: &Host, pod: &Pod) -> Result<IpAddr, SandboxError> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let spec = sandbox_spec(pod, &uid);
    let again = spec.clone();
    let sandbox = match host.launcher.ask(move |client| client.create_sandbox(&spec)).await {
        Err(error) if matches!(error.failure(), Some(Failure::AlreadyExists { .. })) => {
            remove(host, &uid).await?;
            host.launcher.ask(move |client| client.create_sandbox(&again)).await?
        }
        other => other?,
    };
    let ip = if is_host_network(pod) { host.node_address } else { attach(host, &uid, &sandbox).await? };
    write_files(host, pod, ip)?;
    Ok(ip)
}

/// Removes the sandbox with everything in it. May be repeated; one that does not exist is no error.
pub(crate) async fn remove(host: &Host, uid: &str) -> Result<(), SandboxError> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    let id = uid.to_owned();
    // Only what nobody stopped in time is still running here; it has a few milliseconds to be gone.
    while !host
        .launcher
        .ask({
            let id = id.clone();
            move |client| clear(client, &id)
        })
        .await?
    {
        if Instant::now() >= deadline {
            return Err(SandboxError::Unkillable);
        }
        sleep(KILL_PAUSE).await;
    }
    match host.launcher.ask(move |client| client.remove_sandbox(&id)).await {
        Err(error) if matches!(error.failure(), Some(Failure::NotFound { .. })) => {}
        other => other?,
    }
    host.net.detach(uid).await?;
    Ok(())
}

pub(crate) fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}

/// Kills and removes the sandbox' containers; false while some are not gone.
fn clear(client: &mut Client, sandbox: &str) -> Result<bool, runtime::client::Error> {
    let mut cleared = true;
    for container in client.list()?.containers.into_iter().filter(|container| container.sandbox == sandbox) {
        let removed = match container.state {
            ContainerState::Starting | ContainerState::Running(_) => {
                cleared = false;
                client.signal(&container.id, SIGKILL)
            }
            ContainerState::Exited(_) | ContainerState::Failed(_) => client.remove(&container.id),
        };
        if let Err(error) = removed {
            match error.failure() {
                Some(Failure::NotFound { .. } | Failure::NotRunning { .. }) => {}
                // Its removal is under way.
                Some(Failure::InUse { .. }) => cleared = false,
                _ => return Err(error),
            }
        }
    }
    Ok(cleared)
}

fn sandbox_spec(pod: &Pod, uid: &str) -> SandboxSpec {
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let sysctls = context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    let sysctls: BTreeMap<_, _> = sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect();
    SandboxSpec {
        id: uid.to_owned(),
        hostname: files::hostname(pod),
        cgroup: format!("pod{uid}"),
        host_network: is_host_network(pod),
        sysctls,
        resources: None,
        labels: Labels::from([(LABEL_POD.to_owned(), uid.to_owned())]),
    }
}

async fn attach(host: &Host, uid: &str, sandbox: &Sandbox) -> Result<IpAddr, SandboxError> {
    let path = sandbox.netns_path();
    let netns = File::open(&path).map_err(|source| SandboxError::Namespace { path, source })?;
    // A sandbox that was lost may have left its address taken.
    host.net.detach(uid).await?;
    Ok(host.net.attach(uid, netns.into()).await?.ip.into())
}

fn write_files(host: &Host, pod: &Pod, ip: IpAddr) -> Result<(), SandboxError> {
    let paths = host.paths(pod);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let of_host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let resolv_conf = files::resolv_conf(pod, &host.net.pod_resolv_conf(namespace), &of_host);
    let hostname = format!("{}\n", files::hostname(pod));
    write(&paths.file("hosts"), &files::hosts(pod, Some(ip), &host.cluster_domain))?;
    write(&paths.file("hostname"), &hostname)?;
    write(&paths.file("resolv.conf"), &resolv_conf)
}

fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|source| SandboxError::File { path: path.to_owned(), source })
}
