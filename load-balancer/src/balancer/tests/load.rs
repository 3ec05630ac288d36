use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::client::Client;
use super::endpoint::{Endpoint, Manner};
use super::*;

/// Clients that shop without a pause until told to stop; returns how often they asked, and what failed.
async fn shop(address: SocketAddr, stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client = Client::connect(address).await;
    while !stop.load(Ordering::SeqCst) {
        let (status, body) = client.get("/").await;
        asked.fetch_add(1, Ordering::SeqCst);
        if !status.is_success() {
            failures.push(body);
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_get_fails_while_endpoints_are_killed_and_come_back() {
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(Endpoint::start(Manner::Echo).await);
    }
    let handle = start(Limits::default());
    // The owner never says that anything died: the front finds out by itself.
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| (endpoint.address, true)).collect();
    handle.apply(&table(&addresses));
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> =
        (0..8).map(|_| tokio::spawn(shop(handle.http_address(), stop.clone(), asked.clone()))).collect();
    for round in 0..30 {
        let dead = endpoints.remove(0).address;
        let goal = asked.load(Ordering::SeqCst) + 50;
        until("50 requests are answered without it", || asked.load(Ordering::SeqCst) >= goal).await;
        if round == 15 {
            // Now and then nobody is left at all for a moment.
            let others: Vec<_> = endpoints.drain(..).map(|endpoint| endpoint.address).collect();
            for address in others {
                endpoints.push(Endpoint::start_at(address, Manner::Echo).await);
            }
        }
        endpoints.push(Endpoint::start_at(dead, Manner::Echo).await);
        let goal = asked.load(Ordering::SeqCst) + 50;
        until("50 requests are answered with it", || asked.load(Ordering::SeqCst) >= goal).await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert_eq!(client.await.expect("a client that ends"), Vec::<String>::new());
    }
    assert_eq!(totals(&handle).1, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_get_fails_while_tables_change_and_drained_endpoints_end() {
    let handle = start(Limits::default());
    let mut current = Endpoint::start(Manner::Echo).await;
    handle.apply(&table(&[(current.address, true)]));
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> =
        (0..8).map(|_| tokio::spawn(shop(handle.http_address(), stop.clone(), asked.clone()))).collect();
    for _ in 0..30 {
        let next = Endpoint::start(Manner::Echo).await;
        handle.apply(&table(&[(current.address, true), (next.address, true)]));
        let applied = handle.apply(&table(&[(current.address, false), (next.address, true)]));
        assert_eq!(applied.drain.addresses(), [current.address]);
        assert!(applied.drain.wait(SOON).await);
        let before = current.seen();
        let goal = asked.load(Ordering::SeqCst) + 20;
        until("the next one answers", || asked.load(Ordering::SeqCst) >= goal).await;
        assert_eq!(current.seen(), before, "a drained endpoint gets nothing");
        current = next;
        handle.apply(&table(&[(current.address, true)]));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert_eq!(client.await.expect("a client that ends"), Vec::<String>::new());
    }
    let (_, failures, retries) = totals(&handle);
    assert_eq!((failures, retries), (0, 0), "a planned change needs no luck");
}
