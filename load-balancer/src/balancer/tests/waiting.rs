use super::client::{Client, get, request};
use super::endpoint::{Endpoint, Manner};
use super::*;

#[tokio::test]
async fn a_request_waits_for_an_endpoint_to_be_ready() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(Limits { hold_timeout: SOON, ..Limits::default() });
    handle.apply(&table(&[(echo.address, false)]));
    let held = tokio::spawn(get(handle.http_address(), "/"));
    until("the request is held", || handle.stats().held == 1).await;
    handle.apply(&table(&[(echo.address, true)]));
    assert!(held.await.expect("an answer").0.is_success());
    assert_eq!(handle.stats().held, 0);
}

#[tokio::test]
async fn a_request_waits_for_the_first_table() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(Limits::default());
    let held = tokio::spawn(get(handle.http_address(), "/"));
    until("the client has connected", || handle.stats().connections == 1).await;
    handle.apply(&table(&[(echo.address, true)]));
    assert!(held.await.expect("an answer").0.is_success());
}

#[tokio::test]
async fn no_endpoint_in_time_is_said_clearly() {
    let handle = start(impatient());
    handle.apply(&table(&[]));
    let (status, body) = get(handle.http_address(), "/").await;
    assert_eq!(status, 503);
    assert!(body.contains("no endpoint of default/shop:80 is ready"), "{body}");
    assert_eq!(totals(&handle), (1, 1, 0));

    let dead = Endpoint::start(Manner::Echo).await.address;
    handle.apply(&table(&[(dead, true)]));
    let (status, body) = get(handle.http_address(), "/").await;
    assert_eq!(status, 502);
    assert!(body.contains("no endpoint of default/shop:80 can be reached"), "{body}");
}

#[tokio::test]
async fn only_so_many_requests_are_held() {
    let handle = start(Limits { held_max: 1, hold_timeout: SOON, ..Limits::default() });
    handle.apply(&table(&[]));
    let held = tokio::spawn(get(handle.http_address(), "/"));
    until("the request is held", || handle.stats().held == 1).await;
    let (status, body) = get(handle.http_address(), "/").await;
    assert!(status == 503 && body.contains("too many"), "{body}");
    held.abort();
    until("a client that leaves gives its place back", || handle.stats().held == 0).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_said_clearly() {
    let silent = Endpoint::start(Manner::Wait).await;
    let handle = start(Limits { request_timeout: Duration::from_millis(100), ..Limits::default() });
    handle.apply(&table(&[(silent.address, true)]));
    let (status, body) = get(handle.http_address(), "/").await;
    assert_eq!(status, 504);
    assert!(body.contains("default/shop:80 has not answered within"), "{body}");
}

#[tokio::test]
async fn an_endpoint_that_drains_finishes_what_it_has() {
    let (old, new) = (Endpoint::start(Manner::Wait).await, Endpoint::start(Manner::Echo).await);
    let handle = start(Limits::default());
    handle.apply(&table(&[(old.address, true)]));
    let address = handle.http_address();
    let post = async move { Client::connect(address).await.send(request("POST", "/", "")).await };
    let slow = tokio::spawn(post);
    until("the old one has it", || old.seen() == 1).await;

    let applied = handle.apply(&table(&[(old.address, false), (new.address, true)]));
    assert!(!applied.drain.wait(Duration::from_millis(50)).await);
    assert!(get(address, "/").await.1.starts_with(&new.address.to_string()));
    old.permits.add_permits(1);
    assert!(slow.await.expect("an answer").status().is_success());
    assert!(applied.drain.wait(SOON).await);
}

#[tokio::test]
async fn a_get_does_not_wait_for_an_endpoint_that_no_longer_exists() {
    let (silent, echo) = (Endpoint::start(Manner::Wait).await, Endpoint::start(Manner::Echo).await);
    let handle = start(Limits::default());
    handle.apply(&table(&[(silent.address, true)]));
    let waiting = tokio::spawn(get(handle.http_address(), "/"));
    until("the silent one has it", || silent.seen() == 1).await;
    // As after a node was cut off: no connection breaks, the table alone says it.
    handle.apply(&table(&[(echo.address, true)]));
    assert!(waiting.await.expect("an answer").1.starts_with(&echo.address.to_string()));
}

#[tokio::test]
async fn a_get_goes_elsewhere_when_its_endpoint_leaves_in_the_middle_of_its_answer() {
    let half = Endpoint::start(Manner::HalfAnswerThenSilence).await;
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(Limits::default());
    handle.apply(&table(&[(half.address, true)]));
    let waiting = tokio::spawn(get(handle.http_address(), "/"));
    until("half of the answer has come", || handle.stats().backends[0].endpoints[0].latency_us_p50 > 0).await;
    handle.apply(&table(&[(echo.address, true)]));
    assert!(waiting.await.expect("an answer").1.starts_with(&echo.address.to_string()));
}

#[tokio::test]
async fn a_held_request_follows_a_backend_that_leaves_and_returns() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(Limits { hold_timeout: SOON, ..Limits::default() });
    handle.apply(&table(&[(echo.address, false)]));
    let held = tokio::spawn(get(handle.http_address(), "/"));
    until("the request is held", || handle.stats().held == 1).await;
    for _ in 0..2 {
        handle.apply(&Table::default());
    }
    assert!(!held.is_finished());
    handle.apply(&table(&[(echo.address, true)]));
    assert!(held.await.expect("an answer").0.is_success());
}

#[tokio::test]
async fn a_get_waits_only_a_while_for_an_endpoint_that_drains_and_a_post_until_its_end() {
    let (silent, echo) = (Endpoint::start(Manner::Wait).await, Endpoint::start(Manner::Echo).await);
    let handle = start(Limits { drain_patience: Duration::from_millis(50), ..Limits::default() });
    let address = handle.http_address();
    handle.apply(&table(&[(silent.address, true)]));
    let waiting = tokio::spawn(get(address, "/"));
    let post =
        tokio::spawn(async move { Client::connect(address).await.send(request("POST", "/", "")).await });
    until("the silent one has both", || silent.seen() == 2).await;
    handle.apply(&table(&[(silent.address, false), (echo.address, true)]));
    assert!(waiting.await.expect("an answer").1.starts_with(&echo.address.to_string()));
    assert!(!post.is_finished());
    silent.permits.add_permits(2);
    assert!(post.await.expect("an answer").status().is_success());
}

#[tokio::test]
async fn shutting_down_lets_requests_finish_and_keeps_the_deadline() {
    let slow = Endpoint::start(Manner::Wait).await;
    for finishes in [true, false] {
        let handle = start(Limits::default());
        let address = handle.http_address();
        handle.apply(&table(&[(slow.address, true)]));
        let before = slow.seen();
        let waiting = tokio::spawn(async move { Client::connect(address).await.try_get("/").await });
        until("the slow one has it", || slow.seen() == before + 1).await;
        if finishes {
            slow.permits.add_permits(1);
        }
        let deadline = if finishes { SOON } else { Duration::from_millis(50) };
        assert_eq!(handle.shutdown(deadline).await, finishes);
        assert_eq!(waiting.await.expect("it ends").is_some(), finishes);
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_clients_that_ask_nothing() {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(Limits::default());
    handle.apply(&table(&[(echo.address, true)]));
    let _silent = tokio::net::TcpStream::connect(handle.http_address()).await.expect("the front listens");
    let mut idle = Client::connect(handle.http_address()).await;
    assert!(idle.get("/").await.0.is_success());
    until("both are accepted", || handle.stats().connections >= 2).await;
    assert!(handle.shutdown(Duration::from_secs(5)).await);
}
