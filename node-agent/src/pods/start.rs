//! Starts one container: image, files, mounts, spec, launcher.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::signal::Signal;
use oci_spec::runtime::Mount;
use runtime::image::{Image, StoreError};
use runtime::protocol::{ContainerSpec, Failure, Labels, LogSpec, Writable};

use crate::assignment::References;
use crate::pods::host::Host;
use crate::pods::launcher::LauncherError;
use crate::pods::paths::PodPaths;
use crate::pods::state::StartFailure;
use crate::spec::user::Accounts;
use crate::spec::{self, Facts, Inputs, env, user};
use crate::volumes::subpath::{self, Held};

/// A container's log file of this size is rotated.
const LOG_SIZE_MAX_BYTES: u64 = 10 * 1024 * 1024;
/// The current one included.
const LOG_FILES_MAX: u32 = 3;
/// `/etc/passwd` of an image is read up to here.
const ACCOUNTS_SIZE_MAX_BYTES: u64 = 1024 * 1024;

/// Labels by which the next agent recognises what this one started.
pub(crate) const LABEL_POD: &str = "pod-uid";
pub(crate) const LABEL_CONTAINER: &str = "container";
pub(crate) const LABEL_ATTEMPT: &str = "attempt";
pub(crate) const LABEL_IMAGE: &str = "image-id";
pub(crate) const LABEL_STOP_SIGNAL: &str = "stop-signal";

/// What is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) pod: Pod,
    pub(crate) container: Container,
    pub(crate) references: References,
    pub(crate) attempt: u32,
    pub(crate) facts: Facts,
}

/// What was started.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) image_id: String,
    pub(crate) stop_signal: Option<i32>,
}

/// The runtime's id of a run.
pub(crate) fn container_id(uid: &str, container: &str, attempt: u32) -> String {
    format!("{uid}.{container}.{attempt}")
}

/// The pod's uid, the container and the run that an id stands for.
pub(crate) fn parse_container_id(id: &str) -> Option<(&str, &str, u32)> {
    let mut parts = id.rsplitn(3, '.');
    let attempt = parts.next()?.parse().ok()?;
    let container = parts.next()?;
    Some((parts.next()?, container, attempt))
}

/// Starts it; returns once its program has been executed.
pub(crate) async fn start(host: &Host, order: Box<Order>) -> Result<Started, StartFailure> {
    let paths = host.paths(&order.pod);
    let images = host.images.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&images, &paths, &order));
    let prepared = prepared.await.map_err(|error| retry("CreateContainerError", &error))??;
    let Prepared { spec, started, image, held } = prepared;
    let asked = host.launcher.ask(move |client| {
        let answer = client.start(spec);
        // The layers must not be collected, and the sub-paths not be closed, before they are mounted.
        drop((image, held));
        answer
    });
    match asked.await {
        Ok(_) => Ok(started),
        Err(error) => {
            // The launcher keeps what failed until it is removed; the next try may have the same id.
            let id = started.id;
            if let Err(error) = host.launcher.ask(move |client| client.remove(&id)).await {
                tracing::debug!(error = crate::chain(&error), "a container that failed is not removed");
            }
            Err(start_failure(&error))
        }
    }
}

struct Prepared {
    spec: ContainerSpec,
    started: Started,
    image: Image,
    held: Vec<Held>,
}

