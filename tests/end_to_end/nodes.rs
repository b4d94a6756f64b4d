//! [`Lab`]: a lab that was started separately, so that it outlives runs. Its nodes are looked at from inside, without
//! the agent.
use crate::stage::Stage;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A lab; it goes down when dropped.
pub(crate) struct Lab<'a> {
    stage: &'a Stage,
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) key: PathBuf,
    pub(crate) known_hosts: PathBuf,
}

impl Lab<'_> {
    pub(crate) fn up(stage: &Stage, nodes: u16) -> Lab<'_> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("e2e-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // Made before the answer is looked at, so that a half-made lab goes down as well.
        let mut lab = Lab { stage, name, addresses: Vec::new(), key: PathBuf::new(), known_hosts: PathBuf::new() };
        let output = stage.run(&["lab", "up", &nodes.to_string(), "--name", &lab.name, "--json"]).exits(0).json();
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let all = output["nodes"].as_array().expect("nodes");
        lab.addresses = all.iter().map(|node| text(&node["address"])).collect();
        lab.key = text(&all[0]["key"]).into();
        lab.known_hosts = text(&all[0]["known_hosts"]).into();
        lab
    }

    /// The words that run a command in a node, or in the lab's control network.
    pub(crate) fn exec<'s>(&'s self, node: &'s str, command: &[&'s str]) -> Vec<&'s str> {
        [&["lab", "exec", "--name", &self.name, node, "--"], command].concat()
    }

    /// What a script of bash says inside a node.
    pub(crate) fn ask(&self, node: &str, script: &str) -> String {
        self.stage.run(&self.exec(node, &["bash", "-c", script])).stdout.trim().to_owned()
    }

    /// What is wrong with a node, a line each: a rule, a stopped process, a shifted clock, an etcd that does not serve.
    pub(crate) fn dirt(&self, node: &str) -> String {
        let script = r#"
            nft list tables 2>/dev/null | grep -q dsfuzz && echo "a rule is left"
            for f in $(find /sys/fs/cgroup -name cgroup.freeze); do [ "$(cat $f)" = 1 ] && echo "$f is frozen"; done
            for s in /proc/[0-9]*/stat; do case "$(sed 's/.*) //' $s 2>/dev/null)" in T*|t*) echo "$s is stopped";; esac; done
            date=$(exec 3<>/dev/tcp/$(hostname)/2379 && printf 'GET /version HTTP/1.0\r\n\r\n' >&3 && tr -d '\r' <&3 | sed -n 's/^Date: //p')
            [ -n "$date" ] || { echo "etcd does not answer"; echo seen; exit; }
            off=$(( $(date -d "$date" +%s) - $(date +%s) ))
            [ $off -ge -2 ] && [ $off -le 2 ] || echo "the clock of etcd is off by $off s"
            echo seen
        "#;
        let output = self.stage.run(&self.exec(node, &["timeout", "5", "bash", "-c", script])).stdout;
        match output.strip_suffix("seen\n") {
            Some(dirt) => dirt.to_owned(),
            None => format!("{output}it cannot be looked at\n"),
        }
    }

    /// Waits until every node is clean. A loaded machine may be slow to look; `make prove` measures how long it takes.
    pub(crate) fn await_clean(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        for node in 1..=self.addresses.len() {
            let node = format!("n{node}");
            loop {
                let dirt = self.dirt(&node);
                if dirt.is_empty() {
                    break;
                }
                assert!(Instant::now() < deadline, "{node} is not clean within 20 s:\n{dirt}");
            }
        }
    }

    /// Makes sure that the fault in force is seen on some node: what cannot be seen would not be missed either.
    pub(crate) fn assert_dirty(&self) {
        let clean = |node| self.dirt(&format!("n{node}")).is_empty();
        assert!(!(1..=self.addresses.len()).all(clean), "the fault in force cannot be seen on any node");
    }

    /// The processes of etcd, node by node.
    pub(crate) fn etcds(&self) -> Vec<String> {
        let script = r#"for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = etcd ] && echo ${p#/proc/}; done"#;
        (1..=self.addresses.len()).map(|node| self.ask(&format!("n{node}"), script)).collect()
    }

    /// Its nodes in a plan, as a stranger would write them.
    pub(crate) fn as_hosts(&self) -> String {
        let (key, known_hosts) = (self.key.display(), self.known_hosts.display());
        let ssh = format!("{{user: root, key: {key}, known_hosts: {known_hosts}, strict: true}}");
        format!("cluster:\n  nodes: [{}]\n  ssh: {ssh}\n", self.addresses.join(", "))
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // A test that fails already must not fail twice; a lab that is left is seen by the next `lab list`.
        let _ = self.stage.command(&["lab", "down", &self.name]).output();
    }
}
