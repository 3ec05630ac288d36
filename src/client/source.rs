//! Manifests from where users keep them: files, folders, standard input. Reads all of it before anything is sent.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use manifests::read::{Document, Limits, Problem};

use super::print;

/// What in a folder is taken for a manifest.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Where manifests are.
#[derive(Debug, Clone, Args)]
pub(super) struct Sources {
    /// A file or folder of manifests, or - for standard input; can be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(super) filenames: Vec<PathBuf>,
    /// Also look into the folders of folders
    #[arg(short = 'R', long, requires = "filenames")]
    recursive: bool,
}

impl Sources {
    /// All objects of all sources. With a single mistake anywhere there are none, and every mistake has been shown.
    pub(super) fn read(&self) -> anyhow::Result<Vec<Document>> {
        let (mut documents, mut problems) = (Vec::new(), Vec::new());
        for source in &self.filenames {
            for (name, text) in self.texts(source)? {
                let reading = manifests::read::read(&name, &text);
                documents.extend(reading.documents);
                problems.extend(reading.problems);
            }
        }
        if !problems.is_empty() {
            show(&problems);
            let count = problems.len();
            bail!("{count} {} found; nothing was done", if count == 1 { "mistake" } else { "mistakes" });
        }
        if documents.is_empty() {
            bail!("there are no objects in what was given");
        }
        Ok(documents)
    }

    fn texts(&self, source: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        if source.as_os_str() == "-" {
            return Ok(vec![(
                "standard input".to_owned(),
                read_limited(std::io::stdin().lock()).context("cannot read standard input")?,
            )]);
        }
        let about = || format!("cannot read {}", source.display());
        let metadata = std::fs::metadata(source).with_context(about)?;
        let files = if metadata.is_dir() { self.files(source)? } else { vec![source.to_owned()] };
        let read = |path: PathBuf| {
            let file =
                std::fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let text = read_limited(file).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), text))
        };
        files.into_iter().map(read).collect()
    }

    /// The manifests in a folder, by name.
    fn files(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let about = || format!("cannot read {}", folder.display());
        let entries = std::fs::read_dir(folder).with_context(about)?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            paths.push(entry.with_context(about)?.path());
        }
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if path.is_dir() {
                if self.recursive {
                    files.extend(self.files(&path)?);
                }
            } else if EXTENSIONS.contains(&extension) {
                files.push(path);
            }
        }
        Ok(files)
    }
}

/// No more than one byte beyond what may be read: enough for the reader to refuse it.
fn read_limited(source: impl Read) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(Limits::DEFAULT.text_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    source.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

fn show(problems: &[Problem]) {
    for problem in problems {
        print::note(&problem.to_string());
    }
}

#[cfg(test)]
mod tests;
