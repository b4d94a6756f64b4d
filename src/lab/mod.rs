//! The lab: nodes on this machine, made of namespaces.
