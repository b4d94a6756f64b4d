//! Real power loss: qemu is killed, and the same disk boots again.
use crate::machines::Machines;

const WRITE: &str = "\
set -e
mkdir /root/power
cd /root/power
head -c 1000000 /dev/urandom > synced
printf kept. > appended
sync synced appended .
sha256sum synced
cat /proc/sys/kernel/random/boot_id
head -c 1000000 /dev/urandom > unsynced
head -c 1000000 /dev/urandom >> appended
stat -c %s unsynced appended
";

const READ: &str = "\
cd /root/power
sha256sum synced
cat /proc/sys/kernel/random/boot_id
[ -e unsynced ] && stat -c %s unsynced || echo none
stat -c %s appended
journalctl -kb --no-pager -o cat | grep -i -m1 'EXT4-fs.*recover' || echo 'no message of a recovery'
";

/// What was synced is there after the power was cut; what was not is gone.
pub(crate) fn power(machines: &mut Machines) -> Vec<String> {
    machines.booted(2);
    let written = machines.ssh(2, WRITE);
    machines.cut_power(2);
    let boot = machines.boot(2);
    let read = machines.ssh(2, READ);
    machines.ssh(2, "rm -r /root/power; sync");
    let (written, read): (Vec<&str>, Vec<&str>) = (written.lines().collect(), read.lines().collect());
    assert_eq!(written[2..], ["1000000", "1000005"], "both files were whole before");
    assert_eq!(written[0], read[0], "the synced file is not as it was");
    assert_ne!(written[1], read[1], "the kernel did not boot anew");
    assert!(["none", "0"].contains(&read[2]), "the file that was not synced has {} bytes", read[2]);
    assert_eq!(read[3], "5", "the tail that was not synced is there");
    vec![
        "1000000 bytes written and synced: as they were".to_owned(),
        format!(
            "1000000 bytes written and not synced: {}",
            if read[2] == "none" { "no file" } else { "an empty file" }
        ),
        "1000000 bytes appended to 5 synced ones and not synced: 5 bytes".to_owned(),
        format!("booted again in {:.0} s: {}", boot.as_secs_f64(), read[4]),
    ]
}
