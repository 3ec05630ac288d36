//! How we speak to people: errors with their causes, tables that align, colours on terminals only.

use std::io::IsTerminal;
use std::process::ExitCode;

use runtime::doctor::{Check, Status};

/// Prints an error and its causes, each on a line of its own.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("{} {error}", paint("error:", "1;31", std::io::stderr().is_terminal()));
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// Prints rows under a header, in columns that are as wide as they need to be.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    println!("{}", line(header.to_vec()));
    for row in rows {
        println!("{}", line(row.iter().map(String::as_str).collect()));
    }
}

/// Prints what the doctor found; fails if something is missing.
pub(crate) fn doctor(checks: &[Check]) -> ExitCode {
    let terminal = std::io::stdout().is_terminal();
    for check in checks {
        let (mark, colour) = match check.status {
            Status::Ok => ("ok", "32"),
            Status::Degraded => ("degraded", "33"),
            Status::Missing => ("missing", "31"),
        };
        println!("{:<10} {:<22} {}", paint(mark, colour, terminal), check.name, check.detail);
        if !check.remedy.is_empty() {
            println!("{:<10} {:<22} {}", "", "", check.remedy);
        }
    }
    let missing = checks.iter().any(|check| check.status == Status::Missing);
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Wraps text in a colour (ECMA-48 SGR parameters) if it goes to a terminal.
pub(crate) fn paint(text: &str, colour: &str, terminal: bool) -> String {
    if terminal { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}
