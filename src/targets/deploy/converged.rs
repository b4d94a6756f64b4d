//! [`why_not`]: whether the answers of nodes are those of converged replicas. Pure.
use super::super::node_commands;
use super::super::probe::{Condition, Pick};
use super::super::recipe::{Converged, Copies};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one node says, with the rules that are filled in for it.
struct Answer<'a, R> {
    node: &'a str,
    rules: &'a R,
    text: &'a str,
}

/// The reasons why these answers are not those of converged replicas. Each answer is compared with the rules of its own node.
pub(super) fn why_not(nodes: &[&str], answers: &[Result<String, String>], rules: &[&Converged]) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut given = Vec::new();
    for ((node, answer), rules) in nodes.iter().zip(answers).zip(rules.iter().copied()) {
        match answer {
            Err(problem) => reasons.push(format!("{node}: {problem}")),
            Ok(text) => {
                let broken = rules.conditions.iter().filter(|condition| !condition.holds(text));
                reasons.extend(broken.map(|condition| format!("{node}: not so that {condition}")));
                given.push(Answer { node, rules, text });
            }
        }
    }
    if !reasons.is_empty() {
        return reasons;
    }
    reasons.extend(not_one(&given, |rules| &rules.one, "node"));
    reasons.extend(disagreements(&given, |rules| &rules.agree));
    reasons.extend(why_copies_differ(&given));
    reasons
}

/// Why not exactly one of them fits its rule.
fn not_one<R>(answers: &[Answer<R>], one: impl Fn(&R) -> &Vec<Condition>, what: &str) -> Option<String> {
    if answers.iter().all(|answer| one(answer.rules).is_empty()) {
        return None;
    }
    let fits = |answer: &&Answer<R>| one(answer.rules).iter().all(|condition| condition.holds(answer.text));
    let fitting: Vec<&str> = answers.iter().filter(fits).map(|answer| answer.node).collect();
    if fitting.len() == 1 {
        return None;
    }
    let asked = answers.iter().map(|answer| {
        let own = one(answer.rules).iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        format!("{}: {own}, its answer: {}", answer.node, node_commands::head(answer.text))
    });
    Some(format!(
        "exactly one {what} must fit its rule; there are {} ({}). {}",
        fitting.len(),
        fitting.join(", "),
        asked.collect::<Vec<_>>().join("; ")
    ))
}

/// The parts that are not the same in all answers.
fn disagreements<R>(answers: &[Answer<R>], agree: impl Fn(&R) -> &Vec<Pick>) -> Vec<String> {
    let Some(first) = answers.first() else { return Vec::new() };
    let differing = agree(first.rules).iter().enumerate().filter_map(|(number, part)| {
        let own = |answer: &Answer<R>| agree(answer.rules).get(number).unwrap_or(part).of(answer.text);
        let values: Vec<Option<String>> = answers.iter().map(own).collect();
        if values.iter().all(|value| value.is_some() && *value == values[0]) {
            return None;
        }
        let seen = answers.iter().zip(&values);
        let seen = seen.map(|(answer, value)| format!("{}: {}", answer.node, value.as_deref().unwrap_or("nothing")));
        Some(format!("{part} differs: {}", seen.collect::<Vec<_>>().join(", ")))
    });
    differing.collect()
}

/// Why the copies of what the nodes list are not the same.
fn why_copies_differ(answers: &[Answer<Converged>]) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut objects: BTreeMap<String, Vec<(&str, &Copies, String)>> = BTreeMap::new();
    let listing = answers.iter().filter_map(|answer| Some((answer, answer.rules.copies.as_ref()?)));
    for (answer, copies) in listing.clone() {
        let Ok(document) = serde_json::from_str::<Value>(answer.text) else {
            reasons.push(format!("{}: the answer is no JSON: {}", answer.node, node_commands::head(answer.text)));
            continue;
        };
        for entry in entries(&document, &copies.each).iter().map(ToString::to_string) {
            match copies.name.of(&entry) {
                Some(name) => objects.entry(name).or_default().push((answer.node, copies, entry)),
                None => reasons.push(format!("{}: an entry without {}", answer.node, copies.name)),
            }
        }
    }
    if let Some((_, copies)) = listing.clone().next().filter(|_| objects.is_empty() && reasons.is_empty()) {
        reasons.push(format!("no node lists anything at {}", copies.each));
    }
    for (name, found) in &objects {
        let held: Vec<Answer<'_, Copies>> =
            found.iter().map(|(node, rules, text)| Answer { node, rules: *rules, text }).collect();
        let why = miscounted(&held)
            .into_iter()
            .chain(not_one(&held, |copies| &copies.one, "copy"))
            .chain(disagreements(&held, |copies| &copies.agree));
        reasons.extend(why.map(|why| format!("{name}: {why}")));
    }
    reasons
}

