//! The faults that are shown: each kind in each of its forms.

/// A form of a kind of fault.
pub(crate) struct Variant {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// The kind, as a plan names it.
    pub(crate) kind: &'static str,
    /// Its options, as a plan writes them.
    pub(crate) options: &'static str,
}

const fn variant(name: &'static str, kind: &'static str, options: &'static str) -> Variant {
    Variant { name, kind, options }
}

const OWN: &str = "{name: mark, nodes: majority, begin: 'touch {{ dir }}/mark', prove: 'test -e {{ dir }}/mark', \
                   heal: 'rm -f {{ dir }}/mark', healed: 'test ! -e {{ dir }}/mark'}";
const OWN_STOP: &str = "{name: mark, nodes: minority, processes: stop, begin: 'touch {{ dir }}/mark', \
                        prove: 'test -e {{ dir }}/mark', heal: 'rm -f {{ dir }}/mark', \
                        healed: 'test ! -e {{ dir }}/mark'}";

const OWN_RESTART: &str = "{name: mark, nodes: one, processes: restart-once, begin: 'touch {{ dir }}/mark', \
                           prove: 'test -e {{ dir }}/mark', heal: 'rm -f {{ dir }}/mark', \
                           healed: 'test ! -e {{ dir }}/mark'}";
const OWN_ROLLING: &str = "{name: mark, nodes: all, rolling: true, for: 20s, begin: 'touch {{ dir }}/mark', \
                           prove: 'test -e {{ dir }}/mark', heal: 'rm -f {{ dir }}/mark', \
                           healed: 'test ! -e {{ dir }}/mark'}";

/// Every form. A kind without a row fails `complete`.
pub(crate) const VARIANTS: &[Variant] = &[
    variant("partition", "partition", "{shape: [majority, halves, bridge, ring, isolate-one]}"),
    variant("partition-one-way", "partition", "{shape: one-way}"),
    variant("partition-reject", "partition", "{shape: isolate-one, how: reject}"),
    variant("partition-clients", "partition", "{shape: isolate-one, clients: true}"),
    variant("packet-loss", "packet", "{loss: 30, nodes: one}"),
    variant("packet-bursts", "packet", "{loss: {percent: 30, burst: 5}, nodes: one}"),
    variant("packet-every-nth", "packet", "{every_nth: 3, nodes: one}"),
    variant("packet-duplicate", "packet", "{duplicate: 30, nodes: one}"),
    variant("packet-corrupt", "packet", "{corrupt: 20, nodes: one}"),
    variant("packet-rate", "packet", "{rate: 64, nodes: one}"),
    variant("packet-mtu", "packet", "{mtu: 400, nodes: one}"),
    variant("packet-delay", "packet", "{delay: {mean: 50ms, jitter: 10ms}, link: {from: n1, to: n2}}"),
    variant("packet-reorder", "packet", "{reorder: {percent: 30, by: 30ms}, nodes: one}"),
    variant("packet-flap", "packet", "{flap: {period: 500ms, down: 200ms}, nodes: one}"),
    variant("kill", "kill", "{nodes: minority}"),
    variant("kill-all", "kill", "{nodes: all}"),
    variant("kill-by-sigterm", "kill", "{nodes: one, signal: term, grace: 1s}"),
    variant("restart-loop", "restart", "{nodes: one, every: 500ms}"),
    variant("restart-rolling", "restart", "{nodes: all, rolling: true}"),
    variant("pause", "pause", "{nodes: majority}"),
    variant("pause-first", "pause", "{nodes: one, only: first}"),
    variant("power-loss", "power-loss", "{nodes: minority}"),
    variant("power-loss-torn", "power-loss", "{nodes: one, torn: 50}"),
    variant("disk-full", "disk", "{effect: full}"),
    variant("disk-read-only", "disk", "{effect: read-only}"),
    variant("disk-slow", "disk", "{effect: {slow: {read: 200ms, write: 200ms}}}"),
    variant("disk-slow-fsync", "disk", "{effect: {slow-fsync: {}}}"),
    variant("disk-errors", "disk", "{effect: {errors: {on: fsync}}}"),
    variant("disk-bit-flip", "disk", "{effect: {bit-flip: {}}}"),
    variant("disk-truncate", "disk", "{effect: {truncate: {}}}"),
    variant("disk-old-copy", "disk", "{effect: old-copy}"),
    variant("clock-jump", "clock", "{jump: 60s, nodes: majority}"),
    variant("clock-strobe", "clock", "{strobe: {by: 20s, period: 50ms}, nodes: majority}"),
    variant("clock-drift", "clock", "{drift: 80%, nodes: majority}"),
    variant("clock-freeze", "clock", "{freeze: true, nodes: majority}"),
    variant("clock-per-node", "clock", "{jump: 60s, drift: 20%, per_node: true, nodes: majority}"),
    variant("cpu-limit", "cpu", "{limit: 10%}"),
    variant("cpu-burn", "cpu", "{burn: 2}"),
    variant("memory-limit", "memory", "{limit: 200MB}"),
    variant("memory-headroom", "memory", "{headroom: 4MB}"),
    variant("memory-oom", "memory", "{oom: true}"),
    variant("descriptors-limit", "descriptors", "{limit: 64}"),
    variant("descriptors-spare", "descriptors", "{spare: 8}"),
    variant("own", "own", OWN),
    variant("own-stop", "own", OWN_STOP),
    variant("own-restart-once", "own", OWN_RESTART),
    variant("own-rolling", "own", OWN_ROLLING),
];

/// The kinds of fault without a row; none if the list is complete.
pub(crate) fn missing() -> Vec<&'static str> {
    let known = |kind: &str| VARIANTS.iter().any(|variant| variant.kind == kind);
    dsfuzz_nemesis::FAULTS.iter().map(|facts| facts.name).filter(|kind| !known(kind)).collect()
}
