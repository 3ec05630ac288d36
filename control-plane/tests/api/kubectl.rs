//! The API as real kubectls use it: the one on this machine, and one of the 1.20 line where there is one.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

use super::served::{PATIENCE, Served};

/// Where to look for kubectls; the second is unpacked from Debian's `kubernetes-client` by `make setup`.
const KUBECTLS: [&str; 2] =
    ["/usr/bin/kubectl", concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kubectl-1.20/usr/bin/kubectl")];

const SHOP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: payment}
spec:
  replicas: 2
  selector: {matchLabels: {app: payment}}
  template:
    metadata: {labels: {app: payment}}
    spec:
      containers:
      - name: payment
        image: payment:1
        ports: [{containerPort: 8080}]
        env: [{name: A, value: a}, {name: B, value: b}]
---
apiVersion: v1
kind: Service
metadata: {name: payment}
spec:
  selector: {app: payment}
  ports: [{port: 80, targetPort: 8080}]
"#;

struct Kubectl<'a> {
    binary: &'static str,
    served: &'a Served,
}

impl Kubectl<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let config = self.served.kubeconfig();
        let mut command = Command::new(self.binary);
        command.arg("--kubeconfig").arg(config).arg("--cache-dir").arg(self.served.folder().join("cache"));
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("kubectl runs")
    }

    /// What kubectl prints; it must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{} {args:?}: {}", self.binary, text(&output.stderr));
        text(&output.stdout)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.served.folder().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }
}

/// Runs a test with every kubectl that is here, each against a cluster of its own.
fn with_each_kubectl(test: impl Fn(&Kubectl<'_>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut found = 0;
    for binary in KUBECTLS {
        if !std::path::Path::new(binary).try_exists().expect("readable") {
            println!("{binary} is not on this machine");
            continue;
        }
        let served = runtime.block_on(Served::start());
        test(&Kubectl { binary, served: &served });
        found += 1;
    }
    assert!(found > 0, "no kubectl is on this machine: `make setup` gets one");
}

#[test]
fn apply_get_scale_and_delete_work() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", SHOP);
        assert!(kubectl.ok(&["apply", "-f", &file]).contains("deployment.apps/payment created"));
        assert!(kubectl.ok(&["apply", "-f", &file]).contains("deployment.apps/payment unchanged"));
        let table = kubectl.ok(&["get", "deployments,services"]);
        assert!(table.contains("UP-TO-DATE") && table.contains("CLUSTER-IP"), "{table}");
        let wide = kubectl.ok(&["get", "deploy", "payment", "-o", "wide"]);
        assert!(wide.contains("payment:1") && wide.contains("app=payment"), "{wide}");
        kubectl.ok(&["scale", "deployment", "payment", "--replicas", "4"]);
        let replicas = kubectl.ok(&["get", "deploy", "payment", "-o", "jsonpath={.spec.replicas}"]);
        assert_eq!(replicas, "4");
        assert!(kubectl.ok(&["delete", "-f", &file]).contains("deleted"));
        let gone = kubectl.run(&["get", "deploy", "payment"]);
        assert!(String::from_utf8_lossy(&gone.stderr).contains("(NotFound)"));
    });
}

#[test]
fn an_apply_takes_out_what_is_no_longer_in_the_file() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", SHOP);
        kubectl.ok(&["apply", "-f", &file]);
        let file = kubectl.file("shop.yaml", &SHOP.replace(", {name: B, value: b}", ""));
        kubectl.ok(&["apply", "-f", &file]);
        let names = "jsonpath={.spec.template.spec.containers[0].env[*].name}";
        assert_eq!(kubectl.ok(&["get", "deploy", "payment", "-o", names]), "A");
    });
}

#[test]
fn edits_of_every_kind_reach_the_object() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", SHOP);
        kubectl.ok(&["apply", "-f", &file]);
        kubectl.ok(&["set", "image", "deployment/payment", "payment=payment:2"]);
        kubectl.ok(&["label", "deployment", "payment", "tier=front"]);
        kubectl.ok(&["annotate", "deployment", "payment", "note=yes"]);
        kubectl.ok(&[
            "patch",
            "deployment",
            "payment",
            "--type=json",
            "-p",
            r#"[{"op":"replace","path":"/spec/replicas","value":3}]"#,
        ]);
        kubectl.ok(&["rollout", "restart", "deployment/payment"]);
        let all =
            "jsonpath={.spec.template.spec.containers[0].image} {.metadata.labels.tier} {.spec.replicas}";
        assert_eq!(kubectl.ok(&["get", "deploy", "payment", "-o", all]), "payment:2 front 3");
    });
}

