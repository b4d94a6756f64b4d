//! Asks a node who the members of the cluster are.
use super::super::node_commands;
use super::super::probe::Condition;
use super::super::recipe::MembersProbe;
use super::super::template::url_host;
use super::Deployment;
use super::converged::entries;
use crate::cluster::Node;
use dsfuzz_nemesis::Members;
use serde_json::Value;
use std::time::Duration;

impl Deployment {
    /// Time between two questions for the members; none if the recipe does not ask.
    pub fn members_every(&self) -> Option<Duration> {
        self.layout.nodes.first().and_then(|plan| plan.members.as_ref()).map(|probe| probe.every.0)
    }

    /// Asks a node who the members are, once.
    pub async fn members(&self, node: &str) -> Result<Members, String> {
        let (plan, remote) = self.at(node).ok_or_else(|| format!("no node {node}"))?;
        let probe = plan.members.as_ref().ok_or("the recipe does not ask for members")?;
        let answer = probe.ask.ask(remote.as_ref(), plan, probe.deadline.0).await?;
        let nodes: Vec<&Node> = self.layout.nodes.iter().map(|plan| &plan.node).collect();
        read(probe, &answer, &nodes).map_err(|why| format!("{node}: {why}"))
    }
}

/// The members that an answer names, in the order of these nodes.
fn read(probe: &MembersProbe, answer: &str, nodes: &[&Node]) -> Result<Members, String> {
    let listed: Vec<String> = match (&probe.each, &probe.lines) {
        (Some(each), _) => {
            let document: Value = serde_json::from_str(answer)
                .map_err(|_| format!("the answer is no JSON: {}", node_commands::head(answer)))?;
            entries(&document, each).iter().map(ToString::to_string).collect()
        }
        (None, lines) => {
            let is_member = Condition::Matches(lines.clone().unwrap_or_default());
            answer.lines().filter(|line| is_member.holds(line)).map(str::to_owned).collect()
        }
    };
    let (mut voters, mut learners) = (Vec::new(), Vec::new());
    for member in &listed {
        let named = probe.node.of(member).ok_or_else(|| format!("a member without {}: {member}", probe.node))?;
        let is = |node: &&&Node| {
            *node.name == *named || node.address.to_string() == named || url_host(&node.address) == named
        };
        let node = nodes.iter().find(is).ok_or_else(|| format!("the member {named} is no node of the plan"))?;
        let votes = probe.voter.iter().all(|condition| condition.holds(member));
        if votes { &mut voters } else { &mut learners }.push(node.name.to_string());
    }
    if voters.is_empty() {
        return Err(format!("no member votes by the answer {}", node_commands::head(answer)));
    }
    let place = |name: &String| nodes.iter().position(|node| *node.name == **name);
    voters.sort_by_key(place);
    learners.sort_by_key(place);
    Ok(Members { voters, learners })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members(probe: Value, answer: &str) -> Result<(String, String), String> {
        let probe: MembersProbe = serde_json::from_value(probe).expect("a probe");
        let node = |number: u8| Node { name: format!("n{number}").into(), address: [10, 77, 0, number].into() };
        let nodes = [1, 2, 3].map(node);
        let members = read(&probe, answer, &nodes.iter().collect::<Vec<_>>())?;
        Ok((members.voters.join(" "), members.learners.join(" ")))
    }

    #[test]
    fn members_of_a_document_and_of_lines() {
        let etcd = json!({"ask": {"http": {"port": "client", "path": "/"}}, "each": "/members/*",
            "node": {"regex": r#""peerURLs":\["http://\[?([^\]"]+?)\]?:[0-9]+""#}, "voter": [{"absent": {"json": "/isLearner"}}]});
        let answer = r#"{"header":{},"members":[
            {"ID":"3","name":"n3","peerURLs":["http://10.77.0.3:2380"],"clientURLs":["http://10.77.0.3:2379"]},
            {"ID":"1","name":"n1","peerURLs":["http://10.77.0.1:2380"]},
            {"ID":"2","peerURLs":["http://10.77.0.2:2380"],"isLearner":true}]}"#;
        assert_eq!(members(etcd.clone(), answer), Ok(("n1 n3".into(), "n2".into())));
        let foreign = answer.replace("10.77.0.1", "10.77.0.9");
        assert!(members(etcd.clone(), &foreign).expect_err("refused").contains("10.77.0.9 is no node of the plan"));
        assert!(members(etcd.clone(), "no").expect_err("refused").contains("no JSON"));
        assert!(members(etcd, r#"{"members":[]}"#).expect_err("refused").contains("no member votes"));
        let zookeeper = json!({"ask": {"tcp": {"port": "client", "send": "conf"}}, "lines": "^server[.][0-9]+=",
            "node": {"regex": r"=\[?([^\]]+?)\]?:[0-9]+:[0-9]+"}, "voter": [{"contains": ":participant"}]});
        let answer = "peerType=0\nmembership: \nserver.2=10.77.0.2:2888:3888:observer\nserver.1=10.77.0.1:2888:3888:participant\n\
                      server.3=[10.77.0.3]:2888:3888:participant\nversion=0";
        assert_eq!(members(zookeeper, answer), Ok(("n1 n3".into(), "n2".into())));
    }
}
