use super::client::{Client, get, request};
use super::endpoint::{Endpoint, Manner};
use super::*;

async fn pair(first: Manner, second: Manner) -> (Handle, Endpoint, Endpoint) {
    let (first, second) = (Endpoint::start(first).await, Endpoint::start(second).await);
    let handle = start(impatient());
    handle.apply(&table(&[(first.address, true), (second.address, true)]));
    (handle, first, second)
}

#[tokio::test]
async fn a_get_goes_elsewhere_when_its_endpoint_vanishes() {
    let (handle, vanishing, echo) = pair(Manner::Vanish, Manner::Echo).await;
    for _ in 0..20 {
        let (status, body) = get(handle.http_address(), "/").await;
        assert!(status.is_success() && body.starts_with(&echo.address.to_string()), "{body}");
    }
    assert!(vanishing.seen() > 0);
    assert_eq!(totals(&handle).1, 0, "no user saw a failure");
}

#[tokio::test]
async fn a_get_goes_elsewhere_when_its_answer_breaks_off() {
    let (handle, half, _echo) = pair(Manner::HalfAnswer, Manner::Echo).await;
    for _ in 0..20 {
        assert!(get(handle.http_address(), "/").await.0.is_success());
    }
    assert!(half.seen() > 0);
}

#[tokio::test]
async fn a_post_without_a_key_is_never_sent_twice() {
    let (handle, first, second) = pair(Manner::Vanish, Manner::Vanish).await;
    for sent in 1..=10 {
        let response = Client::connect(handle.http_address()).await.send(request("POST", "/pay", "7")).await;
        assert_eq!(response.status(), 502);
        let text = String::from_utf8_lossy(response.body());
        assert!(text.contains("default/shop:80") && text.contains("Idempotency-Key"), "{text}");
        assert_eq!(first.seen() + second.seen(), sent);
    }
    assert_eq!(totals(&handle), (10, 10, 0));
}

#[tokio::test]
async fn a_post_with_a_key_is_sent_again_with_its_whole_body() {
    let (handle, vanishing, _echo) = pair(Manner::Vanish, Manner::Echo).await;
    let mut client = Client::connect(handle.http_address()).await;
    let body = "x".repeat(40_000);
    for _ in 0..20 {
        let mut pay = request("POST", "/pay", &body);
        pay.headers_mut().insert("idempotency-key", "7".parse().unwrap());
        let response = client.send(pay).await;
        assert!(response.status().is_success() && response.body().ends_with(body.as_bytes()));
    }
    assert!(vanishing.seen() > 0);
}

#[tokio::test]
async fn a_body_too_long_to_keep_is_sent_once() {
    let (handle, first, second) = pair(Manner::Vanish, Manner::Vanish).await;
    let body = "x".repeat(Limits::default().replay_bytes_max + 1);
    let response = Client::connect(handle.http_address()).await.send(request("PUT", "/stock", &body)).await;
    assert_eq!(response.status(), 502);
    assert!(String::from_utf8_lossy(response.body()).contains("too long"));
    assert_eq!(first.seen() + second.seen(), 1);
}

#[tokio::test]
async fn connections_that_endpoints_close_while_idle_cost_nobody_anything() {
    let endpoint = Endpoint::start(Manner::CloseAfterAnswer).await;
    let handle = start(impatient());
    handle.apply(&table(&[(endpoint.address, true)]));
    let mut client = Client::connect(handle.http_address()).await;
    for _ in 0..200 {
        assert_eq!(client.get("/").await.1, "all");
    }
    assert_eq!(totals(&handle).1, 0);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_left_alone_for_the_others() {
    let (handle, dead, echo) = pair(Manner::Echo, Manner::Echo).await;
    drop(dead);
    for _ in 0..50 {
        let (status, body) = get(handle.http_address(), "/").await;
        assert!(status.is_success() && body.starts_with(&echo.address.to_string()), "{body}");
    }
    let (_, failures, retries) = totals(&handle);
    assert!(failures == 0 && retries < 20, "{retries}");
}
