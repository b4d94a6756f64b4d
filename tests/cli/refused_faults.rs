//! Faults that a plan cannot have: the refusal names the entry, its line, and the name that was meant.
use super::*;

/// What `plan` says of these lines under `nemesis`, which it refuses.
fn said(nemesis: &str) -> String {
    let output = Scene::new(&(PLAN.replace("time: 10s", "time: 60s") + "nemesis:\n  " + nemesis + "\n"))
        .run(&["plan", "plan.yaml"]);
    assert_eq!(output.code, 254, "{nemesis}: {output:?}");
    output.stderr
}

#[test]
fn a_mistake_of_a_fault_has_its_place_and_the_name_that_was_meant() {
    for (nemesis, place, under, meant) in [
        (
            "faults: [{pause: {}}, {kill: {nodes: laeder}}]",
            "faults[1]`: kill: nodes: laeder is neither",
            "laeder",
            "leader",
        ),
        (
            "faults: [{kill: {nodes: {node: leader}}}]",
            "faults[0]`: kill: nodes: no node is called leader (n1, n2, n3)",
            "{node",
            "",
        ),
        ("faults: [{kill: {process: etdc}}]", "faults[0]`: kill: process: etdc is no process", "etdc", "etcd"),
        (
            "faults: [{partition: {ports: peeer}}]",
            "faults[0]`: partition: ports: the recipe has no port role peeer",
            "peeer",
            "peer",
        ),
        (
            "faults: [{own: {name: laeve}}]",
            "faults[0]`: own: name: the recipe defines no fault laeve",
            "laeve",
            "leave",
        ),
        (
            "faults: [{own: {name: other-version}}]",
            "faults[0]`: own: name: the recipe leaves out its fault other-version: it is there where `{{ options.other_version != 'none' }}`: \
             the option other_version is \"none\"; set `options: {etcd: {other_version: ..}}`, which takes none, debian or 3.5.1",
            "other-version",
            "",
        ),
        (
            "faults: [{own: {name: x, begin: 'true', prove: '{{ nope }}', heal: 'true', healed: 'true'}}]",
            "faults[0]`: own: prove: undefined value (in prove[0]:1); a text may use node",
            "'{{ nope }}'",
            "",
        ),
        (
            "faults: [{own: {name: x, begin: '{% if false %}x{% endif %}', prove: a, heal: a, healed: a}}]",
            "faults[0]`: own: begin: the command is empty with these options",
            "'{% if",
            "",
        ),
        (
            "faults: [{own: {name: x, begin: a, prove: a, heal: a, healed: ''}}]",
            "faults[0]`: own: healed: the command is empty",
            "''",
            "",
        ),
        (
            "schedule: [{id: a, at: 9s, kill: {nodes: folower}}]",
            "schedule[0]`: fault a: kill: nodes: folower is",
            "folower",
            "follower",
        ),
        (
            "schedule: [{id: kill-n1, at: 9s, kill: {}}, {id: b, when: {fault: kil-n1}, pause: {}}]",
            "schedule[1]`: fault b: when: fault: no fault of the schedule is called kil-n1",
            "kil-n1",
            "kill-n1",
        ),
        (
            "schedule: [{id: cut, at: 9s, kill: {}}, {id: b, at: 20s, pause: {nodes: {same_as: cutt.leader}}}]",
            "schedule[1]`: fault b: pause: nodes: same_as: no fault of the schedule is called cutt",
            "cutt",
            "cut",
        ),
        (
            "schedule: [{id: a, when: {role: leadr}, kill: {}}]",
            "schedule[0]`: fault a: when: role: the recipe of etcd names no role leadr",
            "leadr",
            "leader",
        ),
        (
            "schedule: [{id: a, at: 9s, power-loss: {torn: 200}}]",
            "schedule[0]`: fault a: power-loss: torn: 200",
            "200",
            "",
        ),
        ("schedule: [{id: a, at: 2m, kill: {}}]", "schedule[0]`: fault a cannot come: it would end", "{id", ""),
    ] {
        let said = said(nemesis);
        assert!(said.contains(&format!("`nemesis.{place}")), "{place}: {said}");
        let column =
            said.lines().find_map(|line| line.split_once("--> plan.yaml:")?.1.split_once(':')?.1.parse::<usize>().ok());
        let column = column.unwrap_or_else(|| panic!("no line: {said}"));
        let line: String = format!("  {nemesis}").chars().skip(column - 1).collect();
        assert!(line.starts_with(under), "{under}: {said}");
        assert!(meant.is_empty() || said.contains(&format!("did you mean `{meant}`?")), "{meant}: {said}");
    }
    let role = said("schedule: [{id: a, at: 9s, kill: {}}, {id: b, at: 20s, kill: {nodes: {same_as: a.leadr}}}]");
    assert!(role.contains("unknown name `leadr`") && role.contains("did you mean `leader`?"), "{role}");
    let plan = PLAN.replace("time: 10s", "time: 60s") + "nemesis: {faults: [kill]}\n";
    let flag = Scene::new(&plan).run(&["plan", "plan.yaml", "--set", "nemesis.faults.0.kill.nodes=on"]);
    assert!(flag.code == 254 && flag.stderr.contains("--> --set nemesis.faults.0.kill.nodes=on"), "{flag:?}");
}

