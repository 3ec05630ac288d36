//! How this machine's control groups are laid out: v1, hybrid (v1 with a v2 hierarchy beside it) or v2. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The controllers that we use.
const USED: [&str; 5] = ["memory", "cpu", "cpuacct", "cpuset", "pids"];

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One hierarchy per controller or set of controllers.
    V1 {
        /// By controller.
        hierarchies: BTreeMap<&'static str, V1Hierarchy>,
        /// The v2 hierarchy beside them, without controllers of ours; the layout is called hybrid then.
        unified: Option<PathBuf>,
    },
    /// One hierarchy for all.
    V2 {
        /// Where it is mounted.
        root: PathBuf,
        /// What can be limited.
        controllers: Vec<&'static str>,
    },
}

/// One v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct V1Hierarchy {
    /// Where it is mounted.
    pub(crate) mount_point: PathBuf,
    /// The controllers it was mounted with, as mount(8) takes them: `cpu,cpuacct`.
    pub(crate) options: String,
}

impl Layout {
    pub(crate) fn is_v2(&self) -> bool {
        matches!(self, Self::V2 { .. })
    }

    pub(crate) fn v2_root(&self) -> Option<&Path> {
        match self {
            Self::V1 { .. } => None,
            Self::V2 { root, .. } => Some(root),
        }
    }

    pub(crate) fn unified_beside_v1(&self) -> Option<&Path> {
        match self {
            Self::V1 { unified, .. } => unified.as_deref(),
            Self::V2 { .. } => None,
        }
    }

    /// The controllers in use, as cgroups-rs names them.
    pub(crate) fn controllers(&self) -> Vec<String> {
        match self {
            Self::V1 { hierarchies, .. } => hierarchies.keys().map(|&name| name.into()).collect(),
            Self::V2 { controllers, .. } => controllers.iter().map(|&name| name.into()).collect(),
        }
    }

    /// The v1 hierarchies in use, each once.
    pub(crate) fn v1_hierarchies(&self) -> Vec<&V1Hierarchy> {
        let Self::V1 { hierarchies, .. } = self else { return Vec::new() };
        let mut distinct: Vec<&V1Hierarchy> = Vec::new();
        for hierarchy in hierarchies.values() {
            if !distinct.contains(&hierarchy) {
                distinct.push(hierarchy);
            }
        }
        distinct
    }

    /// The root directory of every hierarchy in use.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1_hierarchies().into_iter().map(|hierarchy| hierarchy.mount_point.as_path());
        v1.chain(self.unified_beside_v1()).chain(self.v2_root())
    }

    pub(crate) fn memory_root(&self) -> &Path {
        self.root_of("memory")
    }

    /// The root of the hierarchy that has `controller`; of any, if none has.
    pub(crate) fn root_of(&self, controller: &str) -> &Path {
        match self {
            Self::V1 { hierarchies, .. } => match hierarchies.get(controller) {
                Some(hierarchy) => &hierarchy.mount_point,
                None => Path::new("/sys/fs/cgroup"),
            },
            Self::V2 { root, .. } => root,
        }
    }
}

/// Reads the layout from the text of `/proc/self/mountinfo` (proc(5)) and, for v2, of the root's
/// `cgroup.controllers`. `None` if no control groups are mounted.
pub(crate) fn layout(mountinfo: &str, v2_controllers: &str) -> Option<Layout> {
    let mut hierarchies = BTreeMap::new();
    let mut unified = None;
    for (mount_point, kind, options) in mountinfo.lines().filter_map(cgroup_mount) {
        if kind == "cgroup2" {
            unified.get_or_insert(PathBuf::from(mount_point));
            continue;
        }
        let used: Vec<&'static str> =
            USED.into_iter().filter(|name| options.split(',').any(|option| option == *name)).collect();
        for &name in &used {
            let hierarchy = V1Hierarchy { mount_point: mount_point.into(), options: used.join(",") };
            hierarchies.entry(name).or_insert(hierarchy);
        }
    }
    if !hierarchies.is_empty() {
        return Some(Layout::V1 { hierarchies, unified });
    }
    let offered: Vec<&str> = v2_controllers.split_whitespace().collect();
    let controllers = USED.into_iter().filter(|name| offered.contains(name)).collect();
    unified.map(|root| Layout::V2 { root, controllers })
}

/// The mount point, the type and the super block's options of one line that mounts control groups.
fn cgroup_mount(line: &str) -> Option<(&str, &str, &str)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mount_point = mount.split(' ').nth(4)?;
    let mut fields = filesystem.split(' ');
    let kind = fields.next().filter(|kind| *kind == "cgroup" || *kind == "cgroup2")?;
    Some((mount_point, kind, fields.nth(1).unwrap_or("")))
}

/// cpu.shares (2 to 262144) as cpu.weight (1 to 10000), linearly, as runc and crun do it.
pub(crate) fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

/// What to write for a memory `limit` and the spec's `swap` (memory and swap together): v1 takes the sum, v2 the
/// swap alone. No swap at all unless the spec grants some.
pub(crate) fn swap_value(limit: i64, swap: Option<i64>, v2: bool) -> i64 {
    match swap {
        Some(-1) => -1,
        total => {
            let total = total.unwrap_or(limit).max(limit);
            if v2 { total - limit } else { total }
        }
    }
}