#[test]
fn a_dry_run_on_the_server_changes_nothing() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", SHOP);
        kubectl.ok(&["apply", "--dry-run=server", "-f", &file]);
        assert!(!kubectl.ok(&["get", "deployments"]).contains("payment"));
        kubectl.ok(&["apply", "-f", &file]);
        let file = kubectl.file("shop.yaml", &SHOP.replace("replicas: 2", "replicas: 5"));
        let diff = kubectl.run(&["diff", "-f", &file]);
        let shown = String::from_utf8_lossy(&diff.stdout).into_owned();
        assert!(shown.contains("+  replicas: 5"), "{shown}{}", String::from_utf8_lossy(&diff.stderr));
    });
}

#[test]
fn a_server_side_apply_works() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", SHOP);
        kubectl.ok(&["apply", "--server-side", "-f", &file]);
        kubectl.ok(&["apply", "--server-side", "-f", &file]);
        assert_eq!(kubectl.ok(&["get", "deploy", "payment", "-o", "jsonpath={.spec.replicas}"]), "2");
    });
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("shop.yaml", &SHOP.replace("replicas:", "replicaz:"));
        let refused = kubectl.run(&["apply", "-f", &file]);
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains("replicaz"));
    });
}

#[test]
fn discovery_explains_and_describes() {
    with_each_kubectl(|kubectl| {
        kubectl.ok(&["version"]);
        assert!(kubectl.ok(&["api-resources"]).contains("deployments"));
        assert!(kubectl.ok(&["explain", "deployment.spec.replicas"]).to_lowercase().contains("integer"));
        assert_eq!(kubectl.ok(&["get", "--raw", "/healthz"]), "ok");
        let file = kubectl.file("shop.yaml", SHOP);
        kubectl.ok(&["apply", "-f", &file]);
        assert!(kubectl.ok(&["describe", "service", "payment"]).contains("app=payment"));
        assert!(kubectl.ok(&["get", "all"]).contains("service/payment"));
        assert!(kubectl.ok(&["get", "ns", "-o", "name"]).contains("namespace/default"));
    });
}

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: web}]}
"#;

/// A pod that is bound to a node, so that it can be spoken to.
fn bind_web(kubectl: &Kubectl<'_>) {
    let file = kubectl.file("pod.yaml", POD);
    kubectl.ok(&["apply", "-f", &file]);
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"status":{"allocatable":{"cpu":"1","memory":"1Gi"}}}"#;
    let node = kubectl.file("node.json", node);
    kubectl.ok(&["create", "-f", &node]);
    let binding = r#"{"apiVersion":"v1","kind":"Binding","metadata":{"name":"web"},"target":{"kind":"Node","name":"n"}}"#;
    let binding = kubectl.file("binding.json", binding);
    kubectl.ok(&["create", "--raw", "/api/v1/namespaces/default/pods/web/binding", "-f", &binding]);
    report(kubectl, r#"{"phase":"Running"}"#);
}

/// What the pod's node says of it.
fn report(kubectl: &Kubectl<'_>, status: &str) {
    let text = format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web"}},"status":{status}}}"#);
    let file = kubectl.file("status.json", &text);
    kubectl.ok(&["replace", "--raw", "/api/v1/namespaces/default/pods/web/status", "-f", &file]);
}

#[test]
fn logs_are_read() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        assert_eq!(kubectl.ok(&["logs", "web"]), "one\ntwo\n");
        assert_eq!(kubectl.ok(&["logs", "-f", "web"]), "one\ntwo\n");
        let refused = kubectl.run(&["logs", "web", "-c", "nobody"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("nobody"));
    });
}

#[test]
fn commands_run_in_a_pod_and_tell_their_exit_code() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        assert_eq!(kubectl.ok(&["exec", "web", "--", "say", "hello"]), "say hello\n");
        let failed = kubectl.run(&["exec", "web", "--", "exit", "3"]);
        assert_eq!(failed.status.code(), Some(3), "{}", String::from_utf8_lossy(&failed.stderr));
    });
}

#[test]
fn what_is_typed_reaches_the_command() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        let mut exec = kubectl.command(&["exec", "-i", "web", "--", "cat"]);
        let mut exec = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("kubectl runs");
        exec.stdin.take().expect("piped").write_all(b"there and back\n").expect("typed");
        let output = exec.wait_with_output().expect("kubectl ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "cat\nthere and back\n");
    });
}

