//! From one mount of an OCI spec to steps. Pure.

use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use oci_spec::runtime::Mount;

use super::{Step, bad, check_inside};
use crate::cgroup::Layout;
use crate::protocol::Failure;
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttributes,
};

/// A new file system, as mount(2) takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filesystem {
    pub(crate) target: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) flags: MsFlags,
    pub(crate) data: String,
}

/// A part of the host, seen from inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) recursive: bool,
    pub(crate) attributes: MountAttributes,
}

/// The devices of every container. They are bound from the host, and no other file system of a container honours
/// device files: `mknod` inside makes nothing that opens, whatever the cgroup layout.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const DEVICE_LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// The steps for one mount.
pub(super) fn plan_mount(mount: &Mount, layout: &Layout) -> Result<Vec<Step>, Failure> {
    let target = mount.destination().clone();
    check_inside("spec.mounts.destination", &target)?;
    let options = Options::parse(mount.options().as_deref().unwrap_or_default());
    if options.bind {
        let source = mount.source().clone().ok_or_else(|| bad("spec.mounts.source", "is missing"))?;
        check_inside("spec.mounts.source", &source)?;
        let attributes = options.attributes();
        return Ok(vec![Step::Bind(Bind { source, target, recursive: options.recursive, attributes })]);
    }
    let kind = mount.typ().clone().ok_or_else(|| bad("spec.mounts.type", "is missing"))?;
    if kind == "cgroup" {
        return Ok(plan_cgroups(&target, &options, layout));
    }
    let source = mount.source().as_deref().and_then(Path::to_str).unwrap_or(&kind).to_owned();
    let mut flags = options.flags;
    if !options.dev {
        flags |= MsFlags::MS_NODEV;
    }
    // A devpts' own devices are its purpose.
    flags.set(MsFlags::MS_NODEV, kind != "devpts" && flags.contains(MsFlags::MS_NODEV));
    let is_dev = target == Path::new("/dev");
    let mut steps =
        vec![Step::MountFilesystem(Filesystem { target, kind, source, flags, data: options.data.join(",") })];
    if is_dev {
        steps.extend(DEVICES.map(Step::Device));
        steps.extend(DEVICE_LINKS.map(|(at, to)| Step::Symlink { at: at.into(), to: to.into() }));
    }
    Ok(steps)
}

/// The container's own view of its limits, where programs look for it.
fn plan_cgroups(target: &Path, options: &Options, layout: &Layout) -> Vec<Step> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let flags = safe | options.flags;
    let filesystem = |target: PathBuf, kind: &str, flags, data: &str| {
        Step::MountFilesystem(Filesystem {
            target,
            kind: kind.into(),
            source: kind.into(),
            flags,
            data: data.into(),
        })
    };
    if layout.is_v2() {
        return vec![filesystem(target.into(), "cgroup2", flags, "")];
    }
    let mut steps = vec![filesystem(target.into(), "tmpfs", safe, "mode=755,size=64k")];
    for hierarchy in layout.v1_hierarchies() {
        let directory = target.join(&hierarchy.options);
        steps.push(filesystem(directory, "cgroup", flags, &hierarchy.options));
        // Programs look for each controller by its own name.
        if hierarchy.options.contains(',') {
            let links = hierarchy.options.split(',');
            steps.extend(
                links.map(|name| Step::Symlink {
                    at: target.join(name),
                    to: hierarchy.options.clone().into(),
                }),
            );
        }
    }
    if flags.contains(MsFlags::MS_RDONLY) {
        steps.push(Step::MakeReadonly(target.into()));
    }
    steps
}

/// The options of fstab(5) and of the OCI spec, sorted into what the kernel takes apart.
#[derive(Debug)]
struct Options {
    flags: MsFlags,
    bind: bool,
    recursive: bool,
    dev: bool,
    propagation: MsFlags,
    data: Vec<String>,
}

impl Options {
    fn parse(options: &[String]) -> Self {
        let (flags, propagation) = (MsFlags::empty(), MsFlags::empty());
        let mut parsed =
            Self { flags, bind: false, recursive: false, dev: false, propagation, data: Vec::new() };
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        let private = MsFlags::MS_PRIVATE;
        let slave = MsFlags::MS_SLAVE;
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "ro" | "rro" => self.flags |= MsFlags::MS_RDONLY,
            "rw" | "defaults" => self.flags -= MsFlags::MS_RDONLY,
            "nosuid" => self.flags |= MsFlags::MS_NOSUID,
            "suid" => self.flags -= MsFlags::MS_NOSUID,
            "nodev" => self.dev = false,
            "dev" => self.dev = true,
            "noexec" => self.flags |= MsFlags::MS_NOEXEC,
            "exec" => self.flags -= MsFlags::MS_NOEXEC,
            "sync" => self.flags |= MsFlags::MS_SYNCHRONOUS,
            "noatime" => self.flags |= MsFlags::MS_NOATIME,
            "nodiratime" => self.flags |= MsFlags::MS_NODIRATIME,
            "relatime" => self.flags |= MsFlags::MS_RELATIME,
            "strictatime" => self.flags |= MsFlags::MS_STRICTATIME,
            "private" | "rprivate" => self.propagation = private,
            // Shared would let the container's mounts reach the host; the host's reaching the container is enough.
            "slave" | "rslave" | "shared" | "rshared" => self.propagation = slave,
            data => self.data.push(data.into()),
        }
    }

    fn attributes(&self) -> MountAttributes {
        let mut set = if self.dev { 0 } else { MOUNT_ATTR_NODEV };
        let translated = [
            (MsFlags::MS_RDONLY, MOUNT_ATTR_RDONLY),
            (MsFlags::MS_NOSUID, MOUNT_ATTR_NOSUID),
            (MsFlags::MS_NOEXEC, MOUNT_ATTR_NOEXEC),
        ];
        for (_, attribute) in translated.into_iter().filter(|(flag, _)| self.flags.contains(*flag)) {
            set |= attribute;
        }
        let propagation = if self.propagation.is_empty() { MsFlags::MS_PRIVATE } else { self.propagation };
        MountAttributes { set, propagation: propagation.bits() }
    }
}
