//! `status`: the processes of a cluster, its nodes, and where it is reached.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::Serialize;

use super::config::ClusterConfig;
use super::layout::Layout;
use super::process::Process;
use super::{processes, readiness};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// table or json
    #[arg(short, long, default_value = "table", value_parser = ["table", "json"])]
    output: String,
}

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cluster: String,
    front: String,
    kubeconfig: String,
    processes: Vec<ProcessReport>,
    nodes: Vec<NodeReport>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessReport {
    name: String,
    pid: Option<i32>,
    resident_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeReport {
    name: String,
    ready: bool,
    address: String,
    pod_cidr: String,
}

/// Shows the cluster; fails unless everything of it lives and is Ready.
pub(crate) async fn run(layout: &Layout, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let Some(config) = ClusterConfig::load(&layout.config())? else {
        println!("cluster {:?} does not exist: `minikube-ish up` makes one", layout.cluster());
        return Ok(ExitCode::FAILURE);
    };
    if args.output == "table"
        && processes::names(&config).iter().all(|name| process(layout, name).pid.is_none())
    {
        println!("cluster {:?} is down: `minikube-ish up` starts it again", layout.cluster());
        return Ok(ExitCode::FAILURE);
    }
    let report = look(layout, &config).await;
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    let well = report.processes.iter().all(|process| process.pid.is_some())
        && report.nodes.len() >= usize::from(config.nodes)
        && report.nodes.iter().all(|node| node.ready);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(layout: &Layout, config: &ClusterConfig) -> Report {
    let mut report = Report {
        cluster: layout.cluster().to_owned(),
        front: format!("http://{}:{}", config.address, config.http_port),
        kubeconfig: layout.kubeconfig().display().to_string(),
        processes: processes::names(config).iter().map(|name| process(layout, name)).collect(),
        nodes: Vec::new(),
        problems: Vec::new(),
    };
    match readiness::client(&layout.kubeconfig()).await {
        Ok(client) => ask(client, &mut report).await,
        Err(error) => report.problems.push(format!("{error:#}")),
    }
    report
}

async fn ask(client: Client, report: &mut Report) {
    match Api::<Node>::all(client.clone()).list(&ListParams::default()).await {
        Ok(nodes) => report.nodes = nodes.items.iter().map(node).collect(),
        Err(error) => report.problems.push(format!("the API does not answer: {error}")),
    }
    let Ok(request) = http::Request::get("/minikube-ish/v1/front").body(Vec::new()) else { return };
    if let Ok(front) = client.request::<serde_json::Value>(request).await {
        let problems = front["problems"].as_array().into_iter().flatten();
        report.problems.extend(problems.filter_map(|problem| Some(problem.as_str()?.to_owned())));
    }
}

fn process(layout: &Layout, name: &str) -> ProcessReport {
    let process = Process::find(&layout.pid_file(name));
    ProcessReport {
        name: name.to_owned(),
        pid: process.as_ref().map(|process| process.pid),
        resident_bytes: process.as_ref().and_then(Process::resident_bytes),
    }
}

fn node(node: &Node) -> NodeReport {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP");
    NodeReport {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready: readiness::is_ready(node),
        address: internal.map(|address| address.address.clone()).unwrap_or_default(),
        pod_cidr: node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone()).unwrap_or_default(),
    }
}

fn print(report: &Report) {
    println!("cluster      {}", report.cluster);
    println!("front        {}", report.front);
    println!("kubeconfig   {}\n", report.kubeconfig);
    let processes: Vec<Vec<String>> = report
        .processes
        .iter()
        .map(|process| {
            let pid = process.pid.map_or_else(|| "not running".to_owned(), |pid| pid.to_string());
            let memory = process.resident_bytes.map(|bytes| format!("{} MiB", bytes >> 20));
            vec![process.name.clone(), pid, memory.unwrap_or_default()]
        })
        .collect();
    output::table(&["PROCESS", "PID", "MEMORY"], &processes);
    let nodes: Vec<Vec<String>> = report
        .nodes
        .iter()
        .map(|node| {
            let ready = if node.ready { "Ready" } else { "NotReady" };
            vec![node.name.clone(), ready.to_owned(), node.address.clone(), node.pod_cidr.clone()]
        })
        .collect();
    println!();
    output::table(&["NODE", "STATUS", "ADDRESS", "PODS"], &nodes);
    for problem in &report.problems {
        println!("\nproblem: {problem}");
    }
}
