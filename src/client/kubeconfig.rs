//! `kubeconfig`: where the way into the cluster is kept, and putting it among kubectl's own.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use kube::config::Kubeconfig;

use super::connection::Connection;
use super::print;

#[derive(Debug, Args)]
pub(crate) struct KubeconfigArgs {
    /// Put the cluster into FILE, by default kubectl's own, and make it the current one
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "no flag, a flag, and a flag with a value are three things")]
    merge: Option<Option<PathBuf>>,
}

pub(super) fn run(args: &KubeconfigArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let ours = connection.read()?;
    let Some(target) = &args.merge else {
        print::line(&connection.kubeconfig().display().to_string())?;
        return Ok(ExitCode::SUCCESS);
    };
    let target = match target {
        Some(path) => path.clone(),
        None => kubectls_own()?,
    };
    let is_there = target.try_exists().with_context(|| format!("cannot look for {}", target.display()))?;
    let theirs = if is_there {
        Kubeconfig::read_from(&target).with_context(|| format!("cannot read {}", target.display()))?
    } else {
        Kubeconfig::default()
    };
    let current = ours.current_context.clone().unwrap_or_default();
    write(&target, &merged(theirs, ours))?;
    print::line(&format!("{}: the current context is {current:?} now", target.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// `~/.kube/config`, or the first file that KUBECONFIG names.
fn kubectls_own() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    if let Some(first) = named.as_ref().and_then(|paths| std::env::split_paths(paths).next()) {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").ok_or_else(|| anyhow!("HOME is not set; say where: --merge FILE"))?;
    Ok(Path::new(&home).join(".kube/config"))
}

/// Theirs, with our cluster, user and context put in, or put in anew, and made the current one.
fn merged(mut theirs: Kubeconfig, ours: Kubeconfig) -> Kubeconfig {
    let ours_has = |names: &[&str], name: &str| names.contains(&name);
    let clusters: Vec<&str> = ours.clusters.iter().map(|one| one.name.as_str()).collect();
    theirs.clusters.retain(|one| !ours_has(&clusters, &one.name));
    let users: Vec<&str> = ours.auth_infos.iter().map(|one| one.name.as_str()).collect();
    theirs.auth_infos.retain(|one| !ours_has(&users, &one.name));
    let contexts: Vec<&str> = ours.contexts.iter().map(|one| one.name.as_str()).collect();
    theirs.contexts.retain(|one| !ours_has(&contexts, &one.name));
    theirs.clusters.extend(ours.clusters);
    theirs.auth_infos.extend(ours.auth_infos);
    theirs.contexts.extend(ours.contexts);
    theirs.current_context = ours.current_context.or(theirs.current_context);
    theirs.api_version.get_or_insert_with(|| "v1".to_owned());
    theirs.kind.get_or_insert_with(|| "Config".to_owned());
    theirs
}

/// Writes beside the file and moves it there, so that it is never half there; only the owner may read it.
fn write(path: &Path, config: &Kubeconfig) -> anyhow::Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    let about = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(about)?;
    }
    let text = serde_saphyr::to_string(config).with_context(about)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".minikube-ish");
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&beside).with_context(about)?;
    file.write_all(text.as_bytes()).with_context(about)?;
    std::fs::rename(&beside, path).with_context(about)
}

#[cfg(test)]
mod tests;
