//! What single reads of transactions must not show (Adya 1999; Kingsbury and Alvaro, VLDB 2020). The subject is the key and
//! the version, or what else it is about.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use crate::mops::{Deed, Mop, base, mops, own_before, reads, wrote};
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("G1a", "A transaction read what only a failed one wrote.", aborted),
    rule("G1b", "A transaction read what its writer overwrote itself.", intermediate),
    rule("dirty-update", "A committed element follows one of a failed transaction.", dirty_update),
    rule("internal", "A transaction's read contradicts what it did or read before.", internal),
    rule("duplicate-elements", "An element stands in a list more often than it was appended.", duplicates),
    rule("incompatible-order", "Two lists of one key cannot both be beginnings of one list.", incompatible),
    rule("lost-update", "Two transactions read the same version, and both overwrote it.", lost_update),
    rule("future-read", "A transaction read what only itself wrote, and later.", future),
    rule("garbage-read", "A transaction read what no transaction wrote.", garbage),
    rule("cyclic-versions", "Versions of a key come before themselves.", cyclic_versions),
];

/// Key and version.
fn about<'a>(case: &Case<'a>) -> Option<(&'a Value, &'a Value)> {
    match case.subject.as_array().map(Vec::as_slice) {
        Some([key, version]) => Some((key, version)),
        _ => None,
    }
}

/// Whether the step found this version, alone or in a list.
fn finds(step: &Mop, key: &Value, version: &Value) -> bool {
    step.deed == Deed::Read && step.key == *key && (step.value == *version || step.elements().contains(version))
}

fn found(op: &Op, key: &Value, version: &Value) -> bool {
    !version.is_null() && mops(op).iter().any(|step| finds(step, key, version))
}

/// Who may have written this version.
fn writers<'a>(case: &Case<'a>, key: &Value, version: &Value) -> Vec<&'a Op> {
    let all = case.workload().into_iter();
    all.filter(|op| op.outcome != Outcome::Fail && wrote(op, key, version)).collect()
}

fn aborted(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [one, two]) = (about(case)?, case.ops) else { return None };
    let (failed, reader) = if one.outcome == Outcome::Fail { (one, two) } else { (two, one) };
    let shown = failed.outcome == Outcome::Fail && wrote(failed, key, version) && found(reader, key, version);
    Some(case.one_workload() && shown && writers(case, key, version).is_empty())
}

fn intermediate(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [one, two]) = (about(case)?, case.ops) else { return None };
    let (writer, reader) = if wrote(one, key, version) { (one, two) } else { (two, one) };
    let steps = mops(writer);
    let own: Vec<&Mop> = steps.iter().filter(|step| step.writes() && step.key == *key).collect();
    let overwritten = own.iter().position(|step| step.value == *version).is_some_and(|at| at + 1 < own.len());
    let again = own.last().is_some_and(|last| last.value == *version);
    let read = mops(reader);
    let left = |at: usize| match read[at].value.is_array() {
        true => base(&read, at).last() == Some(version),
        false => !own_before(&read, at) && read[at].value == *version,
    };
    let seen = reads(&read, key).any(left);
    let sole = matches!(writers(case, key, version)[..], [only] if only.call == writer.call);
    Some(case.one_workload() && !version.is_null() && overwritten && !again && seen && sole)
}

fn dirty_update(case: &Case<'_>) -> Option<bool> {
    let (key, pair) = about(case)?;
    let [element, follower] = pair.as_array()?.as_slice() else { return None };
    let failed = case.ops.iter().find(|op| op.outcome == Outcome::Fail)?;
    let writer = case.ops.iter().find(|op| op.outcome != Outcome::Fail && wrote(op, key, follower))?;
    let after = |step: &Mop| {
        let place = |wanted: &Value| step.elements().iter().position(|element| element == wanted);
        finds(step, key, element) && place(element) < place(follower)
    };
    let reads = |op: &&Op| op.ok() && op.call != writer.call && mops(op).iter().any(after);
    let reader = case.ops.iter().find(reads)?;
    let shown = wrote(failed, key, element) && writers(case, key, element).is_empty();
    Some(case.one_workload() && shown && case.only(&[failed, writer, reader]))
}

