//! The inventory: what is left, and who has reserved what. It is the only one that speaks to the database.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::database::{Database, DatabaseConfig, DatabaseError, Outcome};
use crate::purchase::{Item, QUANTITY_MAX, Reservation, is_key};
use crate::server::{Answer, json, read_json, refuse, serve};

/// Between attempts to put the first stock on the shelves.
const SEED_PAUSE: Duration = Duration::from_millis(200);

/// How to run.
#[derive(Clone, Debug)]
pub struct InventoryConfig {
    /// Where the stock is kept.
    pub database: DatabaseConfig,
    /// What is on the shelves of a new supermarket.
    pub stock: Vec<Item>,
}

/// Reads `apple=100,bread=50`.
pub fn parse_stock(text: &str) -> Result<Vec<Item>, String> {
    let item = |entry: &str| {
        let (sku, quantity) = entry.split_once('=')?;
        let quantity = quantity.trim().parse().ok().filter(|quantity| *quantity >= 0)?;
        Some(Item { sku: sku.trim().to_owned(), quantity }).filter(|item| is_key(&item.sku))
    };
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| item(entry).ok_or_else(|| format!("{entry:?} is no stock: write for example apple=100")))
        .collect()
}

/// Serves until `shutdown`.
pub async fn run(
    config: InventoryConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DatabaseError> {
    let database = Arc::new(Database::new(&config.database)?);
    let seeding = tokio::spawn(seed(Arc::clone(&database), config.stock));
    let handler = move |request| answer(Arc::clone(&database), request);
    serve(listener, handler, shutdown).await;
    seeding.abort();
    Ok(())
}

/// The database may come up later than we do.
async fn seed(database: Arc<Database>, stock: Vec<Item>) {
    let mut told = false;
    while let Err(error) = database.seed(&stock).await {
        if !told {
            tracing::warn!(error = %chain(&error), "waiting for the database");
            told = true;
        }
        tokio::time::sleep(SEED_PAUSE).await;
    }
    tracing::info!(items = stock.len(), "the shelves are stocked");
}

async fn answer(database: Arc<Database>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let answered = match (&parts.method, path.as_slice()) {
        (&Method::GET, ["healthz"]) => Ok(json(StatusCode::OK, &"ok")),
        (&Method::GET, ["readyz"]) => database.ping().await.map(|()| json(StatusCode::OK, &"ok")),
        (&Method::GET, ["items"]) => database.items().await.map(|items| json(StatusCode::OK, &items)),
        (&Method::GET, ["items", sku]) => database.item(sku).await.map(|item| found(item.as_ref(), sku)),
        (&Method::GET, ["reservations", key]) => {
            database.reservation(key).await.map(|reservation| found(reservation.as_ref(), key))
        }
        (&Method::POST, ["reserve"]) => match read_json(body).await {
            Ok(wanted) => reserve(&database, wanted).await,
            Err(refused) => Ok(refused.into()),
        },
        (method, _) => {
            Ok(refuse(StatusCode::NOT_FOUND, format!("no {method} {} here", parts.uri.path())).into())
        }
    };
    answered.unwrap_or_else(|error| {
        tracing::warn!(path = parts.uri.path(), error = %chain(&error), "database");
        refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into()
    })
}

async fn reserve(database: &Database, wanted: Reservation) -> Result<Answer, DatabaseError> {
    if !is_key(&wanted.key) || !(1..=QUANTITY_MAX).contains(&wanted.quantity) {
        let error = format!("a reservation needs a key and a quantity from 1 to {QUANTITY_MAX}");
        return Ok(refuse(StatusCode::BAD_REQUEST, error).into());
    }
    let refused = match database.reserve(&wanted).await? {
        Outcome::Reserved(reservation) => {
            tracing::info!(key = wanted.key, sku = wanted.sku, quantity = wanted.quantity, "reserved");
            return Ok(json(StatusCode::OK, &reservation));
        }
        Outcome::UnknownSku => refuse(StatusCode::NOT_FOUND, format!("nobody sells {:?}", wanted.sku)),
        Outcome::OutOfStock { left } => {
            refuse(StatusCode::CONFLICT, format!("only {left} of {:?} are left", wanted.sku))
        }
        Outcome::KeyReused => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, "the key was used for another purchase")
        }
    };
    Ok(refused.into())
}

fn found(thing: Option<&impl serde::Serialize>, name: &str) -> Answer {
    match thing {
        Some(thing) => json(StatusCode::OK, thing),
        None => refuse(StatusCode::NOT_FOUND, format!("there is no {name:?}")).into(),
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_read_from_one_line() {
        let item = |sku: &str, quantity| Item { sku: sku.to_owned(), quantity };
        assert_eq!(parse_stock("apple=100, bread=5,"), Ok(vec![item("apple", 100), item("bread", 5)]));
        assert_eq!(parse_stock(""), Ok(Vec::new()));
        for wrong in ["apple", "apple=", "apple=-1", "apple=x", "=1", "a b=1"] {
            assert!(parse_stock(wrong).is_err(), "{wrong}");
        }
    }
}
