//! What the processes of a group have used, and whether the kernel had to kill.

use std::fs;
use std::path::Path;

use super::Cgroup;
use crate::protocol::Stats;

impl Cgroup<'_> {
    /// Memory, processor time, processes. Zeroes where the kernel has no answer (any more).
    pub(crate) fn stats(&self) -> Stats {
        let memory = self.directory("memory");
        let (usage, inactive) = if self.layout.is_v2() {
            ("memory.current", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file")
        };
        let memory_bytes = number(&memory.join(usage));
        let inactive_bytes = keyed(&memory.join("memory.stat"), inactive);
        Stats {
            memory_bytes,
            working_set_bytes: memory_bytes.saturating_sub(inactive_bytes),
            cpu_ns: self.cpu_ns(),
            pids: number(&self.directory("pids").join("pids.current")),
            oom_kills: self.oom_kills(),
        }
    }

    /// How many processes the kernel has killed inside for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let file = if self.layout.is_v2() { "memory.events" } else { "memory.oom_control" };
        keyed(&self.directory("memory").join(file), "oom_kill")
    }

    fn cpu_ns(&self) -> u64 {
        if self.layout.is_v2() {
            keyed(&self.directory("cpu").join("cpu.stat"), "usage_usec") * 1000
        } else {
            number(&self.directory("cpuacct").join("cpuacct.usage"))
        }
    }

    fn directory(&self, controller: &str) -> std::path::PathBuf {
        self.layout.root_of(controller).join(&self.path)
    }
}

fn number(file: &Path) -> u64 {
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The number beside `key` in a file of `key number` lines.
fn keyed(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}
