//! Customers: they shop through the front, count what failed, and check afterwards that every purchase happened
//! exactly once.
//!
//! A purchase is tried once. Whatever would have helped it (a retry, another register) is the front's to do, so that
//! what is counted is what a user of the front sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use http::{HeaderValue, StatusCode};
use tokio::sync::{Semaphore, mpsc};

use crate::client::{Call, CallError, JsonClient};
use crate::clock;
use crate::inventory::chain;
use crate::purchase::{IDEMPOTENCY_KEY, Item, Purchase, Wish};
use crate::report::{Report, Verdict};

/// Purchases under way at once when shopping by rate.
const IN_FLIGHT_MAX: usize = 1024;
/// Questions under way at once when checking.
const CHECKS_AT_ONCE: usize = 16;
/// Longest wait for one question when checking.
const CHECK_MAX: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// How fast customers come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many purchases begin in a second, whether or not earlier ones are answered.
    Rate(f64),
    /// So many customers, each of whom begins again when it is answered.
    Concurrency(usize),
}

/// How to shop.
#[derive(Clone, Debug)]
pub struct CustomersConfig {
    /// The front, e.g. `http://127.0.0.1:8080`
    pub url: String,
    /// The host that the front knows the supermarket by.
    pub host: Option<String>,
    /// How fast.
    pub pace: Pace,
    /// How long.
    pub duration: Duration,
    /// Longest wait for one purchase.
    pub deadline: Duration,
    /// What to buy; nothing: whatever is on the shelves.
    pub skus: Vec<String>,
    /// How long we wait for the shop to open, and for its books to be in order.
    pub patience: Duration,
    /// Nobody else shops, so that the stock must add up.
    pub alone: bool,
}

/// Why there was no shopping, or no checking.
#[derive(Debug, thiserror::Error)]
pub enum CustomersError {
    /// The address of the front.
    #[error(transparent)]
    Address(#[from] CallError),
    /// The shop did not open, or does not say what it has.
    #[error("cannot see what is on the shelves: {reason}")]
    Shelves {
        /// What the last attempt said.
        reason: String,
    },
    /// Nothing that could be bought.
    #[error("there is nothing on the shelves")]
    Empty,
}

/// One purchase that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Of the purchase.
    pub key: String,
    /// What was wanted.
    pub wish: Wish,
    /// Since the first customer came.
    pub at: Duration,
    /// From when it should have begun to its end.
    pub latency: Duration,
    /// The receipt, or why there is none.
    pub outcome: Result<Purchase, String>,
}

/// Shops, checks, and reports.
pub async fn run(config: &CustomersConfig) -> Result<Report, CustomersError> {
    let client = JsonClient::new(&config.url, config.host.as_deref())?;
    let before = shelves(&client, config.patience).await?;
    let skus: Vec<String> = if config.skus.is_empty() {
        before.iter().filter(|(_, quantity)| **quantity > 0).map(|(sku, _)| sku.clone()).collect()
    } else {
        config.skus.clone()
    };
    if skus.is_empty() {
        return Err(CustomersError::Empty);
    }
    let crowd = Arc::new(Crowd {
        client: client.clone(),
        skus,
        run: format!("{:08x}", rand::random::<u32>()),
        count: AtomicU64::new(0),
        deadline: config.deadline,
        start: clock::now(),
    });
    let attempts = match config.pace {
        Pace::Rate(per_second) => by_rate(&crowd, per_second, config.duration).await,
        Pace::Concurrency(customers) => by_concurrency(&crowd, customers, config.duration).await,
    };
    let elapsed = clock::now() - crowd.start;
    let verdict = verify(&client, config, &attempts, &before).await?;
    Ok(Report::new(config, elapsed, &attempts, verdict))
}

/// Everybody who shops.
struct Crowd {
    client: JsonClient,
    skus: Vec<String>,
    run: String,
    count: AtomicU64,
    deadline: Duration,
    start: Instant,
}

impl Crowd {
    async fn shop(&self, intended: Instant) -> Attempt {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let length = u64::try_from(self.skus.len()).unwrap_or(u64::MAX);
        let sku = &self.skus[usize::try_from(number % length).unwrap_or(0)];
        let quantity = u32::try_from(number % 3).unwrap_or(0) + 1;
        let wish = Wish { customer: format!("customer-{}", self.run), sku: sku.clone(), quantity };
        let key = format!("{}-{number}", self.run);
        let outcome = self.buy(&key, &wish).await;
        let latency = clock::now().saturating_duration_since(intended);
        Attempt { key, wish, at: intended.saturating_duration_since(self.start), latency, outcome }
    }

    async fn buy(&self, key: &str, wish: &Wish) -> Result<Purchase, String> {
        let key = HeaderValue::from_str(key).expect("our own keys are plain");
        let call = Call::post("/purchases", wish).header(IDEMPOTENCY_KEY, key);
        let reply = self.client.call(&call, self.deadline).await.map_err(|error| reason(&error))?;
        if !reply.status.is_success() {
            return Err(format!("HTTP {}", reply.status.as_u16()));
        }
        let purchase: Purchase =
            serde_json::from_slice(&reply.body).map_err(|_| "a receipt that cannot be read".to_owned())?;
        if purchase.sku == wish.sku && purchase.quantity == wish.quantity {
            Ok(purchase)
        } else {
            Err("a receipt for something else".to_owned())
        }
    }
}

/// In few words, so that the same failures are counted together.
fn reason(error: &CallError) -> String {
    match error {
        CallError::Timeout { .. } => "no answer in time".to_owned(),
        CallError::Body { .. } => "the answer broke off".to_owned(),
        CallError::Connection { source, .. } if source.is_connect() => "connection refused".to_owned(),
        CallError::Connection { .. } => "connection broken".to_owned(),
        CallError::Address { .. } => error.to_string(),
    }
}

