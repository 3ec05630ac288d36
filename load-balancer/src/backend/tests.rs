use super::*;

fn spec(port: u16, ready: bool) -> EndpointSpec {
    EndpointSpec { address: ([127, 0, 0, 1], port).into(), ready, target: format!("t{port}") }
}

fn requests(stats: &BackendStats) -> u64 {
    stats.endpoints.iter().map(|row| row.requests).sum()
}

#[test]
fn totals_only_rise_while_endpoints_come_and_go() {
    let backend = Backend::new("shop");
    let mut before = 0;
    for port in 1..200 {
        backend.apply(&[spec(port, true), spec(port % 7 + 1, true)]);
        let lease = backend.lease(&[]).expect("two are ready");
        lease.endpoint().counters.finished(false);
        let after = requests(&backend.stats());
        assert_eq!(after, before + 1);
        before = after;
    }
    assert!(backend.stats().endpoints.len() <= RETIRED_MAX + 3);
}

#[test]
fn an_endpoint_that_comes_back_goes_on_counting() {
    let backend = Backend::new("shop");
    backend.apply(&[spec(1, true)]);
    backend.lease(&[]).expect("one is ready").endpoint().counters.finished(false);
    backend.apply(&[]);
    backend.apply(&[spec(1, true)]);
    let stats = backend.stats();
    assert_eq!(stats.endpoints.len(), 2);
    assert_eq!(stats.endpoints[0].requests, 1);
}

#[test]
fn only_those_that_are_ready_are_leased_and_those_that_left_are_named() {
    let backend = Backend::new("shop");
    assert!(backend.apply(&[spec(1, true), spec(2, false)]).is_empty());
    let lease = backend.lease(&[]).expect("one is ready");
    assert_eq!(lease.endpoint().address.port(), 1);
    let leaving = backend.apply(&[spec(1, false), spec(2, false)]);
    assert_eq!(leaving.len(), 1);
    assert_eq!(leaving[0].in_flight(), 1);
    assert!(backend.lease(&[]).is_none());
    drop(lease);
    assert_eq!(leaving[0].in_flight(), 0);
}

#[tokio::test]
async fn a_search_waits_for_an_endpoint_and_no_longer_than_it_may() {
    let backend = Backend::new("shop");
    let hold = Arc::new(Semaphore::new(1));
    let limits = Limits { hold_timeout: Duration::from_millis(50), ..Limits::default() };
    let mut search = Search::new(&backend, &hold, &limits);
    assert_eq!(search.next().await.err(), Some(NoEndpoint::NotReady(limits.hold_timeout)));

    let limits = Limits { hold_timeout: Duration::from_secs(60), ..Limits::default() };
    let mut search = Search::new(&backend, &hold, &limits);
    let (found, ()) = tokio::join!(search.next(), async {
        while hold.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = Search::new(&backend, &hold, &limits).next().await.err();
        assert_eq!(refused, Some(NoEndpoint::TooManyHeld));
        backend.apply(&[spec(1, true)]);
    });
    assert!(found.is_ok());
    assert_eq!(hold.available_permits(), 1);
}

#[tokio::test]
async fn when_all_have_failed_they_are_asked_again_until_time_is_up() {
    let backend = Backend::new("shop");
    backend.apply(&[spec(1, true), spec(2, true)]);
    let hold = Arc::new(Semaphore::new(1));
    let limits = Limits { hold_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut search = Search::new(&backend, &hold, &limits);
    let mut asked = 0;
    let ended = loop {
        match search.next().await {
            Ok(lease) => search.failed_on(lease.endpoint().address),
            Err(none) => break none,
        }
        asked += 1;
    };
    assert_eq!(ended, NoEndpoint::NotReachable(limits.hold_timeout));
    assert!((3..40).contains(&asked), "{asked}");
}
