//! The addresses of this node, which its peers cut in a partition, and from which it sends pings.
use crate::sys::{self, InterfaceAddress};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Flag of `/proc/net/if_inet6`: another host has the address. A tentative address becomes this node's in a moment.
const DAD_FAILED: u32 = 0x08;

/// Every address by which a peer may know this node, in the order of the interfaces.
pub(crate) fn all() -> Result<Vec<IpAddr>, String> {
    let listed = sys::interface_addresses().map_err(|error| format!("the addresses of this node: {error}"))?;
    let foreign = duplicates(&std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default());
    Ok(usable(&listed, &foreign))
}

fn usable(listed: &[InterfaceAddress], foreign: &BTreeSet<Ipv6Addr>) -> Vec<IpAddr> {
    let up = || listed.iter().filter(|entry| entry.up && !entry.address.is_loopback());
    // Every virtual cable of a container has a link-local address; only those of real networks matter between nodes.
    let real: BTreeSet<&str> =
        up().filter(|entry| !is_link_local(entry.address)).map(|entry| entry.interface.as_str()).collect();
    let mut seen = BTreeSet::new();
    up().filter(|entry| !is_link_local(entry.address) || real.contains(entry.interface.as_str()))
        .map(|entry| entry.address)
        .filter(|address| !matches!(address, IpAddr::V6(six) if foreign.contains(six)))
        .filter(|address| seen.insert(*address))
        .collect()
}

fn duplicates(if_inet6: &str) -> BTreeSet<Ipv6Addr> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let bits = u128::from_str_radix(words.first()?, 16).ok()?;
        let flags = u32::from_str_radix(words.get(4)?, 16).ok()?;
        (flags & DAD_FAILED != 0).then(|| Ipv6Addr::from(bits))
    };
    if_inet6.lines().filter_map(entry).collect()
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
}

/// Own and peer's address in the kernel's form: link-local ones with the number of the own interface.
pub(crate) fn sockets(source: Option<IpAddr>, to: IpAddr, port: u16) -> (Option<SocketAddr>, SocketAddr) {
    let scope = source.filter(|source| is_link_local(*source)).and_then(scope_of).unwrap_or(0);
    let with_scope = |address: IpAddr, port: u16| match address {
        IpAddr::V6(six) if six.is_unicast_link_local() => SocketAddrV6::new(six, port, 0, scope).into(),
        other => SocketAddr::new(other, port),
    };
    (source.map(|source| with_scope(source, 0)), with_scope(to, port))
}

fn scope_of(address: IpAddr) -> Option<u32> {
    let listed = sys::interface_addresses().ok()?;
    listed.into_iter().find(|entry| entry.up && entry.address == address).map(|entry| entry.scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(interface: &str, address: &str, up: bool) -> InterfaceAddress {
        InterfaceAddress { interface: interface.to_owned(), address: address.parse().expect("address"), scope: 0, up }
    }

    #[test]
    fn every_address_of_a_real_network_is_listed_once() {
        let listed = [
            entry("lo", "127.0.0.1", true),
            entry("lo", "::1", true),
            entry("lo", "10.200.0.1", true),
            entry("eth0", "10.0.0.1", true),
            entry("eth0", "fe80::1", true),
            entry("eth1", "fd00::1", true),
            entry("eth1", "fd00::2", true),
            entry("veth7", "fe80::7", true),
            entry("ipvs", "10.96.0.1", false),
            entry("eth2", "10.0.0.1", true),
        ];
        let text = "fd000000000000000000000000000002 02 40 00 48     eth1\n";
        let usable = usable(&listed, &duplicates(text));
        let texts: Vec<String> = usable.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.200.0.1", "10.0.0.1", "fe80::1", "fd00::1"]);
    }
}
