//! Executables become an image: themselves, the shared libraries that they need, and the few files that programs
//! expect of a Linux system.
//!
//! The same inputs give the same digest on every run: entries are sorted, times are zero, owners are root.

mod closure;
mod elf;
mod layer;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, Os,
    RootFsBuilder,
};

use super::limits::Limits;
use super::reference::{Reference, ReferenceError};
use super::store::{Store, StoreError};
use layer::Layer;

/// Where executables go.
const BINARIES: &str = "/usr/bin";
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const EPOCH: &str = "1970-01-01T00:00:00Z";
const CA_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Longest `#!` line that the kernel reads.
const SHEBANG_MAX: u64 = 256;

/// What to pack.
#[derive(Clone, Debug, Default)]
pub struct PackSpec {
    /// What it will be known by.
    pub name: String,
    /// Executables of this machine; each goes to `/usr/bin` under its own name.
    pub binaries: Vec<PathBuf>,
    /// None: the first of the executables.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// `NAME=value`; a `PATH` is given if none is here.
    pub env: Vec<String>,
    /// Further files and folders.
    pub files: Vec<ExtraFile>,
    /// Where the process starts; made if need be, and given to the user.
    pub working_dir: Option<String>,
    /// `uid`, `uid:gid`, `root` or `nobody`.
    pub user: Option<String>,
    /// Adds this machine's certificate authorities, for clients of TLS.
    pub ca_certificates: bool,
}

/// A file or folder of this machine and its place in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// On this machine.
    pub source: PathBuf,
    /// In the image; absolute.
    pub destination: PathBuf,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The full name.
    pub reference: Reference,
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// Of the layer.
    pub size_bytes: u64,
}

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not a name.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// Nothing to run.
    #[error("no executable to pack")]
    NoBinaries,
    /// A file of this machine.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Neither ELF nor a script.
    #[error("{} is no executable: neither ELF nor a script with #!", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// A script that nothing in the image could run.
    #[error("{} is a script for {interpreter}, which would not be in the image: pack it too", path.display())]
    ScriptWithoutInterpreter {
        /// The script.
        path: PathBuf,
        /// What its first line asks for.
        interpreter: String,
    },
    /// ELF on the outside.
    #[error("{} is damaged", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: object::read::Error,
    },
    /// A machine that has no name in OCI.
    #[error("{} is for a machine that is not supported (ELF machine {machine})", path.display())]
    Machine {
        /// The file.
        path: PathBuf,
        /// `e_machine`
        machine: u16,
    },
    /// A library that this machine does not have either.
    #[error("{} needs {library}, which is in none of {searched}", needed_by.display())]
    LibraryNotFound {
        /// By soname.
        library: String,
        /// The executable or library that needs it.
        needed_by: PathBuf,
        /// Folders, separated by commas.
        searched: String,
    },
    /// A file larger than is sensible.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// Two different things for one place.
    #[error("two different things at {} in the image", path.display())]
    Conflict {
        /// In the image.
        path: PathBuf,
    },
    /// A path that does not lead anywhere.
    #[error("{} leads through too many symbolic links", path.display())]
    LinkLoop {
        /// On this machine or in the image.
        path: PathBuf,
    },
    /// Sockets, devices.
    #[error("{} is neither a file nor a folder nor a symbolic link", path.display())]
    NotAFile {
        /// On this machine.
        path: PathBuf,
    },
    /// A place that is not in the image.
    #[error("{} is no place in an image: it must be absolute and without '..'", path.display())]
    Destination {
        /// As given.
        path: PathBuf,
    },
    /// An environment entry without a name.
    #[error("{entry:?} is no environment variable: NAME=value")]
    Env {
        /// As given.
        entry: String,
    },
    /// A user that the image would not know.
    #[error("{user:?} is no user of a packed image: uid, uid:gid, root or nobody")]
    User {
        /// As given.
        user: String,
    },
}

