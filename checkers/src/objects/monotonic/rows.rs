//! Rows of a read, with the adds that made them, and findings about single rows.
use super::{Add, Adds, Flaws};
use crate::calls::part;
use crate::history::{History, Op};
use crate::value::{Kind, ValueRef};
use crate::verdict::Violation;
use crate::verdict::messages;

/// A database's timestamp: a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp<'h> {
    pub(super) whole: i128,
    /// Digits behind the point, without zeros at the end: ordered as texts.
    pub(super) fraction: &'h str,
}

impl<'h> Stamp<'h> {
    /// From an integer or a text. Negative decimals are not timestamps.
    fn parse(value: ValueRef<'h>) -> Option<Stamp<'h>> {
        let text = match value.kind() {
            Kind::Int(number) => return Some(Stamp { whole: i128::from(number), fraction: "" }),
            Kind::Text(text) => text,
            _ => return None,
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        Some(Stamp { whole: whole.parse().ok()?, fraction: fraction.trim_end_matches('0') })
    }
}

/// A row of a read.
#[derive(Clone, Copy)]
pub(super) struct Row<'h> {
    pub(super) id: u32,
    pub(super) stamp: Stamp<'h>,
    /// The add that may have made it.
    pub(super) add: Option<Add>,
}

/// The rows of a read that are rows, and whether some are not.
pub(super) fn rows<'h>(adds: &mut Adds<'h>, read: &Op<'h>) -> (Vec<Row<'h>>, bool) {
    let list = read.output.as_list().unwrap_or_default();
    let mut rows = Vec::with_capacity(list.len());
    for item in list.iter() {
        let of = |at: usize, name: &str| item.as_list().and_then(|row| row.get(at)).or_else(|| part(item, name));
        let value = of(0, "val").filter(|value| !value.is_nil());
        let stamp = of(1, "sts").and_then(Stamp::parse);
        let (Some(value), Some(stamp)) = (value, stamp) else { continue };
        let id = adds.elements.number(value);
        if id as usize == adds.tried.len() {
            adds.tried.push(None);
        }
        let add = adds.tried[id as usize].filter(|_| !adds.ambiguous.contains(&id));
        rows.push(Row { id, stamp, add });
    }
    let malformed = rows.len() < list.len();
    (rows, malformed)
}

/// Findings about lost, unexpected and duplicated rows.
pub(super) fn violations<'h>(
    history: &'h History,
    adds: &Adds<'h>,
    reads: &[Op<'h>],
    found: &Flaws<'h>,
) -> Vec<Violation<'h>> {
    let mut violations = Vec::new();
    if let Some(&add) = found.lost.first() {
        let chosen = part(add.output, "val").unwrap_or(add.output);
        let value = if add.input.is_nil() { chosen } else { add.input };
        let settled = reads.iter().any(|read| read.settle);
        let mut last: Vec<Op<'_>> = reads.iter().filter(|read| read.settle).copied().collect();
        if !settled {
            last.extend(reads.last());
        }
        let whole = last.len() <= 6;
        last.truncate(6);
        last.push(add);
        let count = messages::count(found.lost.len(), "acknowledged row");
        let title = format!("{count} lost, e.g. {value}, acknowledged as #{}", add.call);
        let mut violation = Violation::new("lost-row", title, value.to_value(), last).times(found.lost.len());
        violation.certified = whole;
        violations.push(violation.why("No last read has it, though all began after it was acknowledged.".to_owned()));
    }
    if let Some(&(id, read)) = found.duplicated.first() {
        let value = adds.elements.value(id);
        let title = format!("{value} is in two rows of #{}", read.call);
        violations
            .push(Violation::new("duplicate-row", title, value.to_value(), vec![read]).times(found.duplicated.len()));
    }
    if let Some(&(id, read)) = found.unexpected.first() {
        let value = adds.elements.value(id);
        let mut ops = vec![read];
        ops.extend(adds.tried.get(id as usize).copied().flatten().map(|add| add.op(history)));
        ops.extend(adds.refused.iter().filter(|(other, _)| *other == id).map(|(_, op)| *op).take(2));
        let in_vain = adds.refused.iter().find(|(other, op)| *other == id && op.call < read.reply);
        let title = match in_vain.filter(|_| adds.tried.get(id as usize).copied().flatten().is_none()) {
            Some((_, add)) => format!("{value} is in #{}, but its add #{} was refused", read.call, add.call),
            None => format!("{value} is in #{}, but no add can have put it there by then", read.call),
        };
        let why = if ops.len() == 1 {
            format!("No add of {value} was ever called.")
        } else {
            format!("No add of {value} that may have happened was called before #{} ended.", read.call)
        };
        let violation = Violation::new("unexpected-row", title, value.to_value(), ops).times(found.unexpected.len());
        violations.push(violation.why(why));
    }
    violations
}
