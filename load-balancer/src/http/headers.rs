//! What a proxy changes in a message's head. Pure.
//!
//! RFC 9110 section 7.6.1 (hop-by-hop fields), RFC 9112 section 3.2 (the request target and `Host`). The front
//! is the first that a client talks to: what a client says about who forwarded it is replaced.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

#[cfg(test)]
mod tests;

const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A client's own request id is kept up to this length.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Why a request is refused before it is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No host, several, or one that is not a host.
    Host,
    /// Its path means one thing to the routes and another to an endpoint.
    Path,
    /// The front forwards to what it knows, not to where it is told.
    Connect,
}

impl Refusal {
    pub(crate) fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Host => (StatusCode::BAD_REQUEST, "the request needs exactly one valid Host"),
            Refusal::Path => (StatusCode::BAD_REQUEST, "the request's path must not have dot segments"),
            Refusal::Connect => (StatusCode::METHOD_NOT_ALLOWED, "this is not a forward proxy: no CONNECT"),
        }
    }
}

/// The host that is asked for, with its port if there is one; empty for an HTTP/1.0 request without one.
pub(crate) fn host(parts: &Parts) -> Result<String, Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (named, further) = (hosts.next(), hosts.next());
    if further.is_some() {
        return Err(Refusal::Host);
    }
    // The request target's authority, if it has one, is what counts.
    if let Some(authority) = parts.uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    match named {
        Some(named) => valid_host(named).ok_or(Refusal::Host),
        None if parts.version == Version::HTTP_10 => Ok(String::new()),
        None => Err(Refusal::Host),
    }
}

fn valid_host(value: &HeaderValue) -> Option<String> {
    let host = value.to_str().ok()?;
    let authority: http::uri::Authority = host.parse().ok()?;
    (!host.contains(['@', ',']) && authority.as_str() == host).then(|| host.to_owned())
}

/// What a request wants its connection to become, if that is something that stays within its path: a WebSocket.
/// Any other wish may be ignored (RFC 9110 section 7.8). One for `h2c` must be: further requests would follow in
/// the tunnel, past the routes.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = elements(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    let mut protocols = elements(headers, &header::UPGRADE);
    let is_websocket = asked && protocols.any(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    is_websocket.then_some(HeaderValue::from_static("websocket"))
}

/// Makes a client's head the head that an endpoint gets.
pub(crate) fn forward_request(parts: &mut Parts, client: IpAddr, host: &str, request_id: u128) {
    let upgrade = upgrade_of(&parts.headers);
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove(header::EXPECT);
    set_upgrade(&mut parts.headers, upgrade);
    let client = HeaderValue::try_from(client.to_string()).expect("an address is a valid header value");
    parts.headers.insert(X_FORWARDED_FOR, client.clone());
    parts.headers.insert(X_REAL_IP, client);
    parts.headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    // It came as a header or as an authority: either is a valid value.
    let host = HeaderValue::try_from(host).unwrap_or(HeaderValue::from_static(""));
    parts.headers.insert(X_FORWARDED_HOST, host.clone());
    parts.headers.insert(header::HOST, host);
    set_request_id(&mut parts.headers, request_id);
    parts.uri = origin_form(&parts.uri);
    parts.version = Version::HTTP_11;
}

/// Makes an endpoint's head the head that a client gets.
pub(crate) fn forward_response(parts: &mut http::response::Parts) {
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
}

/// Says what the connection is to become, or has become.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = elements(headers, &header::CONNECTION).map(str::to_owned).collect();
    for name in named {
        // A connection option cannot take away what the message itself is made of.
        if !["host", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
            headers.remove(name.as_str());
        }
    }
    headers.remove(header::CONNECTION);
    headers.remove(header::UPGRADE);
    HOP_BY_HOP.iter().for_each(|name| {
        headers.remove(name);
    });
}

/// Of a field that is a list.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

fn set_request_id(headers: &mut HeaderMap, request_id: u128) {
    let has_one = headers.get(X_REQUEST_ID).is_some_and(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()));
    if !has_one {
        let id =
            HeaderValue::try_from(format!("{request_id:032x}")).expect("hexadecimal is a valid header value");
        headers.insert(X_REQUEST_ID, id);
    }
}

fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) if uri.scheme().is_some() || uri.authority().is_some() => Uri::from(path.clone()),
        Some(_) => uri.clone(),
        None => Uri::from_static("/"),
    }
}