impl PackError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Packs an image and gives it its name.
pub fn pack(store: &Store, spec: &PackSpec) -> Result<Packed, PackError> {
    let reference: Reference = spec.name.parse()?;
    let (layer, architecture) = plan(spec)?;
    let workspace = store.begin()?;
    let mut blob = workspace.blob()?;
    layer.write_tar(&mut blob)?;
    let (digest, size_bytes) = workspace.add_blob(blob)?;
    // A layer that is not compressed is its own tar.
    workspace.unpack_layer(&digest, &digest, &Limits::default())?;
    let config = configuration(spec, architecture, &digest);
    let config_digest = workspace.add_document(&config)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(oci_spec::image::SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config.len() as u64, &config_digest))
        .layers(vec![descriptor(MediaType::ImageLayer, size_bytes, &digest)])
        .build()
        .expect("every required field of the manifest is given");
    let manifest = serde_json::to_vec(&manifest).expect("a manifest of plain texts is JSON");
    let digest = workspace.add_document(&manifest)?;
    let described = descriptor(MediaType::ImageManifest, manifest.len() as u64, &digest);
    store.name(vec![(reference.clone(), described)])?;
    Ok(Packed { reference, digest, size_bytes })
}

/// Everything that goes into the layer, and the machine that it is for.
fn plan(spec: &PackSpec) -> Result<(Layer, Arch), PackError> {
    for entry in &spec.env {
        if entry.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(PackError::Env { entry: entry.clone() });
        }
    }
    let user = User::parse(spec.user.as_deref())?;
    let mut layer = Layer::default();
    base(&mut layer, &user)?;
    let mut scripts = Vec::new();
    let mut architecture = None;
    for binary in &spec.binaries {
        let place = add_binary(&mut layer, binary)?;
        match elf::read(binary)? {
            Some(object) => {
                architecture.get_or_insert(architecture_of(binary, object.machine)?);
                closure::add(&mut layer, binary, &place, object)?;
            }
            None => scripts.push((binary, interpreter_of(binary)?)),
        }
    }
    if spec.ca_certificates {
        layer.copy(Path::new(CA_CERTIFICATES), Path::new(CA_CERTIFICATES))?;
    }
    for file in &spec.files {
        layer.copy(&file.source, &file.destination)?;
    }
    if let Some(folder) = &spec.working_dir {
        layer.owned_directory(Path::new(folder), 0o755, user.uid, user.gid)?;
    }
    for (script, interpreter) in scripts {
        if !layer.has(Path::new(&interpreter)) {
            return Err(PackError::ScriptWithoutInterpreter { path: script.clone(), interpreter });
        }
    }
    if spec.binaries.is_empty() {
        return Err(PackError::NoBinaries);
    }
    Ok((layer, architecture.unwrap_or_default()))
}

