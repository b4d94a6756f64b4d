//! Directed graphs over numbers: strongly connected components, topological orders, shortest paths and short cycles, one
//! mechanism for each. Every family uses them; they know neither operations nor transactions.
//!
//! Nothing here is recursive, since a path of a graph may be as long as the history. Components and orders take linear time; the
//! search for a short cycle is bounded in steps, and what it is bounded in is only how short the cycle is. The verifier has a
//! search of its own (`verifier/src/cycle.rs`), on purpose.
mod components;
mod cycle;
mod digraph;
mod search;

pub(crate) use components::{Components, Successors};
pub(crate) use cycle::cycle_of_each_component;
pub(crate) use digraph::Digraph;
pub(crate) use search::BreadthFirst;

/// "No node", and "no component" among the numbers of components.
pub(crate) const NONE: u32 = u32::MAX;

/// An edge: from, to, and the label of its graph.
pub(crate) type Edge<L> = (u32, u32, L);

#[cfg(test)]
mod tests;
