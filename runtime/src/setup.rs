//! Carrying out the steps of a plan, inside the container's first process: from a fresh fork to a process whose
//! root is the container's. Every failure says which step, on what.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{chdir, fchdir, pivot_root};
use serde::{Deserialize, Serialize};

use crate::plan::{Bind, Filesystem, Step};
use crate::protocol::{Failure, Writable};
use crate::rootfs::{Rootfs, path_of};
use crate::sys::mount::{
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttributes, attach, clone_tree,
    set_attributes,
};
use crate::{sys, wire};

/// What a process being set up tells its monitor. Nothing at all, and the channel's end, means that it has become
/// the user's program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The master of its terminal comes beside.
    Terminal,
    /// It will not be; it exits now.
    Failed(Failure),
}

/// What the steps work on.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// The process that holds the sandbox's namespaces.
    pub(crate) sandbox: &'a OwnedFd,
    /// The words go here; leave to go on comes from here.
    pub(crate) channel: &'a UnixStream,
    /// An empty directory of the host to mount the root on.
    pub(crate) mount_point: &'a Path,
    /// The container's root, once it is mounted.
    root: Option<Rootfs>,
    /// The container's side of its terminal, once it is open.
    terminal: Option<OwnedFd>,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(sandbox: &'a OwnedFd, channel: &'a UnixStream, mount_point: &'a Path) -> Self {
        Self { sandbox, channel, mount_point, root: None, terminal: None }
    }

    /// Carries out every step; gives back the terminal if one was opened.
    pub(crate) fn run(mut self, steps: &[Step]) -> Result<Option<OwnedFd>, Failure> {
        steps.iter().try_for_each(|step| self.step(step))?;
        Ok(self.terminal)
    }

    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::JoinSandbox => {
                let shared = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
                setns(self.sandbox, shared).map_err(|errno| failed("join the sandbox", errno))
            }
            Step::StopPropagation => change_propagation(),
            Step::MountRoot { layers, writable } => self.mount_root(layers, writable),
            Step::MountFilesystem(filesystem) => self.mount_filesystem(filesystem),
            Step::Bind(bind) => self.bind(bind),
            Step::Device(name) => self.bind_device(name),
            Step::MakeDirectory(path) => {
                let _ = self.root()?.make_directory(path);
                Ok(())
            }
            Step::Symlink { at, to } => {
                self.root()?.make_symlink(at, to).map_err(|errno| failed(format!("link {at:?}"), errno))
            }
            Step::AwaitCgroup => await_leave(self.channel),
            Step::NewCgroupNamespace => {
                unshare(CloneFlags::CLONE_NEWCGROUP).map_err(|errno| failed("make a cgroup namespace", errno))
            }
            Step::OpenTerminal => self.open_terminal(),
            Step::Mask(path) => self.mask(path),
            Step::MakeReadonly(path) => self.make_readonly(path),
            Step::MakeRootReadonly => {
                let readonly = MountAttributes { set: MOUNT_ATTR_RDONLY, propagation: 0 };
                set_attributes(self.root()?, readonly, false)
                    .map_err(|errno| failed("make the root read-only", errno))
            }
            Step::EnterRoot => self.enter_root(),
        }
    }

    fn root(&self) -> Result<&Rootfs, Failure> {
        self.root.as_ref().ok_or_else(|| failed("use the root before it is mounted", Errno::ENOENT))
    }

    fn mount_root(&mut self, layers: &[PathBuf], writable: &Writable) -> Result<(), Failure> {
        // Layers are given to the kernel as descriptors: no path needs escaping, and 128 of them fit a page.
        let lower = layers.iter().map(|layer| open_directory(layer)).collect::<Result<Vec<_>, _>>();
        let lower = lower.map_err(|(path, errno)| Failure::LayerMissing { path, errno: errno as i32 })?;
        let directory = self.writable_directory(writable)?;
        let (upper, work) = (directory.join("upper"), directory.join("work"));
        let made = fs::create_dir_all(&upper).and_then(|()| fs::create_dir_all(&work));
        made.map_err(|error| failed(format!("make the writable layer in {directory:?}"), io_errno(&error)))?;
        let upper =
            open_directory(&upper).map_err(|(path, errno)| failed(format!("open {path:?}"), errno))?;
        let work = open_directory(&work).map_err(|(path, errno)| failed(format!("open {path:?}"), errno))?;
        let lower: Vec<String> = lower.iter().map(|fd| path_of(fd).display().to_string()).collect();
        // volatile: what a container writes to its own layer is gone when it ends; it need not be synced before.
        let options = format!(
            "lowerdir={},upperdir={},workdir={},volatile",
            lower.join(":"),
            path_of(&upper).display(),
            path_of(&work).display()
        );
        mount_at(self.mount_point, "overlay", "overlay", MsFlags::MS_NODEV, &options)
            .map_err(|errno| failed("mount the root", errno))?;
        let root = Rootfs::open(self.mount_point).map_err(|errno| failed("open the root", errno))?;
        self.root = Some(root);
        Ok(())
    }

    /// Where the writable layer is kept; memory is mounted for it first if it is asked for.
    fn writable_directory(&self, writable: &Writable) -> Result<PathBuf, Failure> {
        match writable {
            Writable::Directory(path) => Ok(path.clone()),
            Writable::Memory { limit_bytes } => {
                let options = limit_bytes.map_or("mode=755".into(), |limit| format!("mode=755,size={limit}"));
                let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
                mount_at(self.mount_point, "tmpfs", "tmpfs", flags, &options)
                    .map_err(|errno| failed("mount memory for the writable layer", errno))?;
                Ok(self.mount_point.into())
            }
        }
    }

    fn mount_filesystem(&self, filesystem: &Filesystem) -> Result<(), Failure> {
        let Filesystem { target, kind, source, flags, data } = filesystem;
        let name = |errno| failed(format!("mount {kind} on {target:?}"), errno);
        let place = self.root()?.make_directory(target).map_err(name)?;
        mount_at(&path_of(&place), kind, source, *flags, data).map_err(name)
    }

    fn bind(&self, bind: &Bind) -> Result<(), Failure> {
        let Bind { source, target, recursive, attributes } = bind;
        let missing = |errno| Failure::MountSourceMissing { path: source.clone(), errno: errno as i32 };
        let name = |errno| failed(format!("bind {source:?} to {target:?}"), errno);
        let found = open_path(source).map_err(missing)?;
        let kind = SFlag::from_bits_truncate(fstat(&found).map_err(missing)?.st_mode) & SFlag::S_IFMT;
        let root = self.root()?;
        let place = if kind == SFlag::S_IFDIR { root.make_directory(target) } else { root.make_file(target) };
        let place = place.map_err(name)?;
        let tree = clone_tree(&found, *recursive).map_err(name)?;
        set_attributes(&tree, *attributes, *recursive).map_err(name)?;
        attach(&tree, &place).map_err(name)
    }

    fn bind_device(&self, device: &str) -> Result<(), Failure> {
        let name = |errno| failed(format!("bind /dev/{device}"), errno);
        let place = self.root()?.make_file(&Path::new("/dev").join(device)).map_err(name)?;
        attach(clone_device(device).map_err(name)?, &place).map_err(name)
    }

    fn open_terminal(&mut self) -> Result<(), Failure> {
        let name = |errno| failed("open a terminal", errno);
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
        let root = self.root()?;
        let master = root.open_inside(Path::new("/dev/pts/ptmx"), flags, Mode::empty()).map_err(name)?;
        let slave = sys::terminal::peer(&master).map_err(name)?;
        let console = root.make_file(Path::new("/dev/console")).map_err(name)?;
        attach(clone_tree(&slave, false).map_err(name)?, &console).map_err(name)?;
        wire::send(self.channel, &Word::Terminal, &[master.as_fd()]).map_err(|_| name(Errno::EPIPE))?;
        self.terminal = Some(slave);
        Ok(())
    }

    fn mask(&self, path: &Path) -> Result<(), Failure> {
        let name = |errno| failed(format!("mask {path:?}"), errno);
        let Some(found) = self.find(path)? else { return Ok(()) };
        let kind = SFlag::from_bits_truncate(fstat(&found).map_err(name)?.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFDIR {
            let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
            return mount_at(&path_of(&found), "tmpfs", "tmpfs", flags, "size=0k,nr_inodes=2").map_err(name);
        }
        attach(clone_device("null").map_err(name)?, &found).map_err(name)
    }

    fn make_readonly(&self, path: &Path) -> Result<(), Failure> {
        let name = |errno| failed(format!("make {path:?} read-only"), errno);
        let readonly = MountAttributes { set: MOUNT_ATTR_RDONLY, propagation: 0 };
        let Some(found) = self.find(path)? else { return Ok(()) };
        match set_attributes(&found, readonly, true) {
            // Not a mount of its own: make it one.
            Err(Errno::EINVAL) => {}
            other => return other.map_err(name),
        }
        let tree = clone_tree(&found, true).map_err(name)?;
        set_attributes(&tree, readonly, true).map_err(name)?;
        attach(&tree, &found).map_err(name)
    }

    /// What is at `path`; `None` if this kernel has no such thing.
    fn find(&self, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        match self.root()?.find(path) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(failed(format!("find {path:?}"), errno)),
        }
    }

    /// pivot_root(".", "."): the old root ends up over the new one and is detached at once, so that no directory is
    /// needed for it and no way leads back (pivot_root(2), NOTES).
    fn enter_root(&self) -> Result<(), Failure> {
        let name = |errno| failed("enter the root", errno);
        fchdir(self.root()?).map_err(name)?;
        pivot_root(".", ".").map_err(name)?;
        umount2(".", MntFlags::MNT_DETACH).map_err(name)?;
        chdir("/").map_err(name)
    }
}

