//! How much of an image from outside is accepted. Each limit has a name, and a refusal says which it was.

/// What [`load`](super::load) accepts. The defaults let the largest images of daily life through.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A whole archive, before decompression and after.
    pub archive_bytes: u64,
    /// Entries of a whole archive, before any layer is looked into.
    pub archive_entries: u64,
    /// Manifests, indexes and configurations.
    pub manifest_bytes: u64,
    /// Layers of one image; the kernel stacks at most 500.
    pub layers: usize,
    /// Images of one archive.
    pub images: usize,
    /// Indexes within indexes.
    pub index_depth: usize,
    /// One layer, decompressed.
    pub layer_bytes: u64,
    /// Entries of one layer.
    pub layer_entries: u64,
    /// Bytes of a path or of a link's target; the kernel's own limit is 4096.
    pub path_bytes: usize,
    /// Components of a path.
    pub path_depth: usize,
    /// Extended headers of one entry (long names, attributes).
    pub header_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        Self {
            archive_bytes: 64 * GIB,
            archive_entries: 10_000,
            manifest_bytes: 4 * MIB,
            layers: 127,
            images: 256,
            index_depth: 4,
            layer_bytes: 16 * GIB,
            layer_entries: 1_000_000,
            path_bytes: 4096,
            path_depth: 128,
            header_bytes: MIB,
        }
    }
}
