//! Images: where they are kept, how they come in, and what a container needs of them.
//!
//! Everything is content-addressed (OCI image specification). A [`Store`] is a directory that many processes use
//! at once: the command line fills it, node agents read from it. Images come in by [`load`] (OCI layouts and
//! `docker save` archives) or by [`pack`] (executables and the shared libraries that they need).
//!
//! This room must not know who runs the containers, nor fetch anything from a network.

pub mod limits;
pub mod load;
pub mod pack;
pub mod reference;
pub mod store;
pub mod unpack;

mod blob;
mod compression;
mod entries;
#[cfg(test)]
mod tars;

pub use limits::Limits;
pub use load::{LoadError, LoadOptions, load, load_path};
pub use pack::{ExtraFile, PackError, PackSpec, Packed, pack};
pub use reference::{Reference, ReferenceError};
pub use store::{Image, ImageConfig, ImageSummary, Removal, Store, StoreError};
