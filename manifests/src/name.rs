//! The forms that Kubernetes prescribes for names: RFC 1123 labels and subdomains, qualified names, label values,
//! port names, environment variables. Each check says what would be right, as half a sentence about the text.
//!
//! Source: apimachinery `pkg/util/validation`.

/// Longest DNS label.
pub const LABEL_LEN_MAX: usize = 63;
/// Longest DNS subdomain.
pub const SUBDOMAIN_LEN_MAX: usize = 253;

/// A check's verdict: nothing, or what is wrong.
pub type Verdict = Result<(), String>;

/// A DNS label of RFC 1123: `payment-2`.
pub fn dns_label(text: &str) -> Verdict {
    length(text, LABEL_LEN_MAX)?;
    if is_dns_label(text) {
        return Ok(());
    }
    refused("must be lower case letters, digits and '-', and begin and end with a letter or digit")
}

/// A DNS label that begins with a letter (RFC 1035), as Service names must be.
pub fn dns_label_1035(text: &str) -> Verdict {
    length(text, LABEL_LEN_MAX)?;
    if is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    refused("must be lower case letters, digits and '-', begin with a letter, and end with a letter or digit")
}

/// DNS labels joined by dots: `shop.example.com`.
pub fn dns_subdomain(text: &str) -> Verdict {
    length(text, SUBDOMAIN_LEN_MAX)?;
    if text.split('.').all(is_dns_label) {
        return Ok(());
    }
    refused("must be lower case letters, digits, '-' and '.', and begin and end with a letter or digit")
}

/// A subdomain whose first label may be `*`, as an Ingress's host may be.
pub fn wildcard_subdomain(text: &str) -> Verdict {
    dns_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

/// The key of a label or annotation: `app`, `example.com/app`.
pub fn qualified_name(text: &str) -> Verdict {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            dns_subdomain(prefix)?;
            name
        }
        None => text,
    };
    length(name, LABEL_LEN_MAX)?;
    if is_label_text(name) {
        return Ok(());
    }
    refused("must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit")
}

/// The value of a label; it may be empty.
pub fn label_value(text: &str) -> Verdict {
    if text.is_empty() {
        return Ok(());
    }
    length(text, LABEL_LEN_MAX)?;
    if is_label_text(text) {
        return Ok(());
    }
    refused("must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit")
}

/// The name of a port (`IANA_SVC_NAME`): up to 15 of lower case letters, digits and single dashes, one letter at least.
pub fn port_name(text: &str) -> Verdict {
    length(text, 15)?;
    if is_dns_label(text) && text.bytes().any(|b| b.is_ascii_lowercase()) && !text.contains("--") {
        return Ok(());
    }
    refused("must be lower case letters, digits and single '-', with at least one letter")
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_name(text: &str) -> Verdict {
    if !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return Ok(());
    }
    refused("must be printable ASCII characters without '='")
}

/// A key in a ConfigMap or Secret, which is a file name in a volume.
pub fn config_key(text: &str) -> Verdict {
    length(text, SUBDOMAIN_LEN_MAX)?;
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if allowed && text != "." && !text.starts_with("..") {
        return Ok(());
    }
    refused("must be letters, digits, '-', '_' and '.', and must not be '.' or begin with '..'")
}

fn refused(rule: &str) -> Verdict {
    Err(rule.to_owned())
}

fn length(text: &str, limit: usize) -> Verdict {
    match text.len() {
        0 => Err("must not be empty".to_owned()),
        len if len > limit => Err(format!("must be no more than {limit} characters, this has {len}")),
        _ => Ok(()),
    }
}

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| alphanumeric(Some(b)) || *b == b'-')
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests;
