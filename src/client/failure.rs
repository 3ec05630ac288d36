//! What went wrong, in words for users, with the next step where there is one.

use std::error::Error;

use anyhow::anyhow;
use kube::core::Status;

/// An error of the API or of the way to it, in our words; any other error as it is.
pub(super) fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<kube::Error>() {
        Ok(error) => words(error),
        Err(error) => error,
    }
}

fn words(error: kube::Error) -> anyhow::Error {
    if let kube::Error::Api(status) = &error {
        return anyhow!("{}", of_status(status));
    }
    if let kube::Error::Service(source) = &error {
        let cause = root(source.as_ref());
        return anyhow!("the cluster does not answer: {cause}\n  is it up? see: minikube-ish status");
    }
    anyhow!("{error}")
}

/// The innermost error, which is the one that says something.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A refusal of the API. Several mistakes get a line each.
pub(super) fn of_status(status: &Status) -> String {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let hint = match status.code {
        401 => "\n  the kubeconfig's credentials are not this cluster's; see: minikube-ish kubeconfig",
        403 => "\n  the kubeconfig's user may not do this",
        _ => "",
    };
    if causes.len() < 2 {
        return format!("{}{hint}", status.message);
    }
    let head = status.message.split(": [").next().unwrap_or(&status.message);
    let lines: Vec<String> =
        causes.iter().map(|cause| format!("\n  {}: {}", cause.field, cause.message)).collect();
    format!("{head}:{}{hint}", lines.concat())
}

/// Whether the object was not there.
pub(super) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether somebody else was faster.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests;