fn internal(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [reader]) = (about(case)?, case.ops) else { return None };
    let steps = mops(reader);
    let list = |at: usize| steps[at].value.is_array() || steps[at].value.is_null();
    let contradicts = |at: usize| {
        let own: Vec<&Value> =
            steps[..at].iter().filter(|step| step.writes() && step.key == *key).map(|step| &step.value).collect();
        let earlier = reads(&steps, key).filter(|&before| before < at);
        let lists = |step: &Mop| step.key == *key && (step.deed == Deed::Append || step.value.is_array());
        if list(at) && steps.iter().any(lists) && !steps.iter().any(|step| step.deed == Deed::Write) {
            let elements = steps[at].elements();
            let ends =
                elements.len() >= own.len() && elements[elements.len() - own.len()..].iter().eq(own.iter().copied());
            let other = earlier.into_iter().any(|before| base(&steps, before) != base(&steps, at));
            return (version.is_null() || steps[at].value == *version) && (!ends || other);
        }
        let other = match own.last() {
            Some(last) => **last != steps[at].value,
            None => earlier.into_iter().any(|before| steps[before].value != steps[at].value),
        };
        steps[at].value == *version && other
    };
    Some(reads(&steps, key).any(contradicts))
}

fn duplicates(case: &Case<'_>) -> Option<bool> {
    let (key, element) = about(case)?;
    let count = |op: &Op| {
        let lists = mops(op).into_iter().filter(|step| finds(step, key, element) && step.value.is_array());
        lists.map(|step| step.elements().iter().filter(|other| *other == element).count()).max().unwrap_or(0)
    };
    let reader = case.ops.iter().max_by_key(|op| count(op))?;
    let writer = case.ops.iter().find(|op| wrote(op, key, element))?;
    let appended =
        |op: &&Op| mops(op).iter().filter(|step| step.writes() && step.key == *key && step.value == *element).count();
    let times: usize = writers(case, key, element).iter().map(appended).sum();
    Some(case.one_workload() && case.only(&[reader, writer]) && count(reader) > times.max(1))
}

fn incompatible(case: &Case<'_>) -> Option<bool> {
    let (key, what) = about(case)?;
    if !case.one_workload() || case.ops.len() > 2 {
        return Some(false);
    }
    let steps: Vec<Vec<Mop>> = case.ops.iter().map(mops).collect();
    let lists: Vec<(usize, &[Value], &Value)> = (0..steps.len())
        .flat_map(|op| {
            reads(&steps[op], key).map(|at| (op, base(&steps[op], at), &steps[op][at].value)).collect::<Vec<_>>()
        })
        .collect();
    let begins = |one: &[Value], two: &[Value]| one.starts_with(two) || two.starts_with(one);
    let whole = |one: usize, two: usize| case.ops.len() == if one == two { 1 } else { 2 };
    let differ = lists.iter().any(|(one, list, shown)| {
        let named = what.is_null() || *shown == what;
        let grown = |value: &&Value| value.as_array().map_or(&[][..], Vec::as_slice).to_vec();
        let other = |(two, other, seen): &(usize, &[Value], &Value)| {
            // A transaction that reads its own elements has left such a list.
            let apart = if what.is_null() { !begins(list, other) } else { !begins(&grown(shown), &grown(seen)) };
            whole(*one, *two) && apart
        };
        named && lists.iter().any(other)
    });
    // A transaction's own elements stand in the order in which it appended them.
    let inverted = (0..steps.len()).any(|writer| {
        let own: Vec<&Value> =
            steps[writer].iter().filter(|step| step.writes() && step.key == *key).map(|step| &step.value).collect();
        let place = |element: &Value| own.iter().position(|other| *other == element);
        let pair = what.as_array().map(Vec::as_slice);
        lists.iter().any(|(reader, _, list)| {
            let at = |element: &Value| list.as_array()?.iter().position(|other| other == element);
            let turned = match pair {
                Some([element, follower]) => {
                    place(element).zip(place(follower)).is_some_and(|(one, two)| one < two)
                        && at(element).zip(at(follower)).is_some_and(|(one, two)| one > two)
                }
                _ => place(what).zip(at(what)).is_some_and(|(mine, seen)| {
                    own[..mine].iter().any(|earlier| at(earlier).is_none_or(|place| place > seen))
                }),
            };
            whole(writer, *reader) && turned
        })
    });
    Some(differ || inverted)
}

