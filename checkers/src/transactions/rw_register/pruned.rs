//! The fewest transactions that show a cycle of versions: a certificate holds nothing that is not needed.
use super::explain::Explain;
use super::versions::{Source, VersionOrder};
use crate::transactions::txn::{Mop, MopKind};
use crate::value::Value;

/// Transactions that are pruned at most: the time grows with the fifth power.
const PRUNED: usize = 12;

/// The transactions that are left, and one reason for the order of each two versions of the cycle.
pub(super) struct Pruned {
    pub(super) txns: Vec<u32>,
    pub(super) reasons: Vec<VersionOrder>,
}

impl Explain<'_, '_> {
    /// Leaves out each of these transactions but the needed ones, the last first, without which the others still show the orders.
    /// `None` where they do not show them themselves, or are too many to try.
    pub(super) fn pruned(
        &self,
        cycle: &[VersionOrder],
        mut txns: Vec<u32>,
        needed: &[u32],
        assumes: &[String],
    ) -> Option<Pruned> {
        txns.sort_unstable();
        txns.dedup();
        if txns.len() > PRUNED || cycle.len() > PRUNED {
            return None;
        }
        let mut reasons = self.reasons(cycle, &txns, assumes)?;
        for at in (0..txns.len()).rev() {
            if needed.contains(&txns[at]) {
                continue;
            }
            let mut rest = txns.clone();
            rest.remove(at);
            if let Some(others) = self.reasons(cycle, &rest, assumes) {
                (txns, reasons) = (rest, others);
            }
        }
        Some(Pruned { txns, reasons })
    }

    /// Of each two versions why the first comes before the second, as far as these transactions show it.
    fn reasons(&self, cycle: &[VersionOrder], txns: &[u32], assumes: &[String]) -> Option<Vec<VersionOrder>> {
        cycle.iter().map(|known| self.another_reason(known, txns, assumes)).collect()
    }

    fn another_reason(&self, known: &VersionOrder, txns: &[u32], assumes: &[String]) -> Option<VersionOrder> {
        let versions = [self.version(known.key, known.before), self.version(known.key, known.after)];
        let pairs = txns.iter().flat_map(|&one| txns.iter().map(move |&other| (one, other)));
        let reason = |(one, other): (u32, u32)| {
            let source = self.source((one, other), known.key, &versions, txns, assumes)?;
            Some(VersionOrder { source, one: self.number(one), other: self.number(other), ..*known })
        };
        let all = || pairs.clone().filter_map(reason);
        all().find(|other| other == known).or_else(|| all().next())
    }

    /// Why what the one transaction touched comes before what the other touched.
    fn source(
        &self,
        (one, other): (u32, u32),
        key: u32,
        versions: &[Value; 2],
        txns: &[u32],
        assumes: &[String],
    ) -> Option<Source> {
        let ((early, _), (_, late)) =
            self.touches(one, key, &versions[0], txns).zip(self.touches(other, key, &versions[1], txns))?;
        let assumed = |name: &str| assumes.iter().any(|assumed| assumed == name);
        let written = self.txns.mops(other)[late].writes();
        let (first, second) = (self.txns.txn(one), self.txns.txn(other));
        let process = self.txns.op(one).process == self.txns.op(other).process && first.call < second.call;
        if one == other && early < late && (written || !assumes.is_empty()) {
            Some(Source::Within)
        } else if assumed("sequential-keys") && process {
            Some(Source::Process)
        } else {
            (assumed("linearizable-keys") && first.end < second.call).then_some(Source::Realtime)
        }
    }

    /// The first and the last place where a transaction wrote this version, or read it before it wrote the key. What a writer
    /// overwrote itself is the same version, where the writer is one of these transactions.
    fn touches(&self, txn: u32, key: u32, version: &Value, txns: &[u32]) -> Option<(usize, usize)> {
        let mops = self.txns.mops(txn);
        let same = |value: &Value| {
            value == version
                || txns.iter().any(|&writer| self.wrote(writer, key, version) && self.wrote(writer, key, value))
        };
        let own_before = |at: usize| mops[..at].iter().any(|mop| mop.writes() && mop.key == key);
        let touch = |at: &usize| {
            let mop = &mops[*at];
            let seen = mop.kind() == MopKind::Read && !own_before(*at);
            mop.key == key && (mop.writes() || seen) && same(&self.value(mop))
        };
        Some(((0..mops.len()).find(touch)?, (0..mops.len()).rfind(touch)?))
    }

    fn wrote(&self, txn: u32, key: u32, version: &Value) -> bool {
        self.txns.mops(txn).iter().any(|mop| mop.writes() && mop.key == key && self.value(mop) == *version)
    }

    fn value(&self, mop: &Mop) -> Value {
        self.txns.value(mop.value).to_value()
    }
}
