//! The two things of the kernel's packet filter that the program `nft` does not do everywhere: a rule that puts packets into a
//! queue, on kernels without nft's own `queue`, and the queue itself.
//!
//! Messages are as in `linux/netfilter/nfnetlink.h`, `nf_tables.h`, `nfnetlink_queue.h` and `x_tables.h`.
use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const SUBSYSTEM_NFTABLES: u16 = 10;
const SUBSYSTEM_QUEUE: u16 = 3;
const NEW_RULE: u16 = SUBSYSTEM_NFTABLES << 8 | 6;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const QUEUE_PACKET: u16 = SUBSYSTEM_QUEUE << 8;
const QUEUE_VERDICT: u16 = SUBSYSTEM_QUEUE << 8 | 1;
const QUEUE_CONFIG: u16 = SUBSYSTEM_QUEUE << 8 | 2;
const MESSAGE_ERROR: u16 = 2;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
/// `NFPROTO_INET`.
const FAMILY_INET: u8 = 1;
/// Bytes of a message's head, and of the head behind it that all of netfilter's have.
const HEAD: usize = 16;
const NETFILTER_HEAD: usize = 4;
/// Room for the kernel's messages about packets.
const BUFFER_BYTES: usize = 16 << 20;

/// A packet in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) id: u32,
}

/// A socket to the kernel's packet filter.
pub(crate) struct Netlink(OwnedFd);

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Netlink> {
        Ok(Netlink(sys::netfilter_socket(BUFFER_BYTES)?))
    }

    /// Appends a rule to a chain of a table of the family `inet`: packets go into this queue, and pass while nothing serves it. The
    /// means is the target of iptables, which nftables takes as it is.
    pub(crate) fn add_queue_rule(&self, table: &str, chain: &str, number: u16) -> io::Result<()> {
        // xt_NFQ_info_v3: number, how many queues, flags (1: bypass); padded to eight bytes.
        let mut info: Vec<u8> = [number, 1, 1].into_iter().flat_map(u16::to_ne_bytes).collect();
        info.extend([0; 2]);
        let target = [attribute(1, b"NFQUEUE\0"), attribute(2, &3u32.to_be_bytes()), attribute(3, &info)].concat();
        let expression = [attribute(1, b"target\0"), attribute(2 | NESTED, &target)].concat();
        let rule = [
            attribute(1, &text(table)),
            attribute(2, &text(chain)),
            attribute(4 | NESTED, &attribute(1 | NESTED, &expression)),
        ]
        .concat();
        let batch = [
            message(BATCH_BEGIN, REQUEST, 1, 0, SUBSYSTEM_NFTABLES, &[]),
            message(NEW_RULE, REQUEST | ACK | CREATE | APPEND, 2, FAMILY_INET, 0, &rule),
            message(BATCH_END, REQUEST, 3, 0, SUBSYSTEM_NFTABLES, &[]),
        ]
        .concat();
        sys::send(self.as_raw_fd(), &batch)?;
        self.acknowledged(2)
    }

    /// Binds this socket to a queue of this length. Packets are announced without their bytes. A full queue lets packets pass.
    pub(crate) fn bind_queue(&self, number: u16, length: u32) -> io::Result<()> {
        let bind = attribute(1, &[1, 0, 0, 0]);
        let announce = attribute(2, &[0, 0, 0, 0, 1]);
        let room = attribute(3, &length.to_be_bytes());
        // Fail open, and whole packets of segmentation offload.
        let flags = (1u32 | 4).to_be_bytes();
        let flags = [attribute(4, &flags), attribute(5, &flags)].concat();
        for (sequence, part) in (1..).zip([bind, announce, room, flags]) {
            sys::send(self.as_raw_fd(), &message(QUEUE_CONFIG, REQUEST | ACK, sequence, 0, number, &part))?;
            self.acknowledged(sequence)?;
        }
        Ok(())
    }

    /// Lets a packet of a queue pass, or drops it. A packet that is gone (its rule was removed) is no error.
    pub(crate) fn judge(&self, number: u16, id: u32, pass: bool) {
        let verdict = [u32::from(pass).to_be_bytes(), id.to_be_bytes()].concat();
        drop(sys::send(self.as_raw_fd(), &message(QUEUE_VERDICT, REQUEST, 0, 0, number, &attribute(2, &verdict))));
    }

    /// Takes the packets that are announced now.
    pub(crate) fn receive(&self, packets: &mut Vec<Packet>) {
        let mut buffer = [0; 16 << 10];
        // Announcements that the buffer could not hold are of packets that have passed.
        while let Ok(Some(length)) = sys::receive(self.as_raw_fd(), &mut buffer) {
            packets.extend(messages(&buffer[..length]).filter_map(|(kind, _, body)| announced(kind, body)));
        }
    }

    /// Waits for the kernel's answer to a message.
    fn acknowledged(&self, sequence: u32) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            sys::wait_readable(&[self.as_raw_fd()], std::time::Duration::from_secs(5));
            let length = sys::receive(self.as_raw_fd(), &mut buffer)?;
            let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer"))?;
            let answer =
                messages(&buffer[..length]).find(|(kind, about, _)| (*kind, *about) == (MESSAGE_ERROR, sequence));
            if let Some((_, _, body)) = answer {
                let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                return if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
            }
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Length and kind in the machine's order, the bytes, and zeros up to a multiple of four.
fn attribute(kind: u16, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() + 4;
    let mut whole = (length as u16).to_ne_bytes().to_vec();
    whole.extend(kind.to_ne_bytes());
    whole.extend(bytes);
    whole.resize(length.next_multiple_of(4), 0);
    whole
}

