//! What the parts of a cluster's network are called. Pure.
//!
//! An interface's name has at most 15 bytes and must say whose it is, so it carries a hash of the cluster's name.

/// The names of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    cluster: String,
    hash: u32,
}

impl Names {
    pub(super) fn new(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), hash: fnv1a(cluster) }
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn bridge(&self) -> String {
        format!("mki{:08x}", self.hash)
    }

    /// The machine's end of the pair that leads to the node of that number.
    pub(super) fn veth(&self, number: u16) -> String {
        format!("mki{:08x}n{number}", self.hash)
    }

    pub(super) fn is_our_veth(&self, name: &str) -> bool {
        name.strip_prefix(&format!("mki{:08x}n", self.hash)).is_some_and(is_number)
    }

    /// As `ip netns` lists it.
    pub(super) fn netns(&self, node: &str) -> String {
        format!("mki-{}-{node}", self.cluster)
    }

    /// Whether it is of a node of this cluster, and not of a cluster whose name begins with ours.
    pub(super) fn is_our_netns(&self, name: &str) -> bool {
        name.strip_prefix(&format!("mki-{}-node-", self.cluster)).is_some_and(is_number)
    }

    /// The table of nftables.
    pub(super) fn table(&self) -> String {
        format!("mki-{}", self.cluster)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The same in every version of this program, so that a later one finds what an earlier one made.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_the_kernel() {
        let names = Names::new(&"a-very-long-cluster-name".repeat(4));
        assert!(names.bridge().len() <= 15 && names.veth(999).len() <= 15, "{}", names.veth(999));
    }

    #[test]
    fn a_cluster_does_not_take_another_for_itself() {
        let (short, long) = (Names::new("shop"), Names::new("shop-node-1"));
        assert!(short.is_our_netns(&short.netns("node-1")));
        assert!(!short.is_our_netns(&long.netns("node-1")));
        assert!(!short.is_our_netns("mki-shop-node-"));
        assert!(!short.is_our_veth(&long.veth(1)));
        assert!(!short.is_our_veth(&short.bridge()));
        assert!(short.is_our_veth(&short.veth(12)));
    }

    #[test]
    fn names_stay_the_same_from_version_to_version() {
        assert_eq!(Names::new("default").bridge(), "mki933b5bde");
    }
}
