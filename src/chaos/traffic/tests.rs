use super::*;

fn row(service: &str, endpoint: &str, requests: u64, failures: u64) -> Row {
    Row { service: service.to_owned(), endpoint: endpoint.to_owned(), requests, failures, retries: 0 }
}

#[test]
fn the_difference_is_what_came_on_top_also_when_endpoints_leave() {
    let before = Traffic::of(vec![row("shop", "a", 10, 1), row("shop", "b", 5, 0)]);
    let after = Traffic::of(vec![row("shop", "b", 9, 0), row("shop", "", 11, 2), row("new", "c", 3, 0)]);
    assert_eq!(after.since(&before), Noticed { requests: 8, failures: 1, retries: 0 });
}

#[test]
fn a_front_that_began_anew_does_not_count_below_nothing() {
    let before = Traffic::of(vec![row("shop", "a", 10, 1)]);
    assert_eq!(Traffic::default().since(&before), Noticed::default());
}

#[test]
fn the_answer_of_the_api_is_read_with_what_else_it_holds() {
    let front =
        r#"{"connected":true,"endpoints":[{"service":"s","endpoint":"e","requests":1,"inFlight":2}]}"#;
    let front: Option<Front> = serde_json::from_str(front).expect("it is read");
    assert_eq!(front.map(|front| front.endpoints.len()), Some(1));
    assert!(serde_json::from_str::<Option<Front>>("null").expect("it is read").is_none());
}
