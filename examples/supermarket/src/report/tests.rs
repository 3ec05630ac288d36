use super::*;
use crate::customers::Pace;
use crate::purchase::{Purchase, Wish};

fn config() -> CustomersConfig {
    CustomersConfig {
        url: "http://127.0.0.1:8080".to_owned(),
        host: Some("supermarket.localhost".to_owned()),
        pace: Pace::Concurrency(1),
        duration: Duration::from_secs(1),
        deadline: Duration::from_secs(1),
        skus: Vec::new(),
        patience: Duration::from_secs(1),
        alone: true,
    }
}

fn attempt(number: u64, outcome: Result<&str, &str>) -> Attempt {
    let wish = Wish { customer: "c".to_owned(), sku: "apple".to_owned(), quantity: 1 };
    let purchase = |register: &str| Purchase {
        id: "i".to_owned(),
        customer: "c".to_owned(),
        sku: "apple".to_owned(),
        quantity: 1,
        total: 40,
        currency: "EUR".to_owned(),
        register: register.to_owned(),
    };
    Attempt {
        key: format!("k-{number}"),
        wish,
        at: Duration::from_millis(number),
        latency: Duration::from_millis(number),
        outcome: outcome.map(purchase).map_err(str::to_owned),
    }
}

#[test]
fn a_good_day_is_told_in_a_table() {
    let attempts: Vec<Attempt> = (1..=100).map(|number| attempt(number, Ok("payment-1"))).collect();
    let report = Report::new(&config(), Duration::from_secs(2), &attempts, Verdict::default());
    assert!(report.is_good());
    assert_eq!(report.latency_ms, Latency { p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 });
    assert_eq!(
        report.to_text(),
        "shopped for 2.0 s at http://127.0.0.1:8080 (supermarket.localhost)\n\n\
         PURCHASES   FAILED   PER SECOND   P50       P90       P99       MAX\n\
         100         0        50.0         50.0ms    90.0ms    99.0ms    100.0ms\n\n\
         LOST   DOUBLED   UNANSWERED   STOCK DIFFERENCE   UNCHECKED\n\
         0      0         0            0                  0\n\n\
         REGISTER    PURCHASES\n\
         payment-1   100\n"
    );
}

#[test]
fn failures_are_counted_by_reason_and_the_first_are_shown() {
    let attempts: Vec<Attempt> = (0..50).rev().map(|number| attempt(number, Err("HTTP 503"))).collect();
    let report = Report::new(&config(), Duration::from_secs(1), &attempts, Verdict::default());
    assert!(!report.is_good());
    assert_eq!(report.failed, 50);
    assert_eq!(report.failures.len(), EXAMPLES_MAX);
    assert_eq!(report.failures[0].key, "k-0");
    assert!(report.to_text().contains("failed 50 times: HTTP 503"));
}

#[test]
fn a_day_without_customers_is_not_a_good_day() {
    assert!(!Report::new(&config(), Duration::from_secs(1), &[], Verdict::default()).is_good());
}
