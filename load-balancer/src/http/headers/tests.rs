use super::*;
use http::Request;

fn head(request: http::request::Builder) -> Parts {
    request.body(()).expect("a valid request").into_parts().0
}

fn forwarded(request: http::request::Builder) -> Parts {
    let mut parts = head(request);
    let host = host(&parts).expect("a host");
    forward_request(&mut parts, [10, 0, 0, 9].into(), &host, 7);
    parts
}

#[test]
fn the_host_comes_from_the_target_or_the_header_and_must_be_one() {
    assert_eq!(host(&head(Request::get("/").header("host", "shop:80"))), Ok("shop:80".into()));
    assert_eq!(host(&head(Request::get("http://a/x").header("host", "b"))), Ok("a".into()));
    assert_eq!(host(&head(Request::get("/"))), Err(Refusal::Host));
    assert_eq!(host(&head(Request::get("/").version(Version::HTTP_10))), Ok(String::new()));
    assert_eq!(host(&head(Request::get("/").header("host", "a").header("host", "b"))), Err(Refusal::Host));
    for bad in ["a b", "a/b", "user@a", "a,b", "", "\u{e9}"] {
        assert_eq!(host(&head(Request::get("/").header("host", bad))), Err(Refusal::Host), "{bad:?}");
    }
    assert_eq!(host(&head(Request::connect("a:1"))), Err(Refusal::Connect));
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_are_not_forwarded() {
    let parts = forwarded(
        Request::get("/")
            .header("host", "shop")
            .header("connection", "close, X-Mine, content-length")
            .header("x-mine", "1")
            .header("content-length", "0")
            .header("keep-alive", "5")
            .header("te", "trailers")
            .header("proxy-authorization", "secret")
            .header("x-kept", "1"),
    );
    for gone in ["connection", "x-mine", "keep-alive", "te", "proxy-authorization"] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
    assert!(parts.headers.contains_key("x-kept") && parts.headers.contains_key("content-length"));
}

#[test]
fn who_asks_is_said_by_the_front_and_not_by_the_client() {
    let parts = forwarded(Request::get("/").header("host", "shop").header("x-forwarded-for", "1.2.3.4"));
    assert_eq!(parts.headers["x-forwarded-for"], "10.0.0.9");
    assert_eq!(parts.headers["x-forwarded-host"], "shop");
    assert_eq!(parts.headers["x-forwarded-proto"], "http");
    assert_eq!(parts.headers["x-request-id"], "00000000000000000000000000000007");
    let parts = forwarded(Request::get("/").header("host", "shop").header("x-request-id", "mine"));
    assert_eq!(parts.headers["x-request-id"], "mine");
}

#[test]
fn an_upgrade_is_passed_on_only_if_the_connection_asks_for_it() {
    let asked =
        Request::get("/").header("host", "h").header("connection", "Upgrade").header("upgrade", "websocket");
    assert_eq!(forwarded(asked).headers["upgrade"], "websocket");
    let not_asked = Request::get("/").header("host", "h").header("upgrade", "websocket");
    assert!(!forwarded(not_asked).headers.contains_key("upgrade"));
}

#[test]
fn of_all_upgrades_only_a_websocket_is_passed_on() {
    let asked = |upgrade| {
        let request = Request::get("/").header("host", "h").header("connection", "Upgrade, HTTP2-Settings");
        forwarded(request.header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA").header("upgrade", upgrade))
    };
    for other in ["h2c", "HTTP/2.0", "TLS/1.2", "echo", "xwebsocket", ""] {
        let headers = asked(other).headers;
        let gone = ["upgrade", "connection", "http2-settings"];
        assert!(gone.iter().all(|name| !headers.contains_key(*name)), "{other}: {headers:?}");
    }
    for websocket in ["WebSocket", "h2c, websocket"] {
        assert_eq!(asked(websocket).headers["upgrade"], "websocket");
    }
}

#[test]
fn the_target_is_sent_in_origin_form() {
    assert_eq!(forwarded(Request::get("http://a/x?y=1")).uri, "/x?y=1");
    assert_eq!(forwarded(Request::get("/x").header("host", "a")).uri, "/x");
    assert_eq!(forwarded(Request::options("*").header("host", "a")).uri, "*");
}
