//! The verification of a cut that takes only some ports of the target: by TCP handshakes with these ports. The agents' own
//! datagrams must go through, since the fault takes nothing else.
use super::Executor;
use super::links::{OpenPaths, missing};
use super::paths::{NetworkPath, Transport};
use dsfuzz_nemesis::ResolvedFault;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::Proof;
use std::collections::BTreeSet;
use std::time::Duration;

impl Executor {
    /// The open paths of these links, with those to the ports of these roles; the problems: cut links on which no such port
    /// answers.
    pub(super) async fn open_ports(
        &self,
        id: u64,
        roles: &[String],
        silent: &[Link],
        all: &[Link],
        deadline: Duration,
    ) -> (OpenPaths, Vec<String>) {
        let (mut open, problems) = self.open_paths_beside(id, all).await;
        if !problems.is_empty() {
            return (open, problems);
        }
        let peers = match self.peers(all, deadline).await {
            Ok(peers) => peers,
            Err(errors) => return (open, errors),
        };
        let mut paths = peers.paths(all, Transport::Tcp);
        paths.retain(|path| self.has_role(path, roles));
        let (reached, errors) = self.reach(&paths, deadline).await;
        if !errors.is_empty() {
            return (open, errors);
        }
        open.paths.retain(|path| !self.has_role(path, roles));
        open.paths.extend(reached.iter().cloned());
        let dumb = silent.iter().filter(|link| !reached.iter().any(|path| path.needs(std::slice::from_ref(*link))));
        let problems = dumb
            .map(|(from, to)| format!("no port of the role {} answers between {from} and {to}", roles.join(", ")))
            .collect();
        (open, problems)
    }

    /// Whether it is a handshake with a port of these roles.
    fn has_role(&self, path: &NetworkPath, roles: &[String]) -> bool {
        let ports = self.seen(&path.to).and_then(|node| node.ports_of(roles).ok()).unwrap_or_default();
        path.via == Transport::Tcp && ports.contains(&path.port)
    }

    /// Verifies that no handshake with the ports of these roles ends over a cut link, that all others end and all datagrams of the
    /// agents arrive, and that the receivers' rules counted more packets than `before`.
    pub(super) async fn verify_ports(
        &self,
        id: u64,
        (fault, roles): (&ResolvedFault, &[String]),
        before: &[(String, Proof)],
        (silent, alive, open): (&[Link], &[Link], &OpenPaths),
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
        let peers = self.peers(&all, deadline).await?;
        let own = self.own_links(id, &all, open);
        let round = deadline.min(self.limits.round);
        let (heard, errors, sent) = self.heard_again(&peers, &all, &[], open, round).await;
        if !errors.is_empty() {
            return Err(errors);
        }
        let (of_role, others): (BTreeSet<NetworkPath>, BTreeSet<NetworkPath>) =
            open.paths.iter().cloned().partition(|path| self.has_role(path, roles));
        let mut problems =
            missing(&peers, &[], &own, &OpenPaths { paths: others, ..OpenPaths::default() }, &heard, &sent);
        let (cut, kept): (Vec<&NetworkPath>, Vec<&NetworkPath>) = of_role.iter().partition(|path| path.needs(silent));
        let leaks = cut.iter().filter(|path| heard.contains(**path));
        problems.extend(
            leaks.map(|path| format!("{} still speaks with {} {path}, though that is cut", path.from, path.to)),
        );
        let disturbed: Vec<Link> = self.in_force.disturbed_by_others(id).into_iter().collect();
        let lost = kept.iter().filter(|path| !heard.contains(**path) && !path.needs(&disturbed));
        problems.extend(lost.map(|path| format!("{} does not speak with {} {path}", path.from, path.to)));
        if !problems.is_empty() {
            return Err(problems);
        }
        let roles = roles.join(", ");
        let seen = vec![
            format!("no handshake on {} address pairs of ports {roles}, {} others speak", cut.len(), kept.len()),
            format!("the agents' datagrams arrive on all {} links", own.len()),
        ];
        let counts = self.counted(id, fault, before, |_| 1, deadline).await?;
        Ok([seen, counts].concat())
    }
}
