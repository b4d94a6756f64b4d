//! Topologies of the workload `broadcast`: which nodes are neighbours of which. Pure.
use serde_json::{Value as Json, json};

/// The topologies, by name.
pub(super) const TOPOLOGIES: &[&str] = &["grid", "line", "total", "tree"];

/// The neighbours of every node, by name; none for an unknown topology.
pub(super) fn neighbours(topology: &str, names: &[String]) -> Option<Json> {
    let adjoin = adjacency(topology, names.len())?;
    let of = |node: usize| -> Vec<&String> {
        (0..names.len())
            .filter(|other| *other != node && adjoin(node.min(*other), node.max(*other)))
            .map(|other| &names[other])
            .collect()
    };
    Some(
        names
            .iter()
            .enumerate()
            .map(|(node, name)| (name.clone(), json!(of(node))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    )
}

/// Whether a node and a later one are neighbours.
fn adjacency(topology: &str, count: usize) -> Option<Box<dyn Fn(usize, usize) -> bool>> {
    let side = (1..).find(|side| side * side >= count).unwrap_or(1);
    Some(match topology {
        "total" => Box::new(|_, _| true),
        "line" => Box::new(|earlier, later| later == earlier + 1),
        // Rows of a square, whose last one may not be full.
        "grid" => Box::new(move |earlier, later| {
            later == earlier + side || (later == earlier + 1 && later / side == earlier / side)
        }),
        // Two children for each node.
        "tree" => Box::new(|earlier, later| (later - 1) / 2 == earlier),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_mutual_and_reach_every_node() {
        let names: Vec<String> = (1..=5).map(|number| format!("n{number}")).collect();
        let of_five = |topology| neighbours(topology, &names).expect("a topology");
        assert_eq!(of_five("line")["n2"], json!(["n1", "n3"]));
        assert_eq!(of_five("tree")["n2"], json!(["n1", "n4", "n5"]));
        // n1 n2 n3
        // n4 n5
        assert_eq!(of_five("grid")["n2"], json!(["n1", "n3", "n5"]));
        assert_eq!(of_five("grid")["n4"], json!(["n1", "n5"]));
        assert_eq!(of_five("total")["n5"], json!(["n1", "n2", "n3", "n4"]));
        for topology in TOPOLOGIES {
            let all = of_five(topology);
            let near = |node: &String| -> Vec<String> {
                all[node]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|other| other.as_str().expect("a name").to_owned())
                    .collect()
            };
            let mut reached = vec![names[0].clone()];
            let mut next = 0;
            while next < reached.len() {
                for other in near(&reached[next]) {
                    assert!(near(&other).contains(&reached[next]), "{topology}");
                    if !reached.contains(&other) {
                        reached.push(other);
                    }
                }
                next += 1;
            }
            assert_eq!(reached.len(), names.len(), "{topology}");
        }
        assert_eq!(neighbours("ring", &names), None);
    }
}
