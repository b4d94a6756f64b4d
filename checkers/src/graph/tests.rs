//! The mechanisms of graphs against brute force over small random graphs, and over paths as long as a history.
use super::{Components, Digraph, NONE, cycle_of_each_component};
use crate::random::Rng;

/// Distances by edges, at least one (Floyd 1962, Warshall 1962).
fn distances(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<usize>> {
    let mut distances = vec![vec![usize::MAX / 2; nodes]; nodes];
    edges.iter().for_each(|&(from, to)| distances[from as usize][to as usize] = 1);
    for through in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                let way = distances[from][through] + distances[through][to];
                distances[from][to] = distances[from][to].min(way);
            }
        }
    }
    distances
}

fn random_edges(rng: &mut Rng, nodes: usize) -> Vec<(u32, u32)> {
    let count = rng.below(2 * nodes as u64);
    (0..count).map(|_| (rng.below(nodes as u64) as u32, rng.below(nodes as u64) as u32)).collect()
}

fn is_cycle(steps: &[(u32, u32)]) -> bool {
    !steps.is_empty() && (0..steps.len()).all(|at| steps[at].1 == steps[(at + 1) % steps.len()].0)
}

#[test]
fn components_cycles_paths_and_orders_are_those_of_brute_force() {
    let mut cyclic_graphs = 0;
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let nodes = 1 + rng.below(9) as usize;
        let edges = random_edges(&mut rng, nodes);
        let distances = distances(nodes, &edges);
        let reaches = |from: usize, to: usize| distances[from][to] < usize::MAX / 2;
        let graph = Digraph::of_pairs(nodes, &edges);
        let components = graph.components();
        let labels = components.labels();
        for one in 0..nodes {
            assert_eq!(labels[one] != NONE, reaches(one, one), "seed {seed}");
            for (other, &far) in distances[one].iter().enumerate() {
                let together = one == other || reaches(one, other) && reaches(other, one);
                assert_eq!(components.of[one] == components.of[other], together, "seed {seed}");
                let path = graph.path(one as u32, other as u32, |()| true);
                let distance = if one == other || !reaches(one, other) { 0 } else { far };
                assert_eq!(path.len(), distance, "seed {seed}");
            }
        }
        for &(from, to) in &edges {
            assert!(components.of[from as usize] <= components.of[to as usize], "seed {seed}");
        }
        let shortest = (0..nodes).map(|node| distances[node][node]).min().unwrap_or(usize::MAX);
        let cycle: Vec<(u32, u32)> = graph.short_cycle().into_iter().map(|(from, to, ())| (from, to)).collect();
        assert_eq!(is_cycle(&cycle), !components.acyclic(), "seed {seed}");
        assert!(components.acyclic() || cycle.len() == shortest.max(cycle.len().min(2)), "seed {seed}");
        let cycles = cycle_of_each_component(nodes, &edges);
        assert_eq!(cycles.len(), components.cyclic().len(), "seed {seed}");
        for (places, members) in cycles.iter().zip(components.sorted()) {
            let steps: Vec<(u32, u32)> = places.iter().map(|&place| edges[place]).collect();
            let least = members.iter().map(|&node| distances[node as usize][node as usize]).min();
            assert!(is_cycle(&steps) && steps.iter().all(|step| members.contains(&step.0)), "seed {seed}");
            assert!(steps.len() == 2 || Some(steps.len()) == least, "seed {seed}: {steps:?}");
        }
        match graph.ranks() {
            Some(ranks) => assert!(edges.iter().all(|&(from, to)| ranks[from as usize] < ranks[to as usize])),
            None => assert!(!components.acyclic(), "seed {seed}"),
        }
        assert_eq!(graph.order().is_some(), components.acyclic(), "seed {seed}");
        cyclic_graphs += usize::from(!components.acyclic());
    }
    assert!((500..2_500).contains(&cyclic_graphs), "{cyclic_graphs}");
}

#[test]
fn only_what_the_roots_reach_is_in_a_component() {
    let graph = Digraph::of_pairs(4, &[(0, 1), (1, 0), (2, 3)]);
    let components = Components::find(&graph, [2].into_iter());
    assert!(components.acyclic());
    assert_eq!((components.of[0], components.of[1]), (0, 0));
}

#[test]
fn a_path_as_long_as_a_history_needs_no_stack() {
    let nodes = 1_000_000;
    let mut edges: Vec<(u32, u32)> = (1..nodes).map(|node| (node - 1, node)).collect();
    assert_eq!(Digraph::of_pairs(nodes as usize, &edges).order().map(|order| order.len()), Some(nodes as usize));
    edges.push((nodes - 1, 0));
    assert_eq!(
        cycle_of_each_component(nodes as usize, &edges).iter().map(Vec::len).collect::<Vec<_>>(),
        [nodes as usize]
    );
}
