//! Defaults and validation, as `manifests` knows them, in the registry's terms.

use manifests::field::FieldError;
use manifests::{Kind, Object};

use super::{Cause, Status};

/// Fills in what a user may leave out.
pub(super) fn default(object: &mut Object) {
    manifests::default::set_defaults(object);
}

/// Refuses an object with all that is wrong with it.
pub(super) fn validate(kind: Kind, object: &Object) -> Result<(), Status> {
    refuse(kind, object, &manifests::validate::check(object))
}

/// Refuses a new version of an object with all that is wrong with it, or that cannot follow the old one.
pub(super) fn validate_update(kind: Kind, old: &Object, new: &Object) -> Result<(), Status> {
    let mut errors = manifests::validate::check(new);
    errors.extend(manifests::validate::check_update(old, new));
    refuse(kind, new, &errors)
}

fn refuse(kind: Kind, object: &Object, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    let causes = errors.iter().map(|error| Cause {
        reason: error.reason.cause().to_owned(),
        message: error.message(),
        field: error.path.to_string(),
    });
    Err(Status::invalid(kind, object.name(), causes.collect()))
}
