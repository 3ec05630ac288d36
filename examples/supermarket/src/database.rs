//! The stock and the purchases, in Redis.
//!
//! `stock` is a hash of sku and quantity; `reservation:KEY` is the reservation as JSON. Only the script changes both.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError, Script,
};
use tokio::sync::Mutex;

use crate::purchase::{Item, Reservation};

/// Longest wait for a connection, with signing in.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Longest wait for an answer: the database writes to the disk before it gives one.
const ANSWER_MAX: Duration = Duration::from_secs(2);

const STOCK: &str = "stock";

/// Takes the goods and keeps the reservation in one step, or finds that it was made before.
const RESERVE: &str = r"
    local known = redis.call('GET', KEYS[2])
    if known then return {'known', known} end
    local left = redis.call('HGET', KEYS[1], ARGV[1])
    if not left then return {'unknown', ''} end
    if tonumber(left) < tonumber(ARGV[2]) then return {'short', left} end
    redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])
    redis.call('SET', KEYS[2], ARGV[3])
    return {'reserved', ARGV[3]}
";

/// How to reach the database.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// Name or address.
    pub host: String,
    /// Usually 6379.
    pub port: u16,
    /// From a Secret.
    pub password: Option<String>,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// What became of a wish to reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Now, or by the same key before: then it is the earlier one.
    Reserved(Reservation),
    /// Nobody sells this.
    UnknownSku,
    /// Fewer are left.
    OutOfStock {
        /// How many.
        left: i64,
    },
    /// The key was used for something else.
    KeyReused,
}

/// What went wrong with the database; the outcome is not known.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// An address that is none.
    #[error("database address cannot be used")]
    Address {
        /// Why not.
        #[source]
        source: RedisError,
    },
    /// No connection, no sign-in, or no answer in time.
    #[error("database cannot be reached")]
    Unreachable {
        /// Why not.
        #[source]
        source: RedisError,
    },
    /// A reservation that is not JSON.
    #[error("reservation {key} in the database cannot be understood")]
    Damaged {
        /// Of the reservation.
        key: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// One shared connection, made when it is needed and again after any error.
#[derive(Debug)]
pub struct Database {
    client: Client,
    connection: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// Tells whether an error is about this connection or one before it.
    generation: u64,
}

impl Database {
    /// Connects when it is first asked for something.
    pub fn new(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let bad = |source| DatabaseError::Address { source };
        let mut info = (config.host.as_str(), config.port).into_connection_info().map_err(bad)?;
        if let Some(password) = &config.password {
            info = info.set_redis_settings(RedisConnectionInfo::default().set_password(password));
        }
        let client = Client::open(info).map_err(bad)?;
        Ok(Self { client, connection: Mutex::default() })
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        let answer: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
        self.checked(answer, generation).await.map(drop)
    }

    /// Gives every item its first quantity, unless it has one already.
    pub async fn seed(&self, stock: &[Item]) -> Result<(), DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        for item in stock {
            let answer: Result<bool, _> = connection.hset_nx(STOCK, &item.sku, item.quantity).await;
            self.checked(answer, generation).await?;
        }
        Ok(())
    }

    /// Everything, in order of its name.
    pub async fn items(&self) -> Result<Vec<Item>, DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        let answer: Result<Vec<(String, i64)>, _> = connection.hgetall(STOCK).await;
        let mut items: Vec<Item> = self
            .checked(answer, generation)
            .await?
            .into_iter()
            .map(|(sku, quantity)| Item { sku, quantity })
            .collect();
        items.sort_by(|left, right| left.sku.cmp(&right.sku));
        Ok(items)
    }

    /// One item, if anybody sells it.
    pub async fn item(&self, sku: &str) -> Result<Option<Item>, DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        let answer: Result<Option<i64>, _> = connection.hget(STOCK, sku).await;
        let quantity = self.checked(answer, generation).await?;
        Ok(quantity.map(|quantity| Item { sku: sku.to_owned(), quantity }))
    }

    /// The reservation of a key, if there is one.
    pub async fn reservation(&self, key: &str) -> Result<Option<Reservation>, DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        let answer: Result<Option<String>, _> = connection.get(reservation_key(key)).await;
        self.checked(answer, generation).await?.map(|text| understand(key, &text)).transpose()
    }

    /// Takes goods from the stock, once for each key.
    pub async fn reserve(&self, wanted: &Reservation) -> Result<Outcome, DatabaseError> {
        let (mut connection, generation) = self.connect().await?;
        let text = serde_json::to_string(wanted).expect("our own types are JSON");
        let script = Script::new(RESERVE);
        let mut invocation = script.prepare_invoke();
        invocation.key(STOCK).key(reservation_key(&wanted.key));
        invocation.arg(&wanted.sku).arg(wanted.quantity).arg(text);
        let answer: Result<(String, String), _> = invocation.invoke_async(&mut connection).await;
        let (outcome, value) = self.checked(answer, generation).await?;
        match outcome.as_str() {
            "unknown" => Ok(Outcome::UnknownSku),
            "short" => Ok(Outcome::OutOfStock { left: value.parse().unwrap_or(0) }),
            _ => {
                let kept = understand(&wanted.key, &value)?;
                let same = kept.sku == wanted.sku
                    && kept.quantity == wanted.quantity
                    && kept.purchase.customer == wanted.purchase.customer;
                Ok(if same { Outcome::Reserved(kept) } else { Outcome::KeyReused })
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, u64), DatabaseError> {
        let mut current = self.connection.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.generation));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|source| DatabaseError::Unreachable { source })?;
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.generation))
    }

    /// A connection that failed is not used again, whatever the failure was: silence may be a dead peer.
    async fn checked<T>(&self, answer: Result<T, RedisError>, generation: u64) -> Result<T, DatabaseError> {
        let source = match answer {
            Ok(value) => return Ok(value),
            Err(source) => source,
        };
        let mut current = self.connection.lock().await;
        if current.generation == generation {
            current.connection = None;
        }
        Err(DatabaseError::Unreachable { source })
    }
}

fn reservation_key(key: &str) -> String {
    format!("reservation:{key}")
}

fn understand(key: &str, text: &str) -> Result<Reservation, DatabaseError> {
    serde_json::from_str(text).map_err(|source| DatabaseError::Damaged { key: key.to_owned(), source })
}
