//! The two processes of a layer. The layer answers the kernel. Its keeper holds the kernel's device too, so that calls of the target
//! wait instead of failing when the layer is killed; after a while without an agent it takes the dead layer away.
use super::control::{self, DamageOrder, DamageRecord, LayerRequest, LayerStatus, PowerLossRecord};
use super::effects::Effects;
use super::filesystem::Layer;
use super::tree::Tree;
use super::{LayerFiles, damage, loss, mount};
use crate::state_dir::StateDir;
use fuser::{Config, INodeNo, Notifier, Session, SessionACL};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Threads that answer the kernel.
const THREADS: usize = 8;
/// How long a keeper waits for an agent to put a dead layer right.
const PATIENCE: Duration = Duration::from_secs(10);
/// Power losses and damages that a status names.
const LOSSES: usize = 16;

/// The keeper: mounts the layer over a folder and starts its process.
pub(crate) fn keep(state_dir: &StateDir, folder: &Path) -> Result<u8, String> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(folder, flags, Mode::empty());
    let root = root.map_err(|error| format!("{}: {error}", folder.display()))?;
    let device = mount::open_device()?;
    mount::mount_over(folder, &device)?;
    let number = mount::layer_number(folder).unwrap_or_default();
    let started = start_layer(state_dir, folder, &device, root);
    let ended = started.and_then(|mut layer| layer.wait().map_err(|error| error.to_string()));
    match ended {
        Ok(status) if status.success() => {
            if mount::is_topmost(folder, &device, &number) {
                drop(device);
                mount::unmount(folder)?;
            }
            Ok(0)
        }
        ended => {
            let how = ended.map_or_else(|reason| reason, |status| status.to_string());
            state_dir.log(&format!("the layer over {} ended: {how}", folder.display()));
            std::thread::sleep(PATIENCE);
            let own = mount::is_topmost(folder, &device, &number);
            // Calls that wait for the layer fail now.
            drop(device);
            if own {
                mount::unmount(folder)?;
            }
            Ok(1)
        }
    }
}

fn start_layer(
    state_dir: &StateDir,
    folder: &Path,
    device: &File,
    root: OwnedFd,
) -> Result<std::process::Child, String> {
    let say = |error: std::io::Error| format!("layer: {error}");
    let mut command = Command::new("/proc/self/exe");
    command.arg("disk-layer").arg("--dir").arg(state_dir.dir()).arg("--folder").arg(folder);
    command.stdin(Stdio::from(device.try_clone().map_err(say)?)).stdout(Stdio::from(root));
    command.stderr(Stdio::null()).current_dir("/");
    command.spawn().map_err(say)
}

/// The layer: its input is the kernel's device, its output the folder below.
pub(crate) fn serve(state_dir: &StateDir, folder: &Path) -> Result<u8, String> {
    let outcome = serve_folder(state_dir, folder);
    if let Err(reason) = &outcome {
        state_dir.log(&format!("layer over {}: {reason}", folder.display()));
    }
    outcome
}

fn serve_folder(state_dir: &StateDir, folder: &Path) -> Result<u8, String> {
    let say = |error: std::io::Error| format!("layer over {}: {error}", folder.display());
    if let Ok((_, most)) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE) {
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most);
    }
    let device = std::io::stdin().as_fd().try_clone_to_owned().map_err(say)?;
    let root = std::io::stdout().as_fd().try_clone_to_owned().map_err(say)?;
    let files = LayerFiles::of(state_dir, folder);
    let exempt = files.record()?.exempt;
    let inside = exempt.iter().filter_map(|path| Path::new(path).strip_prefix(folder).ok()).map(PathBuf::from);
    let tree = Arc::new(Tree::open(root, inside.collect()).map_err(say)?);
    let effects = Arc::new(Effects::default());
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    let session =
        Session::from_fd(Layer::over(Arc::clone(&tree), Arc::clone(&effects)), device, SessionACL::All, config)
            .map_err(say)?;
    drop(std::fs::remove_file(files.socket()));
    let listener = UnixListener::bind(files.socket()).map_err(say)?;
    let control = Arc::new(Control {
        tree: Arc::clone(&tree),
        effects,
        notifier: session.notifier(),
        damages: Mutex::default(),
        losses: Mutex::default(),
    });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let control = Arc::clone(&control);
            std::thread::spawn(move || control::answer(stream, |request| control.act(request)));
        }
    });
    let ended = session.run();
    tree.close();
    match ended {
        // A thread may be just reading when the layer is unmounted.
        Err(error) if error.raw_os_error() != Some(libc::ECONNABORTED) => Err(say(error)),
        _ => Ok(0),
    }
}

/// What the agent may ask of a layer.
struct Control {
    tree: Arc<Tree>,
    effects: Arc<Effects>,
    notifier: Notifier,
    damages: Mutex<Vec<DamageRecord>>,
    losses: Mutex<Vec<PowerLossRecord>>,
}

impl Control {
    fn act(&self, request: LayerRequest) -> Result<LayerStatus, String> {
        match request {
            LayerRequest::Status => {}
            LayerRequest::SyncAll { copy } => self.sync_all(copy)?,
            LayerRequest::Disturb { fault, effect, seed } => {
                self.effects.begin(fault, effect, seed);
                // What the kernel holds in its memory would meet no fault.
                self.forget_caches();
            }
            LayerRequest::Calm { fault } => self.effects.end(fault),
            LayerRequest::Damage(order) => self.damage(order)?,
            LayerRequest::LosePower(order) => {
                let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
                if losses.iter().all(|loss| loss.fault != order.fault) {
                    // First what the kernel still holds of mapped files comes down here, then it must forget what was lost.
                    self.forget_caches();
                    let lost = loss::lose(&self.tree, order);
                    self.forget_caches();
                    losses.push(lost.map_err(|error| format!("losing what is not synced: {error}"))?);
                    let surplus = losses.len().saturating_sub(LOSSES);
                    losses.drain(..surplus);
                }
            }
        }
        Ok(self.status())
    }

    fn sync_all(&self, copy: bool) -> Result<(), String> {
        if copy {
            self.forget_caches();
            let _still = self.tree.stand_still();
            damage::keep_copy(&self.tree).map_err(|error| format!("copying the folder: {error}"))?;
            self.tree.sync_all();
        } else {
            self.tree.sync_all();
        }
        Ok(())
    }

    fn damage(&self, order: DamageOrder) -> Result<(), String> {
        let mut damages = self.damages.lock().unwrap_or_else(PoisonError::into_inner);
        if damages.iter().all(|damage| damage.fault != order.fault) {
            self.forget_caches();
            let done = damage::damage(&self.tree, order);
            self.forget_caches();
            damages.push(done.map_err(|error| format!("damaging files: {error}"))?);
            let surplus = damages.len().saturating_sub(LOSSES);
            damages.drain(..surplus);
        }
        Ok(())
    }

    fn forget_caches(&self) {
        for node in self.tree.nodes() {
            drop(self.notifier.inval_inode(INodeNo(self.tree.number(&node)), 0, 0));
        }
    }

    fn status(&self) -> LayerStatus {
        let unsynced: Vec<u64> = self.tree.nodes().iter().filter_map(|node| node.unsynced_bytes()).collect();
        LayerStatus {
            pid: std::process::id(),
            unsynced_files: unsynced.len() as u64,
            unsynced_bytes: unsynced.iter().sum(),
            unsynced_names: self.tree.unsynced_names() as u64,
            losses: self.losses.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            effects: self.effects.faults(),
            damages: self.damages.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
