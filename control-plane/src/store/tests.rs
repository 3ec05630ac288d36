use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use manifests::{Kind, Object};
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::*;
use crate::registry::founding;
use crate::snapshot::Key;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// In a child process: the folder of the store that it works on.
const FOLDER: &str = "STORE_TEST_FOLDER";

fn config_map(name: &str, text: &str) -> Object {
    let mut object = Object::new(Kind::ConfigMap, "default", name);
    object.set(&["data"], json!({"text": text}));
    object
}

fn lease(name: &str, holder: &str) -> Object {
    let mut object = Object::new(Kind::Lease, "kube-node-lease", name);
    object.set(&["spec"], json!({"holderIdentity": holder}));
    object
}

fn key(name: &str) -> Key {
    Key::new(Kind::ConfigMap, "default", name)
}

async fn open(path: &Path) -> Store {
    let store = Store::open(path, Settings::default()).expect("opened");
    store.submit_all(founding()).await.expect("an answer");
    store
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let kept = store.submit(Change::Create(config_map("kept", "a"))).await.expect("created");
    store.submit(Change::Create(config_map("gone", "b"))).await.expect("created");
    let gone = Change::delete(key("gone"), "".into());
    store.submit(gone).await.expect("deleted");
    let before = store.snapshot().revision();
    store.close().await;

    let store = open(folder.path()).await;
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get(&key("kept")).expect("kept").object(), kept.stored().object());
    assert!(snapshot.get(&key("gone")).is_none());
    assert!(snapshot.revision() >= before, "revisions never go back");
}

#[tokio::test]
async fn leases_never_reach_the_disk_and_their_revisions_are_not_given_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let written = store.submit(Change::Create(lease("node-1", "a"))).await.expect("created");
    store.close().await;
    let store = open(folder.path()).await;
    assert!(store.snapshot().get(written.stored().key()).is_none());
    let next = store.submit(Change::Create(config_map("next", "a"))).await.expect("created");
    assert!(next.stored().revision() > written.stored().revision());
}

#[tokio::test]
async fn each_change_of_a_batch_stands_for_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let changes = ["a", "a", "b"].map(|name| Change::Create(config_map(name, "x"))).to_vec();
    let outcomes = store.submit_all(changes).await.expect("an answer");
    let codes: Vec<Option<u16>> = outcomes.iter().map(|one| one.as_ref().err().map(Status::code)).collect();
    assert_eq!(codes, [None, Some(409), None]);
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let before = store.snapshot().revision();
    store.dry_run(Change::Create(config_map("dry", "x"))).expect("would be created");
    assert!(store.snapshot().get(&key("dry")).is_none());
    assert_eq!(store.snapshot().revision(), before);
}

#[tokio::test]
async fn watchers_see_every_change_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let mut watch = store.watch(store.snapshot().revision()).expect("a watch");
    let names: Vec<String> = (0..300).map(|n| format!("n{n}")).collect();
    let writes = names.iter().map(|name| store.submit(Change::Create(config_map(name, "x"))));
    futures::future::try_join_all(writes).await.expect("all created");
    let mut last = 0;
    for _ in &names {
        let event = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time").expect("an event");
        assert!(event.revision > last);
        assert_eq!(event.event_type(), EventType::Added);
        last = event.revision;
    }
    assert_eq!(last, store.snapshot().revision());
}

#[tokio::test]
async fn a_store_is_used_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let _store = open(folder.path()).await;
    assert!(matches!(Store::open(folder.path(), Settings::default()), Err(StoreError::Open { .. })));
}

/// Runs another test of this binary in a process of its own, as the child of this one.
fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", &format!("store::tests::{test}"), "--nocapture"]).env(FOLDER, folder);
    command
}

/// Not a test by itself: what [`no_acknowledged_write_is_lost_to_kill_9`] runs and kills.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder)).await;
    let run = store.snapshot().revision();
    let write = async |writer: usize| {
        for count in 0.. {
            let name = format!("w{writer}-{run}-{count}");
            let outcome = store.submit(Change::Create(config_map(&name, "x"))).await.expect("created");
            println!("acknowledged {name} {}", outcome.stored().revision());
        }
    };
    futures::future::join_all((0..8).map(write)).await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_to_kill_9() {
    /// How many acknowledgements to wait for before each kill.
    const ACKNOWLEDGED: usize = 200;
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for round in 1..=3 {
        let mut writer = child("child_that_writes_until_it_is_killed", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        for line in BufReader::new(writer.stdout.take().expect("piped")).lines() {
            let line = line.expect("a line");
            let Some(words) = line.split_once("acknowledged ").map(|(_, words)| words) else { continue };
            let (name, revision) = words.split_once(' ').expect("a name and a revision");
            acknowledged.push((name.to_owned(), revision.parse().expect("a revision")));
            if acknowledged.len() == ACKNOWLEDGED * round {
                writer.kill().expect("killed");
            }
        }
        writer.wait().expect("reaped");
    }
    let store = open(folder.path()).await;
    let snapshot = store.snapshot();
    for (name, revision) in &acknowledged {
        let stored =
            snapshot.get(&key(name)).unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        assert_eq!(stored.revision(), *revision);
    }
    let revisions: std::collections::BTreeSet<u64> =
        acknowledged.iter().map(|(_, revision)| *revision).collect();
    assert_eq!(revisions.len(), acknowledged.len(), "no revision is given twice");
}

/// Not a test by itself: what [`a_full_disk_refuses_writes_and_nothing_else`] runs in a mount namespace of its own.
#[tokio::test]
async fn child_with_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder).status();
    assert!(mounted.expect("mount runs").success());
    let store = open(&folder.join("store")).await;
    store.submit(Change::Create(config_map("first", "x"))).await.expect("there is room");

    let ballast = folder.join("ballast");
    let filled = std::fs::write(&ballast, vec![0_u8; 8 * 1024 * 1024]);
    assert!(filled.is_err(), "the disk must be full");
    let mut random = rand::rngs::SmallRng::seed_from_u64(3);
    let large: String = (0..256 * 1024).map(|_| random.random_range('!'..='~')).collect();
    let refusal = store.submit(Change::Create(config_map("refused", &large))).await.expect_err("no room");
    assert_eq!(refusal.code(), 503, "{refusal}");
    assert!(store.snapshot().get(&key("refused")).is_none(), "what was refused is not there");
    assert!(store.snapshot().get(&key("first")).is_some(), "reads go on");
    store.submit(Change::Create(lease("node-1", "a"))).await.expect("leases need no disk");

    std::fs::remove_file(&ballast).expect("room again");
    let deadline = now() + PATIENCE;
    while let Err(status) = store.submit(Change::Create(config_map("later", "x"))).await {
        assert!(now() < deadline, "still refused: {status}");
        tokio::task::yield_now().await;
    }
    store.close().await;
    let store = open(&folder.join("store")).await;
    assert!(store.snapshot().get(&key("first")).is_some() && store.snapshot().get(&key("later")).is_some());
    assert!(store.snapshot().get(&key("refused")).is_none());
    println!("the small disk was survived");
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let may_mount =
        Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !may_mount {
        println!("SKIPPED: needs root, to mount a small disk");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let inner = child("child_with_a_small_disk", folder.path());
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(FOLDER, folder.path())
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("survived"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[expect(clippy::disallowed_methods, reason = "the test times its own patience")]
fn now() -> Instant {
    Instant::now()
}
