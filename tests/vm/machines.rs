//! [`Machines`]: VMs on one network, which this process's network namespace has a bridge to.
use crate::folder;
use crate::image::Image;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name and address of each VM.
const NODES: [(&str, &str); 3] = [("n1", "10.78.0.1"), ("n2", "10.78.0.2"), ("n3", "10.78.0.3")];
const MEMORY_MB: &str = "384";
/// Has the kernel load what rules of faults need, and FUSE.
const LOAD_MODULES: &str = "set -e
nft 'table inet warm { chain in { type filter hook input priority 0; ip saddr 192.0.2.1 udp dport 9 numgen random mod 9 < 3 queue num 77 bypass;
tcp dport 9 reject with tcp reset; udp dport 9 limit rate over 1 kbytes/second drop; }; }'
nft list ruleset >/dev/null
nft delete table inet warm
modprobe -a fuse nfnetlink_queue
ping -c 1 127.0.0.1 >/dev/null";
/// Most that a boot may take on a busy machine that emulates.
const BOOT: Duration = Duration::from_secs(600);

/// A virtual machine.
pub(crate) struct Machine {
    pub(crate) address: &'static str,
    process: Option<Child>,
}

/// The VMs. They boot when they are first asked for.
pub(crate) struct Machines {
    image: Image,
    acceleration: Acceleration,
    machines: Vec<Machine>,
    /// The forms of faults that the catalogue measures.
    pub(crate) forms: String,
}

/// What runs the VMs' instructions.
#[derive(Clone, Copy)]
enum Acceleration {
    Kvm,
    Emulated,
}

impl Acceleration {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Acceleration::Kvm => &["-accel", "kvm", "-cpu", "host"],
            // A small cache of translated code: VMs for tests are many.
            Acceleration::Emulated => &["-accel", "tcg,tb-size=128", "-cpu", "qemu64"],
        }
    }
}