fn lost_update(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [one, two]) = (about(case)?, case.ops) else { return None };
    // What it read before it overwrote it.
    let updated = |op: &Op| {
        let steps = mops(op);
        let after = |at: usize| steps[at..].iter().any(|step| step.writes() && step.key == *key);
        let first = reads(&steps, key).find(|&at| !own_before(&steps, at) && after(at))?;
        Some((steps[first].value.clone(), steps[first].elements().to_vec()))
    };
    let ((first, list), (second, other)) = (updated(one)?, updated(two)?);
    let sole = |version: &Value| version.is_null() || writers(case, key, version).len() <= 1;
    // It may have read others, too.
    let overwrote = |op: &Op| {
        let steps = mops(op);
        let after = |at: usize| steps[at..].iter().any(|step| step.writes() && step.key == *key);
        reads(&steps, key).any(|at| !own_before(&steps, at) && after(at) && steps[at].value == *version)
    };
    let is_list = |value: &Value| value.is_array() || value.is_null();
    let same_list = version.is_null() && is_list(&first) && is_list(&second) && list == other;
    let same = overwrote(one) && overwrote(two) && sole(version);
    let alone = list.last().is_none_or(|last| !is_list(&first) || writers(case, key, last).len() <= 1);
    Some(case.one_workload() && one.ok() && two.ok() && (same_list && alone || same))
}

fn future(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [reader]) = (about(case)?, case.ops) else { return None };
    let steps = mops(reader);
    let later = |at: usize| steps[at..].iter().any(|step| step.writes() && step.key == *key && step.value == *version);
    let early = |at: usize| !steps[..at].iter().any(|step| step.writes() && step.key == *key && step.value == *version);
    let seen = reads(&steps, key).any(|at| finds(&steps[at], key, version) && early(at) && later(at));
    Some(!version.is_null() && seen && writers(case, key, version).iter().all(|op| op.call == reader.call))
}

fn garbage(case: &Case<'_>) -> Option<bool> {
    let ((key, version), [reader]) = (about(case)?, case.ops) else { return None };
    Some(found(reader, key, version) && !case.workload().iter().any(|op| wrote(op, key, version)))
}

fn cyclic_versions(case: &Case<'_>) -> Option<bool> {
    let (key, versions, assumes) = match case.subject.as_array().map(Vec::as_slice) {
        Some([key, versions]) => (key, versions.as_array()?, Vec::new()),
        Some([key, versions, assumes]) => {
            (key, versions.as_array()?, assumes.as_array()?.iter().filter_map(Value::as_str).collect())
        }
        _ => return None,
    };
    let assumed = |name: &str| assumes.contains(&name);
    // What its writer overwrote itself is the same version, as the operations show.
    let touches = |ops: &[&Op], op: &Op, version: &Value| {
        let steps = mops(op);
        let touch = |at: &usize| {
            let step = &steps[*at];
            let same =
                step.value == *version || ops.iter().any(|op| wrote(op, key, version) && wrote(op, key, &step.value));
            step.key == *key && same && (step.writes() || !own_before(&steps, *at))
        };
        Some(((0..steps.len()).find(touch)?, (0..steps.len()).rfind(touch)?))
    };
    // Whether these operations show that the one comes before the other.
    let before = |ops: &[&Op], one: &Value, other: &Value| {
        ops.iter().any(|first| {
            ops.iter().any(|second| {
                let Some(((early, _), (_, late))) = touches(ops, first, one).zip(touches(ops, second, other)) else {
                    return false;
                };
                let written = mops(second)[late].writes();
                let within = first.call == second.call && early < late && (written || !assumes.is_empty());
                let process = first.process == second.process && first.call < second.call;
                let realtime = first.end() < second.call;
                within || assumed("sequential-keys") && process || assumed("linearizable-keys") && realtime
            })
        })
    };
    let shows = |ops: &[&Op]| {
        let mut pairs = versions.iter().zip(versions.iter().cycle().skip(1));
        // Nothing comes before what a key was at first.
        if let [version] = &versions[..] {
            return !version.is_null() && before(ops, version, &Value::Null);
        }
        versions.len() > 1 && pairs.all(|(one, other)| before(ops, one, other))
    };
    let ops: Vec<&Op> = case.ops.iter().collect();
    let sole = versions.iter().all(|version| version.is_null() || writers(case, key, version).len() <= 1);
    let needed = |at: usize| {
        let rest: Vec<&Op> = ops.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, op)| *op).collect();
        !shows(&rest)
    };
    Some(case.one_workload() && sole && shows(&ops) && (0..ops.len()).all(needed))
}
