//! The supermarket as it runs, without a cluster: real services, a real database, real connections that break.

#![cfg(test)]

#[path = "shop/supermarket.rs"]
mod supermarket_under_test;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use supermarket_under_test::{Answer, Supermarket, ask, has_redis, wait_until};

macro_rules! supermarket {
    () => {
        match has_redis() {
            true => Supermarket::open(),
            false => {
                println!("SKIPPED: no redis-server on this machine");
                return;
            }
        }
    };
}

fn wish(quantity: u32) -> Value {
    json!({ "customer": "ada", "sku": "apple", "quantity": quantity })
}

#[test]
fn a_purchase_takes_goods_and_gives_a_receipt() {
    let shop = supermarket!();
    let Answer { status, body } = shop.buy("key-1", &wish(3));
    assert_eq!(status, 201, "{body}");
    assert_eq!(
        (&body["total"], &body["currency"], &body["quantity"]),
        (&json!(120), &json!("EUR"), &json!(3))
    );
    assert_eq!(shop.stock("apple"), 997);
    let looked_up = ask(&shop.payment, "GET", "/purchases/key-1", &[], "");
    assert_eq!((looked_up.status, looked_up.body), (200, body));
    let items = ask(&shop.inventory, "GET", "/items", &[], "").body;
    assert_eq!(items, json!([{ "sku": "apple", "quantity": 997 }, { "sku": "bread", "quantity": 5 }]));
}

#[test]
fn the_same_key_is_the_same_purchase_however_often_and_at_once() {
    let shop = supermarket!();
    let receipts: BTreeSet<String> = std::thread::scope(|scope| {
        let customers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let Answer { status, body } = shop.buy("same", &wish(2));
                    assert_eq!(status, 201, "{body}");
                    body.to_string()
                })
            })
            .collect();
        customers.into_iter().map(|customer| customer.join().unwrap()).collect()
    });
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    assert_eq!(shop.stock("apple"), 998);
}

#[test]
fn many_customers_never_sell_more_than_there_is() {
    let shop = supermarket!();
    let sold: u32 = std::thread::scope(|scope| {
        let customers: Vec<_> = (0..12)
            .map(|number| {
                let shop = &shop;
                scope.spawn(move || {
                    let wish = json!({ "customer": "ada", "sku": "bread", "quantity": 1 });
                    match shop.buy(&format!("bread-{number}"), &wish).status {
                        201 => 1,
                        409 => 0,
                        other => panic!("status {other}"),
                    }
                })
            })
            .collect();
        customers.into_iter().map(|customer| customer.join().unwrap()).sum()
    });
    assert_eq!((sold, shop.stock("bread")), (5, 0));
}