/// Why there are not as many copies as each of them says.
fn miscounted(copies: &[Answer<Copies>]) -> Option<String> {
    let wanted = |copy: &Answer<Copies>| copy.rules.count.as_ref().map(|count| (count.of(copy.text), count.clone()));
    let (wanted, part) = copies
        .iter()
        .filter_map(wanted)
        .find(|(wanted, _)| wanted.as_ref().and_then(|wanted| wanted.parse::<usize>().ok()) != Some(copies.len()))?;
    let nodes: Vec<&str> = copies.iter().map(|copy| copy.node).collect();
    let wanted = wanted.as_deref().unwrap_or("nothing");
    Some(format!("{} copies ({}), and {part} is {wanted}", copies.len(), nodes.join(", ")))
}

/// All that a JSON pointer with `*` for any entry leads to.
pub(super) fn entries<'a>(document: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut found = vec![document];
    for token in pointer.split('/').skip(1) {
        found = found.into_iter().flat_map(|value| children(value, token)).collect();
    }
    found
}

fn children<'a>(value: &'a Value, token: &str) -> Vec<&'a Value> {
    match (value, token) {
        (Value::Array(list), "*") => list.iter().collect(),
        (Value::Object(object), "*") => object.values().collect(),
        (value, token) => value.pointer(&format!("/{token}")).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(value: Value) -> Converged {
        serde_json::from_value(value).expect("rules")
    }

    /// Streams as a server of NATS lists them: name, leader, whether the leader's replicas are current, last sequence.
    fn answer(streams: &[(&str, &str, bool, u64)]) -> Result<String, String> {
        let stream = |(name, leader, current, last): &(&str, &str, bool, u64)| {
            json!({"name": name, "config": {"num_replicas": 2}, "state": {"last_seq": last},
                   "cluster": {"leader": leader, "replicas": [{"name": "other", "current": current}]}})
        };
        Ok(json!({"account_details": [{"stream_detail": streams.iter().map(stream).collect::<Vec<_>>()}]}).to_string())
    }

    fn of_streams(answers: &[Result<String, String>]) -> Vec<String> {
        let nodes = ["n1", "n2", "n3"];
        let rules = nodes.map(|node| {
            rules(json!({"ask": {"tcp": "http"}, "copies": {
                "each": "/account_details/*/stream_detail/*", "name": {"json": "/name"}, "count": {"json": "/config/num_replicas"},
                "one": [{"is": {"of": {"json": "/cluster/leader"}, "value": node}}, {"absent": {"regex": "\"current\":false"}}],
                "agree": [{"json": "/state/last_seq"}]}}))
        });
        why_not(&nodes, answers, &rules.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_node_without_a_copy_is_not_compared() {
        // Two streams on two of three nodes each. Only a leader knows whether its replicas are current.
        let right = [
            answer(&[("a", "n1", true, 7)]),
            answer(&[("a", "n1", false, 7), ("b", "n3", false, 9)]),
            answer(&[("b", "n3", true, 9)]),
        ];
        assert_eq!(of_streams(&right), Vec::<String>::new());
        let changed = |at: usize, streams: &[(&str, &str, bool, u64)]| {
            let mut answers = right.clone();
            answers[at] = answer(streams);
            of_streams(&answers).join("; ")
        };
        for (at, streams, expected) in [
            (2, vec![("b", "n3", true, 8)], "b: /state/last_seq differs: n2: 9, n3: 8"),
            (2, vec![("b", "n3", false, 9)], "b: exactly one copy must fit its rule; there are 0"),
            (2, vec![], "b: 1 copies (n2), and /config/num_replicas is 2"),
            (0, vec![("a", "n1", true, 7), ("b", "n3", false, 9)], "b: 3 copies (n1, n2, n3), and"),
        ] {
            let found = changed(at, &streams);
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn nothing_listed_is_no_agreement() {
        let nothing = || answer(&[]);
        assert_eq!(
            of_streams(&[nothing(), nothing(), nothing()]),
            ["no node lists anything at /account_details/*/stream_detail/*"]
        );
        let told = of_streams(&[nothing(), Ok("bad gateway".to_owned()), nothing()]);
        assert_eq!(told, ["n2: the answer is no JSON: bad gateway"]);
    }

    #[test]
    fn a_pointer_with_stars_leads_to_every_entry() {
        let document = json!({"a": [{"x": 1}, {"y": 2}, {"x": {"k": 3, "l": 4}}], "b/c": {"x": 5}});
        let found = |pointer: &str| entries(&document, pointer).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(found("/a/*/x"), [json!(1), json!({"k": 3, "l": 4})]);
        assert_eq!(found("/a/2/x/*"), [json!(3), json!(4)]);
        assert_eq!(found("/b~1c/*"), [json!(5)]);
        assert!(found("/nothing/*").is_empty());
    }
}
