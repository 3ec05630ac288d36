//! Users: they create, scale, roll, delete and cordon, and do not wait until the last thing is done.

use control_plane::change::{Change, Preconditions, Propagation};
use control_plane::snapshot::{Key, Snapshot, Stored};
use manifests::{Kind, Object};
use rand::rngs::StdRng;
use rand::{RngExt, seq::IteratorRandom};
use serde_json::json;

const APPS: [&str; 4] = ["payment", "inventory", "catalog", "cart"];
/// The namespace that users make and delete.
const SHOP: &str = "shop";

/// What a user does next.
pub(crate) fn act(snapshot: &Snapshot, rng: &mut StdRng) -> Option<Change> {
    match rng.random_range(0..100) {
        0..25 => create_deployment(rng),
        25..45 => edit(snapshot, Kind::Deployment, rng, |shop, rng| {
            shop.set(&["spec", "replicas"], rng.random_range(0..7));
        }),
        45..65 => edit(snapshot, Kind::Deployment, rng, |shop, rng| {
            let version = rng.random_range(0..4).to_string();
            shop.set(&["spec", "template", "metadata", "annotations"], json!({"version": version}));
        }),
        65..72 => delete(snapshot, Kind::Pod, rng),
        72..77 => delete(snapshot, Kind::Deployment, rng),
        77..79 => delete(snapshot, Kind::ReplicaSet, rng),
        79..86 => create_service(rng),
        86..88 => delete(snapshot, Kind::Service, rng),
        88..92 => Some(Change::Create(Object::new(Kind::Namespace, "", SHOP))),
        92..94 => {
            pick(snapshot, Kind::Namespace, rng).filter(|it| &*it.key().name == SHOP).map(|it| gone(it, rng))
        }
        94..97 => edit(snapshot, Kind::Node, rng, |node, rng| {
            node.set(&["spec", "unschedulable"], rng.random_bool(0.5));
        }),
        _ => edit(snapshot, Kind::Deployment, rng, |shop, rng| {
            shop.set(&["spec", "paused"], rng.random_bool(0.3));
        }),
    }
}

/// What users do at the end, so that what they asked for can come true: nothing stays cordoned or paused.
pub(crate) fn relent(snapshot: &Snapshot) -> Vec<Change> {
    let nodes = snapshot.list(Kind::Node).map(|node| (node, "unschedulable"));
    let deployments = snapshot.list(Kind::Deployment).map(|shop| (shop, "paused"));
    let held = nodes
        .chain(deployments)
        .filter(|(object, field)| object.object().at(&["spec", field]) == Some(&json!(true)));
    held.map(|(object, field)| {
        let mut freed = object.object().clone();
        freed.set(&["spec", field], false);
        Change::Update(freed)
    })
    .collect()
}

fn create_deployment(rng: &mut StdRng) -> Option<Change> {
    let name = *APPS.iter().choose(rng)?;
    let mut shop = Object::new(Kind::Deployment, namespace(rng), name);
    let mut container = json!({
        "name": "main",
        "image": "supermarket/app:1",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {"requests": {"cpu": format!("{}m", rng.random_range(1..8) * 100), "memory": "128Mi"}},
    });
    if rng.random_bool(0.5) {
        container["readinessProbe"] = json!({"httpGet": {"port": 8080}, "periodSeconds": 5});
    }
    let strategy = if rng.random_ratio(1, 6) {
        json!({"type": "Recreate"})
    } else {
        let (surge, unavailable) = (rng.random_range(0..3), rng.random_range(0..3));
        let surge = if surge + unavailable == 0 { 1 } else { surge };
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
    };
    shop.set(
        &["spec"],
        json!({
            "replicas": rng.random_range(1..6),
            "strategy": strategy,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": rng.random_range(0..3), "containers": [container]},
            },
        }),
    );
    Some(Change::Create(shop))
}

fn create_service(rng: &mut StdRng) -> Option<Change> {
    let name = *APPS.iter().choose(rng)?;
    let mut service = Object::new(Kind::Service, namespace(rng), name);
    service.set(&["spec"], json!({"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "http"}]}));
    Some(Change::Create(service))
}

fn namespace(rng: &mut StdRng) -> &'static str {
    if rng.random_ratio(1, 3) { SHOP } else { "default" }
}

fn pick<'a>(snapshot: &'a Snapshot, kind: Kind, rng: &mut StdRng) -> Option<&'a Stored> {
    snapshot.list(kind).map(|stored| &**stored).choose(rng)
}

/// Changes an object without looking at its version, as `kubectl apply` does.
fn edit(
    snapshot: &Snapshot,
    kind: Kind,
    rng: &mut StdRng,
    change: impl Fn(&mut Object, &mut StdRng),
) -> Option<Change> {
    let mut object = pick(snapshot, kind, rng)?.object().clone();
    object.metadata_mut().remove("resourceVersion");
    change(&mut object, rng);
    Some(Change::Update(object))
}

fn delete(snapshot: &Snapshot, kind: Kind, rng: &mut StdRng) -> Option<Change> {
    let picked = pick(snapshot, kind, rng)?;
    Some(gone(picked, rng))
}

fn gone(stored: &Stored, rng: &mut StdRng) -> Change {
    let propagation = match rng.random_range(0..6) {
        0 => Propagation::Foreground,
        1 => Propagation::Orphan,
        _ => Propagation::Background,
    };
    Change::Delete {
        key: Key::clone(stored.key()),
        preconditions: Preconditions::default(),
        grace_period_seconds: if rng.random_ratio(1, 8) { Some(0) } else { None },
        propagation,
    }
}
