//! The memory of this node: what the kernel has, or less where a control group around the agent's services has less.
use crate::cgroup;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the processes of this node can have together; none if that cannot be read.
pub(crate) fn node_bytes() -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let text = |path: &str| read(Path::new(path)).unwrap_or_default();
    let groups = enclosing(&text("/proc/self/mountinfo"), &text("/proc/self/cgroup"), cgroup::root().as_deref());
    let limits = groups.iter().filter_map(|file| read(file)?.trim().parse().ok());
    limits.chain(total(&text("/proc/meminfo"))).min()
}

/// The kernel's memory, by `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let row = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    row.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The files with the limits of the control groups around the services: of version 1 those around this process, of version 2
/// those around `root`, in which services get their groups, else also those around this process.
fn enclosing(mounts: &str, groups: &str, root: Option<&Path>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let fields: Vec<&str> = left.split(' ').collect();
        let (Some(inside), Some(point)) = (fields.get(3), fields.get(4).map(Path::new)) else { continue };
        let right: Vec<&str> = right.split(' ').collect();
        let has_memory = |names: &str| names.split(',').any(|name| name == "memory");
        let (file, is_mine): (&str, fn(&str) -> bool) = match right[..] {
            ["cgroup2", ..] => ("memory.max", str::is_empty),
            ["cgroup", _, options] if has_memory(options) => {
                ("memory.limit_in_bytes", |names| names.split(',').any(|name| name == "memory"))
            }
            _ => continue,
        };
        // `4:memory:/path`, of version 2 `0::/path`.
        let mine = groups.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            is_mine(names).then_some(path)
        });
        let below = mine.and_then(|path| Path::new(path).strip_prefix(inside).ok()).unwrap_or(Path::new(""));
        let innermost = match root.filter(|root| file == "memory.max" && root.starts_with(point)) {
            Some(root) => root.to_owned(),
            None => point.join(below),
        };
        files.extend(
            innermost.ancestors().take_while(|folder| folder.starts_with(point)).map(|folder| folder.join(file)),
        );
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_around_the_services_are_found() {
        let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/docker/abc/one\n1:cpu:/\n0::/sessions/7\n";
        let found = |root: Option<&str>| -> Vec<String> {
            let files = enclosing(mounts, groups, root.map(Path::new));
            files.iter().map(|file| file.strip_prefix("/sys/fs/cgroup").expect("there").display().to_string()).collect()
        };
        let first = ["memory/one/memory.limit_in_bytes", "memory/memory.limit_in_bytes"];
        let of_mine = ["unified/sessions/7/memory.max", "unified/sessions/memory.max", "unified/memory.max"];
        assert_eq!(found(None), [&first[..], &of_mine].concat());
        let of_root = ["unified/dsfuzz/memory.max", "unified/memory.max"];
        assert_eq!(found(Some("/sys/fs/cgroup/unified/dsfuzz")), [&first[..], &of_root].concat());
        assert!(enclosing("", groups, None).is_empty());
    }

    #[test]
    fn this_node_has_some_memory_and_no_more_than_its_kernel() {
        assert_eq!(total("MemTotal:       24684084 kB\nMemFree: 1 kB\n"), Some(24_684_084 << 10));
        let kernel = total(&fs::read_to_string("/proc/meminfo").expect("meminfo")).expect("a total");
        assert!(node_bytes().is_some_and(|bytes| bytes > 1 << 20 && bytes <= kernel));
    }
}
