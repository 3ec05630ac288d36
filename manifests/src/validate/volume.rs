//! The volumes of a pod: one source each, which must say what it needs.

use std::collections::BTreeSet;

use super::container::require_set;
use super::view::{View, check_exactly_one, check_unique};
use crate::field::FieldError;
use crate::name;

/// The largest file mode.
const MODE_MAX: i64 = 0o777;

/// Checks the volumes; returns their names, for the mounts to refer to.
pub(super) fn check_volumes(volumes: &View<'_>, errors: &mut Vec<FieldError>) -> BTreeSet<String> {
    let name = |volume: &View<'_>| volume.field("name").text().map(str::to_owned);
    let items = volumes.items();
    for volume in &items {
        volume.field("name").require_text(name::dns_label, errors);
        check_source(volume, errors);
    }
    check_unique(&items, name, "name", errors);
    items.iter().filter_map(name).collect()
}

fn check_source(volume: &View<'_>, errors: &mut Vec<FieldError>) {
    let sources: Vec<&str> =
        volume.entries().into_iter().map(|(field, _)| field).filter(|field| *field != "name").collect();
    if sources.len() > 1 {
        check_exactly_one(volume, &sources, errors);
    }
    let secret = volume.field("secret");
    if secret.is_set() {
        require_set(&secret.field("secretName"), errors);
        check_items(&secret, errors);
    }
    let config_map = volume.field("configMap");
    if config_map.is_set() {
        require_set(&config_map.field("name"), errors);
        check_items(&config_map, errors);
    }
    let host_path = volume.field("hostPath");
    if host_path.is_set() {
        check_host_path(&host_path, errors);
    }
    volume.field("emptyDir").field("medium").check_one_of(&["", "Memory"], errors);
    check_items(&volume.field("downwardAPI"), errors);
    let projected = volume.field("projected");
    check_mode(&projected.field("defaultMode"), errors);
    for source in projected.field("sources").items() {
        for kind in ["secret", "configMap", "downwardAPI"] {
            check_items(&source.field(kind), errors);
        }
    }
}

fn check_host_path(host_path: &View<'_>, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 8] =
        ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
    let path = host_path.field("path");
    require_set(&path, errors);
    if path.text().is_some_and(|text| text.split('/').any(|part| part == "..")) {
        errors.push(path.invalid("must not contain '..'"));
    }
    host_path.field("type").check_one_of(&TYPES, errors);
}

fn check_items(source: &View<'_>, errors: &mut Vec<FieldError>) {
    check_mode(&source.field("defaultMode"), errors);
    for item in source.field("items").items() {
        let path = item.field("path");
        require_set(&path, errors);
        path.check_inner_path(errors);
        check_mode(&item.field("mode"), errors);
    }
}

fn check_mode(mode: &View<'_>, errors: &mut Vec<FieldError>) {
    if mode.int().is_some_and(|bits| !(0..=MODE_MAX).contains(&bits)) {
        errors.push(mode.invalid("must be between 0 and 0777 octal (511 decimal)"));
    }
}