/// An open loop: a slow shop does not make fewer customers come, and waiting in line counts.
async fn by_rate(crowd: &Arc<Crowd>, per_second: f64, duration: Duration) -> Vec<Attempt> {
    let (done, mut attempts) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut number = 0.0;
    loop {
        let after = Duration::from_secs_f64(number / per_second);
        if after >= duration {
            break;
        }
        number += 1.0;
        let intended = crowd.start + after;
        tokio::time::sleep_until(intended.into()).await;
        let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        let (crowd, done) = (Arc::clone(crowd), done.clone());
        tokio::spawn(async move {
            // The receiver lives until every sender is gone.
            let _ = done.send(crowd.shop(intended).await);
            drop(permit);
        });
    }
    drop(done);
    let mut all = Vec::new();
    while let Some(attempt) = attempts.recv().await {
        all.push(attempt);
    }
    all
}

async fn by_concurrency(crowd: &Arc<Crowd>, customers: usize, duration: Duration) -> Vec<Attempt> {
    let end = crowd.start + duration;
    let customer = |_| {
        let crowd = Arc::clone(crowd);
        tokio::spawn(async move {
            let mut attempts = Vec::new();
            while clock::now() < end {
                attempts.push(crowd.shop(clock::now()).await);
            }
            attempts
        })
    };
    let customers: Vec<_> = (0..customers).map(customer).collect();
    let mut all = Vec::new();
    for customer in customers {
        all.extend(customer.await.expect("customers do not panic"));
    }
    all
}

/// What is on the shelves, once the shop says so.
async fn shelves(client: &JsonClient, patience: Duration) -> Result<BTreeMap<String, i64>, CustomersError> {
    let end = clock::now() + patience;
    loop {
        let reason = match client.call(&Call::get("/items"), CHECK_MAX).await {
            Ok(reply) if reply.status.is_success() => {
                match serde_json::from_slice::<Vec<Item>>(&reply.body) {
                    Ok(items) => {
                        return Ok(items.into_iter().map(|item| (item.sku, item.quantity)).collect());
                    }
                    Err(error) => error.to_string(),
                }
            }
            Ok(reply) => format!("HTTP {}", reply.status.as_u16()),
            Err(error) => chain(&error),
        };
        if clock::now() >= end {
            return Err(CustomersError::Shelves { reason });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks every purchase up again, and counts what is left. Purchases that failed may still be on their way: the
/// books are looked at again until they are in order, or patience ends.
async fn verify(
    client: &JsonClient,
    config: &CustomersConfig,
    attempts: &[Attempt],
    before: &BTreeMap<String, i64>,
) -> Result<Verdict, CustomersError> {
    let end = clock::now() + config.patience;
    let mut books = Books::default();
    loop {
        books.read(client, attempts).await;
        let after = shelves(client, config.patience).await?;
        let verdict = books.verdict(attempts, before, &after, config.alone);
        if verdict.is_good() || clock::now() >= end {
            return Ok(verdict);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the shop says about our purchases.
#[derive(Default)]
struct Books {
    found: BTreeMap<String, Purchase>,
    unreadable: BTreeSet<String>,
}

impl Books {
    async fn read(&mut self, client: &JsonClient, attempts: &[Attempt]) {
        self.unreadable.clear();
        let unknown: Vec<&str> = attempts
            .iter()
            .map(|attempt| attempt.key.as_str())
            .filter(|key| !self.found.contains_key(*key))
            .collect();
        let mut answers = futures::stream::iter(unknown)
            .map(|key| async move { (key, look_up(client, key).await) })
            .buffer_unordered(CHECKS_AT_ONCE);
        while let Some((key, answer)) = answers.next().await {
            match answer {
                Some(Some(purchase)) => drop(self.found.insert(key.to_owned(), purchase)),
                Some(None) => {}
                None => drop(self.unreadable.insert(key.to_owned())),
            }
        }
    }

    fn verdict(
        &self,
        attempts: &[Attempt],
        before: &BTreeMap<String, i64>,
        after: &BTreeMap<String, i64>,
        alone: bool,
    ) -> Verdict {
        let mut verdict = Verdict { unchecked: self.unreadable.len(), ..Verdict::default() };
        let mut bought: BTreeMap<&str, i64> = BTreeMap::new();
        for attempt in attempts {
            let found = self.found.get(&attempt.key);
            if let Some(purchase) = found {
                *bought.entry(&purchase.sku).or_default() += i64::from(purchase.quantity);
            }
            match (&attempt.outcome, found) {
                (Ok(receipt), Some(purchase)) if receipt.id != purchase.id => verdict.doubled += 1,
                (Ok(_), None) if !self.unreadable.contains(&attempt.key) => verdict.lost += 1,
                (Err(_), Some(_)) => verdict.unanswered += 1,
                (Ok(_) | Err(_), _) => {}
            }
        }
        if alone {
            for (sku, quantity) in before {
                let taken = quantity - after.get(sku).copied().unwrap_or(0);
                verdict.stock_difference += taken - bought.get(sku.as_str()).copied().unwrap_or(0);
            }
        }
        verdict
    }
}

/// The purchase of a key, that there is none, or no answer.
async fn look_up(client: &JsonClient, key: &str) -> Option<Option<Purchase>> {
    let reply = client.call(&Call::get(format!("/purchases/{key}")), CHECK_MAX).await.ok()?;
    if reply.status == StatusCode::NOT_FOUND {
        return Some(None);
    }
    serde_json::from_slice(&reply.body).ok().filter(|_| reply.status.is_success()).map(Some)
}

#[cfg(test)]
mod tests;
