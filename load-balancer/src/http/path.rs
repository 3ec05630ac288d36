//! Which paths are not routed. Pure.
//!
//! Routes match a path as it is written, and so it is forwarded; an endpoint resolves its dot segments (RFC 3986
//! section 5.2.4). `/public/../admin` would be routed as `/public` and answered as `/admin`: it is refused, in
//! every spelling that an endpoint may take for the same. Clients resolve dot segments before they send a path.

use super::headers::Refusal;

#[cfg(test)]
mod tests;

/// Refuses a path with a dot segment.
pub(crate) fn check(path: &str) -> Result<(), Refusal> {
    // Most paths need no second look.
    if !path.contains(['.', '%']) {
        return Ok(());
    }
    // Once: `%252e` is a percent sign, and whoever decodes twice is lost anyway.
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    if decoded.split(['/', '\\']).any(is_dot_segment) { Err(Refusal::Path) } else { Ok(()) }
}

/// With or without parameters, which some endpoints take off first (`..;x`).
fn is_dot_segment(segment: &str) -> bool {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    name == "." || name == ".."
}
