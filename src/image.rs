//! `minikube-ish image`: pack, load, list and remove images of the store that all local nodes share.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use runtime::image::{ExtraFile, ImageSummary, LoadOptions, PackSpec, Store, load, load_path, pack};

/// Hexadecimal digits of a digest in the table.
const SHORT_DIGEST: usize = 12;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build an image from executables and the shared libraries that they need
    #[command(after_help = "Example: minikube-ish image pack -t shop/payment:1 target/release/payment")]
    Pack(PackArguments),
    /// Load images from an OCI image layout or a `docker save` archive; plain, gzip or zstd
    #[command(after_help = "Example: docker save shop/payment:1 | minikube-ish image load")]
    Load {
        /// An archive, a folder with an OCI image layout, or - for standard input
        #[arg(default_value = "-")]
        path: PathBuf,
        /// The same as PATH, as `docker load` has it
        #[arg(short, long, value_name = "PATH", conflicts_with = "path")]
        input: Option<PathBuf>,
        /// What to call an image that carries no name itself
        #[arg(long)]
        name: Option<String>,
    },
    /// List images
    #[command(visible_alias = "list")]
    Ls {
        /// How to print
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Remove images, and whatever no other image needs
    #[command(visible_alias = "remove")]
    Rm {
        /// Names, e.g. shop/payment:1
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// What `image pack` packs.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArguments {
    /// Name of the image, e.g. shop/payment:1
    #[arg(short, long, value_name = "NAME")]
    tag: String,
    /// Executables; each goes to /usr/bin in the image
    #[arg(required = true, value_name = "BINARY")]
    binaries: Vec<PathBuf>,
    /// What a container starts; default: the first executable. Repeat for arguments
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// A default argument. Repeat for more
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// An environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A further file or folder
    #[arg(long = "file", value_name = "SOURCE:DESTINATION", value_parser = extra_file)]
    files: Vec<ExtraFile>,
    /// Folder that the process starts in
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// Whom the process runs as: uid, uid:gid, root or nobody
    #[arg(long)]
    user: Option<String>,
    /// Add this machine's certificate authorities
    #[arg(long)]
    ca_certificates: bool,
}

/// How `image ls` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns
    Table,
    /// One document
    Json,
    /// Names only
    Name,
}

/// Carries out `command` on the store at `store_root`.
pub(crate) fn run(command: ImageCommand, store_root: &Path) -> anyhow::Result<()> {
    let store = Store::open(store_root)
        .with_context(|| format!("cannot open the image store {}", store_root.display()))?;
    match command {
        ImageCommand::Pack(arguments) => run_pack(&store, arguments),
        ImageCommand::Load { path, input, name } => run_load(&store, &input.unwrap_or(path), name),
        ImageCommand::Ls { output } => run_ls(&store, output),
        ImageCommand::Rm { names } => run_rm(&store, &names),
    }
}

fn run_pack(store: &Store, arguments: PackArguments) -> anyhow::Result<()> {
    let packed = pack(
        store,
        &PackSpec {
            name: arguments.tag,
            binaries: arguments.binaries,
            entrypoint: Some(arguments.entrypoint).filter(|words| !words.is_empty()),
            cmd: arguments.cmd,
            env: arguments.env,
            files: arguments.files,
            working_dir: arguments.workdir,
            user: arguments.user,
            ca_certificates: arguments.ca_certificates,
        },
    )?;
    let size = human_size(packed.size_bytes);
    println!("packed {} ({size}, {})", packed.reference, short(&packed.digest));
    Ok(())
}

fn run_load(store: &Store, path: &Path, name: Option<String>) -> anyhow::Result<()> {
    let options = LoadOptions { name, ..LoadOptions::default() };
    let names = if path == Path::new("-") {
        let input = io::stdin();
        if io::IsTerminal::is_terminal(&input) {
            bail!("nothing to load: give a file, a folder, or an archive on standard input");
        }
        load(store, input.lock(), &options)?
    } else {
        load_path(store, path, &options).with_context(|| format!("cannot load {}", path.display()))?
    };
    for name in names {
        println!("loaded {name}");
    }
    Ok(())
}

fn run_ls(store: &Store, output: Output) -> anyhow::Result<()> {
    let images = store.list()?;
    let text = match output {
        Output::Table => table(&images),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&json(&images))?),
        Output::Name => images.iter().map(|image| format!("{}\n", image.reference)).collect(),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot print")
}

/// All names are tried; the first error is the answer when some could not be removed.
fn run_rm(store: &Store, names: &[String]) -> anyhow::Result<()> {
    let mut failure = None;
    for name in names {
        match store.remove(name) {
            Ok(removal) if removal.deferred => {
                println!("removed {name}; its space is freed once the store is idle");
            }
            Ok(removal) => println!("removed {name} ({} freed)", human_size(removal.freed_bytes)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn extra_file(text: &str) -> Result<ExtraFile, String> {
    match text.split_once(':') {
        Some((source, destination)) if !source.is_empty() && destination.starts_with('/') => {
            Ok(ExtraFile { source: source.into(), destination: destination.into() })
        }
        _ => Err("expected SOURCE:DESTINATION with an absolute destination".to_owned()),
    }
}

fn table(images: &[ImageSummary]) -> String {
    let header = ["NAME", "TAG", "DIGEST", "SIZE", "CREATED"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(images.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("   ").trim_end());
        text.push('\n');
    }
    text
}

fn row(image: &ImageSummary) -> [String; 5] {
    [
        image.reference.familiar_name(),
        image.reference.tag().unwrap_or("<none>").to_owned(),
        short(&image.digest).to_owned(),
        human_size(image.size_bytes),
        created(image),
    ]
}

fn json(images: &[ImageSummary]) -> serde_json::Value {
    let image = |image: &ImageSummary| {
        serde_json::json!({
            "name": image.reference.to_string(),
            "digest": image.digest,
            "sizeBytes": image.size_bytes,
            "created": created(image),
        })
    };
    images.iter().map(image).collect()
}

/// Reproducible images say 1970, which nobody wants to know: then it is when the image came here.
fn created(image: &ImageSummary) -> String {
    let own = image.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let time = match own {
        Some(time) if time.as_second() > 0 => time,
        _ => jiff::Timestamp::from_second(image.stored_at).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
    };
    format!("{time:.0}")
}

fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..SHORT_DIGEST).unwrap_or(hex)
}

/// As Docker prints it: decimal units, three digits.
fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 || size >= 99.95 {
        format!("{size:.0}{}", UNITS[unit])
    } else if size >= 9.995 {
        format!("{size:.1}{}", UNITS[unit])
    } else {
        format!("{size:.2}{}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests;
