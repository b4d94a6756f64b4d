//! [`Replicated`]: what all nodes hold, and what one node alone holds because a change never left it.
use std::collections::HashMap;
use std::sync::Arc;

/// A value on each node.
#[derive(Clone, Default)]
pub(super) struct Replicated<V> {
    everywhere: V,
    apart: HashMap<Arc<str>, V>,
}

impl<V: Clone> Replicated<V> {
    /// What the node holds.
    pub(super) fn at(&self, node: &str) -> &V {
        self.apart.get(node).unwrap_or(&self.everywhere)
    }

    /// Changes the value on all nodes, or on this one alone. Where a node differs from the others, a change of all reaches it too.
    pub(super) fn change(&mut self, node: &Arc<str>, alone: bool, change: impl Fn(&mut V)) {
        if alone {
            change(self.apart.entry(node.clone()).or_insert_with(|| self.everywhere.clone()));
            return;
        }
        change(&mut self.everywhere);
        self.apart.values_mut().for_each(change);
    }
}
