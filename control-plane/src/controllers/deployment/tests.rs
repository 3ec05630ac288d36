use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use manifests::Kind;
use manifests::pod::{is_ready, is_terminating};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rollout::bounds;
use crate::manager::testing::{World, deployment};
use crate::snapshot::Key;

const IMAGE: [&str; 4] = ["spec", "template", "metadata", "annotations"];

fn set_template(world: &mut World, version: &str) {
    world.edit(Kind::Deployment, "shop", &IMAGE, json!({"version": version}));
}

fn rolled(replicas: u32, max_surge: Value, max_unavailable: Value) -> World {
    let mut world = World::new(&["n1", "n2", "n3"]);
    let mut shop = deployment("shop", replicas);
    shop.set(
        &["spec", "strategy"],
        json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": max_surge, "maxUnavailable": max_unavailable},
        }),
    );
    world.create(shop);
    world.run();
    world
}

fn sets(world: &World) -> Vec<(i64, i32)> {
    let mut sets: Vec<(i64, i32)> = world
        .all::<ReplicaSet>()
        .iter()
        .map(|set| {
            let annotations = set.metadata.annotations.clone().unwrap_or_default();
            let revision = annotations["deployment.kubernetes.io/revision"].parse().expect("a number");
            (revision, set.spec.replicas.unwrap_or_default())
        })
        .collect();
    sets.sort_unstable();
    sets
}

fn condition(world: &World, condition_type: &str) -> (String, String) {
    let status = world.find::<Deployment>("shop").and_then(|shop| shop.status).expect("a status");
    let conditions = status.conditions.unwrap_or_default();
    let found =
        conditions.into_iter().find(|it| it.type_.as_deref() == Some(condition_type)).expect("the condition");
    (found.status.unwrap_or_default(), found.reason.unwrap_or_default())
}

fn of_pods(world: &World) -> (usize, usize) {
    let pods: Vec<Pod> = world.all::<Pod>().into_iter().filter(|pod| !is_terminating(pod)).collect();
    (pods.len(), pods.iter().filter(|pod| is_ready(pod)).count())
}

/// The ready pods that will be left when every set has given up what it no longer wants.
fn lasting(world: &World) -> usize {
    let pods: Vec<Pod> = world.all();
    let of_set = |set: &ReplicaSet| {
        let is_counted = |pod: &&Pod| {
            let owner = crate::controllers::owner::controller(&pod.metadata).map(|owner| &owner.uid);
            owner == set.metadata.uid.as_ref() && is_ready(pod) && !is_terminating(pod)
        };
        let wanted = crate::controllers::replica_set::wanted_replicas(set);
        pods.iter().filter(is_counted).count().min(wanted)
    };
    world.all::<ReplicaSet>().iter().map(of_set).sum()
}

#[test]
fn shares_round_up_for_surge_and_down_for_unavailability() {
    let percent = |text: &str| IntOrString::String(text.into());
    assert_eq!(bounds(None, None, 10), (3, 2));
    assert_eq!(bounds(Some(&percent("10%")), Some(&percent("10%")), 4), (1, 0));
    assert_eq!(bounds(Some(&IntOrString::Int(0)), Some(&percent("10%")), 4), (0, 1));
    assert_eq!(bounds(Some(&IntOrString::Int(0)), Some(&IntOrString::Int(9)), 4), (0, 4));
}

#[test]
fn a_new_template_gets_a_new_set_and_the_old_one_is_kept_empty() {
    let mut world = rolled(3, json!(1), json!(0));
    assert_eq!(sets(&world), [(1, 3)]);
    set_template(&mut world, "2");
    world.run();
    assert_eq!(sets(&world), [(1, 0), (2, 3)]);
    assert_eq!(condition(&world, "Progressing"), ("True".into(), "NewReplicaSetAvailable".into()));
    assert_eq!(condition(&world, "Available"), ("True".into(), "MinimumReplicasAvailable".into()));
    let shop: Deployment = world.find("shop").expect("it");
    assert_eq!(shop.metadata.annotations.expect("some")["deployment.kubernetes.io/revision"], "2");
}

