//! ConfigMaps and Secrets. Never quotes what a Secret holds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::view::{Root, View};
use crate::field::{FieldError, Reason};
use crate::name;

/// All values of a ConfigMap or Secret together.
const DATA_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn check_config_map(root: Root<'_>, errors: &mut Vec<FieldError>) {
    let (texts, binaries) = (root.field("data"), root.field("binaryData"));
    check_keys(&texts, errors);
    check_keys(&binaries, errors);
    for (key, _) in binaries.entries() {
        if texts.field(key).is_set() {
            errors.push(binaries.invalid_key(key, "is a key of `data` too"));
        }
    }
    check_size(&[texts, binaries], errors);
}

pub(super) fn check_secret(root: Root<'_>, errors: &mut Vec<FieldError>) {
    let data = root.field("data");
    check_keys(&data, errors);
    check_keys(&root.field("stringData"), errors);
    let needed: &[&str] = match root.field("type").text_or_empty() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed {
        if !data.field(key).is_set() {
            errors.push(data.field(key).required("a secret of this type needs it"));
        }
    }
    check_size(&[data], errors);
}

fn check_keys(data: &View<'_>, errors: &mut Vec<FieldError>) {
    for (key, _) in data.entries() {
        if let Err(detail) = name::config_key(key) {
            errors.push(data.invalid_key(key, detail));
        }
    }
}

fn check_size(parts: &[View<'_>], errors: &mut Vec<FieldError>) {
    let length = |(_, value): (&str, View<'_>)| {
        let text = value.text_or_empty();
        let is_bytes = value.path.0.first() != Some(&crate::field::Step::Field("data".into()));
        if is_bytes { BASE64.decode(text).map_or(text.len(), |bytes| bytes.len()) } else { text.len() }
    };
    let bytes: usize = parts.iter().flat_map(View::entries).map(length).sum();
    if bytes > DATA_BYTES_MAX {
        errors.push(FieldError {
            path: parts[0].path.clone(),
            reason: Reason::TooMany,
            value: None,
            detail: format!("must have at most {DATA_BYTES_MAX} bytes, has {bytes}"),
        });
    }
}
