//! A supermarket, as an example of what people run in a cluster.
//!
//! Customers shop at the cash registers (`payment`), which reserve goods at the `inventory`, which keeps its stock
//! and every purchase in a database (Redis). A purchase has a key of the customer's choosing: the same key again is
//! the same purchase, so that whoever got no answer may ask again, and nothing is lost or doubled.
//!
//! The goods and the purchase are written by one script in one step: there is no moment at which one is there
//! without the other.

#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod customers;
pub mod database;
pub mod duration;
pub mod inventory;
pub mod payment;
pub mod process;
pub mod purchase;
pub mod report;
pub mod server;
