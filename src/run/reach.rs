//! Whether this machine's packets reach the ports on which clients ask a node.
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a handshake with a port of the target may take.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// The sentence that this machine's packets reach none of these ports of a node; none if they do, or if there are no ports. A
/// refused connection counts as reached, since nothing may listen yet.
pub async fn unreachable(address: IpAddr, ports: &[u16]) -> Option<String> {
    let mut no_way = None;
    for port in ports {
        match tokio::time::timeout(HANDSHAKE, TcpStream::connect((address, *port))).await {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return None,
            Ok(Err(error)) => no_way = Some(error),
            Err(_) => {}
        }
    }
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    let cause = match no_way {
        Some(error) => format!("{error}: run dsfuzz where its packets reach the nodes"),
        None => "a firewall drops what clients send".to_owned(),
    };
    (!ports.is_empty()).then(|| {
        format!(
            "nothing answers from this machine at {address}, TCP port {}, not even by a refusal: {cause}",
            list.join(", ")
        )
    })
}
