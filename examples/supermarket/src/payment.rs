//! The cash registers: what a purchase costs, and that it happens exactly once.
//!
//! A register keeps nothing. It asks the inventory again, with the same key, when it got no answer; a customer who
//! got no answer asks any register again, with the same key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::client::{Call, CallError, JsonClient, Reply};
use crate::inventory::chain;
use crate::purchase::{IDEMPOTENCY_KEY, Purchase, QUANTITY_MAX, Refusal, Reservation, Wish, is_key};
use crate::server::{Answer, Refused, json, read_json, refuse, serve};

/// Longest wait for the inventory's answer to one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// All attempts together.
const ATTEMPTS_MAX: Duration = Duration::from_secs(6);
/// The pause after the first attempt; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How to run.
#[derive(Clone, Debug)]
pub struct PaymentConfig {
    /// e.g. `http://inventory:8080`
    pub inventory_url: String,
    /// In hundredths of the currency.
    pub prices: BTreeMap<String, u64>,
    /// e.g. EUR
    pub currency: String,
    /// This register's name.
    pub register: String,
}

/// Reads `apple=0.40,bread=2.95`.
pub fn parse_prices(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let price = |entry: &str| {
        let (sku, price) = entry.split_once('=')?;
        Some((sku.trim().to_owned(), hundredths(price.trim())?)).filter(|(sku, _)| is_key(sku))
    };
    entries
        .map(|entry| {
            price(entry).ok_or_else(|| format!("{entry:?} is no price: write for example apple=0.40"))
        })
        .collect()
}

/// Money is counted in whole hundredths: 0.1 + 0.2 must be 0.3.
fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    if part.len() != 2 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part.parse().ok()?)
}

/// Serves until `shutdown`.
pub async fn run(
    config: PaymentConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), CallError> {
    let inventory = JsonClient::new(&config.inventory_url, None)?;
    let register = Arc::new(Register { config, inventory });
    let handler = move |request| {
        let register = Arc::clone(&register);
        async move { register.answer(request).await }
    };
    serve(listener, handler, shutdown).await;
    Ok(())
}

struct Register {
    config: PaymentConfig,
    inventory: JsonClient,
}

impl Register {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let answered = match (&parts.method, path.as_slice()) {
            // A register is well as long as it runs: that the inventory is away is for the customer to hear.
            (&Method::GET, ["healthz" | "readyz"]) => Ok(json(StatusCode::OK, &"ok")),
            (&Method::GET, ["purchases", key]) => self.look_up(key).await,
            (&Method::POST, ["purchases"]) => self.ring_up(&parts, body).await,
            (method, _) => {
                Err(refuse(StatusCode::NOT_FOUND, format!("no {method} {} here", parts.uri.path())))
            }
        };
        answered.unwrap_or_else(Answer::from)
    }

    async fn ring_up(&self, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
        let key = key_of(parts)?;
        let wish: Wish = read_json(body).await?;
        let purchase = self.price(&wish)?;
        let reservation = Reservation { key: key.clone(), sku: wish.sku, quantity: wish.quantity, purchase };
        let (reply, attempts) = self.ask(&Call::post("/reserve", &reservation)).await?;
        let kept: Reservation = understood(&reply)?;
        let Purchase { sku, quantity, total, .. } = &kept.purchase;
        tracing::info!(key, sku, quantity, total, attempts, "purchase");
        Ok(json(StatusCode::CREATED, &kept.purchase))
    }

    async fn look_up(&self, key: &str) -> Result<Answer, Refused> {
        if !is_key(key) {
            return Err(refuse(StatusCode::NOT_FOUND, format!("there is no {key:?}")));
        }
        let (reply, _) = self.ask(&Call::get(format!("/reservations/{key}"))).await?;
        let kept: Reservation = understood(&reply)?;
        Ok(json(StatusCode::OK, &kept.purchase))
    }

    fn price(&self, wish: &Wish) -> Result<Purchase, Refused> {
        if !(1..=QUANTITY_MAX).contains(&wish.quantity) {
            let error = format!("quantity must be from 1 to {QUANTITY_MAX}");
            return Err(refuse(StatusCode::BAD_REQUEST, error));
        }
        let price = self
            .config
            .prices
            .get(&wish.sku)
            .ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("{:?} has no price here", wish.sku)))?;
        Ok(Purchase {
            id: format!("{:016x}", rand::random::<u64>()),
            customer: wish.customer.clone(),
            sku: wish.sku.clone(),
            quantity: wish.quantity,
            total: price.saturating_mul(u64::from(wish.quantity)),
            currency: self.config.currency.clone(),
            register: self.config.register.clone(),
        })
    }

    /// Asks the inventory until it answers or the time is up. Every question may be asked twice: it has a key.
    async fn ask(&self, call: &Call) -> Result<(Reply, u32), Refused> {
        let mut pause = PAUSE_FIRST;
        let mut attempts = 0;
        let asking = async {
            loop {
                attempts += 1;
                match self.inventory.call(call, ATTEMPT_MAX).await {
                    Ok(reply) if !is_passing(reply.status) => return reply,
                    Ok(reply) => tracing::warn!(attempts, status = reply.status.as_u16(), "inventory"),
                    Err(error) => tracing::warn!(attempts, error = %chain(&error), "inventory"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        };
        match tokio::time::timeout(ATTEMPTS_MAX, asking).await {
            Ok(reply) => Ok((reply, attempts)),
            Err(_) => Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "the inventory cannot be reached")),
        }
    }
}

/// Answers that may be others a moment later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

fn key_of(parts: &Parts) -> Result<String, Refused> {
    let key = parts.headers.get(IDEMPOTENCY_KEY).map(HeaderValue::to_str);
    match key {
        Some(Ok(key)) if is_key(key) => Ok(key.to_owned()),
        _ => Err(refuse(
            StatusCode::BAD_REQUEST,
            "a purchase needs a header Idempotency-Key: up to 128 letters, digits and -_.:",
        )),
    }
}

/// The inventory's success, or its refusal passed on.
fn understood<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Refused> {
    let unclear = || refuse(StatusCode::BAD_GATEWAY, "the inventory's answer cannot be understood");
    if reply.status.is_success() {
        return serde_json::from_slice(&reply.body).map_err(|_| unclear());
    }
    let refusal: Refusal = serde_json::from_slice(&reply.body).map_err(|_| unclear())?;
    Err(refuse(reply.status, refusal.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_whole_hundredths() {
        let prices = parse_prices("apple=0.40, bread=2.95,car=20000").expect("good prices");
        assert_eq!(prices.into_values().collect::<Vec<_>>(), [40, 295, 2_000_000]);
        for wrong in
            ["apple", "apple=", "apple=1.5", "apple=-1.00", "apple=1.234", "apple=99999999999999999999"]
        {
            assert!(parse_prices(wrong).is_err(), "{wrong}");
        }
    }
}
