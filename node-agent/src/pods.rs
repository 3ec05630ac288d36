//! From assignments to running containers and back.
