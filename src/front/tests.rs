use std::sync::Arc;
use std::time::Duration;

use load_balancer::Limits;
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use super::*;

mod fleet;

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(30);

fn front(link: LinkConfig) -> Front {
    let config = Config { http: ([127, 0, 0, 1], 0).into(), limits: Limits::default() };
    let handle = LoadBalancer::start(config).expect("any free port");
    Front { link, handle, address: [127, 0, 0, 1].into(), served: None }
}

fn no_link() -> LinkConfig {
    LinkConfig {
        control_plane: "https://127.0.0.1:1".to_owned(),
        ca_pem: String::new(),
        join_token: String::new(),
        identity_dir: "/nonexistent".into(),
        name: "front".to_owned(),
    }
}

fn one_port(port: u16) -> proto::RouteTable {
    let route = proto::PortRoute { port: port.into(), backend: "default/shop:80".to_owned(), http: true };
    proto::RouteTable { generation: 7, ports: vec![route], ..proto::RouteTable::default() }
}

fn applied(reports: &mut Receiver<FrontReport>) -> Option<FrontApplied> {
    match reports.try_recv().ok()?.report? {
        Report::Applied(applied) => Some(applied),
        other @ (Report::Hello(_) | Report::Counters(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_once_and_served_when_it_is_free() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("any free port");
    let port = taken.local_addr().expect("it listens").port();
    let (reports, mut sent) = mpsc::channel(REPORTS_MAX);
    let mut front = front(no_link());
    front.apply(&one_port(port), &reports).await.expect("reports are taken");
    let said = applied(&mut sent).expect("what came of the table");
    assert_eq!((said.generation, said.problems.len()), (7, 1), "{said:?}");

    front.retry_problems(&reports).await.expect("reports are taken");
    assert_eq!(applied(&mut sent), None, "nothing has changed");

    drop(taken);
    front.retry_problems(&reports).await.expect("reports are taken");
    assert_eq!(applied(&mut sent), Some(FrontApplied { generation: 7, problems: Vec::new() }));
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
}

#[tokio::test]
async fn what_the_table_itself_has_wrong_is_not_tried_again() {
    let (reports, mut sent) = mpsc::channel(REPORTS_MAX);
    let mut front = front(no_link());
    front.apply(&one_port(0), &reports).await.expect("reports are taken");
    assert_eq!(applied(&mut sent).expect("what came of it").problems, ["default/shop:80: 0 is not a port"]);
    front.retry_problems(&reports).await.expect("reports are taken");
    assert_eq!(applied(&mut sent), None);
}

#[tokio::test]
async fn a_control_plane_that_falls_silent_is_dialled_again() {
    let dir = TempDir::new().expect("a folder");
    let fleet = fleet::start(&dir).await;
    let mut front = front(fleet.link(&dir));
    let mut seen = fleet.seen();
    let told = async {
        let first = fleet::table_taken(&mut seen, 0).await;
        // No connection is closed: nothing but the silence tells.
        fleet.cut();
        fleet::table_taken(&mut seen, first).await
    };
    tokio::select! {
        () = front.keep_stream() => {}
        second = tokio::time::timeout(SOON, told) => drop(second.expect("a second stream")),
    }
    assert!(front.served.is_some());
}