fn prepare(
    images: &runtime::image::Store,
    paths: &PodPaths,
    order: &Order,
) -> Result<Prepared, StartFailure> {
    let Order { pod, container, references, attempt, facts } = order;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let id = container_id(uid, &container.name, *attempt);
    let image = resolve(images, container)?;
    let environment = env::environment(pod, container, references, facts)
        .map_err(|error| retry("CreateContainerConfigError", &error))?;
    let (mut mounts, held) = volume_mounts(pod, container, paths, &environment)?;
    mounts.splice(0..0, file_mounts(pod, container, paths));
    let accounts = accounts(&image, container);
    let inputs =
        Inputs { pod, container, references, image: &image.config, accounts: &accounts, facts, mounts };
    let built = spec::build(inputs).map_err(|error| retry("CreateContainerConfigError", &error))?;
    let log = paths.log(&container.name, *attempt);
    make_log_room(paths, &log, &container.name, *attempt)?;
    let stop_signal = stop_signal(container, &image);
    let started = Started { id: id.clone(), image_id: image.digest.clone(), stop_signal };
    let spec = ContainerSpec {
        id,
        sandbox: uid.to_owned(),
        spec: built.spec,
        lower_dirs: image.layers.clone(),
        writable: Writable::Directory(paths.writable(&container.name, *attempt)),
        log: Some(LogSpec { path: log, size_max_bytes: LOG_SIZE_MAX_BYTES, files_max: LOG_FILES_MAX }),
        seccomp: built.seccomp,
        stdin: container.stdin == Some(true),
        labels: labels(uid, &container.name, *attempt, &started),
    };
    Ok(Prepared { spec, started, image, held })
}

fn labels(uid: &str, container: &str, attempt: u32, started: &Started) -> Labels {
    let mut labels = Labels::from([
        (LABEL_POD.to_owned(), uid.to_owned()),
        (LABEL_CONTAINER.to_owned(), container.to_owned()),
        (LABEL_ATTEMPT.to_owned(), attempt.to_string()),
        (LABEL_IMAGE.to_owned(), started.image_id.clone()),
    ]);
    labels.extend(started.stop_signal.map(|signal| (LABEL_STOP_SIGNAL.to_owned(), signal.to_string())));
    labels
}

fn resolve(images: &runtime::image::Store, container: &Container) -> Result<Image, StartFailure> {
    let name = container.image.as_deref().unwrap_or_default();
    images.resolve(name).map_err(|error| match &error {
        StoreError::Name(_) => retry("InvalidImageName", &error),
        StoreError::NotFound { name } => StartFailure::Retry {
            reason: "ErrImagePull",
            message: format!(
                "image {name} is not on this node; load it with: minikube-ish image load FILE, or pack it with: \
                 minikube-ish image pack -t {name} BINARY"
            ),
        },
        StoreError::Io { .. }
        | StoreError::Damaged { .. }
        | StoreError::DigestMismatch { .. }
        | StoreError::DigestUnsupported { .. }
        | StoreError::LayerCount { .. }
        | StoreError::Unpack { .. } => retry("ErrImagePull", &error),
    })
}

/// Volumes at their paths; sub-paths are held open until they are mounted.
fn volume_mounts(
    pod: &Pod,
    container: &Container,
    paths: &PodPaths,
    environment: &[(String, String)],
) -> Result<(Vec<Mount>, Vec<Held>), StartFailure> {
    let (mut mounts, mut held) = (Vec::new(), Vec::new());
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for wanted in container.volume_mounts.iter().flatten() {
        let volume = volumes.iter().find(|volume| volume.name == wanted.name).ok_or_else(|| {
            let message = format!("the pod has no volume {}", wanted.name);
            StartFailure::Retry { reason: "CreateContainerConfigError", message }
        })?;
        let root = paths.volumes().path_of(volume);
        let expanded = wanted.sub_path_expr.as_deref().map(|path| env::expand(path, environment));
        let sub_path = expanded.or_else(|| wanted.sub_path.clone()).filter(|path| !path.is_empty());
        let source = match sub_path {
            None => root,
            Some(sub_path) => {
                let place = subpath::hold(&root, &sub_path, &paths.sub_path(&container.name, held.len()))
                    .map_err(|error| retry("CreateContainerConfigError", &error))?;
                let path = place.path();
                held.push(place);
                path
            }
        };
        // What the agent keeps up to date is not the container's to change.
        let kept = volume.empty_dir.is_none() && volume.host_path.is_none();
        mounts.push(spec::bind_mount(source, &wanted.mount_path, kept || wanted.read_only == Some(true)));
    }
    // A mount must not hide one inside it.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    Ok((mounts, held))
}

