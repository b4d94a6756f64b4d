//! [`serial`]: whether the simplest explanation is right. If one order of all transactions, in which each sees everything
//! before it, explains what was read, then every level holds, and it does not matter which transactions see which.
use super::judge::given;
use super::view::View;
use crate::graph::Digraph;
use crate::verdict::Budget;

/// Appends that were never read, at most, at the end of a key that one of their transactions read before.
const TAIL: usize = 64;

/// Edges of a transaction, about.
const EDGES: usize = 6;

/// Whether the transactions are serializable with their sessions: writers, readers and overwriters of what was read form
/// no cycle. False where the order of some key's versions is not known, where it would be long to say,
/// or where the budget does not allow to ask.
pub(crate) fn serial(view: &View, budget: &Budget) -> bool {
    // The edges, then where they lead and how many lead to each node.
    let bytes = (view.len() * EDGES * 12 + view.keys() * 16) as u64;
    if bytes > budget.memory_bytes || (budget.expired)() {
        return false;
    }
    let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(view.len() * EDGES);
    given(view, |link| pairs.push((link.from, link.to)));
    // Of each key one node more: whoever read the whole chain comes before it, and it before the tail.
    let end = |key: u32| (view.len() + key as usize) as u32;
    for (key, versions) in view.versions.iter().enumerate() {
        let Some(chain) = versions.chain() else { return false };
        pairs.extend(chain.tail.iter().map(|&writer| (end(key as u32), writer)));
    }
    for reader in 0..view.len() as u32 {
        for read in view.reads(reader) {
            let Some(chain) = view.versions[read.key as usize].chain() else { return false };
            match chain.writers.get(read.place as usize) {
                Some(&next) if next != reader => pairs.push((reader, next)),
                Some(_) => {}
                None if chain.tail.is_empty() => {}
                None if view.writes(reader).binary_search(&read.key).is_err() => pairs.push((reader, end(read.key))),
                None if chain.tail.len() > TAIL => return false,
                None => {
                    let others = chain.tail.iter().filter(|&&writer| writer != reader);
                    pairs.extend(others.map(|&writer| (reader, writer)));
                }
            }
        }
    }
    Digraph::of_pairs(view.len() + view.keys(), &pairs).order().is_some()
}
