//! A supermarket on this machine: every service on a port that the system chose.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const REDIS: &str = "redis-server";
const PASSWORD: &str = "open sesame";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Supermarket {
    pub(crate) payment: String,
    pub(crate) inventory: String,
    database_port: u16,
    data: TempDir,
    database: Child,
    inventory_process: Child,
    payment_process: Child,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

pub(crate) fn has_redis() -> bool {
    Command::new(REDIS).arg("--version").output().is_ok()
}

impl Supermarket {
    pub(crate) fn open() -> Self {
        let data = TempDir::new().unwrap();
        let (database_port, database) = start_on_a_free_port(&data);
        let (inventory_process, inventory) = service(
            env!("CARGO_BIN_EXE_inventory"),
            &[
                ("DATABASE_HOST", "127.0.0.1"),
                ("DATABASE_TCP_PORT", &database_port.to_string()),
                ("DATABASE_PASSWORD", PASSWORD),
                ("STOCK", "apple=1000,bread=5"),
            ],
        );
        let (payment_process, payment) = service(
            env!("CARGO_BIN_EXE_payment"),
            &[("INVENTORY_URL", &format!("http://{inventory}")), ("PRICES", "apple=0.40,bread=2.95")],
        );
        let shop =
            Self { payment, inventory, database_port, data, database, inventory_process, payment_process };
        wait_until("the shelves are stocked", || {
            ask(&shop.inventory, "GET", "/items/bread", &[], "").status == 200
        });
        shop
    }

    pub(crate) fn buy(&self, key: &str, wish: &Value) -> Answer {
        ask(&self.payment, "POST", "/purchases", &[("idempotency-key", key)], &wish.to_string())
    }

    pub(crate) fn stock(&self, sku: &str) -> i64 {
        let answer = ask(&self.inventory, "GET", &format!("/items/{sku}"), &[], "");
        answer.body["quantity"].as_i64().unwrap_or_else(|| panic!("{sku}: {}", answer.body))
    }

    /// Without a chance to write anything more.
    pub(crate) fn kill_database(&mut self) {
        self.database.kill().unwrap();
        self.database.wait().unwrap();
    }

    pub(crate) fn start_database(&mut self) {
        self.database = database(&self.data, self.database_port);
    }

    pub(crate) fn ask_payment_to_end(&self) {
        let pid = self.payment_process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub(crate) fn payment_has_ended_well(&mut self) -> bool {
        let mut status = None;
        wait_until("payment ends", || {
            status = self.payment_process.try_wait().unwrap();
            status.is_some()
        });
        status.is_some_and(|status| status.success())
    }

    /// One address for both services: connections are passed on by the path of their first request.
    pub(crate) fn open_front(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (payment, inventory) = (self.payment.clone(), self.inventory.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (payment, inventory) = (payment.clone(), inventory.clone());
                std::thread::spawn(move || pass_on(client, &payment, &inventory));
            }
        });
        address
    }
}

impl Drop for Supermarket {
    fn drop(&mut self) {
        for process in [&mut self.payment_process, &mut self.inventory_process, &mut self.database] {
            // Some have ended already: that is what their tests are about.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Reads whole requests and answers each over a connection of its own.
fn pass_on(client: TcpStream, payment: &str, inventory: &str) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    loop {
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let target = if head.contains(" /items") { inventory } else { payment };
        let mut upstream = TcpStream::connect(target).ok()?;
        upstream.write_all(head.as_bytes()).ok()?;
        upstream.write_all(b"connection: close\r\n\r\n").ok()?;
        upstream.write_all(&body).ok()?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).ok()?;
        (&client).write_all(&answer).ok()?;
    }
}

/// The port is free when we look and may be taken when redis does: then another one.
fn start_on_a_free_port(data: &TempDir) -> (u16, Child) {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = database(data, port);
        let mut answers = false;
        wait_until("the database answers or ends", || {
            answers = TcpStream::connect(("127.0.0.1", port)).is_ok();
            answers || child.try_wait().unwrap().is_some()
        });
        if answers && child.try_wait().unwrap().is_none() {
            return (port, child);
        }
    }
    panic!("no free port for the database");
}

fn database(data: &TempDir, port: u16) -> Child {
    Command::new(REDIS)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "always", "--requirepass", PASSWORD, "--dir"])
        .arg(data.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts a service and learns its address from its log.
fn service(program: &str, environment: &[(&str, &str)]) -> (Child, String) {
    let mut child = Command::new(program)
        .env("LISTEN", "127.0.0.1:0")
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (found, address) = mpsc::channel();
    // Reads on to the end, so that the service never waits for a reader.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "listening" {
                let _ = found.send(line["address"].as_str().unwrap_or_default().to_owned());
            }
        }
    });
    let address = address.recv_timeout(PATIENCE).expect("the service says where it listens");
    (child, address)
}

/// One request over a connection of its own.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    // A service that refuses a large body may close before it has read all of it.
    let _ = connection.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body).unwrap_or_default());
    Answer { status: status.unwrap_or(0), body: body.unwrap_or_default() }
}

pub(crate) fn wait_until(what: &str, mut predicate: impl FnMut() -> bool) {
    let end = supermarket::clock::now() + PATIENCE;
    while !predicate() {
        assert!(supermarket::clock::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
