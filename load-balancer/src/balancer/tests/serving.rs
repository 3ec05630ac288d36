use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, get, request};
use super::endpoint::{Endpoint, Manner};
use super::*;

#[tokio::test]
async fn a_request_reaches_its_endpoint_with_who_asked() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(impatient());
    handle.apply(&table(&[(echo.address, true)]));
    let response =
        Client::connect(handle.http_address()).await.send(request("POST", "/pay?x=1", "body")).await;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("POST /pay?x=1\n") && text.ends_with("\n\nbody"), "{text}");
    for header in ["x-forwarded-for: 127.0.0.1", "x-forwarded-host: shop.localhost", "host: shop.localhost"] {
        assert!(text.contains(header), "{text}");
    }
    assert_eq!(totals(&handle), (1, 0, 0));
}

#[tokio::test]
async fn hosts_and_paths_lead_to_their_backends_and_nothing_else_is_served() {
    let (pay, stock) = (Endpoint::start(Manner::Echo).await, Endpoint::start(Manner::Echo).await);
    let mut table = table(&[(pay.address, true)]);
    table.http = vec![route("shop.localhost", "/pay", "default/shop:80"), route("", "/stock", "stock")];
    let endpoints = vec![EndpointSpec { address: stock.address, ready: true, target: String::new() }];
    table.backends.push(BackendSpec { key: "stock".to_owned(), endpoints });
    let handle = start(impatient());
    handle.apply(&table);
    assert!(get(handle.http_address(), "/pay/1").await.1.starts_with(&pay.address.to_string()));
    assert!(get(handle.http_address(), "/stock").await.1.starts_with(&stock.address.to_string()));
    let (status, body) = get(handle.http_address(), "/nothing").await;
    assert!(status == 404 && body.contains("nothing is served at shop.localhost/nothing"), "{body}");
}

#[tokio::test]
async fn http2_without_tls_is_served_too() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(impatient());
    handle.apply(&table(&[(echo.address, true)]));
    let stream = TcpStream::connect(handle.http_address()).await.unwrap();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let answers = (0..20).map(|number| {
        let request =
            Request::post(format!("http://shop.localhost/{number}")).body(Full::<Bytes>::from("body"));
        let sent = sender.send_request(request.unwrap());
        async move { sent.await.unwrap().into_body().collect().await.unwrap().to_bytes() }
    });
    for (number, answer) in join_all(answers).await.into_iter().enumerate() {
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            text.contains(&format!("POST /{number}\n")) && text.contains("host: shop.localhost"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn long_bodies_stream_both_ways() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(impatient());
    handle.apply(&table(&[(echo.address, true)]));
    let body = "0123456789abcdef".repeat(256 * 1024);
    let response = Client::connect(handle.http_address()).await.send(request("POST", "/", &body)).await;
    assert!(response.body().ends_with(body.as_bytes()));
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_endpoint_from_sending() {
    // An endpoint that sends without end, and counts what it could send.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (report, mut sent) = tokio::sync::watch::channel(0usize);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        while let Ok(length) = stream.write(&chunk).await {
            report.send_modify(|sent| *sent += length);
        }
    });
    let handle = start(impatient());
    handle.apply(&table(&[(address, true)]));
    let mut client = TcpStream::connect(handle.http_address()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    sent.wait_for(|sent| *sent > 0).await.unwrap();
    // It has stopped when a while passes without anything being sent.
    while tokio::time::timeout(Duration::from_millis(300), sent.changed()).await.is_ok() {}
    // The kernel's buffers of four sockets, and little of ours.
    assert!(*sent.borrow() < 32 << 20, "{}", *sent.borrow());
    drop(client);
    tokio::time::timeout(SOON, async { while sent.changed().await.is_ok() {} })
        .await
        .expect("the endpoint is let go");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        assert!(String::from_utf8_lossy(&head).contains("upgrade: websocket"));
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let handle = start(impatient());
    handle.apply(&table(&[(address, true)]));
    let stream = TcpStream::connect(handle.http_address()).await.unwrap();
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver.with_upgrades());
    let request =
        Request::get("/").header("host", "h").header("connection", "upgrade").header("upgrade", "websocket");
    let mut response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "websocket");
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    drop(tunnel);
    until("the tunnel is counted", || totals(&handle) == (1, 0, 0)).await;
}

fn with_port(mut table: Table, protocol: Protocol) -> (Table, SocketAddr) {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = free.local_addr().unwrap();
    table.ports = vec![PortRoute { listen, backend: "default/shop:80".to_owned(), protocol }];
    (table, listen)
}

#[tokio::test]
async fn a_tcp_port_is_balanced_by_connection_and_goes_elsewhere_when_one_is_dead() {
    let (echo, dead) = (Endpoint::start(Manner::Echo).await, Endpoint::start(Manner::Echo).await);
    let (table, listen) = with_port(table(&[(echo.address, true), (dead.address, true)]), Protocol::Tcp);
    drop(dead);
    let handle = start(impatient());
    let applied = handle.apply(&table);
    assert_eq!((applied.generation, applied.problems), (1, Vec::new()));
    for _ in 0..10 {
        let text = get(listen, "/").await.1;
        assert!(text.starts_with(&echo.address.to_string()) && !text.contains("x-forwarded"), "{text}");
    }
    until("all connections are counted", || totals(&handle).0 == 10).await;
    assert_eq!(totals(&handle).1, 0);
}

#[tokio::test]
async fn a_port_comes_and_goes_with_its_route() {
    let echo = Endpoint::start(Manner::Echo).await;
    let bare = table(&[(echo.address, true)]);
    let (with, listen) = with_port(bare.clone(), Protocol::Http);
    let handle = start(impatient());
    handle.apply(&with);
    assert!(get(listen, "/any").await.1.contains("x-forwarded-for"));
    handle.apply(&bare);
    tokio::time::timeout(SOON, async { while TcpStream::connect(listen).await.is_ok() {} })
        .await
        .expect("it closes");
    assert!(handle.apply(&with).problems.is_empty());
    assert!(get(listen, "/any").await.0.is_success());
}

#[tokio::test]
async fn a_taken_port_is_a_problem_of_its_own() {
    let echo = Endpoint::start(Manner::Echo).await;
    let (table, listen) = with_port(table(&[(echo.address, true)]), Protocol::Tcp);
    let taken = std::net::TcpListener::bind(listen).unwrap();
    let handle = start(impatient());
    let problems = handle.apply(&table).problems;
    assert!(problems.len() == 1 && problems[0].contains(&listen.to_string()), "{problems:?}");
    assert!(get(handle.http_address(), "/").await.0.is_success());
    drop(taken);
    assert!(handle.apply(&table).problems.is_empty());

    let taken = Config { http: handle.http_address(), limits: Limits::default() };
    assert!(matches!(LoadBalancer::start(taken), Err(StartError::Listen { .. })));
}
