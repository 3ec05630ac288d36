use super::*;

fn attempt(key: &str, receipt: Option<&str>) -> Attempt {
    let wish = Wish { customer: "c".to_owned(), sku: "apple".to_owned(), quantity: 2 };
    let outcome = receipt.map(purchase).ok_or_else(|| "HTTP 503".to_owned());
    Attempt { key: key.to_owned(), wish, at: Duration::ZERO, latency: Duration::ZERO, outcome }
}

fn purchase(id: &str) -> Purchase {
    Purchase {
        id: id.to_owned(),
        customer: "c".to_owned(),
        sku: "apple".to_owned(),
        quantity: 2,
        total: 80,
        currency: "EUR".to_owned(),
        register: "r".to_owned(),
    }
}

fn judged(attempts: &[Attempt], found: &[(&str, &str)], left: i64, alone: bool) -> Verdict {
    let found = found.iter().map(|(key, id)| ((*key).to_owned(), purchase(id))).collect();
    let books = Books { found, unreadable: BTreeSet::new() };
    let shelf = |quantity| BTreeMap::from([("apple".to_owned(), quantity)]);
    books.verdict(attempts, &shelf(10), &shelf(left), alone)
}

#[test]
fn books_in_order_are_good() {
    let attempts = [attempt("1", Some("a")), attempt("2", None)];
    assert!(judged(&attempts, &[("1", "a")], 8, true).is_good());
}

#[test]
fn a_purchase_without_an_answer_may_have_happened() {
    let verdict = judged(&[attempt("1", None)], &[("1", "a")], 8, true);
    assert_eq!((verdict.unanswered, verdict.is_good()), (1, true));
}

#[test]
fn a_receipt_that_nobody_knows_of_is_a_lost_purchase() {
    let verdict = judged(&[attempt("1", Some("a"))], &[], 10, true);
    assert_eq!((verdict.lost, verdict.is_good()), (1, false));
}

#[test]
fn another_receipt_or_more_goods_gone_is_a_doubled_purchase() {
    let verdict = judged(&[attempt("1", Some("a"))], &[("1", "b")], 8, true);
    assert_eq!((verdict.doubled, verdict.is_good()), (1, false));
    let verdict = judged(&[attempt("1", Some("a"))], &[("1", "a")], 6, true);
    assert_eq!((verdict.stock_difference, verdict.is_good()), (2, false));
    assert!(judged(&[attempt("1", Some("a"))], &[("1", "a")], 6, false).is_good(), "others shop as well");
}
