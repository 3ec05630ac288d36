//! The pod network, services and DNS of one node.
