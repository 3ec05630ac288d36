//! The page of a pod.

use manifests::Object;
use serde_json::Value;

use super::page::Page;

pub(super) fn describe(pod: &Object, page: &mut Page) {
    page.head(pod);
    let status = |field: &str| pod.str_at(&["status", field]);
    page.field(0, "Node", pod.str_at(&["spec", "nodeName"]).unwrap_or("<none>"));
    page.field_if(0, "Start Time", status("startTime"));
    let terminating = pod.str_at(&["metadata", "deletionTimestamp"]);
    match terminating {
        Some(since) => page.field(0, "Status", format!("Terminating (since {since})")),
        None => page.field(0, "Status", status("phase").unwrap_or("Pending")),
    }
    page.field_if(0, "Reason", status("reason"));
    page.field_if(0, "Message", status("message"));
    page.field(0, "IP", status("podIP").unwrap_or_default());
    if let Some(owner) = pod.controller() {
        page.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    describe_containers("Init Containers", pod, ("initContainers", "initContainerStatuses"), page);
    describe_containers("Containers", pod, ("containers", "containerStatuses"), page);
    describe_conditions(pod, page);
    describe_volumes(pod.list_at(&["spec", "volumes"]), page);
    let selector: Vec<String> = pod
        .strings_at(&["spec", "nodeSelector"])
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    page.values(0, "Node-Selectors", &selector);
    let tolerations: Vec<String> = pod.list_at(&["spec", "tolerations"]).iter().map(toleration).collect();
    page.values(0, "Tolerations", &tolerations);
}

fn describe_containers(title: &str, pod: &Object, (list, statuses): (&str, &str), page: &mut Page) {
    let containers = pod.list_at(&["spec", list]);
    if containers.is_empty() {
        return;
    }
    page.section(0, title);
    for container in containers {
        let of_it = |status: &&Value| status["name"] == container["name"];
        let status = pod.list_at(&["status", statuses]).iter().find(of_it);
        page.section(1, text(&container["name"]));
        describe_container(container, page);
        if let Some(status) = status {
            describe_status(status, page);
        }
        describe_needs(container, page);
    }
}

/// What runs.
fn describe_container(container: &Value, page: &mut Page) {
    page.field(2, "Image", text(&container["image"]));
    let ports: Vec<String> = items(&container["ports"])
        .map(|port| format!("{}/{}", port["containerPort"], port["protocol"].as_str().unwrap_or("TCP")))
        .collect();
    if !ports.is_empty() {
        page.field(2, "Ports", ports.join(", "));
    }
    for (name, field) in [("Command", "command"), ("Args", "args")] {
        let words: Vec<&str> = items(&container[field]).map(text).collect();
        if !words.is_empty() {
            page.field(2, name, words.join(" "));
        }
    }
}

/// How it runs.
fn describe_status(status: &Value, page: &mut Page) {
    page.field_if(2, "Container ID", status["containerID"].as_str());
    page.field_if(2, "Image ID", status["imageID"].as_str());
    describe_state("State", &status["state"], page);
    if status["lastState"].as_object().is_some_and(|state| !state.is_empty()) {
        describe_state("Last State", &status["lastState"], page);
    }
    page.field(2, "Ready", if status["ready"] == true { "True" } else { "False" });
    page.field(2, "Restart Count", status["restartCount"].to_string());
}

fn describe_state(title: &str, state: &Value, page: &mut Page) {
    let known = [("running", "Running"), ("terminated", "Terminated"), ("waiting", "Waiting")];
    let Some((field, word)) = known.iter().find(|(field, _)| state.get(field).is_some()) else {
        return page.field(2, title, "Waiting");
    };
    let state = &state[field];
    page.field(2, title, *word);
    page.field_if(3, "Reason", state["reason"].as_str());
    page.field_if(3, "Message", state["message"].as_str());
    if *field == "terminated" {
        page.field(3, "Exit Code", state["exitCode"].to_string());
        if let Some(signal) = state["signal"].as_i64().filter(|signal| *signal != 0) {
            page.field(3, "Signal", signal.to_string());
        }
    }
    page.field_if(3, "Started", state["startedAt"].as_str());
    page.field_if(3, "Finished", state["finishedAt"].as_str());
}

/// What it needs: amounts, probes, environment, mounts.
fn describe_needs(container: &Value, page: &mut Page) {
    for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
        let amounts = entries(&container["resources"][field]);
        if !amounts.is_empty() {
            page.section(2, title);
            amounts.iter().for_each(|(name, amount)| page.field(3, name, plain(amount)));
        }
    }
    for (title, field) in
        [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
    {
        if container[field].is_object() {
            page.field(2, title, probe(&container[field]));
        }
    }
    let sources: Vec<String> = items(&container["envFrom"]).map(env_source).collect();
    if !sources.is_empty() {
        page.values(2, "Environment Variables from", &sources);
    }
    let variables: Vec<&Value> = items(&container["env"]).collect();
    if !variables.is_empty() {
        page.section(2, "Environment");
        variables
            .iter()
            .for_each(|variable| page.field(3, text(&variable["name"]), variable_value(variable)));
    }
    let mounts: Vec<String> = items(&container["volumeMounts"]).map(mount).collect();
    page.values(2, "Mounts", &mounts);
}

fn describe_conditions(pod: &Object, page: &mut Page) {
    let conditions = pod.list_at(&["status", "conditions"]);
    if conditions.is_empty() {
        return;
    }
    page.section(0, "Conditions");
    let mut lines = vec![["Type", "Status", "Reason"].map(str::to_owned).to_vec()];
    let cells = |one: &Value| ["type", "status", "reason"].map(|field| text(&one[field]).to_owned()).to_vec();
    lines.extend(conditions.iter().map(cells));
    page.table(1, &lines);
}

fn describe_volumes(volumes: &[Value], page: &mut Page) {
    if volumes.is_empty() {
        return page.field(0, "Volumes", "<none>");
    }
    page.section(0, "Volumes");
    for volume in volumes {
        page.section(1, text(&volume["name"]));
        for (kind, source) in entries(volume).into_iter().filter(|(field, _)| *field != "name") {
            page.field(2, "Type", kind);
            for (field, value) in entries(source) {
                page.field(2, field, plain(value));
            }
        }
    }
}

/// `http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`.
fn probe(probe: &Value) -> String {
    let (get, tcp, exec) = (&probe["httpGet"], &probe["tcpSocket"], &probe["exec"]);
    let what = if get.is_object() {
        let scheme = text(&get["scheme"]).to_lowercase();
        format!("http-get {scheme}://{}:{}{}", text(&get["host"]), plain(&get["port"]), text(&get["path"]))
    } else if tcp.is_object() {
        format!("tcp-socket {}:{}", text(&tcp["host"]), plain(&tcp["port"]))
    } else {
        let words: Vec<&str> = items(&exec["command"]).map(text).collect();
        format!("exec [{}]", words.join(" "))
    };
    let number = |field: &str| probe[field].as_i64().unwrap_or_default();
    format!(
        "{what} delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    )
}

fn env_source(source: &Value) -> String {
    let (map, secret) = (&source["configMapRef"], &source["secretRef"]);
    let (name, kind) =
        if map.is_object() { (&map["name"], "ConfigMap") } else { (&secret["name"], "Secret") };
    format!("{} ({kind})", text(name))
}

/// A variable's value, or where it comes from; never what a Secret holds.
fn variable_value(variable: &Value) -> String {
    let from = &variable["valueFrom"];
    let key_of = |source: &Value, kind: &str| {
        format!("<set to the key '{}' of {kind} '{}'>", text(&source["key"]), text(&source["name"]))
    };
    if from["secretKeyRef"].is_object() {
        return key_of(&from["secretKeyRef"], "secret");
    }
    if from["configMapKeyRef"].is_object() {
        return key_of(&from["configMapKeyRef"], "config map");
    }
    if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
        return format!("({path})");
    }
    if let Some(resource) = from["resourceFieldRef"]["resource"].as_str() {
        return format!("({resource})");
    }
    text(&variable["value"]).to_owned()
}

fn mount(mount: &Value) -> String {
    let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
    let part = mount["subPath"].as_str().map(|path| format!(",path={path:?}")).unwrap_or_default();
    format!("{} from {} ({mode}{part})", text(&mount["mountPath"]), text(&mount["name"]))
}

fn toleration(toleration: &Value) -> String {
    let mut shown = text(&toleration["key"]).to_owned();
    if let Some(value) = toleration["value"].as_str().filter(|value| !value.is_empty()) {
        shown.push_str(&format!("={value}"));
    }
    if let Some(effect) = toleration["effect"].as_str().filter(|effect| !effect.is_empty()) {
        shown.push_str(&format!(":{effect}"));
    }
    if toleration["operator"] == "Exists" {
        shown.push_str(" op=Exists");
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        shown.push_str(&format!(" for {seconds}s"));
    }
    shown.trim().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn entries(value: &Value) -> Vec<(&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A value in one line, without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