#[test]
fn going_back_to_an_earlier_template_takes_its_set_and_gives_it_the_highest_revision() {
    let mut world = rolled(2, json!(1), json!(0));
    let first = world.find::<Deployment>("shop").expect("it").spec.template;
    set_template(&mut world, "2");
    world.run();
    world.edit(Kind::Deployment, "shop", &["spec", "template"], serde_json::to_value(first).expect("JSON"));
    world.run();
    assert_eq!(sets(&world), [(2, 0), (3, 2)]);
}

#[test]
fn old_sets_beyond_the_history_limit_are_deleted() {
    let mut world = rolled(1, json!(1), json!(0));
    world.edit(Kind::Deployment, "shop", &["spec", "revisionHistoryLimit"], 2);
    for version in 2..=6 {
        set_template(&mut world, &version.to_string());
        world.run();
    }
    assert_eq!(sets(&world), [(4, 0), (5, 0), (6, 1)]);
}

#[test]
fn recreate_ends_every_old_pod_before_the_first_new_one() {
    let mut world = World::new(&["n1"]);
    let mut shop = deployment("shop", 3);
    shop.set(&["spec", "strategy"], json!({"type": "Recreate"}));
    world.create(shop);
    world.run();
    set_template(&mut world, "2");
    world.settle();
    assert!(world.all::<Pod>().iter().all(is_terminating), "all are asked to go, and no new one is there");
    assert_eq!(world.all::<Pod>().len(), 3);
    world.run();
    assert_eq!((sets(&world), of_pods(&world)), (vec![(1, 0), (2, 3)], (3, 3)));
}

#[test]
fn a_paused_deployment_is_scaled_but_not_rolled() {
    let mut world = rolled(2, json!(1), json!(0));
    world.edit(Kind::Deployment, "shop", &["spec", "paused"], true);
    set_template(&mut world, "2");
    world.edit(Kind::Deployment, "shop", &["spec", "replicas"], 4);
    world.run();
    assert_eq!(sets(&world), [(1, 4)]);
    assert_eq!(condition(&world, "Progressing").1, "DeploymentPaused");
    world.edit(Kind::Deployment, "shop", &["spec", "paused"], false);
    world.run();
    assert_eq!(sets(&world), [(1, 0), (2, 4)]);
}

#[test]
fn a_rollout_that_does_not_get_anywhere_says_so_when_its_deadline_is_over() {
    let mut world = rolled(3, json!(1), json!(0));
    world.edit(Kind::Deployment, "shop", &["spec", "progressDeadlineSeconds"], 60);
    set_template(&mut world, "2");
    world.settle();
    assert_eq!(condition(&world, "Progressing").0, "True");
    world.pass(61);
    assert_eq!(condition(&world, "Progressing"), ("False".into(), "ProgressDeadlineExceeded".into()));
    assert_eq!(of_pods(&world), (4, 3), "the old pods serve on");
    world.run();
    assert_eq!(condition(&world, "Progressing").1, "NewReplicaSetAvailable");
}

#[test]
fn scaling_in_the_midst_of_a_rollout_is_shared_out() {
    let mut world = rolled(10, json!(3), json!(2));
    set_template(&mut world, "2");
    world.settle();
    let before = sets(&world);
    assert_eq!(before, [(1, 8), (2, 5)]);
    world.edit(Kind::Deployment, "shop", &["spec", "replicas"], 15);
    world.round();
    world.round();
    // 18 in all: as Kubernetes' own documentation works it out for 10 to 15 replicas.
    assert_eq!(sets(&world), [(1, 11), (2, 7)]);
    world.run();
    assert_eq!(sets(&world), [(1, 0), (2, 15)]);
}

