//! Starts a node of a specimen.
use dsfuzz_specimen::maelstrom::Maelstrom;
use dsfuzz_specimen::modes;
use dsfuzz_specimen::node::Settings;
use dsfuzz_specimen::serve::{Addresses, serve};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a node's answer is waited for.
const ASK_WITHIN: Duration = Duration::from_secs(2);

const USAGE: &str = "usage: dsfuzz-specimen --mode MODE --mistake NAME --me NAME --clients ADDRESS:PORT \
                     --nodes NAME=ADDRESS:PORT,.. (in the plan's order) --data FOLDER [--set OPTION=VALUE]; \
                     or, instead of --mode and --mistake, --maelstrom PROGRAM --set workload=NAME [--set arguments=TEXT] \
                     [--set topology=NAME]; \
                     or --modes: the modes with their objects and mistakes, as JSON; \
                     or --ask ADDRESS:PORT LINE: prints a node's answer to a line";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--modes"] {
        println!("{}", modes::listed());
        return ExitCode::SUCCESS;
    }
    if let [ask, address, line] = arguments.as_slice()
        && ask == "--ask"
    {
        return match asked(address, line) {
            Ok(answer) => {
                println!("{}", answer.trim_end());
                ExitCode::SUCCESS
            }
            Err(message) => {
                eprintln!("{address}: {message}");
                ExitCode::FAILURE
            }
        };
    }
    match started(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// A node's answer to a line.
fn asked(address: &str, line: &str) -> Result<String, String> {
    let answer = || {
        let address = address.parse().map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, ASK_WITHIN)?;
        stream.set_read_timeout(Some(ASK_WITHIN))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    answer().map_err(|error: io::Error| error.to_string())
}

fn started(arguments: &[String]) -> Result<(), String> {
    let mut single: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut names, mut peers, mut options) = (Vec::new(), Vec::new(), BTreeMap::new());
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.to_owned()) };
        match name.as_str() {
            "--nodes" => {
                for node in value.split(',') {
                    let (node, address) = node.split_once('=').ok_or_else(|| format!("{node}: has no `=`\n{USAGE}"))?;
                    names.push(node.to_owned());
                    peers.push(parsed(address)?);
                }
            }
            "--set" => {
                let (option, value) =
                    value.split_once('=').ok_or_else(|| format!("--set {value}: has no `=`\n{USAGE}"))?;
                options.insert(option.to_owned(), value.to_owned());
            }
            "--mode" | "--mistake" | "--maelstrom" | "--me" | "--clients" | "--data" => {
                single.insert(name, value);
            }
            _ => return Err(format!("unknown: {name}\n{USAGE}")),
        }
    }
    let given = |name: &str| single.get(name).copied().ok_or_else(|| format!("{name} is missing\n{USAGE}"));
    let me = given("--me")?;
    let me = names.iter().position(|name| name == me).ok_or_else(|| format!("--me {me} is not among --nodes"))?;
    let addresses = Addresses { clients: parsed(given("--clients")?)?, peers };
    let data = PathBuf::from(given("--data")?);
    if let Ok(program) = given("--maelstrom") {
        options.insert("program".to_owned(), program.to_owned());
        let settings = Settings { me, names, mistake: "none".to_owned(), options };
        Maelstrom::check(&settings)?;
        return serve::<Maelstrom>(settings, &addresses, data).map_err(|error| error.to_string());
    }
    let settings = Settings { me, names, mistake: given("--mistake")?.to_owned(), options };
    modes::serve(given("--mode")?, settings, &addresses, data)
}

fn parsed(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| format!("{address}: an IP address and a port, please"))
}
