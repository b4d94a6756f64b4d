//! [`Server`]: a server of Debian on loopback, on a free port, in a temporary folder. It ends by its process id.
use std::fmt::Display;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// A port that was free may be another's a moment later: then others are tried.
const ATTEMPTS: usize = 5;

/// A system that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// PostgreSQL without syncs to disk.
    Postgres,
    /// Redis without a file.
    Redis,
    /// NATS with JetStream.
    Nats,
}

impl System {
    /// Its name, which is that of its client.
    pub fn name(self) -> &'static str {
        match self {
            System::Postgres => "postgres",
            System::Redis => "redis",
            System::Nats => "nats",
        }
    }

    /// Debian's package of its server.
    fn package(self) -> &'static str {
        match self {
            System::Postgres => "postgresql",
            System::Redis => "redis-server",
            System::Nats => "nats-server",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Its port.
    pub port: u16,
    system: System,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // PostgreSQL's children end with an immediate shutdown; a kill would leave them.
        let quit = || Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        if self.system != System::Postgres || !quit().is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// If its program is missing, or does not listen. The error names the system, the step and what to do.
    pub fn start(system: System) -> Result<Server> {
        let folder = tempfile::tempdir().map_err(|error| failed(system, "a temporary folder", &error))?;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777))?;
        if system == System::Postgres {
            initialize_postgres(folder.path())?;
        }
        let log = folder.path().join("log");
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let words = File::create(&log)?;
            let mut child = command(system, folder.path(), port)?
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(words.try_clone()?)
                .stderr(words)
                .spawn()
                .map_err(|error| failed(system, "its server cannot be started", &error))?;
            let end = Instant::now() + START;
            last = loop {
                if let Some(status) = child.try_wait()? {
                    break format!("its server ended before it listened ({status})");
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Ok(Server { child, port, system, _folder: folder });
                }
                if Instant::now() > end {
                    break format!("its server did not listen on port {port} within {} s", START.as_secs());
                }
                std::thread::sleep(PAUSE);
            };
            let _ = child.kill();
            let _ = child.wait();
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        Err(failed(system, &format!("in {ATTEMPTS} attempts {last}"), &format!("its last words: {said}")))
    }
}

/// An error that names the system, the step, and what to do.
fn failed(system: System, step: &str, why: &dyn Display) -> Error {
    let (name, package) = (system.name(), system.package());
    Error::other(format!("{name}: {step}: {why}; is it installed (Debian: {package}), and is this machine idle?"))
}

/// Makes PostgreSQL's folder of data.
fn initialize_postgres(folder: &Path) -> Result<()> {
    let step = |why: &dyn Display| failed(System::Postgres, "initdb", why);
    let mut init = as_postgres(&postgres_program("initdb")?)?;
    init.args(["-A", "trust", "-U", "postgres", "-N", "--locale=C", "-E", "UTF8", "-D"]);
    let made = init.arg(folder.join("data")).current_dir("/").output().map_err(|error| step(&error))?;
    if made.status.success() { Ok(()) } else { Err(step(&String::from_utf8_lossy(&made.stderr).trim())) }
}

fn command(system: System, folder: &Path, port: u16) -> Result<Command> {
    let port = port.to_string();
    Ok(match system {
        System::Postgres => {
            let mut command = as_postgres(&postgres_program("postgres")?)?;
            command.arg("-D").arg(folder.join("data"));
            command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c"]);
            command.args([&format!("port={port}"), "-c", "shared_buffers=64MB", "-c", "fsync=off"]);
            command
        }
        System::Redis => {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"]);
            command.arg(folder);
            command
        }
        System::Nats => {
            let (file, store) = (folder.join("nats.conf"), folder.join("js"));
            let text = format!(
                "server_name: n1\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, max_mem: 256M, max_file: 1G }}\n"
            );
            std::fs::write(&file, text)?;
            let mut command = Command::new("nats-server");
            command.arg("-c").arg(file);
            command
        }
    })
}

/// A program of the newest PostgreSQL that is installed.
fn postgres_program(name: &str) -> Result<PathBuf> {
    let missing = || Error::new(ErrorKind::NotFound, "PostgreSQL is missing (Debian: postgresql)");
    let installed = std::fs::read_dir("/usr/lib/postgresql").map_err(|_| missing())?;
    let mut found: Vec<PathBuf> =
        installed.flatten().map(|entry| entry.path().join("bin").join(name)).filter(|path| path.is_file()).collect();
    found.sort();
    found.pop().ok_or_else(missing)
}

/// A command as the user who may run a server: root may not.
fn as_postgres(program: &Path) -> Result<Command> {
    let is_root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    if !is_root {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    Ok(command)
}
