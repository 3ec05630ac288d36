//! The whole system from outside: real clusters, real containers, real clients, as a user sees them.
//!
//! Every test has a cluster of its own, in a slot of names and addresses that nobody else uses, and at its end
//! nothing of it may be left on the machine. Needs root; without it every test says SKIPPED.

#[cfg(test)]
mod e2e {
    pub(crate) mod cluster;
    pub(crate) mod leftovers;
    pub(crate) mod slot;
    pub(crate) mod wait;

    pub(crate) mod shop;

    mod containers;
    mod documentation;
    mod examples;
    mod faults;
    mod lifecycle;
    mod mistakes;
    mod supermarket;
    mod users;
}
