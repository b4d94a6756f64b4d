//! Properties of the shapes, for every number of nodes from 2 to 9 and many seeds.
use super::*;
use std::collections::BTreeSet;

fn view(nodes: usize, leader: Option<usize>) -> ClusterView {
    let leaders = leader.map(|position| format!("n{}", position + 1)).into_iter().collect();
    let mut view = ClusterView { leaders, ..ClusterView::of(nodes, &[]) };
    for node in &mut view.nodes {
        node.port_roles = [("client".to_owned(), 79), ("peer".to_owned(), 80)].into();
    }
    view
}

fn drawn(shape: Shape, nodes: usize, seed: u64) -> PartitionFault {
    let options = PartitionOptions { shape: Choice::one(shape), ..PartitionOptions::default() };
    let mut draws = options.draws(nodes).expect("at least two nodes");
    match draws.draw(&mut Rng::new(seed, "shape", nodes as u64)) {
        SymbolicFault::Partition(fault) => fault,
        other => panic!("a partition draws partitions, not {other:?}"),
    }
}

fn each(shape: Shape, mut check: impl FnMut(usize, &PartitionFault, &[(usize, usize)])) {
    for nodes in 2..=9 {
        for seed in 0..60 {
            let fault = drawn(shape, nodes, seed);
            let cut = fault.cut(&fault.order.positions);
            assert!(!cut.is_empty(), "{fault:?} cuts nothing");
            assert!(cut.iter().all(|(from, to)| from != to && *from < nodes && *to < nodes), "{fault:?}");
            check(nodes, &fault, &cut);
        }
    }
}

/// The nodes that a node sees: itself, and the nodes with a working link in both directions.
fn sees(node: usize, nodes: usize, cut: &[(usize, usize)]) -> BTreeSet<usize> {
    (0..nodes).filter(|other| !cut.contains(&(node, *other)) && !cut.contains(&(*other, node))).collect()
}

#[test]
fn all_but_one_way_are_cut_in_both_directions() {
    for shape in Shape::ALL {
        let symmetric = shape != Shape::OneWay;
        each(shape, |_, fault, cut| {
            assert_eq!(cut.iter().all(|(from, to)| cut.contains(&(*to, *from))), symmetric, "{fault:?}: {cut:?}");
        });
    }
}

#[test]
fn two_sides_are_whole_and_as_large_as_they_should_be() {
    for shape in [Shape::Halves, Shape::Majority, Shape::IsolateOne, Shape::IsolateLeader, Shape::LeaderMinority] {
        each(shape, |nodes, fault, cut| {
            let side: BTreeSet<usize> = fault.order.positions[..fault.size].iter().copied().collect();
            for node in 0..nodes {
                let expected: BTreeSet<usize> =
                    (0..nodes).filter(|other| side.contains(&node) == side.contains(other)).collect();
                assert_eq!(sees(node, nodes, cut), expected, "{fault:?}");
            }
            let right = match shape {
                Shape::Halves => side.len() == nodes / 2,
                Shape::Majority => (1..=minority_max(nodes)).contains(&side.len()),
                Shape::LeaderMinority => (2.min(minority_max(nodes))..=minority_max(nodes)).contains(&side.len()),
                _ => side.len() == 1,
            };
            assert!(right, "{fault:?}");
        });
    }
}