/// Waits until there is an answer.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A command of this machine that ends well.
fn host(words: &[&str]) {
    let done = Command::new(words[0]).args(&words[1..]).output().expect("the command runs");
    assert!(done.status.success(), "{}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
}

impl Machines {
    /// The network; never: in the network of the machine.
    pub(crate) fn new(image: Image, forms: String) -> Machines {
        // The first process of a new process namespace has the number 1, so this is no namespace of the machine.
        assert_eq!(std::process::id(), 1, "the VMs' network is made in a namespace alone");
        for words in [
            "ip link set lo up",
            "ip link add vms type bridge",
            "ip address add 10.78.0.254/24 dev vms",
            "ip link set vms up",
        ] {
            host(&words.split(' ').collect::<Vec<_>>());
        }
        for (name, _) in NODES {
            host(&["ip", "tuntap", "add", "dev", name, "mode", "tap"]);
            host(&["ip", "link", "set", name, "master", "vms", "up"]);
        }
        let disks = folder().join("disks");
        if disks.is_dir() {
            fs::remove_dir_all(&disks).expect("the disks of earlier VMs are removed");
        }
        fs::create_dir_all(&disks).expect("a folder");
        let acceleration = acceleration(&image);
        let machines = NODES.map(|(_, address)| Machine { address, process: None }).into();
        Machines { image, acceleration, machines, forms }
    }

    /// All VMs, booted, one after the other.
    pub(crate) fn all(&mut self) -> Vec<&Machine> {
        for index in 0..self.machines.len() {
            self.booted(index);
        }
        self.machines.iter().collect()
    }

    /// All VMs, booted, with the modules that faults make the kernel load: an emulated machine needs longer for that than an agent
    /// waits for a command.
    pub(crate) fn ready_for_faults(&mut self) {
        self.all();
        for index in 0..self.machines.len() {
            self.ssh(index, LOAD_MODULES);
        }
    }

    /// Lets the names of the VMs be addresses in this process's mount namespace; the names.
    pub(crate) fn names_resolve(&self) -> Vec<&'static str> {
        let hosts = folder().join("disks/hosts");
        let lines = NODES.map(|(name, address)| format!("{address} {name}\n"));
        fs::write(&hosts, format!("127.0.0.1 localhost\n{}", lines.concat())).expect("written");
        host(&["mount", "--bind", &hosts.display().to_string(), "/etc/hosts"]);
        NODES.iter().map(|(name, _)| *name).collect()
    }

    /// One VM, booted.
    pub(crate) fn booted(&mut self, index: usize) -> &Machine {
        if self.machines[index].process.is_none() {
            self.boot(index);
        }
        &self.machines[index]
    }

    /// The SSH key of root.
    pub(crate) fn key(&self) -> PathBuf {
        self.image.key()
    }

    /// Starts a VM and waits until it answers; the time it took.
    pub(crate) fn boot(&mut self, index: usize) -> Duration {
        let begun = Instant::now();
        let (name, address) = NODES[index];
        let disk = self.file(name, "img");
        if !disk.is_file() {
            let (from, to) = (self.image.disk(), &disk);
            host(&["cp", "--sparse=always", &from.display().to_string(), &to.display().to_string()]);
        }
        // An emulated timer is late on a busy machine, which the kernel's check takes for a broken one.
        let line = format!(
            "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check net.ifnames=0 systemd.hostname={name} ip={address}:::255.255.255.0:{name}:eth0:off"
        );
        let mut command = qemu(&self.image, self.acceleration, &line, &self.file(name, "console"));
        command
            .args(["-drive", &format!("file={},format=raw,if=virtio", disk.display())])
            .args(["-netdev", &format!("tap,id=net,ifname={name},script=no,downscript=no")])
            .args(["-device", &format!("virtio-net-pci,netdev=net,mac=52:54:00:00:00:0{}", index + 1)])
            .args(["-device", "virtio-rng-pci"]);
        self.machines[index].process = Some(command.spawn().expect("qemu runs"));
        let up = "systemctl is-system-running --wait; true";
        eventually(&format!("{name} answers"), BOOT, || {
            let process = self.machines[index].process.as_mut().expect("started");
            let ended = process.try_wait().expect("asked");
            assert!(ended.is_none(), "{name} ended: {ended:?}\n{}", self.console(name));
            self.try_ssh(index, up).filter(|state| !state.is_empty())
        });
        begun.elapsed()
    }

    /// Cuts the power: what the VM has in memory is gone.
    pub(crate) fn cut_power(&mut self, index: usize) {
        let mut process = self.machines[index].process.take().expect("it runs");
        process.kill().expect("killed");
        process.wait().expect("waited");
    }

    /// What a script says on a VM, which it ends well.
    #[track_caller]
    pub(crate) fn ssh(&self, index: usize, script: &str) -> String {
        let done = self.ssh_command(index, script).output().expect("ssh runs");
        let name = NODES[index].0;
        assert!(done.status.success(), "{name}: {script}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The same, if the VM answers.
    fn try_ssh(&self, index: usize, script: &str) -> Option<String> {
        let done = self.ssh_command(index, script).output().expect("ssh runs");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    fn ssh_command(&self, index: usize, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command
            .arg("-i")
            .arg(self.key())
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .arg(format!("root@{}", NODES[index].1))
            .arg(script)
            .stdin(Stdio::null());
        command
    }

    fn file(&self, name: &str, what: &str) -> PathBuf {
        folder().join("disks").join(format!("{name}.{what}"))
    }

    /// The end of what the VM wrote to its console.
    fn console(&self, name: &str) -> String {
        let text = fs::read(self.file(name, "console")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in &mut self.machines {
            if let Some(mut process) = machine.process.take() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

/// qemu with this image's kernel, its console in a file, at the lowest priority but four.
fn qemu(image: &Image, acceleration: Acceleration, line: &str, console: &std::path::Path) -> Command {
    let mut command = Command::new("nice");
    command
        .args(["-n", "15", "qemu-system-x86_64", "-m", MEMORY_MB, "-nodefaults", "-display", "none", "-no-reboot"])
        .args(acceleration.arguments())
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.ram_disk())
        .args(["-append", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(console.with_extension("qemu")).expect("a file"));
    command
}

/// KVM where this kernel speaks under it; there are machines with a `/dev/kvm` under which no unchanged kernel boots.
fn acceleration(image: &Image) -> Acceleration {
    if File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return Acceleration::Emulated;
    }
    let console = folder().join("disks/kvm.console");
    let mut process = qemu(image, Acceleration::Kvm, "console=ttyS0 panic=-1", &console).spawn().expect("qemu runs");
    let deadline = Instant::now() + Duration::from_secs(20);
    let speaks = || fs::read(&console).is_ok_and(|text| String::from_utf8_lossy(&text).contains("Linux version"));
    let mut found = Acceleration::Emulated;
    while Instant::now() < deadline && process.try_wait().expect("asked").is_none() {
        if speaks() {
            found = Acceleration::Kvm;
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = process.kill();
    let _ = process.wait();
    found
}