#[test]
fn pods_count_as_available_only_after_min_ready_seconds() {
    let mut world = rolled(2, json!(1), json!(0));
    world.edit(Kind::Deployment, "shop", &["spec", "minReadySeconds"], 30);
    set_template(&mut world, "2");
    world.pass(60);
    world.run();
    assert_eq!(sets(&world), [(1, 2), (2, 1)]);
    world.pass(29);
    assert_eq!(sets(&world), [(1, 2), (2, 1)]);
    world.pass(2);
    assert_eq!(sets(&world), [(1, 1), (2, 2)]);
    for _ in 0..4 {
        world.run();
        world.pass(31);
    }
    assert_eq!(sets(&world), [(1, 0), (2, 2)]);
}

#[test]
fn a_set_of_another_template_under_the_same_name_is_counted_as_a_collision() {
    let mut world = rolled(1, json!(1), json!(0));
    let set = world.all::<ReplicaSet>().remove(0);
    let name = set.metadata.name.expect("a name");
    world.edit(
        Kind::ReplicaSet,
        &name,
        &["spec", "template", "metadata", "annotations"],
        json!({"by": "hand"}),
    );
    world.run();
    assert_eq!(world.all::<ReplicaSet>().len(), 2);
    let status = world.find::<Deployment>("shop").and_then(|shop| shop.status).expect("a status");
    assert_eq!(status.collision_count, Some(1));
}

#[test]
fn users_are_told_of_each_scaling() {
    let world = rolled(3, json!(1), json!(0));
    let set = world.all::<ReplicaSet>().remove(0).metadata.name.expect("a name");
    assert_eq!(world.events("ScalingReplicaSet"), [format!("Scaled up replica set {set} from 0 to 3")]);
    assert_eq!(world.events("SuccessfulCreate").len(), 3);
}

/// What happens next in a rollout.
#[derive(Debug, Clone)]
enum Step {
    Round,
    Pod(usize),
    Template(u8),
    Unready(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Round),
        4 => (0..64_usize).prop_map(Step::Pod),
        1 => (0..4_u8).prop_map(Step::Template),
        1 => (0..64_usize).prop_map(Step::Unready),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_plan_breaks_the_promise_of_the_strategy_and_every_rollout_ends(
        replicas in 1..8_usize,
        surge in 0..4_usize,
        unavailable in 0..4_usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        let mut world = rolled(u32::try_from(replicas).expect("small"), json!(surge), json!(unavailable));
        let mut floor = replicas.saturating_sub(unavailable);
        for step in steps {
            match step {
                Step::Round => drop(world.round()),
                Step::Pod(from) => drop(world.run_one_pod(from)),
                Step::Template(version) => set_template(&mut world, &version.to_string()),
                Step::Unready(at) => {
                    let ready: Vec<Pod> =
                        world.all::<Pod>().into_iter().filter(|pod| is_ready(pod) && !is_terminating(pod)).collect();
                    let pod = ready.get(at % ready.len().max(1)).and_then(|pod| pod.metadata.name.clone());
                    if let Some(name) = pod {
                        world.set_ready(&Key::new(Kind::Pod, "default", name), false);
                        // What fails by itself is nobody's plan; from here on fewer may be there.
                        floor = floor.min(lasting(&world));
                    }
                }
            }
            let (pods, available) = of_pods(&world);
            prop_assert!(pods <= replicas + surge, "{pods} pods, at most {}", replicas + surge);
            prop_assert!(available >= floor, "{available} available, at least {floor}");
            floor = replicas.saturating_sub(unavailable).min(floor.max(lasting(&world)));
        }
        // Time too: what was refused in the midst of it is tried again after a pause.
        world.run();
        world.pass(60);
        world.run();
        prop_assert_eq!(of_pods(&world), (replicas, replicas));
        prop_assert_eq!(sets(&world).iter().filter(|(_, size)| *size > 0).count(), 1);
    }
}
