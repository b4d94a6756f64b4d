//! Hosts as other people set them up: `doctor` says what is wrong with each before `run` does.
use crate::nodes::Lab;
use crate::stage::Stage;

const PLAN: &str = "name: hosts\ntarget: etcd\nworkload: {register: {keys: 4}}\ncheck: [linearizable]\n\
                    load: {clients: 1n, rate: 50/s, time: 3s, settle: 20s}\nevidence: {ok_min: 10}\n";

fn plan(lab: &Lab<'_>, more: &str) -> String {
    let rest = PLAN.replace("time: 3s", "time: 60s");
    format!("{rest}cluster: {{lab: {}}}\n{more}", lab.name)
}

#[test]
fn doctor_says_what_a_firewall_drops() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 2);
    let quiet = stage.write("quiet.yaml", &plan(&lab, ""));
    let cut = |shape: &str| {
        let faults = format!("nemesis: {{faults: [{{partition: {{shape: {shape}}}}}]}}\n");
        stage.write(&format!("{shape}.yaml"), &plan(&lab, &faults))
    };
    let wall = |open: &str| {
        for node in ["n1", "n2"] {
            let script = format!(
                "nft add table inet wall && nft delete table inet wall && nft add table inet wall && \
                 nft 'add chain inet wall in {{ type filter hook input priority 0; policy drop; }}' && \
                 nft add rule inet wall in ct state established,related accept && nft add rule inet wall in iif lo accept && \
                 nft add rule inet wall in tcp dport '{{ {open} }}' accept && echo walled"
            );
            assert_eq!(lab.ask(node, &script), "walled");
        }
    };
    wall("22");
    stage.run(&["doctor", &quiet]).exits(255).says(&[
        "the target's TCP ports (2379, 2380) between n1 and n2 are filtered",
        "nothing answers from this machine at 10.77.0.1, TCP port 2379, 2380",
        "nothing answers from this machine at 10.77.0.2",
        "these nodes cannot be tested as the plan asks",
    ]);
    wall("22, 2379, 2380");
    let filtered = ["UDP and TCP port 17077 between n1 and n2 are filtered"];
    stage.run(&["doctor", &quiet]).exits(0).says(&filtered);
    stage.run(&["doctor", &cut("halves")]).exits(0).says(&filtered);
    stage.run(&["doctor", &cut("one-way")]).exits(255).says(&filtered);
    wall("22, 2379, 2380, 17077");
    let by_tcp = ["UDP port 17077 between n1 and n2 is filtered; TCP port 17077 answers"];
    stage.run(&["doctor", &cut("halves")]).exits(0).says(&by_tcp);
    stage.run(&["doctor", &cut("one-way")]).exits(255).says(&by_tcp);
}

#[test]
fn doctor_says_that_nft_was_built_without_json() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let quiet = stage.write("quiet.yaml", &plan(&lab, ""));
    let cut = stage.write("cut.yaml", &plan(&lab, "nemesis: {faults: [partition]}\n"));
    let script = r#"nft=$(readlink -f $(command -v nft)); mv $nft $nft-real; cat > $nft <<E
#!/bin/sh
case "\$*" in *-j*) echo "Error: JSON support not compiled-in" >&2; exit 1;; esac
exec $nft-real "\$@"
E
chmod 755 $nft; echo replaced"#;
    assert_eq!(lab.ask("n1", script), "replaced");
    let said = ["JSON support not compiled-in", "was it built without JSON?"];
    stage.run(&["doctor", &quiet]).exits(0).says(&said);
    stage.run(&["doctor", &cut]).exits(255).says(&said);
    stage.run(&["run", &cut, "--seed", "1"]).exits(255).says(&["partition needs nft: "]).says(&said);
}

#[test]
fn a_target_of_an_unprivileged_user_runs_on_a_fresh_host() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let recipe = dsfuzz::targets::builtin_yaml("etcd").expect("built in");
    stage.write("etcd.yaml", &recipe.replacen("  - name: etcd\n", "  - name: etcd\n    user: fresh\n", 1));
    // A folder that is not there yet, and one that root made for itself.
    assert_eq!(lab.ask("n1", "useradd -r -s /usr/sbin/nologin fresh && mkdir -m 700 /srv/closed && echo made"), "made");
    for (dir, seed) in [("/srv/new", "1"), ("/srv/closed", "2")] {
        let hosts = lab.as_hosts().replace("user: root", &format!("user: root, dir: {dir}"));
        let text = format!("{}{hosts}", PLAN.replace("target: etcd", "target: ./etcd.yaml"));
        let plan = stage.write("plan.yaml", &text);
        let command = [env!("CARGO_BIN_EXE_dsfuzz"), "run", &plan, "--seed", seed, "--leave-running"];
        stage.run(&lab.exec("control", &command)).exits(0);
        assert_eq!(lab.ask("n1", &format!("stat -c '%U %a' {dir}/etcd/data")), "fresh 700");
        assert_eq!(lab.ask("n1", "ps -o user= -C etcd"), "fresh");
        let mine = lab.ask("n1", &format!("stat -c '%U %a' {dir}/services {dir}/agent"));
        assert_eq!(mine, "root 700\nroot 700", "the agent's own folders stay closed");
        assert_eq!(lab.ask("n1", "kill -9 $(pidof etcd) && echo killed"), "killed");
    }
}