#[test]
fn a_customer_who_got_no_answer_asks_again_and_pays_once() {
    let shop = supermarket!();
    let body = wish(1).to_string();
    for number in 0..20 {
        let key = format!("lost-{number}");
        let mut connection = TcpStream::connect(&shop.payment).unwrap();
        write!(
            connection,
            "POST /purchases HTTP/1.1\r\nhost: shop\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // Sometimes before the register has read it, sometimes after.
        if number % 2 == 0 {
            connection.shutdown(Shutdown::Write).unwrap();
        }
        drop(connection);
        let again = shop.buy(&key, &wish(1));
        assert_eq!(again.status, 201, "{}", again.body);
        assert_eq!(shop.buy(&key, &wish(1)).body, again.body);
    }
    wait_until("every purchase is made once", || shop.stock("apple") == 980);
}

#[test]
fn a_key_cannot_be_used_for_something_else() {
    let shop = supermarket!();
    assert_eq!(shop.buy("key", &wish(1)).status, 201);
    assert_eq!(shop.buy("key", &wish(2)).status, 422);
    assert_eq!(shop.stock("apple"), 999);
}

#[test]
fn what_is_no_purchase_is_refused_with_its_reason() {
    let shop = supermarket!();
    let post = |headers: &[(&str, &str)], body: &str| ask(&shop.payment, "POST", "/purchases", headers, body);
    let key = [("idempotency-key", "k")];
    let good = wish(1).to_string();
    for (case, answer, status) in [
        ("no key", post(&[], &good), 400),
        ("a key with a slash", post(&[("idempotency-key", "a/b")], &good), 400),
        ("a long key", post(&[("idempotency-key", &"k".repeat(200))], &good), 400),
        ("no json", post(&key, "{"), 400),
        ("an unknown field", post(&key, r#"{"customer":"a","sku":"apple","quantity":1,"price":0}"#), 400),
        ("nothing of it", post(&key, &wish(0).to_string()), 400),
        ("too much of it", post(&key, &wish(1001).to_string()), 400),
        ("below nothing", post(&key, r#"{"customer":"a","sku":"apple","quantity":-5}"#), 400),
        ("what nobody sells", post(&key, r#"{"customer":"a","sku":"gold","quantity":1}"#), 404),
        ("a huge body", post(&key, &"x".repeat(100_000)), 413),
        ("an unknown path", ask(&shop.payment, "GET", "/nothing", &[], ""), 404),
        ("an unknown purchase", ask(&shop.payment, "GET", "/purchases/unknown", &[], ""), 404),
        ("an unknown item", ask(&shop.inventory, "GET", "/items/gold", &[], ""), 404),
    ] {
        assert_eq!(answer.status, status, "{case}: {}", answer.body);
        assert!(answer.body["error"].is_string(), "{case}: {}", answer.body);
    }
    assert_eq!(shop.stock("apple"), 1000);
}

#[test]
fn purchases_survive_the_death_of_the_database() {
    let mut shop = supermarket!();
    for number in 0..10 {
        assert_eq!(shop.buy(&format!("before-{number}"), &wish(1)).status, 201);
    }
    shop.kill_database();
    assert_eq!(ask(&shop.inventory, "GET", "/readyz", &[], "").status, 503);
    assert_eq!(ask(&shop.inventory, "GET", "/healthz", &[], "").status, 200);
    // A customer who comes while it is away waits, and is served when it is back.
    let payment = shop.payment.clone();
    let waiting = std::thread::spawn(move || {
        let headers = [("idempotency-key", "meanwhile")];
        ask(&payment, "POST", "/purchases", &headers, &wish(1).to_string()).status
    });
    shop.start_database();
    assert_eq!(waiting.join().unwrap(), 201);
    wait_until("the inventory is ready again", || {
        ask(&shop.inventory, "GET", "/readyz", &[], "").status == 200
    });
    for number in 0..10 {
        assert_eq!(ask(&shop.payment, "GET", &format!("/purchases/before-{number}"), &[], "").status, 200);
    }
    assert_eq!(shop.stock("apple"), 989);
}

#[test]
fn a_service_that_is_asked_to_end_answers_what_it_has_and_exits_with_zero() {
    let mut shop = supermarket!();
    // A request that is on its way when the signal comes: its body is not there yet.
    let body = wish(1).to_string();
    let mut connection = TcpStream::connect(&shop.payment).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (start, rest) = body.split_at(5);
    write!(
        connection,
        "POST /purchases HTTP/1.1\r\nhost: shop\r\nidempotency-key: last\r\ncontent-length: {}\r\n\r\n{start}",
        body.len()
    )
    .unwrap();
    wait_until("the register has the head", || ask(&shop.payment, "GET", "/healthz", &[], "").status == 200);
    shop.ask_payment_to_end();
    wait_until("it accepts nobody", || TcpStream::connect(&shop.payment).is_err());
    connection.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(shop.payment_has_ended_well());
}

#[test]
fn customers_report_a_good_day_and_a_bad_one() {
    let mut shop = supermarket!();
    // Items and purchases through one door, as the front has it.
    let front = shop.open_front();
    let customers = |pace: [&str; 2]| {
        Command::new(env!("CARGO_BIN_EXE_customers"))
            .args([
                "--url",
                &format!("http://{front}"),
                "--for",
                "500ms",
                "--report",
                "json",
                "--sku",
                "apple",
            ])
            .args(["--patience", "2s"])
            .args(pace)
            .output()
            .unwrap()
    };
    for pace in [["--concurrency", "4"], ["--rate", "50"]] {
        let output = customers(pace);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{report}");
        assert!(report["purchases"].as_u64().unwrap() > 10, "{report}");
        assert_eq!(report["verdict"]["lost"], 0);
    }
    shop.ask_payment_to_end();
    assert!(shop.payment_has_ended_well());
    let output = customers(["--rate", "20"]);
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], report["purchases"], "{report}");
}