/// What programs and the C library expect of any Linux system.
fn base(layer: &mut Layer, user: &User) -> Result<(), PackError> {
    for folder in ["/dev", "/etc", "/proc", "/run", "/sys", "/usr/bin", "/usr/lib", "/var"] {
        layer.directory(Path::new(folder), 0o755)?;
    }
    layer.directory(Path::new("/root"), 0o700)?;
    for folder in ["/tmp", "/var/tmp"] {
        layer.directory(Path::new(folder), 0o1777)?;
    }
    layer.symlink(Path::new("/bin"), Path::new("usr/bin"))?;
    for (path, text) in [
        ("/etc/passwd", user.passwd()),
        ("/etc/group", user.group()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        // Mounted over by whoever runs the container.
        ("/etc/hostname", String::new()),
        ("/etc/hosts", String::new()),
        ("/etc/resolv.conf", String::new()),
    ] {
        layer.text(Path::new(path), text)?;
    }
    Ok(())
}

fn add_binary(layer: &mut Layer, binary: &Path) -> Result<PathBuf, PackError> {
    let name = binary.file_name().ok_or_else(|| PackError::NotExecutable { path: binary.to_owned() })?;
    let place = Path::new(BINARIES).join(name);
    layer.file(&place, binary, 0o755)?;
    Ok(place)
}

/// The program of a script's first line.
fn interpreter_of(path: &Path) -> Result<String, PackError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(PackError::io("open", path))?;
    BufReader::new(file).take(SHEBANG_MAX).read_to_end(&mut start).map_err(PackError::io("read", path))?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let program = line.strip_prefix(b"#!").and_then(|rest| std::str::from_utf8(rest).ok());
    program
        .and_then(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .ok_or_else(|| PackError::NotExecutable { path: path.to_owned() })
}

fn architecture_of(path: &Path, machine: u16) -> Result<Arch, PackError> {
    match machine {
        object::elf::EM_X86_64 => Ok(Arch::Amd64),
        object::elf::EM_AARCH64 => Ok(Arch::ARM64),
        object::elf::EM_386 => Ok(Arch::i386),
        object::elf::EM_ARM => Ok(Arch::ARM),
        object::elf::EM_RISCV => Ok(Arch::RISCV64),
        object::elf::EM_S390 => Ok(Arch::s390x),
        object::elf::EM_PPC64 => Ok(Arch::PowerPC64le),
        machine => Err(PackError::Machine { path: path.to_owned(), machine }),
    }
}

fn configuration(spec: &PackSpec, architecture: Arch, diff_id: &str) -> Vec<u8> {
    let first = spec.binaries.first().and_then(|binary| binary.file_name()).unwrap_or_default();
    let default_entrypoint = || vec![format!("{BINARIES}/{}", first.to_string_lossy())];
    let mut env = spec.env.clone();
    if !env.iter().any(|entry| entry.starts_with("PATH=")) {
        env.insert(0, DEFAULT_PATH.to_owned());
    }
    let mut config = ConfigBuilder::default()
        .entrypoint(spec.entrypoint.clone().unwrap_or_else(default_entrypoint))
        .cmd(spec.cmd.clone())
        .env(env);
    if let Some(user) = &spec.user {
        config = config.user(user.as_str());
    }
    if let Some(folder) = &spec.working_dir {
        config = config.working_dir(folder.as_str());
    }
    let rootfs = RootFsBuilder::default().diff_ids(vec![diff_id.to_owned()]).build();
    let document = ImageConfigurationBuilder::default()
        .created(EPOCH)
        .architecture(architecture)
        .os(Os::Linux)
        .config(config.build().expect("every field of the configuration has a default"))
        .rootfs(rootfs.expect("every field of the root file system has a default"))
        .build()
        .expect("every field of the document has a default");
    serde_json::to_vec(&document).expect("a configuration of plain texts is JSON")
}

fn descriptor(media_type: MediaType, size: u64, digest: &str) -> Descriptor {
    let digest: oci_spec::image::Digest = digest.parse().expect("our own digests are well formed");
    Descriptor::new(media_type, size, digest)
}

/// Whom the image's process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

const NOBODY: u32 = 65534;

impl User {
    fn parse(text: Option<&str>) -> Result<Self, PackError> {
        let bad = || PackError::User { user: text.unwrap_or_default().to_owned() };
        match text {
            None | Some("" | "root") => Ok(Self { uid: 0, gid: 0 }),
            Some("nobody") => Ok(Self { uid: NOBODY, gid: NOBODY }),
            Some(numbers) => {
                let (uid, gid) = numbers.split_once(':').unwrap_or((numbers, "0"));
                Ok(Self { uid: uid.parse().map_err(|_| bad())?, gid: gid.parse().map_err(|_| bad())? })
            }
        }
    }

    fn passwd(self) -> String {
        let mut text = String::from("root:x:0:0:root:/root:/bin/sh\n");
        if ![0, NOBODY].contains(&self.uid) {
            text.push_str(&format!("app:x:{}:{}:app:/:/bin/false\n", self.uid, self.gid));
        }
        text.push_str("nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n");
        text
    }

    fn group(self) -> String {
        let mut text = String::from("root:x:0:\n");
        if ![0, NOBODY].contains(&self.gid) {
            text.push_str(&format!("app:x:{}:\n", self.gid));
        }
        text.push_str("nogroup:x:65534:\n");
        text
    }
}

#[cfg(test)]
mod tests;
