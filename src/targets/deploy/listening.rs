//! The listeners on a port of a node, as a hint for a target that does not answer from outside.
use super::super::node_commands;
use super::super::probe::Question;
use crate::cluster::Remote;
use dsfuzz_nemesis::protocol::Command;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The hint that the node's processes listen on loopback only, or not at all. None if a process listens for others, or if the
/// listeners cannot be read.
pub(super) async fn hint(remote: &dyn Remote, question: &Question, ports: &BTreeMap<String, u16>) -> Option<String> {
    let port = *ports.get(question.port_role()?)?;
    let argv = vec!["cat /proc/net/tcp; cat /proc/net/tcp6 2>/dev/null || true".to_owned()];
    let command = Command { argv, deadline_ms: 5_000, ..Command::default() };
    let sockets = node_commands::run(remote, "look who listens", command).await.ok()?;
    said(&listeners(&sockets, port), remote.node().address, port)
}

fn said(listeners: &BTreeSet<IpAddr>, node: IpAddr, port: u16) -> Option<String> {
    if listeners.is_empty() {
        return Some(format!("nothing on the node listens on TCP port {port}"));
    }
    if listeners.contains(&node.to_canonical()) || !listeners.iter().all(IpAddr::is_loopback) {
        return None;
    }
    let list: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    Some(format!(
        "TCP port {port} listens on {} only: let the target listen on {{{{ node.address }}}} or on all addresses",
        list.join(" and ")
    ))
}

/// The addresses with a listener on a port.
fn listeners(sockets: &str, port: u16) -> BTreeSet<IpAddr> {
    let listener = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let (address, own) = local.split_once(':')?;
        let listens = state == LISTEN && u16::from_str_radix(own, 16) == Ok(port);
        listens.then(|| address_of(address)).flatten()
    };
    sockets.lines().filter_map(listener).collect()
}

/// An address in the kernel's form: words of 32 bits in the machine's byte order, which is little-endian on all machines with
/// an agent.
fn address_of(hexadecimal: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hexadecimal.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hexadecimal.get(at..at + 8)?, 16).ok()?.to_le_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    let six = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?);
    Some(IpAddr::V6(six).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKETS: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
        0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
        1: 0100007F:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
        2: 01004D0A:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
        3: 01004D0A:094D 01004D0A:0016 01 00000000:00000000 00:00000000 00000000     0\n  \
        sl  local_address                         remote_address                        st tx_queue\n   \
        0: 00000000000000000000000001000000:094B 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        1: 00000000000000000000000000000000:094E 00000000000000000000000000000000:0000 0A 00000000:00000000\n";

    #[test]
    fn a_port_on_loopback_only_is_told_from_one_that_others_reach() {
        let hint = |port| said(&listeners(SOCKETS, port), [10, 77, 0, 1].into(), port);
        let loopback = hint(2379).expect("a hint");
        assert!(loopback.contains("listens on 127.0.0.1 and ::1 only: let the target"), "{loopback}");
        assert!(loopback.contains("{{ node.address }}"), "{loopback}");
        assert_eq!(hint(2380), None, "one of its addresses is reached by others");
        assert_eq!(hint(2381).as_deref(), Some("nothing on the node listens on TCP port 2381"));
        assert_eq!(hint(2382), None, "on all addresses");
        assert_eq!(said(&listeners(SOCKETS, 2379), [127, 0, 0, 1].into(), 2379), None, "the node's own address");
    }
}
