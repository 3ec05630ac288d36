//! The API as the `kube` crate uses it.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;

use super::served::{PATIENCE, Served, TOKEN, labels};

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": value}})).expect("a ConfigMap")
}

fn code(error: kube::Error) -> u16 {
    if let kube::Error::Api(status) = error {
        return status.code;
    }
    panic!("no answer of the API: {error}")
}

#[tokio::test]
async fn strangers_are_refused() {
    let served = Served::start().await;
    let api: Api<Namespace> = Api::all(served.client(None));
    assert_eq!(code(api.list(&ListParams::default()).await.expect_err("anonymous")), 401);
    let api: Api<Namespace> = Api::all(served.client(Some("a guess")));
    assert_eq!(code(api.list(&ListParams::default()).await.expect_err("a wrong token")), 401);
}

#[tokio::test]
async fn an_object_lives_from_create_to_delete() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let created = api.create(&PostParams::default(), &config_map("one", "a")).await.expect("created");
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());
    assert_eq!(
        code(api.create(&PostParams::default(), &config_map("one", "b")).await.expect_err("taken")),
        409
    );

    let mut changed = created.clone();
    changed.data = Some(labels(&[("key", "b")]));
    let changed = api.replace("one", &PostParams::default(), &changed).await.expect("replaced");
    assert_ne!(changed.metadata.resource_version, created.metadata.resource_version);
    let stale = api.replace("one", &PostParams::default(), &created).await.expect_err("a stale copy");
    assert_eq!(code(stale), 409);

    let patch = Patch::Merge(json!({"data": {"more": "c"}}));
    let patched = api.patch("one", &PatchParams::default(), &patch).await.expect("patched");
    assert_eq!(patched.data.expect("data").len(), 2);
    api.delete("one", &DeleteParams::default()).await.expect("deleted");
    assert!(api.get_opt("one").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_write_that_changes_nothing_has_no_revision() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let created = api.create(&PostParams::default(), &config_map("same", "a")).await.expect("created");
    let again = api.replace("same", &PostParams::default(), &created).await.expect("replaced");
    assert_eq!(again.metadata.resource_version, created.metadata.resource_version);
}

#[tokio::test]
async fn an_apply_makes_an_object_and_then_changes_it() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let apply = |value: &str| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"key": value},
        }))
    };
    let params = PatchParams::apply("test");
    let first = api.patch("applied", &params, &apply("a")).await.expect("made");
    let second = api.patch("applied", &params, &apply("b")).await.expect("changed");
    assert_eq!(first.metadata.uid, second.metadata.uid);
    assert_eq!(second.data.expect("data")["key"], "b");
}

#[tokio::test]
async fn an_invalid_object_is_refused_with_its_causes() {
    let served = Served::start().await;
    let api: Api<Pod> = Api::default_namespaced(served.client(Some(TOKEN)));
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": []}}))
        .expect("a Pod");
    let kube::Error::Api(status) = api.create(&PostParams::default(), &pod).await.expect_err("no containers")
    else {
        panic!("not an answer of the API")
    };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(status.message.contains("spec.containers"), "{}", status.message);
}

#[tokio::test]
async fn a_watch_by_label_sees_what_begins_and_stops_to_match() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let start = api
        .list(&ListParams::default())
        .await
        .expect("a list")
        .metadata
        .resource_version
        .expect("a revision");
    let params = WatchParams::default().labels("watched=yes");
    let mut events = api.watch(&params, &start).await.expect("a watch").boxed();
    api.create(&PostParams::default(), &config_map("w", "a")).await.expect("created");
    for value in [Some("yes"), None] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"watched": value}}}));
        api.patch("w", &PatchParams::default(), &patch).await.expect("labelled");
    }
    let mut next = async || {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await;
        event.expect("in time").expect("a good stream").expect("an event")
    };
    assert!(matches!(next().await, WatchEvent::Added(map) if map.metadata.name.as_deref() == Some("w")));
    assert!(matches!(next().await, WatchEvent::Deleted(_)));
}

