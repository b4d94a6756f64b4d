//! The lab: nodes on this machine, made of namespaces.
use std::ffi::OsString;

/// Runs a hidden lab command if the arguments are one; must be called while the process has one thread.
pub fn dispatch(_arguments: &[OsString]) -> Option<i32> {
    None
}