#[test]
fn a_fault_that_cannot_take_its_nodes_or_cannot_come_is_refused() {
    for (nemesis, part) in [
        (
            "faults: [{own: {name: leave, nodes: all}}]",
            "faults[0]`: own: nodes: leave takes at most 1 of 3 nodes at the same time, and this aim up to 3",
        ),
        (
            "schedule: [{id: a, at: 9s, own: {name: join, nodes: [n1, n2]}}]",
            "schedule[0]`: fault a: own: nodes: join takes at most 1 of 3",
        ),
        (
            "faults: [{kill: {nodes: {first: 5, of: [n1, n2]}}}]",
            "faults[0]`: kill: nodes: first: 5 nodes are asked for, and `of` names 2",
        ),
        (
            "faults: [{kill: {nodes: {first: 2, of: [n1, n1]}}}]",
            "kill: nodes: first: 2 nodes are asked for, and `of` names 1",
        ),
        ("faults: [{partition: {cut: [spare, spare]}}]", "faults[0]`: partition: cut: spare: an earlier side"),
        (
            "faults: [{partition: {cut: [one, n1]}}]",
            "at least with some of its draws: name nodes that are on no other side, or write `others`",
        ),
        (
            "schedule: [{id: a, at: 9s, partition: {cut: [leader, followers, others]}}]",
            "schedule[0]`: fault a: partition: cut: others: no node is left, whichever node leads",
        ),
        (
            "schedule: [{id: a, when: {ok: 100000000}, kill: {}}]",
            "schedule[0]`: fault a: when: ok: 100000000 calls are asked for, and the load makes at most",
        ),
    ] {
        let said = said(nemesis);
        assert!(said.contains(part), "{part}: {said}");
    }
    let accepted = |nemesis: &str| {
        let plan = PLAN.replace("time: 10s", "time: 120s") + "nemesis:\n  " + nemesis + "\n";
        let output = Scene::new(&plan).run(&["plan", "plan.yaml"]);
        assert_eq!(output.code, 0, "{nemesis}: {output:?}");
        output.stderr
    };
    for rolling in ["{name: replace, nodes: all, rolling: true, for: 40s}", "{name: leave, nodes: minority}"] {
        let said = accepted(&format!("faults: [{{own: {rolling}}}]"));
        assert!(!said.contains("every node"), "{said}");
    }
    for (nemesis, part) in [
        (
            "faults: [{partition: {cut: [leader, n1]}}]",
            "`nemesis.faults[0]`: partition: cut: n1: an earlier side of the cut has these nodes already, depending on which node leads",
        ),
        ("{overlap: 3, faults: [kill]}", "`nemesis.overlap`: faults of one kind never overlap"),
        ("{quiet: {every: 10m, for: 10s}, faults: [kill]}", "`nemesis.quiet`: its first stretch begins 9m 50s after"),
        (
            "{recovery: {within: 20s}, overlap: 2, faults: [kill, pause]}",
            "`nemesis.recovery`: within: 20s is longer than `every` (10s): beside `overlap`",
        ),
    ] {
        let said = accepted(nemesis);
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_fault_that_stands_exactly_obeys_the_rules_of_its_kind() {
    let exactly = |fault: &str| {
        let nodes = "nodes: {aim: n1, count: 1, order: {positions: [0, 1, 2], leader_first: false}}";
        said(&format!("schedule: [{{id: a, at: 9s, exactly: {{{}}}}}]", fault.replace("NODES", nodes)))
    };
    for (fault, part) in [
        ("power-loss: {NODES, torn: 200, seed: 1}", "power-loss: torn: 200: a chance in percent is at most 100"),
        ("clock: {NODES, skew: {drift: {rate_ppm: 2000000}}}", "clock: drift: 2000000 ppm; at most 99.9999%"),
        ("clock: {NODES, skew: {strobe: {by_ms: 5, period_ms: 0}}}", "clock: strobe: a period below 1ms"),
        (
            "packet: {NODES, direction: both, effect: {loss: {permille: 2000}}}",
            "packet: loss: 1 to 100 percent, not 200",
        ),
        ("kill: {NODES, effect: {signal: term, grace: 1m}}", "kill: grace: 1m is not shorter than the duration 6s"),
        ("restart: {NODES, effect: {every: 1ms}}", "restart: every: 1ms is too short"),
    ] {
        let said = exactly(fault);
        assert!(said.contains(&format!("`nemesis.schedule[0]`: fault a: exactly: {part}")), "{fault}: {said}");
    }
}