/// The pod's own `/etc` files, except where the container mounts something of its own. Read-only: they lie on the
/// tmpfs that also holds checkpoints and Secrets, which no container may fill.
fn file_mounts(pod: &Pod, container: &Container, paths: &PodPaths) -> Vec<Mount> {
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    let taken = |path: &str| {
        container.volume_mounts.iter().flatten().any(|mount| mount.mount_path.trim_end_matches('/') == path)
    };
    ["hosts", "hostname", "resolv.conf"]
        .into_iter()
        .filter(|name| !(host_network && *name == "hostname"))
        .map(|name| (name, format!("/etc/{name}")))
        .filter(|(_, path)| !taken(path))
        .map(|(name, path)| spec::bind_mount(paths.file(name), &path, true))
        .collect()
}

/// Only named users need the image's account files.
fn accounts(image: &Image, container: &Container) -> Accounts {
    let said = container.security_context.as_ref().and_then(|context| context.run_as_user).is_some();
    let named = image.config.user.split(':').any(|part| !part.is_empty() && part.parse::<u32>().is_err());
    if !named && !said {
        return Accounts::default();
    }
    user::Accounts {
        passwd: image_file(&image.layers, "etc/passwd"),
        group: image_file(&image.layers, "etc/group"),
    }
}

/// A file of an image, from its topmost layer that has it; links cannot lead out of the layer.
fn image_file(layers: &[PathBuf], path: &str) -> String {
    use std::io::Read as _;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let opened = layers.iter().find_map(|layer| {
        let root = openat2(AT_FDCWD, layer, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC)).ok()?;
        openat2(&root, Path::new(path), how).ok()
    });
    let mut text = String::new();
    if let Some(file) = opened {
        // What is no text names nobody.
        let _ = std::fs::File::from(file).take(ACCOUNTS_SIZE_MAX_BYTES).read_to_string(&mut text);
    }
    text
}

/// The logs of this run and of the one before are kept.
fn make_log_room(paths: &PodPaths, log: &Path, container: &str, attempt: u32) -> Result<(), StartFailure> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(|error| retry("CreateContainerError", &error))?;
    }
    if let Some(old) = attempt.checked_sub(2) {
        let old = paths.log(container, old);
        let _ = std::fs::remove_file(&old);
        for number in 1..LOG_FILES_MAX {
            let mut rotated = old.clone().into_os_string();
            rotated.push(format!(".{number}"));
            let _ = std::fs::remove_file(rotated);
        }
    }
    if let Some(folder) = paths.writable(container, attempt).parent() {
        std::fs::create_dir_all(folder).map_err(|error| retry("CreateContainerError", &error))?;
    }
    Ok(())
}

/// The pod's word, else the image's; none of them: SIGTERM.
fn stop_signal(container: &Container, image: &Image) -> Option<i32> {
    let said = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    let text = said.or(image.config.stop_signal.as_deref())?;
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok().map(|signal| signal as i32);
    }
    let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

fn retry(reason: &'static str, error: &dyn std::error::Error) -> StartFailure {
    StartFailure::Retry { reason, message: crate::chain(error) }
}

/// What lies in the container itself counts as a run that failed; the rest may go away.
fn start_failure(error: &LauncherError) -> StartFailure {
    let message = crate::chain(error);
    match error.failure() {
        Some(
            Failure::CommandNotFound { .. }
            | Failure::CommandNotExecutable { .. }
            | Failure::WorkingDirectory { .. },
        ) => StartFailure::Process { message },
        Some(
            Failure::LayerMissing { .. }
            | Failure::MountSourceMissing { .. }
            | Failure::BadSpec { .. }
            | Failure::Step { .. }
            | Failure::NotFound { .. }
            | Failure::AlreadyExists { .. }
            | Failure::NotRunning { .. }
            | Failure::InUse { .. }
            | Failure::MonitorDied { .. }
            | Failure::Limit { .. },
        )
        | None => StartFailure::Retry { reason: "CreateContainerError", message },
    }
}
