//! A real agent in namespaces of the tests' own: see [`node`]. Needs root, unshare, nsenter, setpriv, ip, nft and python3.
mod clocks;
mod deaths;
mod disk;
mod disk_faults;
mod injections;
mod lease;
mod node;
mod own;
mod packets;
mod parts;
mod requests;
mod resources;
mod undo;
