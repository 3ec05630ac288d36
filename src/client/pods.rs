//! Which pods, and which of their containers, `logs` and `exec` are about.

use anyhow::{anyhow, bail};
use manifests::selector::Selector;
use manifests::{Kind, Object};

use super::print;
use super::selection;
use super::session::{Query, Session};

/// The annotation by which a pod says which container is meant when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod that a word means: a pod's name, or KIND/NAME of something that has pods, of which one is picked.
pub(super) async fn one(session: &Session, word: &str) -> anyhow::Result<Object> {
    let (kind, name) = match word.split_once('/') {
        Some((kind, name)) => (selection::kind(kind)?, name),
        None => (Kind::Pod, word),
    };
    if kind == Kind::Pod {
        return Ok(session.get(session.place(kind), name).await?);
    }
    let owner = session.get(session.place(kind), name).await?;
    let selector = selector(kind, &owner)?;
    let pods = selected(session, &selector).await?;
    let count = pods.len();
    // One that runs, and stays, says more than one that is still to come, or about to go.
    let rank = |pod: &Object| (!pod.is_terminating(), pod.str_at(&["status", "phase"]) == Some("Running"));
    let best = pods.into_iter().max_by_key(rank);
    let pod = best.ok_or_else(|| anyhow!("{}/{name} has no pods", kind.qualified()))?;
    if count > 1 {
        print::note(&format!("Found {count} pods, using pod/{}", pod.name()));
    }
    Ok(pod)
}

/// The pods with these labels.
pub(super) async fn selected(session: &Session, selector: &str) -> anyhow::Result<Vec<Object>> {
    let query = Query { labels: Some(selector.to_owned()), fields: None };
    Ok(session.list(session.place(Kind::Pod), &query).await?.0)
}

/// The label selector of what has pods.
pub(super) fn selector(kind: Kind, owner: &Object) -> anyhow::Result<String> {
    match kind {
        Kind::Deployment | Kind::ReplicaSet => {
            let selector = owner.at(&["spec", "selector"]).cloned().unwrap_or_default();
            let selector = serde_json::from_value(selector)?;
            Ok(Selector::from_label_selector(&selector)?.to_string())
        }
        Kind::Service => Ok(Selector::from_labels(owner.strings_at(&["spec", "selector"])).to_string()),
        Kind::Namespace
        | Kind::Node
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::Pod
        | Kind::Event
        | Kind::EndpointSlice
        | Kind::Ingress
        | Kind::Lease => bail!("{} have no pods of their own", kind.info().plural),
    }
}

/// The names of a pod's containers, init containers last.
pub(super) fn containers(pod: &Object) -> Vec<&str> {
    let named = |list| pod.list_at(&["spec", list]).iter().filter_map(|one| one["name"].as_str());
    named("containers").chain(named("initContainers")).collect()
}

/// The container that is meant: the one asked for, the pod's default, or the first.
pub(super) fn container<'p>(pod: &'p Object, asked: Option<&'p str>) -> anyhow::Result<&'p str> {
    let all = containers(pod);
    if let Some(asked) = asked {
        if all.contains(&asked) {
            return Ok(asked);
        }
        bail!("pod/{} has no container {asked:?}; it has {}", pod.name(), all.join(", "));
    }
    let default = pod.annotation(DEFAULT_CONTAINER).filter(|name| all.contains(name));
    let chosen = default.or(all.first().copied());
    let chosen = chosen.ok_or_else(|| anyhow!("pod/{} has no containers", pod.name()))?;
    if pod.list_at(&["spec", "containers"]).len() > 1 && default.is_none() {
        print::note(&format!("Defaulted container {chosen:?} out of: {}", all.join(", ")));
    }
    Ok(chosen)
}
