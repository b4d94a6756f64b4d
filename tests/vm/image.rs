//! What VMs boot from: built once by the script `image`, and again when the script changes.
use crate::folder;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A built image.
pub(crate) struct Image {
    folder: PathBuf,
}

impl Image {
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("root.img")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(crate) fn ram_disk(&self) -> PathBuf {
        self.folder.join("initrd.img")
    }

    /// The key of root's login.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }
}

/// The image of this version of the script; built if it is not there. Those of other versions are removed.
pub(crate) fn made() -> Image {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/image");
    let text = fs::read(&script).expect("the script of the image");
    let version = Sha256::digest(text).iter().take(8).fold(String::new(), |mut version, byte| {
        let _ = write!(version, "{byte:02x}");
        version
    });
    let images = folder().join("images");
    let image = Image { folder: images.join(&version) };
    if !image.folder.is_dir() {
        eprintln!("vm: the image is built, once (two minutes, 150 MB from the package archive)");
        if images.is_dir() {
            fs::remove_dir_all(&images).expect("older images are removed");
        }
        fs::create_dir_all(&images).expect("a folder");
        let built = Command::new(&script).arg(&image.folder).status().expect("the script of the image runs");
        assert!(built.success(), "{}: {built}", script.display());
    }
    image
}
