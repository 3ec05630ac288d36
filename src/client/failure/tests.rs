use kube::core::response::{StatusCause, StatusDetails};

use super::*;

#[test]
fn several_mistakes_get_a_line_each() {
    let cause = |field: &str| StatusCause {
        reason: "r".into(),
        message: "Required value".into(),
        field: field.into(),
    };
    let details = StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: vec![cause("spec.a"), cause("spec.b")],
        retry_after_seconds: 0,
    };
    let message = "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Required value]";
    let status = Status { details: Some(details), ..Status::failure(message, "Invalid").with_code(422) };
    assert_eq!(
        of_status(&status),
        "Pod \"p\" is invalid:\n  spec.a: Required value\n  spec.b: Required value"
    );
}

#[test]
fn one_mistake_is_said_as_the_server_says_it() {
    let status = Status::failure("pods \"p\" not found", "NotFound").with_code(404);
    assert_eq!(of_status(&status), "pods \"p\" not found");
}