fn message(kind: u16, flags: u16, sequence: u32, family: u8, resource: u16, body: &[u8]) -> Vec<u8> {
    let length = (HEAD + NETFILTER_HEAD + body.len()) as u32;
    let mut whole = length.to_ne_bytes().to_vec();
    whole.extend(kind.to_ne_bytes());
    whole.extend(flags.to_ne_bytes());
    whole.extend(sequence.to_ne_bytes());
    whole.extend([0; 4]);
    whole.extend([family, 0]);
    whole.extend(resource.to_be_bytes());
    whole.extend(body);
    whole
}

/// Kind, sequence and body of each message in a buffer.
fn messages(mut buffer: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let head = buffer.first_chunk::<HEAD>()?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let body = buffer.get(HEAD..length)?;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let sequence = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        buffer = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, body))
    })
}

/// The packet of an announcement.
fn announced(kind: u16, body: &[u8]) -> Option<Packet> {
    if kind != QUEUE_PACKET {
        return None;
    }
    let mut rest = body.get(NETFILTER_HEAD..)?;
    while let Some(head) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let bytes = rest.get(4..length)?;
        if u16::from_ne_bytes([head[2], head[3]]) & !NESTED == 1 {
            return bytes.first_chunk::<4>().map(|id| Packet { id: u32::from_be_bytes(*id) });
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_among_other_messages() {
        let id = [attribute(4, &[0; 3]), attribute(1, &[0, 0, 1, 2, 8, 0, 0])].concat();
        let buffer = [
            message(MESSAGE_ERROR, 0, 5, 0, 0, &[]),
            message(QUEUE_PACKET, 0, 0, 2, 7, &id),
            message(QUEUE_PACKET, 0, 0, 2, 7, &attribute(9, &[1])),
        ]
        .concat();
        let found: Vec<Packet> = messages(&buffer).filter_map(|(kind, _, body)| announced(kind, body)).collect();
        assert_eq!(found, [Packet { id: 0x102 }]);
        assert_eq!(messages(&buffer[..buffer.len() - 1]).count(), 2, "a message that is cut off is left out");
    }
}
