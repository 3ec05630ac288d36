//! What crosses the wires of the supermarket.

use serde::{Deserialize, Serialize};

/// Header with the customer's key of a purchase.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key, in bytes.
pub const KEY_LENGTH_MAX: usize = 128;
/// Most of one thing that one purchase may take.
pub const QUANTITY_MAX: u32 = 1000;

/// What a customer wants: the body of `POST /purchases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Who shops.
    pub customer: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
}

/// A receipt: the answer to `POST /purchases` and `GET /purchases/KEY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Of the receipt.
    pub id: String,
    /// Who shopped.
    pub customer: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// In hundredths of the currency.
    pub total: u64,
    /// e.g. EUR
    pub currency: String,
    /// The cash register's host name.
    pub register: String,
}

/// The body of `POST /reserve`, and what the inventory keeps of it under its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The same key is the same reservation.
    pub key: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// Kept with the reservation, and given back by it.
    pub purchase: Purchase,
}

/// One line of `GET /items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many are left.
    pub quantity: i64,
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One line for people.
    pub error: String,
}

/// Whether `text` may be a key: visible ASCII without what would confuse a path.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=KEY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain)
}