#[test]
fn ports_are_forwarded() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        let mut forward = kubectl.command(&["port-forward", "pod/web", ":80"]);
        let mut forward = forward.stdout(Stdio::piped()).spawn().expect("kubectl runs");
        let mut lines = BufReader::new(forward.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("a line").expect("readable");
        let address = first.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
        for _ in 0..2 {
            let mut wire = std::net::TcpStream::connect(address.expect("an address")).expect("connected");
            wire.set_read_timeout(Some(PATIENCE)).expect("a limit");
            wire.write_all(b"through").expect("sent");
            let mut heard = [0_u8; 7];
            wire.read_exact(&mut heard).expect("heard");
            assert_eq!(&heard, b"through");
        }
        forward.kill().expect("killed");
        forward.wait().expect("reaped");
    });
}

#[test]
fn a_pod_is_deleted_by_those_who_wait_for_it() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        kubectl.ok(&["delete", "pod", "web", "--wait=false"]);
        assert!(
            kubectl.ok(&["get", "pods"]).contains("Terminating"),
            "its node has not said that it is gone"
        );
        kubectl.ok(&["delete", "pod", "web", "--force", "--grace-period=0"]);
        assert!(!kubectl.ok(&["get", "pods", "--ignore-not-found"]).contains("web"));
    });
}

#[test]
fn who_waits_is_told() {
    with_each_kubectl(|kubectl| {
        bind_web(kubectl);
        let start =
            |args: &[&str]| kubectl.command(args).stdout(Stdio::piped()).spawn().expect("kubectl runs");
        let mut watching = start(&["get", "pods", "-w"]);
        let mut rows = BufReader::new(watching.stdout.take().expect("piped")).lines();
        let mut next = || rows.next().expect("a row").expect("readable");
        assert!(next().starts_with("NAME"));
        assert!(next().contains("Running"));

        let waiting = start(&["wait", "--for=condition=Ready", "pod/web", "--timeout=20s"]);
        report(kubectl, r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#);
        assert!(next().contains("Running"), "a row for each change, under the one heading");
        let waited = waiting.wait_with_output().expect("kubectl ends");
        assert!(waited.status.success());

        let deleting = start(&["delete", "pod", "web", "--timeout=20s"]);
        assert!(next().contains("Terminating"));
        kubectl.ok(&["delete", "--raw", "/api/v1/namespaces/default/pods/web?gracePeriodSeconds=0"]);
        assert!(deleting.wait_with_output().expect("kubectl ends").status.success());
        watching.kill().expect("killed");
        watching.wait().expect("reaped");
    });
}

#[test]
fn objects_are_created_by_command() {
    with_each_kubectl(|kubectl| {
        kubectl.ok(&["create", "namespace", "shop"]);
        kubectl.ok(&["create", "configmap", "settings", "--from-literal=a=b"]);
        kubectl.ok(&["create", "secret", "generic", "password", "--from-literal=a=secret"]);
        kubectl.ok(&["create", "deployment", "web", "--image=web", "--replicas=2", "--port=80"]);
        kubectl.ok(&["create", "service", "clusterip", "web", "--tcp=80:8080"]);
        kubectl.ok(&["create", "ingress", "web", "--rule=shop.example/pay*=web:80"]);
        kubectl.ok(&["expose", "deployment", "web", "--name=exposed", "--port=80"]);
        kubectl.ok(&["run", "one", "--image=web"]);
        assert_eq!(kubectl.ok(&["get", "cm", "settings", "-o", "jsonpath={.data.a}"]), "b");
        assert_eq!(kubectl.ok(&["get", "secret", "password", "-o", "jsonpath={.data.a}"]), "c2VjcmV0");
        let path = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}";
        assert_eq!(kubectl.ok(&["get", "deploy", "web", "-o", path]), "2 80");
        let target = "jsonpath={.spec.ports[0].targetPort} {.spec.ports[0].port}";
        assert_eq!(kubectl.ok(&["get", "svc", "web", "-o", target]), "8080 80");
        assert!(kubectl.ok(&["auth", "can-i", "create", "pods"]).contains("yes"));
    });
}

#[test]
fn what_will_not_be_acted_on_is_said() {
    with_each_kubectl(|kubectl| {
        let file = kubectl.file("pod.yaml", &POD.replace("image: web}", "image: web, tty: true}"));
        let output = kubectl.run(&["apply", "-f", &file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("spec.containers[*].tty"), "{said}");
    });
}

#[test]
fn the_fronts_counters_are_served() {
    with_each_kubectl(|kubectl| {
        assert_eq!(kubectl.ok(&["get", "--raw", "/minikube-ish/v1/front"]), r#"{"endpoints":[]}"#);
    });
}
