//! The gRPC face of the fleet: who is calling, and which room serves the call.

use std::pin::Pin;

use futures::Stream;
use proto::fleet_server::Fleet as FleetRpc;
use proto::session_frame::Frame;
use proto::{FrontCommand, FrontReport, JoinRequest, JoinResponse, NodeCommand, NodeReport, SessionFrame};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::identity::Member;
use super::{Fleet, fronts, nodes, sessions};
use crate::clock;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct Service {
    fleet: Fleet,
}

impl Service {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self { fleet }
    }

    /// A token lets members join, not take the place of one that is there.
    fn refuse_if_here(&self, member: &Member) -> Result<(), Status> {
        let Member::Node(name) = member else { return Ok(()) };
        let is_here = self.fleet.health().nodes().get(name).is_some_and(|heard| heard.connected);
        if is_here {
            return Err(Status::already_exists(format!("node {name} is connected; choose another name")));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl FleetRpc for Service {
    type NodeStream = Answers<NodeCommand>;
    type FrontStream = Answers<FrontCommand>;
    type SessionStream = Answers<SessionFrame>;

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let request = request.into_inner();
        let authority = &self.fleet.shared.authority;
        if !authority.accepts(&request.token) {
            return Err(Status::permission_denied("the join token is not this cluster's"));
        }
        let member = Member::asked(request.role(), &request.name)?;
        self.refuse_if_here(&member)?;
        let certificate_pem = authority
            .sign_request(&request.csr_pem, &member.subject(), clock::now())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        tracing::info!(?member, "joined");
        Ok(Response::new(JoinResponse { certificate_pem, ca_pem: authority.ca_pem().to_owned() }))
    }

    async fn node(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::NodeStream>, Status> {
        let name = Member::of(&request)?.node()?;
        let commands = nodes::open(&self.fleet, name, request.into_inner()).await?;
        Ok(Response::new(answers(commands)))
    }

    async fn front(
        &self,
        request: Request<Streaming<FrontReport>>,
    ) -> Result<Response<Self::FrontStream>, Status> {
        let name = Member::of(&request)?.front()?;
        let commands = fronts::open(&self.fleet, name, request.into_inner()).await;
        Ok(Response::new(answers(commands)))
    }

    async fn session(
        &self,
        request: Request<Streaming<SessionFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let node = Member::of(&request)?.node()?;
        let mut incoming = request.into_inner();
        let first = tokio::time::timeout(sessions::OPEN_TIMEOUT, incoming.next()).await;
        let Ok(Some(Ok(SessionFrame { frame: Some(Frame::SessionId(id)) }))) = first else {
            return Err(Status::invalid_argument("the first frame of a session must be its id"));
        };
        let frames = self.fleet.shared.waiting.join(&node, &id, incoming);
        let frames = frames.ok_or_else(|| Status::not_found("nobody waits for this session"))?;
        Ok(Response::new(answers(frames)))
    }
}

fn answers<T: Send + 'static>(queue: tokio::sync::mpsc::Receiver<T>) -> Answers<T> {
    Box::pin(ReceiverStream::new(queue).map(Ok))
}
