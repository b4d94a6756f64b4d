//! The hands on a node.
