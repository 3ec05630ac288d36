use super::client::{get, raw};
use super::endpoint::{Endpoint, Manner};
use super::*;

async fn front(limits: Limits) -> (Handle, Endpoint) {
    let echo = Endpoint::start(Manner::Echo).await;
    let handle = start(limits);
    handle.apply(&table(&[(echo.address, true)]));
    (handle, echo)
}

#[tokio::test]
async fn malformed_requests_get_a_4xx_and_reach_nobody() {
    let (handle, echo) = front(impatient()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(1 << 20));
    for request in [
        "GARBAGE\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /public/../admin HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /public/%2e%2e/admin HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET http://h/public/..%2fadmin HTTP/1.1\r\nhost: h\r\n\r\n",
        "CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n",
        &long,
        &many,
        &long_target,
    ] {
        let answer = raw(handle.http_address(), request.as_bytes(), true).await;
        let shown: String = request.chars().take(60).collect();
        // A sender of too much may lose the answer to the reset that its unread rest causes.
        let excused = request.len() > 100_000 && answer.is_empty();
        assert!(answer.starts_with("HTTP/1.1 4") || excused, "{shown:?} got {answer:?}");
    }
    assert_eq!(echo.seen(), 0);
    assert!(get(handle.http_address(), "/").await.0.is_success());
}

#[tokio::test]
async fn two_lengths_cannot_smuggle_a_second_request() {
    let (handle, echo) = front(impatient()).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
    let shapes = [
        format!("content-length: {}\r\ntransfer-encoding: chunked", smuggled.len() + 5),
        format!("transfer-encoding: chunked\r\ncontent-length: {}", smuggled.len() + 5),
    ];
    for (index, lengths) in shapes.iter().enumerate() {
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\n{lengths}\r\n\r\n0\r\n\r\n{smuggled}");
        // RFC 9112 section 6.1: chunked decides, and the connection is closed after the answer.
        let answer = raw(handle.http_address(), request.as_bytes(), false).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(!answer.contains("/smuggled") && !answer.contains("content-length: 4"), "{answer}");
        assert_eq!(echo.seen(), index + 1);
    }
}

#[tokio::test]
async fn half_requests_end_without_harm() {
    let (handle, _echo) = front(impatient()).await;
    for request in [
        "",
        "G",
        "\x16\x03\x01\x02\x00\x01\x00",
        "PRI",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x04\x01\x05\0\0\0\x01\u{ff}\u{ff}",
        "GET / HTTP/1.1\r\nhost:",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ] {
        let answer = raw(handle.http_address(), request.as_bytes(), true).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{request:?} got {answer:?}");
    }
    until("all connections have ended", || handle.stats().connections <= 1).await;
    assert!(get(handle.http_address(), "/").await.0.is_success());
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_not_waited_for() {
    let (handle, _echo) =
        front(Limits { head_timeout: Duration::from_millis(100), ..Limits::default() }).await;
    for start in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: h\r\nx: "] {
        raw(handle.http_address(), start.as_bytes(), false).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let (handle, _echo) = front(Limits { connections_max: 2, ..impatient() }).await;
    let address = handle.http_address();
    let first = super::client::Client::connect(address).await;
    until("the first is accepted", || handle.stats().connections >= 1).await;
    let second = super::client::Client::connect(address).await;
    let third = tokio::spawn(get(address, "/"));
    assert!(!third.is_finished());
    drop((first, second));
    assert!(third.await.expect("an answer").0.is_success());
}