#[test]
fn majority_draws_minorities_of_every_size() {
    let sizes: BTreeSet<usize> = (0..60).map(|seed| drawn(Shape::Majority, 9, seed).size).collect();
    assert_eq!(sizes, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn one_way_cuts_one_direction_between_a_minority_and_the_rest() {
    let (mut deaf, mut mute) = (0, 0);
    each(Shape::OneWay, |nodes, fault, cut| {
        let (side, rest) = fault.order.positions.split_at(fault.size);
        assert_eq!(cut.len(), side.len() * rest.len());
        assert!(side.len() <= minority_max(nodes));
        for (from, to) in cut {
            let (hears_not, not_heard) = if fault.deaf { (to, from) } else { (from, to) };
            assert!(side.contains(hears_not) && rest.contains(not_heard), "{fault:?}");
        }
        if fault.deaf { deaf += 1 } else { mute += 1 }
    });
    assert!(deaf > 100 && mute > 100, "deaf {deaf}, mute {mute}");
}

#[test]
fn a_bridge_sees_both_halves_and_they_do_not_see_each_other() {
    each(Shape::Bridge, |nodes, fault, cut| {
        if nodes == 2 {
            assert_eq!(cut, [(0, 1), (1, 0)]);
            return;
        }
        let bridge = fault.order.positions[0];
        assert_eq!(sees(bridge, nodes, cut).len(), nodes);
        let views: BTreeSet<BTreeSet<usize>> =
            (0..nodes).filter(|node| *node != bridge).map(|node| sees(node, nodes, cut)).collect();
        let sizes: Vec<usize> = views.iter().map(|view| view.len() - 1).collect();
        assert_eq!(views.len(), 2, "{fault:?}");
        assert_eq!(sizes.iter().sum::<usize>(), nodes - 1);
        assert!(sizes[0].abs_diff(sizes[1]) <= 1, "{sizes:?}");
        assert!(views.iter().all(|view| view.contains(&bridge)));
    });
}

#[test]
fn in_a_ring_everyone_sees_a_majority_and_no_two_the_same() {
    each(Shape::Ring, |nodes, fault, cut| {
        let views: Vec<BTreeSet<usize>> = (0..nodes).map(|node| sees(node, nodes, cut)).collect();
        if nodes == 2 {
            assert!(views.iter().all(|view| view.len() == 1), "two nodes are halves");
            return;
        }
        let smallest = nodes / 2 + 1;
        assert!(views.iter().all(|view| view.len() >= smallest), "{fault:?}: {views:?}");
        assert_eq!(views.iter().collect::<BTreeSet<_>>().len(), nodes, "{fault:?}: {views:?}");
        let exact = if nodes % 4 == 3 { smallest + 1 } else { smallest };
        assert!(nodes == 3 || views.iter().all(|view| view.len() == exact), "{nodes}: {views:?}");
    });
}

#[test]
fn acts_drop_exactly_the_cut_links_where_they_arrive_and_peers_only() {
    for shape in Shape::ALL {
        each(shape, |nodes, fault, _| {
            let view = view(nodes, Some(nodes - 1));
            let resolved = fault.resolve(&view).expect("resolved");
            let address = |name: &str| view.nodes.iter().find(|node| node.name == name).expect("a node").address;
            let mut acted = Vec::new();
            for (to, injection) in &resolved.injections {
                let Injection::Drop { from } = injection else { panic!("{injection:?}") };
                assert!(!from.contains(&address(to)));
                acted.extend(from.iter().map(|from| (*from, address(to))));
            }
            acted.sort_unstable();
            let mut cut: Vec<_> = resolved.cut.iter().map(|(from, to)| (address(from), address(to))).collect();
            cut.sort_unstable();
            assert_eq!(acted, cut);
            let Verification::Links { silent, alive } = &resolved.verification else {
                panic!("links show a partition")
            };
            assert_eq!(silent, &resolved.cut);
            assert_eq!(silent.len() + alive.len(), nodes * (nodes - 1));
        });
    }
}

#[test]
fn the_leader_is_bound_late_and_its_absence_is_said() {
    let fault = drawn(Shape::IsolateLeader, 5, 3);
    assert_eq!(fault.describe(), "partition isolate-leader: leader | others");
    for leader in 0..5 {
        let resolved = fault.resolve(&view(5, Some(leader))).expect("resolved");
        assert_eq!(resolved.nodes, [format!("n{}", leader + 1)]);
        assert!(resolved.what.starts_with(&format!("partition isolate-leader: n{} | ", leader + 1)));
    }
    let mut several = view(5, Some(0));
    several.leaders = vec!["n2".to_owned(), "n4".to_owned()];
    let first = fault.order.positions.iter().find(|position| [1, 3].contains(*position)).expect("one of them");
    assert_eq!(fault.resolve(&several).expect("resolved").nodes, [format!("n{}", first + 1)], "by the drawn order");
    let stand_in = view(5, None).name(fault.order.positions[0]);
    let resolved = fault.resolve(&view(5, None)).expect("resolved");
    assert_eq!(resolved.nodes, std::slice::from_ref(&stand_in));
    let note = format!("(no leader known: {stand_in}, drawn in the plan, stands in for it)");
    assert!(resolved.what.ends_with(&note), "{}", resolved.what);
}

#[test]
fn what_cannot_be_told_apart_or_does_not_fit_is_not_resolved() {
    let fault = drawn(Shape::Halves, 3, 1);
    assert!(fault.resolve(&view(4, None)).is_err_and(|error| error.0.contains("made for 3 nodes")));
    let mut twins = view(3, None);
    twins.nodes[2].address = twins.nodes[0].address;
    assert!(fault.resolve(&twins).is_err_and(|error| error.0.contains("n1 and n3 share")));
    assert!(PartitionOptions::default().draws(1).is_err_and(|error| error.contains("at least two")));
}
