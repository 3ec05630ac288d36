//! What runs in the containers of these tests, told by its arguments.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

/// Runs one of the programs.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sleep"] => sleep(),
        ["exit", code] => ExitCode::from(code.parse::<u8>().expect("an exit code")),
        ["serve", port] => serve(port.parse().expect("a port")),
        ["deaf"] => {
            ignore_sigterm();
            sleep()
        }
        ["hog"] => hog(),
        ["show", path] => {
            println!("{}", std::fs::read_to_string(path).expect("the file"));
            sleep()
        }
        ["exists", path] => {
            if std::fs::exists(path).expect("a look") {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        ["touch", path] => {
            std::fs::write(path, "").expect("a file");
            ExitCode::SUCCESS
        }
        ["remove", path] => {
            std::fs::remove_file(path).expect("a file");
            ExitCode::SUCCESS
        }
        ["count", lines] => {
            (0..lines.parse::<u32>().expect("a number")).for_each(|line| println!("line {line}"));
            sleep()
        }
        ["echo"] => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("a copy");
            eprintln!("done");
            ExitCode::from(7)
        }
        ["size"] => {
            let size = rustix::termios::tcgetwinsize(std::io::stdout()).expect("a terminal");
            println!("{}x{}", size.ws_col, size.ws_row);
            ExitCode::SUCCESS
        }
        ["env", name] => {
            println!("{}", std::env::var(name).unwrap_or_default());
            sleep()
        }
        other => {
            eprintln!("no such program: {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// As the first process of its namespace it would ignore signals that it has no handler for.
fn sleep() -> ! {
    let mut signals = nix::sys::signal::SigSet::empty();
    signals.add(nix::sys::signal::Signal::SIGTERM);
    if is_deaf() {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    signals.thread_block().expect("signals can be blocked");
    let _ = signals.wait();
    std::process::exit(0)
}

fn is_deaf() -> bool {
    std::env::args().any(|argument| argument == "deaf")
}

fn ignore_sigterm() {
    // The first process of a pid namespace gets no signal that it has no handler for: nothing to do.
}

fn serve(port: u16) -> ExitCode {
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let _ = stream.write_all(answer.as_bytes());
    }
    ExitCode::SUCCESS
}

fn hog() -> ExitCode {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(vec![1; 1 << 20]);
        std::hint::black_box(&held);
    }
}