#[tokio::test]
async fn a_watcher_lists_and_follows() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    api.create(&PostParams::default(), &config_map("before", "a")).await.expect("created");
    for streaming in [false, true] {
        let config =
            if streaming { watcher::Config::default().streaming_lists() } else { watcher::Config::default() };
        let mut events = watcher(api.clone(), config).boxed();
        let mut next = async || {
            let event = tokio::time::timeout(PATIENCE, events.try_next()).await;
            event.expect("in time").expect("a good stream").expect("an event")
        };
        assert!(matches!(next().await, watcher::Event::Init), "streaming: {streaming}");
        assert!(matches!(next().await, watcher::Event::InitApply(_)), "streaming: {streaming}");
        assert!(matches!(next().await, watcher::Event::InitDone), "streaming: {streaming}");
        let patch = Patch::Merge(json!({"data": {"streaming": streaming.to_string()}}));
        api.patch("before", &PatchParams::default(), &patch).await.expect("patched");
        assert!(matches!(next().await, watcher::Event::Apply(_)), "streaming: {streaming}");
    }
}

#[tokio::test]
async fn a_watch_from_a_forgotten_revision_says_so() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let mut events = api.watch(&WatchParams::default(), "999999").await.expect("a stream").boxed();
    let event = events.try_next().await.expect("a good stream").expect("an event");
    assert!(matches!(event, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test]
async fn a_deployment_is_scaled_by_its_scale() {
    let served = Served::start().await;
    let api: Api<Deployment> = Api::default_namespaced(served.client(Some(TOKEN)));
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "payment"},
        "spec": {
            "selector": {"matchLabels": {"app": "payment"}},
            "template": {
                "metadata": {"labels": {"app": "payment"}},
                "spec": {"containers": [{"name": "payment", "image": "payment"}]},
            },
        },
    }))
    .expect("a Deployment");
    let created = api.create(&PostParams::default(), &deployment).await.expect("created");
    assert_eq!(created.spec.replicas, Some(1), "defaults are stored");
    let patch = Patch::Merge(json!({"spec": {"replicas": 4}}));
    let scale = api.patch_scale("payment", &PatchParams::default(), &patch).await.expect("scaled");
    assert_eq!(scale.spec.expect("a spec").replicas, Some(4));
    assert_eq!(scale.status.expect("a status").selector.as_deref(), Some("app=payment"));
    let scaled = api.get("payment").await.expect("there");
    assert_eq!(scaled.metadata.generation, Some(2));

    let status =
        Patch::Merge(json!({"status": {"replicas": 4, "observedGeneration": 2}, "spec": {"replicas": 9}}));
    let reported = api.patch_status("payment", &PatchParams::default(), &status).await.expect("reported");
    assert_eq!(reported.spec.replicas, Some(4), "a status write changes the status alone");
    assert_eq!(reported.status.expect("a status").replicas, Some(4));
}

#[tokio::test]
async fn commands_speak_both_ways() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let served = Served::start().await;
    let api: Api<Pod> = Api::default_namespaced(served.client(Some(TOKEN)));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    api.create(&PostParams::default(), &serde_json::from_value(pod).expect("a Pod")).await.expect("created");
    let params = kube::api::AttachParams::interactive_tty().tty(false).stderr(true);
    let mut process = api.exec("p", ["cat"], &params).await.expect("a session");
    let (mut stdin, mut stdout) = (process.stdin().expect("stdin"), process.stdout().expect("stdout"));
    stdin.write_all(b"there and back").await.expect("sent");
    let mut heard = vec![0_u8; "cat\nthere and back".len()];
    tokio::time::timeout(PATIENCE, stdout.read_exact(&mut heard)).await.expect("in time").expect("read");
    assert_eq!(String::from_utf8_lossy(&heard), "cat\nthere and back");
    stdin.shutdown().await.expect("closed");
    let ended = process.take_status().expect("a status");
    let status = tokio::time::timeout(PATIENCE, ended).await.expect("in time").expect("told");
    assert_eq!(status.status.as_deref(), Some("Success"));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let large = "x".repeat(4 * 1024 * 1024);
    let refusal = api.create(&PostParams::default(), &config_map("large", &large)).await;
    assert!(refusal.is_err(), "4 MiB are more than 3");
    api.create(&PostParams::default(), &config_map("small", "x")).await.expect("the next one is served");
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_up() {
    let served = Served::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(served.client(Some(TOKEN)));
    let events = api.watch(&WatchParams::default().timeout(1), "0").await.expect("a watch");
    let all = tokio::time::timeout(PATIENCE, events.try_collect::<Vec<_>>()).await.expect("in time");
    assert!(all.expect("a clean end").is_empty());
}
