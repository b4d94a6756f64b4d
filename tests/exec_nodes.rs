//! Nodes that a command enters: containers made of `unshare` and `chroot` with a process that keeps them, without a container
//! engine and without SSH; and each command that leads to no node. These tests need root, and say so.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A target that is nothing but a process: no package, one port.
const RECIPE: &str = "\
schema: 1
name: still
doc: It runs and serves no client.
processes: [{name: still, start: [sleep, '1000'], ports: {client: 2379}}]
clients: [{interface: http, workloads: [register], builtin: etcd}]
";
/// What putting an agent on a node takes, and what keeps a container.
const TOOLS: [&str; 13] =
    ["sh", "uname", "mkdir", "chmod", "df", "tail", "cut", "sha256sum", "cat", "mv", "rm", "sleep", "ls"];

/// A folder with plans, where the program runs without the environment's own settings.
struct Scene {
    folder: TempDir,
}

/// The exit code of the program, and all that it said.
struct Said {
    code: i32,
    text: String,
}

impl Scene {
    fn new() -> Scene {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root, for namespaces");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("recipe.yaml"), RECIPE).expect("written");
        Scene { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A plan whose cluster is entered by this command.
    fn plan(&self, nodes: &str, command: &[String], more: &str) -> String {
        let words = serde_json::to_string(command).expect("JSON");
        let plan = format!(
            "name: p\ntarget: ./recipe.yaml\nworkload: register\nload: {{time: 60s}}\n\
             cluster: {{exec: {{nodes: {nodes}, command: {words}}}}}\n{more}"
        );
        fs::write(self.path("plan.yaml"), plan).expect("written");
        self.path("plan.yaml").display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_by(&[], arguments)
    }

    /// The program, started by another one.
    fn run_by(&self, by: &[&str], arguments: &[&str]) -> Said {
        let words = [by, &[env!("CARGO_BIN_EXE_dsfuzz")], arguments].concat();
        let mut command = Command::new(words[0]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).args(&words[1..]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
            command.env_remove(name);
        }
        let output = command.output().expect("the program runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Said { code: output.status.code().expect("no signal ended it"), text }
    }
}

impl Said {
    #[track_caller]
    fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is not said:\n{}", self.text);
        }
    }

    /// What doctor says about an ability of c1: whether the node has it, and the detail.
    fn row(&self, ability: &str) -> &str {
        let begin = format!("c1: {ability}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_default()
    }
}

/// A root folder with these programs of the machine, and the libraries that they and the agent load.
fn root(folder: &Path, programs: &[&str]) {
    for place in ["bin", "proc", "run", "tmp", "var/lib", "dev"] {
        fs::create_dir_all(folder.join(place)).expect("made");
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("set");
    let agent = Path::new(env!("CARGO_BIN_EXE_dsfuzz")).with_file_name("dsfuzz-agent");
    assert!(agent.is_file(), "{} is missing: cargo build -p dsfuzz-agent", agent.display());
    let mut files = vec![agent];
    for program in programs {
        let found = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(|place| Path::new(place).join(program));
        let found = found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("no {program} here"));
        fs::copy(&found, folder.join("bin").join(program)).expect("copied");
        files.push(found);
    }
    for file in files {
        let libraries = Command::new("ldd").arg(&file).output().expect("ldd").stdout;
        for library in String::from_utf8_lossy(&libraries).split_whitespace().filter(|word| word.starts_with('/')) {
            let to = folder.join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            fs::copy(library, to).expect("copied");
        }
    }
}

/// A container: namespaces of its own, a root folder of its own, and a process that keeps them. It ends when dropped.
struct Container {
    /// What made it; its death ends the container.
    keeper: Child,
    /// Its first process, on this machine.
    first: String,
}

impl Container {
    /// `flags` of `unshare`; `script` makes the inside and becomes the first process.
    fn new(flags: &[&str], script: &str) -> Container {
        let mut command = Command::new("unshare");
        command.args(flags).args(["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c"]);
        command.arg(script).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        // Ends the container also where what follows fails.
        let mut made = Container { keeper: command.spawn().expect("unshare"), first: String::new() };
        let children = format!("/proc/{0}/task/{0}/children", made.keeper.id());
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            made.first = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            // Only once it sleeps is the inside made.
            if fs::read_to_string(format!("/proc/{}/comm", made.first)).is_ok_and(|name| name.trim() == "sleep") {
                return made;
            }
            assert!(Instant::now() < end, "no container");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// In a root folder of its own.
    fn in_folder(folder: &Path) -> Container {
        let at = folder.display();
        let script = format!(
            "set -e; mount -t proc proc {at}/proc; mount -t tmpfs tmpfs {at}/run; ip link set lo up; \
             ip addr add 10.99.0.1/32 dev lo; exec chroot {at} /bin/sleep 600"
        );
        Container::new(&[], &script)
    }

    /// The command that enters it.
    fn enter(&self, flags: &[&str]) -> Vec<String> {
        let first = ["nsenter", "--target", &self.first, "--mount", "--pid", "--net", "--uts", "--ipc", "--root"];
        first.iter().chain(flags).map(|word| (*word).to_owned()).collect()
    }

    /// The command lines of its processes. Ended ones have none: its first process does not collect them.
    fn processes(&self) -> String {
        let inside = fs::read_link(format!("/proc/{}/ns/pid", self.first)).expect("a namespace");
        let all = fs::read_dir("/proc").expect("read").flatten().map(|entry| entry.path());
        let same = all.filter(|path| fs::read_link(path.join("ns/pid")).is_ok_and(|other| other == inside));
        let command = |path: PathBuf| fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " ");
        same.map(command).filter(|command| !command.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|word| (*word).to_owned()).collect()
}

const CUT: &str = "nemesis: {faults: [partition]}\n";

#[test]
fn doctor_says_what_a_container_lacks_and_leaves_nothing_in_it() {
    let scene = Scene::new();
    let folder = scene.path("root");
    root(&folder, &TOOLS);
    let container = Container::in_folder(&folder);
    let quiet = scene.plan("[c1]", &container.enter(&[]), "");
    scene.run(&["plan", &quiet]).says(0, &["c1 (entered by `nsenter --target "]);
    // From a network without routes nothing leads to the address that the container has.
    let said = scene.run_by(&["unshare", "--net"], &["doctor", "-v", &quiet]);
    let no_way =
        "nothing answers from this machine at 10.99.0.1, TCP port 2379, not even by a refusal: Network is unreachable";
    said.says(255, &[no_way, "run dsfuzz where its packets reach the nodes", "cannot be tested as the plan asks"]);
    let run = scene.run_by(&["unshare", "--net"], &["run", &quiet]);
    run.says(255, &[&format!("c1: {no_way}")]);
    assert!(!run.text.contains("\nstart "), "it ends before the target is started: {}", run.text);
    for (ability, detail) in [
        ("root", "yes: user id 0"),
        ("nft", "no (not needed by this plan): "),
        ("cgroup2", "no (not needed by this plan): no cgroup2 is mounted"),
        ("freeze", "no (not needed by this plan): "),
        ("disk-free-bytes", "yes"),
    ] {
        assert!(said.row(ability).starts_with(detail), "{ability}: {}\n{}", said.row(ability), said.text);
    }
    let cut = scene.plan("[c1]", &container.enter(&[]), CUT);
    let said = scene.run(&["doctor", &cut]);
    assert!(said.row("nft").starts_with("NO") && said.row("nft").contains("apt install nftables"), "{}", said.text);
    scene.run(&["run", &cut]).says(255, &["c1: partition needs nft: ", "apt install nftables"]);
    scene.run(&["heal", &cut]).says(0, &["c1: nothing was left"]);
    let end = Instant::now() + Duration::from_secs(10);
    while container.processes() != "/bin/sleep 600 " {
        assert!(Instant::now() < end, "more is left than the first process: {}", container.processes());
        std::thread::sleep(Duration::from_millis(20));
    }
    let agents = fs::read_dir(folder.join("var/lib/dsfuzz/agent")).expect("read").count();
    assert_eq!(agents, 1, "the agent was uploaded once");
}

#[test]
fn a_container_of_a_user_namespace_needs_net_admin_for_partitions() {
    let scene = Scene::new();
    let script = "set -e; mount -t proc proc /proc; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; \
                  ip link set lo up; exec sleep 600";
    let container = Container::new(&["--user", "--map-root-user"], script);
    let enter = container.enter(&["--user", "--preserve-credentials"]);
    let at = "[{name: c1, address: 127.0.0.1}]";
    let said = scene.run(&["doctor", "-v", &scene.plan(at, &enter, CUT)]);
    said.says(0, &["these nodes can be tested"]);
    assert!(said.row("nft").starts_with("yes"), "{}", said.text);
    let container = Container::new(&[], script);
    let weak = words(&["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    let weak = [weak, container.enter(&[])].concat();
    let said = scene.run(&["doctor", &scene.plan(at, &weak, CUT)]);
    said.says(255, &["no CAP_NET_ADMIN", "--cap-add NET_ADMIN", "these nodes cannot be tested"]);
    assert!(said.row("nft").starts_with("NO"), "{}", said.text);
    scene.run(&["run", &scene.plan(at, &weak, CUT)]).says(255, &["c1: partition needs nft: ", "CAP_NET_ADMIN"]);
}

#[test]
fn each_command_that_leads_to_no_node_has_its_own_message() {
    let scene = Scene::new();
    let (empty, bare) = (scene.path("empty"), scene.path("bare"));
    fs::create_dir(&empty).expect("made");
    root(&bare, &["sh", "cat", "uname"]);
    fs::create_dir_all(bare.join("proc/self")).expect("made");
    let text = |path: &Path| path.display().to_string();
    let at = "[{name: c1, address: 127.0.0.1}]";
    for (nodes, command, parts) in [
        (
            at,
            words(&["sh", "-c", "echo no such pod >&2; exit 3", "x"]),
            &["c1: `sh -c ", "(exit status 3)", "no such pod"][..],
        ),
        (at, words(&["false"]), &["c1: `false` runs no script", "it says: nothing (exit status 1)"]),
        (at, words(&["chroot", &text(&empty)]), &["c1: there is no shell in the node: `chroot ", "No such file"]),
        (at, words(&["chroot", &text(&bare)]), &["c1: the node lacks mkdir, chmod, df, tail, cut, sha256sum, mv, rm,"]),
        (at, words(&["sh", "-c", "exec \"$@\" < /dev/null", "x"]), &["does not pass its standard input", "with -i"]),
        (at, words(&["setpriv", "--reuid=65534", "--clear-groups"]), &["enters the node as user 65534", "-u 0"]),
        ("[c1]", words(&["false"]), &["c1: `false` runs no script"]),
        ("[c1]", words(&["unshare", "--net"]), &["c1: it has no address", "{name: c1, address: ..}"]),
        (
            "[{name: c1, address: no.such.invalid}]",
            words(&["env"]),
            &["c1: its address no.such.invalid is no IP address"],
        ),
    ] {
        let plan = scene.plan(nodes, &command, "");
        for subcommand in ["doctor", "run", "heal"] {
            let said = scene.run(&[subcommand, &plan]);
            said.says(255, parts);
            assert!(!said.text.contains("panicked"), "{}", said.text);
        }
    }
    let absent = scene.plan(at, &words(&["no-such-engine", "exec", "-i", "{{ node }}"]), "");
    for subcommand in ["plan", "doctor", "run", "heal"] {
        scene.run(&[subcommand, &absent]).says(254, &["the program `no-such-engine` is not in PATH on this machine"]);
    }
}
