//! What users want of a running pod: its log, a command in it, a way to its ports.
//!
//! Owns the choice of node and container; the bytes themselves flow through [`logs`] and [`streams`].

use axum::body::Body;
use http::{Method, Response};
use manifests::Object;
use proto::open_session::Kind as Session;
use serde_json::Value;

use super::{Call, SessionRequest};
use crate::registry::Status;
use crate::snapshot::Key;

mod channels;
mod logs;
mod port_forward;
mod spdy;
mod spdy_exec;
mod spdy_forward;
mod upgrade;
mod websocket;

use upgrade::Handshake;

/// The container that is meant when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// `GET` of a pod's log.
pub(super) async fn log(call: Call, key: Key) -> Result<Response<Body>, Status> {
    if call.head.method != Method::GET {
        return Err(call.method_not_allowed());
    }
    let container = container(&call, &key)?;
    let request = logs::request(&call.query, container)?;
    logs::follow(&call, session(&call, &key, Session::Log(request))?).await
}

/// A command in a container, or a container's own streams.
pub(super) async fn exec(mut call: Call, key: Key, attach: bool) -> Result<Response<Body>, Status> {
    let command: Vec<String> = call.query.all("command").map(ToOwned::to_owned).collect();
    if command.is_empty() && !attach {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    let tty = call.query.flag("tty");
    let request = proto::ExecRequest {
        container: container(&call, &key)?,
        command,
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        // A terminal has one output.
        stderr: call.query.flag("stderr") && !tty,
        tty,
        attach,
    };
    // The error stream, and those that were asked for; a terminal has one for its size.
    let wanted = [true, request.stdin, request.stdout, request.stderr, request.tty];
    let streams = wanted.into_iter().filter(|wanted| *wanted).count();
    let handshake = Handshake::of(&mut call.head, &channels::PROTOCOLS, "v4.channel.k8s.io")?;
    let request = session(&call, &key, Session::Exec(request))?;
    let session = call.api.sessions.open(request).await?;
    Ok(match handshake {
        Handshake::WebSocket(handshake) => {
            handshake.upgrade(move |socket, protocol| channels::carry(socket, protocol, session))
        }
        Handshake::Spdy(handshake) => handshake.upgrade(move |wire| spdy_exec::carry(wire, streams, session)),
    })
}

/// Ways to a pod's ports.
pub(super) async fn port_forward(mut call: Call, key: Key) -> Result<Response<Body>, Status> {
    let handshake = Handshake::of(&mut call.head, &port_forward::PROTOCOLS, "portforward.k8s.io")?;
    let request = |port: u16| {
        session(&call, &key, Session::PortForward(proto::PortForwardRequest { port: u32::from(port) }))
    };
    match handshake {
        Handshake::WebSocket(handshake) => {
            let mut sessions = Vec::new();
            for port in port_forward::ports(&call.query)? {
                sessions.push((port, call.api.sessions.open(request(port)?).await?));
            }
            Ok(handshake.upgrade(move |socket, _| port_forward::carry(socket, sessions)))
        }
        Handshake::Spdy(handshake) => {
            let sessions = std::sync::Arc::clone(&call.api.sessions);
            let template = spdy_forward::Template { sessions, request: request(0)? };
            Ok(handshake.upgrade(move |wire| spdy_forward::carry(wire, template)))
        }
    }
}

/// A session with a pod, to be opened at its node.
fn session(call: &Call, key: &Key, kind: Session) -> Result<SessionRequest, Status> {
    let pod = pod(call, key)?;
    let node = pod.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty());
    let Some(node) = node else {
        return Err(Status::bad_request(format!(
            "pod {} has no node yet: it waits to be scheduled",
            key.name
        )));
    };
    let pod = proto::PodRef {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        uid: pod.uid().to_owned(),
    };
    let open = proto::OpenSession { session_id: String::new(), pod: Some(pod), kind: Some(kind) };
    Ok(SessionRequest { node: node.to_owned(), open })
}

fn pod(call: &Call, key: &Key) -> Result<Object, Status> {
    let snapshot = call.api.store.snapshot();
    let stored = snapshot.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
    Ok(stored.object().clone())
}

/// The container that a request means.
fn container(call: &Call, key: &Key) -> Result<String, Status> {
    choose(&pod(call, key)?, call.query.get("container").unwrap_or_default())
}

fn choose(pod: &Object, asked: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod.list_at(&["spec", list]).iter();
        containers.filter_map(|container| container["name"].as_str()).map(ToOwned::to_owned).collect()
    };
    let main = names("containers");
    let all: Vec<String> = [main.clone(), names("initContainers")].concat();
    if !asked.is_empty() {
        return match all.iter().any(|name| name == asked) {
            true => Ok(asked.to_owned()),
            false => {
                Err(Status::bad_request(format!("container {asked} is not valid for pod {}", pod.name())))
            }
        };
    }
    let annotated = pod.annotation(DEFAULT_CONTAINER).filter(|name| main.iter().any(|other| other == name));
    match (annotated, main.as_slice()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            pod.name(),
            main.join(" ")
        ))),
    }
}

/// What a node says when it cannot do what it was asked.
fn refusal(error: &proto::SessionError) -> Status {
    use crate::registry::Reason;
    let reason = match error.code {
        400 => Reason::BadRequest,
        404 => Reason::NotFound,
        503 => Reason::ServiceUnavailable,
        504 => Reason::Timeout,
        _ => Reason::InternalError,
    };
    Status::new(reason, error.message.clone())
}

/// The `Status` that ends an exec: how the command ended.
fn exit_status(code: i32) -> Value {
    if code == 0 {
        return serde_json::json!({"metadata": {}, "status": "Success"});
    }
    serde_json::json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        "code": 500,
    })
}

#[cfg(test)]
mod tests;
