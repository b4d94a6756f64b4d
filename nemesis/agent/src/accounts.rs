//! Users and groups from `/etc/passwd` and `/etc/group`, since a static program cannot use the resolver's libraries. Users of a
//! directory service are not found.
use crate::sys::Ids;
use std::fs;

/// A user of this node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) ids: Ids,
    pub(crate) home: String,
}

/// Looks a user up.
pub(crate) fn account(name: &str) -> Result<Account, String> {
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    find(&passwd, &group, name).ok_or_else(|| format!("user {name}: not in /etc/passwd of this node"))
}

fn find(passwd: &str, group: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let fields: Vec<&str> = line.split(':').collect();
    let uid = fields.get(2)?.parse().ok()?;
    let gid = fields.get(3)?.parse().ok()?;
    let home = (*fields.get(5)?).to_owned();
    let more = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let member = fields.get(3)?.split(',').any(|member| member == name);
        fields.get(2)?.parse().ok().filter(|other| member && *other != gid)
    });
    let groups = std::iter::once(gid).chain(more).collect();
    Some(Account { name: name.to_owned(), ids: Ids { uid, gid, groups }, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\netcd:x:107:112::/var/lib/etcd:/bin/false\n";
        let group = "root:x:0:\nssl:x:90:www,etcd\netcd:x:112:etcd\n";
        let found = find(passwd, group, "etcd").expect("found");
        assert_eq!(found.ids, Ids { uid: 107, gid: 112, groups: vec![112, 90] });
        assert_eq!(found.home, "/var/lib/etcd");
        assert_eq!(find(passwd, group, "etc"), None);
    }
}
