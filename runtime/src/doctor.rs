//! What the kernel and the machine must offer, checked one by one. Only looks; changes nothing that lasts.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What, in a few words, e.g. `cgroup memory controller`.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What would make it right; empty if it is.
    pub remedy: String,
}

/// How a [`Check`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, with less.
    Degraded,
    /// Containers cannot run.
    Missing,
}

/// Looks at everything.
#[must_use]
pub fn checks() -> Vec<Check> {
    Vec::new()
}
