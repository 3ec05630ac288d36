use std::sync::Arc;

use manifests::{Kind, Object};

use super::DeleteOptions;
use crate::change::{Change, Preconditions, Propagation};
use crate::snapshot::{Key, Stored};

#[test]
fn of_a_collection_only_what_was_selected_is_deleted_not_its_namesake() {
    let mut pod = Object::new(Kind::Pod, "default", "payment");
    pod.set(&["metadata", "uid"], "selected");
    let stored = Stored::new(Key::new(Kind::Pod, "default", "payment"), pod, 1);
    let mut options = DeleteOptions {
        grace_period_seconds: None,
        preconditions: Preconditions::default(),
        propagation: Propagation::Background,
    };
    let uid = |options: &DeleteOptions| {
        let Change::Delete { preconditions, .. } = options.change_of(&stored) else {
            unreachable!("it is a deletion")
        };
        preconditions.uid
    };
    assert_eq!(uid(&options), Some(Arc::from("selected")));
    options.preconditions.uid = Some("another".into());
    assert_eq!(uid(&options), Some(Arc::from("another")), "the caller's own word counts");
}
