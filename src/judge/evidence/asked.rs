//! What evidence will ask of a run, in words, by the rules and thresholds that weigh it.
use super::{per_kind_min, recoveries_min};
use crate::judge::Rules;
use crate::plan::LIVENESS;
use crate::targets::TargetFacts;
use dsfuzz_nemesis::{IN_FORCE_MIN, Span, SwarmDraw};

/// The thresholds of a run on this number of nodes, one sentence each. `swarm`: what its seed drew.
pub fn asked(rules: &Rules, facts: &TargetFacts, nodes: usize, swarm: Option<&SwarmDraw>) -> Vec<String> {
    let Some(asked) = &rules.evidence else { return Vec::new() };
    let mut lines = vec![format!("{} calls that are Ok, and {} of all calls", asked.ok_min, asked.ok_fraction_min)];
    lines.push(match asked.nodes_asked_min {
        None => "every node asked by a client of the load".to_owned(),
        Some(min) => format!("{min} nodes asked by a client of the load"),
    });
    if let Some(scheduled) = rules.scheduled.as_ref().filter(|scheduled| !scheduled.is_empty()) {
        lines.push(format!("each fault of the schedule proven to be in force: {}", scheduled.join(", ")));
    }
    let election = Span(facts.election());
    let leader = if facts.failover { "" } else { " and its leader" };
    for kind in rules.kinds.iter().filter(|kind| swarm.is_none_or(|swarm| !swarm.did_not_draw(kind))) {
        let proven = match per_kind_min(asked, rules, kind) {
            0 => String::new(),
            min => format!("proven {min} times for {} or longer; ", Span(IN_FORCE_MIN)),
        };
        let ok = asked.ok_during_fault_min.of(kind);
        lines.push(format!(
            "{kind}: {proven}{ok} calls Ok while it leaves a majority{leader} for longer than an election ({election}), else calls Ok \
             before it and after its heal"
        ));
    }
    if !rules.kinds.is_empty() {
        let rate = rules.asked_min(nodes);
        let rate = (rate > 0.0).then(|| format!(", and each node asked {rate:.1} times a second meanwhile"));
        lines.push(format!("every fault that began proven to be healed{}", rate.unwrap_or_default()));
    }
    if !rules.kinds.is_empty() && facts.leads && facts.failover {
        let changes = asked.leader_changes_min;
        lines.push(format!("changes of leader: {changes}, where a fault that can move the leader is aimed at it"));
    }
    if rules.checkers.iter().any(|(name, _)| name == LIVENESS) && !rules.kinds.is_empty() {
        let (some, of) = (recoveries_min(2), 2);
        lines.push(format!(
            "recovery judged by {LIVENESS} after {some} of {of} heals, and for {some} of {of} recoveries of nodes"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::plan::Plan;
    use crate::store::RunInfo;

    fn rules_and_lines(nemesis: &str) -> (Rules, String) {
        let text = format!(
            "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\nload: {{time: 5m}}\nnemesis: {nemesis}\n\
             evidence: {{proven_per_kind_min: {{kill: 3}}}}\n"
        );
        let facts = TargetFacts { leads: true, failover: true, ..TargetFacts::default() };
        let rules = Rules::of_plan(&Plan::from_yaml_str(&text).expect("a plan"), &facts);
        let lines = asked(&rules, &facts, 3, None).join("\n");
        (rules, lines)
    }

    #[test]
    fn what_is_asked_is_what_is_weighed() {
        for (nemesis, proven) in [
            ("{faults: [{kill: {}}, {pause: {}}]}", true),
            ("{schedule: [{id: a, at: 5s, kill: {}}, {id: b, at: 9s, pause: {}}]}", false),
        ] {
            let (rules, lines) = rules_and_lines(nemesis);
            let weighed = judge(&dsfuzz_checkers::History::default(), &rules, &RunInfo::default()).evidence;
            let row = |name: &str| weighed.iter().find(|row| row.name == name);
            let min = row("proven_kill").expect("a row").at_least;
            assert_eq!(lines.contains("kill: proven 3 times"), min == 3.0, "{nemesis}: {lines}");
            assert_eq!(lines.contains("kill: proven"), proven, "{nemesis}: {lines}");
            let scheduled = row("scheduled_faults").map(|row| row.at_least);
            assert_eq!(scheduled, (!proven).then_some(2.0), "{nemesis}");
            assert_eq!(lines.contains("each fault of the schedule proven to be in force: a, b"), !proven, "{lines}");
        }
        // A fault that evidence does not ask for; a schedule with none that it asks for.
        for (first, second, least) in [(true, false, Some(1.0)), (false, false, None)] {
            let (rules, lines) = rules_and_lines(&format!(
                "{{schedule: [{{id: a, at: 5s, evidence: {first}, kill: {{}}}}, {{id: b, at: 9s, evidence: {second}, pause: {{}}}}]}}"
            ));
            let weighed = judge(&dsfuzz_checkers::History::default(), &rules, &RunInfo::default()).evidence;
            let at_least = |name: &str| weighed.iter().find(|row| row.name == name).map(|row| row.at_least);
            assert_eq!(at_least("scheduled_faults"), least, "{lines}");
            assert_eq!((at_least("proven_kill"), at_least("proven_pause")), (Some(0.0), Some(0.0)), "{lines}");
            assert_eq!(lines.contains("each fault of the schedule proven to be in force: a\n"), first, "{lines}");
        }
        let (_, lines) = rules_and_lines("{recovery: {within: 10s}, faults: [{kill: {}}]}");
        assert!(lines.contains("recovery judged by liveness after 1 of 2 heals"), "{lines}");
    }
}
