//! What the tests live in: a launcher in a folder of its own, a root file system made of the host's own programs,
//! and waiting for things with a deadline. When it ends it checks that nothing is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use runtime::client::{Client, Events};
use runtime::launcher;
use runtime::protocol::{
    Container, ContainerSpec, ContainerState, Exit, Labels, LogSpec, Sandbox, SandboxSpec, Seccomp, Writable,
};

/// How long anything may take before a test gives up on it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Everything of these tests is below this cgroup; leftovers of a killed run are removed by the next.
const CGROUP: &str = "minikube-ish-runtime-test";

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) fn become_launcher(arguments: &[String]) -> ExitCode {
    let [socket, state_dir, cgroup_root] = arguments else { return ExitCode::from(2) };
    let config = launcher::Config {
        socket: socket.into(),
        state_dir: state_dir.into(),
        cgroup_root: cgroup_root.clone(),
    };
    match launcher::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("launcher: {error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}

/// A launcher and its client.
pub(crate) struct House {
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cgroup: String,
    launcher: Child,
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("mki-runtime-").tempdir().expect("a folder can be made");
        let cgroup = format!("{CGROUP}/{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let launcher = spawn_launcher(folder.path(), &cgroup);
        let mut client = connect(folder.path());
        let sandbox = client.create_sandbox(&sandbox_spec("pod")).expect("a sandbox can be made");
        Self { client, sandbox, folder, cgroup, launcher }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn events(&self) -> Events {
        Events::connect(&self.socket()).expect("the launcher listens")
    }

    /// A container that runs `script` in a shell.
    pub(crate) fn shell(&self, id: &str, script: &str) -> ContainerSpec {
        self.command(id, &["/bin/sh", "-c", script])
    }

    pub(crate) fn command(&self, id: &str, args: &[&str]) -> ContainerSpec {
        let mut spec = runtime::defaults::spec();
        let process = spec.process_mut().as_mut().expect("the default has one");
        process.set_args(Some(args.iter().map(|&arg| arg.into()).collect()));
        ContainerSpec {
            id: id.into(),
            sandbox: "pod".into(),
            spec,
            lower_dirs: vec![image().into()],
            writable: Writable::Directory(self.folder.path().join(format!("layer-{id}"))),
            log: Some(LogSpec { path: self.log_path(id), size_max_bytes: 10 << 20, files_max: 3 }),
            seccomp: Seccomp::Default,
            stdin: false,
            labels: Labels::from([("name".into(), id.into())]),
        }
    }

    /// Runs `script` to its end; gives how it ended and what it said.
    pub(crate) fn run(&mut self, id: &str, script: &str) -> (Exit, String) {
        let spec = self.shell(id, script);
        self.run_spec(spec)
    }

    pub(crate) fn run_spec(&mut self, spec: ContainerSpec) -> (Exit, String) {
        let id = spec.id.clone();
        self.client.start(spec).unwrap_or_else(|error| panic!("{id} starts: {error}"));
        let exit = self.await_exit(&id);
        (exit, self.output(&id))
    }

    pub(crate) fn await_exit(&mut self, id: &str) -> Exit {
        let client = &mut self.client;
        wait_for(&format!("{id} to end"), || match state_of(client, id) {
            Some(ContainerState::Exited(exit)) => Some(exit),
            _ => None,
        })
    }

    pub(crate) fn state(&mut self, id: &str) -> Option<ContainerState> {
        state_of(&mut self.client, id)
    }

    pub(crate) fn log_path(&self, id: &str) -> PathBuf {
        self.folder.path().join(format!("{id}.log"))
    }

    /// What a container said, without the log's own marks.
    pub(crate) fn output(&self, id: &str) -> String {
        let log = fs::read_to_string(self.log_path(id)).unwrap_or_default();
        let lines = log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Kills the launcher as a crash would and starts another one on the same state.
    pub(crate) fn restart_launcher(&mut self) {
        self.restart_launcher_after(|| ());
    }

    /// The same, with something happening while none lives.
    pub(crate) fn restart_launcher_after(&mut self, meanwhile: impl FnOnce()) {
        self.launcher.kill().expect("it runs");
        self.launcher.wait().expect("it is our child");
        meanwhile();
        self.launcher = spawn_launcher(self.folder.path(), &self.cgroup);
        self.client = connect(self.folder.path());
    }

    pub(crate) fn launcher_pid(&self) -> u32 {
        self.launcher.id()
    }

    /// How a second launcher on the same state ends.
    pub(crate) fn second_launcher(&self) -> std::process::ExitStatus {
        let folder = self.folder.path();
        let mut second = Command::new(std::env::current_exe().expect("we are a file"))
            .arg("launcher")
            .args([folder.join("other-socket"), folder.join("state")])
            .arg(&self.cgroup)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("we can be started again");
        second.wait().expect("it is our child")
    }

    /// Ends everything and checks that nothing is left: no process, no cgroup, no mount, no file.
    pub(crate) fn end(mut self) {
        let cgroups = self.cgroup_directories();
        let processes: Vec<i32> = cgroups.iter().flat_map(|directory| processes_below(directory)).collect();
        self.client.shutdown(true).expect("it shuts down");
        self.launcher.wait().expect("it is our child");
        for directory in cgroups {
            assert!(!directory.try_exists().expect("can be looked at"), "{directory:?} is left");
        }
        for pid in processes {
            assert!(!is_alive(pid), "process {pid} is left");
        }
        assert!(!is_alive(self.sandbox.pid), "the sandbox is left");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("is there");
        assert!(!mounts.contains(self.folder.path().to_str().expect("is text")), "a mount is left: {mounts}");
        assert!(!self.folder.path().join("state").try_exists().expect("can be looked at"), "state is left");
        let layers = fs::read_dir(self.folder.path()).expect("is there").flatten();
        let layers: Vec<_> =
            layers.filter(|entry| entry.file_name().to_string_lossy().contains("layer")).collect();
        assert!(layers.is_empty(), "{layers:?} are left");
    }

    /// Where the tests' cgroup is, in every hierarchy.
    pub(crate) fn cgroup_directories(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let entries = fs::read_dir(root).expect("cgroups are mounted").flatten().map(|entry| entry.path());
        let roots = entries.chain([root.to_path_buf()]);
        let directories = roots.map(|root| root.join(&self.cgroup));
        directories.filter(|directory| directory.try_exists().unwrap_or(false)).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.client.shutdown(true);
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

pub(crate) fn sandbox_spec(id: &str) -> SandboxSpec {
    SandboxSpec { id: id.into(), hostname: "web-0".into(), cgroup: id.into(), ..SandboxSpec::default() }
}

fn spawn_launcher(folder: &Path, cgroup: &str) -> Child {
    Command::new(std::env::current_exe().expect("we are a file"))
        .arg("launcher")
        .args([folder.join("socket"), folder.join("state")])
        .arg(cgroup)
        .spawn()
        .expect("we can be started again")
}

pub(crate) fn connect(folder: &Path) -> Client {
    wait_for("the launcher to listen", || Client::connect(&folder.join("socket")).ok())
}

fn state_of(client: &mut Client, id: &str) -> Option<ContainerState> {
    let listing = client.list().expect("the launcher answers");
    listing.containers.into_iter().find(|Container { id: found, .. }| found == id).map(|found| found.state)
}

/// Asks again and again, until there is an answer or the deadline has passed.
#[expect(clippy::disallowed_methods, reason = "a deadline needs a clock")]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn processes_below(directory: &Path) -> Vec<i32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir())
    {
        found.extend(processes_below(&entry.path()));
    }
    found
}

/// A root file system with a shell and the usual small programs, copied from the host with the libraries they need.
pub(crate) fn image() -> &'static Path {
    IMAGE.get_or_init(make_image).path()
}

static IMAGE: OnceLock<tempfile::TempDir> = OnceLock::new();

/// What is static is never dropped: the end of the program takes it away.
pub(crate) fn remove_image() {
    if let Some(image) = IMAGE.get() {
        fs::remove_dir_all(image.path()).expect("is ours");
    }
}

const PROGRAMS: &[&str] = &[
    "sh", "cat", "ls", "sleep", "id", "hostname", "mount", "umount", "unshare", "mknod", "touch", "dd",
    "head", "stat", "readlink", "true", "seq", "yes", "tty", "env", "kill", "wc", "tail", "mkdir", "chmod",
    "chown", "stty", "python3",
];

fn make_image() -> tempfile::TempDir {
    let image = tempfile::Builder::new().prefix("mki-image-").tempdir().expect("a folder can be made");
    // Others than root must be able to enter it.
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
    for folder in ["bin", "etc", "tmp", "root", "lib64"] {
        fs::create_dir_all(image.path().join(folder)).expect("a folder can be made");
    }
    for program in PROGRAMS.iter().filter(|&&program| program != "python3") {
        let found = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(|folder| Path::new(folder).join(program));
        let Some(found) = found.iter().find(|path| path.try_exists().unwrap_or(false)) else { continue };
        copy(found, &image.path().join("bin").join(program));
        libraries(found).iter().for_each(|library| {
            copy(library, &image.path().join(library.strip_prefix("/").expect("absolute")))
        });
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nshop:x:1234:1235::/home/shop:/bin/sh\n";
    fs::write(image.path().join("etc/passwd"), passwd).expect("can be written");
    fs::write(image.path().join("etc/group"), "root:x:0:\nshop:x:1235:\ntills:x:77:shop\n")
        .expect("can be written");
    image
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("has one")).expect("a folder can be made");
    fs::copy(from, to).expect("can be copied");
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd is part of libc");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