/// A detached mount of a device of the host. Read-only: it is the host's own inode, whose mode, owner and times are
/// not the container's to change. Reading and writing the device itself is not writing to the mount.
fn clone_device(name: &str) -> Result<OwnedFd, Errno> {
    let tree = clone_tree(open_path(&Path::new("/dev").join(name))?, false)?;
    let set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    set_attributes(&tree, MountAttributes { set, propagation: 0 }, false)?;
    Ok(tree)
}

/// Opens `/dev/null` for a container's stdin, stdout or stderr: through such a mount, because a descriptor is a way to
/// the inode as well. Needs the host's `/proc`.
pub(crate) fn open_null(flags: OFlag) -> Result<OwnedFd, Errno> {
    let null = clone_device("null")?;
    nix::fcntl::open(&path_of(&null), flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// Slave, not private: what the host unmounts goes away here too and is not kept busy.
fn change_propagation() -> Result<(), Failure> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(|errno| failed("stop mount propagation", errno))
}

/// Waits for the monitor's leave to go on.
pub(crate) fn await_leave(channel: &UnixStream) -> Result<(), Failure> {
    wire::receive::<()>(channel).map(drop).map_err(|_| failed("wait for the monitor", Errno::EPIPE))
}

fn mount_at(target: &Path, kind: &str, source: &str, flags: MsFlags, data: &str) -> Result<(), Errno> {
    mount(Some(source), target, Some(kind), flags, Some(data).filter(|data| !data.is_empty()))
}

fn open_path(path: &Path) -> Result<OwnedFd, Errno> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

fn open_directory(path: &Path) -> Result<OwnedFd, (PathBuf, Errno)> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| (path.into(), errno))
}

pub(crate) fn failed(step: impl Into<String>, errno: Errno) -> Failure {
    Failure::Step { step: step.into(), errno: errno as i32 }
}

pub(crate) fn io_errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
