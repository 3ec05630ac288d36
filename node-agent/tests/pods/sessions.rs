//! Logs, exec and port-forward, as the control plane asks for them.

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::open_session::Kind;
use proto::session_frame::Frame;
use proto::{ExecRequest, LogRequest, OpenSession, PodRef, PortForwardRequest, SessionFrame};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lifecycle::pid_of;
use super::world::{PATIENCE, World, app, program, with, world};

/// One session under way.
struct Session<'a> {
    world: &'a World,
    inbound: Option<mpsc::Sender<SessionFrame>>,
    outbound: mpsc::Receiver<SessionFrame>,
}

impl<'a> Session<'a> {
    fn open(world: &'a World, uid: &str, kind: Kind) -> Self {
        let (inbound, from_user) = mpsc::channel(16);
        let (to_user, outbound) = mpsc::channel(16);
        let pod = Some(PodRef { uid: uid.into(), ..PodRef::default() });
        let open = OpenSession { session_id: "one".into(), pod, kind: Some(kind) };
        let sessions = world.agent().as_ref().expect("an agent").parts.sessions.clone();
        world.spawn(async move { sessions.serve(open, from_user, to_user).await });
        let mut session = Self { world, inbound: Some(inbound), outbound };
        assert_eq!(session.next(), Some(Frame::SessionId("one".into())));
        session
    }

    fn next(&mut self) -> Option<Frame> {
        let next = self.world.block_on(async { timeout(PATIENCE, self.outbound.recv()).await });
        next.expect("a frame in time").and_then(|frame| frame.frame)
    }

    fn send(&self, frame: Frame) {
        let inbound = self.inbound.as_ref().expect("it is open");
        self.world.block_on(inbound.send(SessionFrame { frame: Some(frame) })).expect("it is served");
    }

    /// Everything that was said on both streams, and the last frame if it was something else.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no output comes last")]
    fn rest(&mut self) -> (String, String, Option<Frame>) {
        let (mut out, mut err, mut last) = (Vec::new(), Vec::new(), None);
        while let Some(frame) = self.next() {
            match frame {
                Frame::Stdout(bytes) => out.extend_from_slice(&bytes),
                Frame::Stderr(bytes) => err.extend_from_slice(&bytes),
                other => last = Some(other),
            }
        }
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(out), text(err), last)
    }

    /// Reads until the output ends with `wanted`.
    fn until(&mut self, wanted: &str) {
        let mut out = String::new();
        while !out.ends_with(wanted) {
            let Some(Frame::Stdout(bytes)) = self.next() else { panic!("no more output after {out:?}") };
            out.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

fn command(arguments: &[&str]) -> Vec<String> {
    [program(), "program".to_owned()]
        .into_iter()
        .chain(arguments.iter().map(|&word| word.to_owned()))
        .collect()
}

pub(crate) fn exec() {
    let world = world();
    let uid = world.assign("exec", json!({ "containers": [app(&["sleep"])] }));
    world.wait_ready(&uid);
    let request = ExecRequest {
        command: command(&["echo"]),
        stdin: true,
        stdout: true,
        stderr: true,
        ..Default::default()
    };
    let mut session = Session::open(world, &uid, Kind::Exec(request));
    session.send(Frame::Stdin(Bytes::from_static(b"hello\n")));
    session.until("hello\n");
    session.send(Frame::StdinClosed(true));
    assert_eq!(session.rest(), (String::new(), "done\n".into(), Some(Frame::ExitCode(7))));
    world.remove(&uid);
}

pub(crate) fn terminal() {
    let world = world();
    let uid = world.assign("terminal", json!({ "containers": [app(&["sleep"])] }));
    world.wait_ready(&uid);
    let request = ExecRequest { command: command(&["size"]), stdout: true, tty: true, ..Default::default() };
    let (out, _, last) = Session::open(world, &uid, Kind::Exec(request)).rest();
    assert_eq!((out.as_str(), last), ("80x24\r\n", Some(Frame::ExitCode(0))));
    world.remove(&uid);
}

pub(crate) fn logs() {
    let world = world();
    let uid =
        world.assign("logs", json!({ "restartPolicy": "Never", "containers": [app(&["count", "100"])] }));
    world.wait_ready(&uid);
    let request = LogRequest { follow: true, ..Default::default() };
    let mut session = Session::open(world, &uid, Kind::Log(request));
    session.until("line 99\n");
    let request = LogRequest { tail_lines: Some(2), ..Default::default() };
    assert_eq!(Session::open(world, &uid, Kind::Log(request)).rest().0, "line 98\nline 99\n");
    let request = LogRequest { limit_bytes: Some(4), ..Default::default() };
    assert_eq!(Session::open(world, &uid, Kind::Log(request)).rest().0, "line");
    kill(Pid::from_raw(pid_of(world, &uid)), Signal::SIGKILL).expect("it runs");
    assert_eq!(session.rest(), (String::new(), String::new(), None), "the log ends with the container");
    world.remove(&uid);
}

pub(crate) fn port_forward() {
    let world = world();
    let probe = json!({ "tcpSocket": { "port": 8080 } });
    let container = with(app(&["serve", "8080"]), json!({ "readinessProbe": probe }));
    let uid = world.assign("forward", json!({ "containers": [container] }));
    world.wait_ready(&uid);
    let mut session = Session::open(world, &uid, Kind::PortForward(PortForwardRequest { port: 8080 }));
    session.send(Frame::Stdin(Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")));
    let (answer, _, last) = session.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && last.is_none(), "{answer:?} {last:?}");
    let mut session = Session::open(world, &uid, Kind::PortForward(PortForwardRequest { port: 1 }));
    assert!(
        matches!(session.rest().2, Some(Frame::Error(error)) if error.message.contains("port 1 of pod forward"))
    );
    world.remove(&uid);
}

pub(crate) fn refused() {
    let world = world();
    let code = |uid: &str, kind| match Session::open(world, uid, kind).rest().2 {
        Some(Frame::Error(error)) => error.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code("nobody", Kind::Log(LogRequest::default())), 404);
    let uid = world.assign("refused", json!({ "containers": [app(&["sleep"])] }));
    world.wait_ready(&uid);
    assert_eq!(code(&uid, Kind::Log(LogRequest { container: "nobody".into(), ..Default::default() })), 400);
    assert_eq!(code(&uid, Kind::Log(LogRequest { previous: true, ..Default::default() })), 400);
    assert_eq!(code(&uid, Kind::Exec(ExecRequest::default())), 400);
    let request =
        ExecRequest { command: vec!["/no/such/program".into()], stdout: true, ..Default::default() };
    assert_eq!(code(&uid, Kind::Exec(request)), 500);
    world.remove(&uid);
}
