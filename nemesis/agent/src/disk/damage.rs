//! Damage to the files of a target that does not run: flipped bits, a lost end, or an older copy in their place.
use super::control::{DamageCheck, DamageOrder, DamageRecord};
use super::tree::{HIDDEN, Tree};
use dsfuzz_nemesis::protocol::DiskDamage;
use dsfuzz_rng::Rng;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The copy, in the hidden folder.
const COPY: &str = "copy";
/// Unit in which data are looked for.
const SECTOR_BYTES: u64 = 512;
/// Draws of a place with data before any place will do.
const ATTEMPTS: u32 = 200;
/// Files that a record of an old copy names.
const CHECKS: usize = 20;

/// The folder below the layer.
fn below(tree: &Tree) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", tree.root().path.as_raw_fd()))
}

/// A file below the layer, relative to it, with its size.
type DataFile = (PathBuf, u64);

/// The files with data that may be damaged, in the order of their names.
fn data_files(tree: &Tree, base: &Path, folder: &Path, found: &mut Vec<DataFile>) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(base.join(folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = folder.join(entry.file_name());
        let about = entry.metadata()?;
        if name == Path::new(HIDDEN) || tree.is_exempt(&name) {
            continue;
        }
        if about.is_dir() {
            data_files(tree, base, &name, found)?;
        } else if about.is_file() && about.len() > 0 {
            found.push((name, about.len()));
        }
    }
    Ok(())
}

/// Damages files. Nothing below the layer may be in use.
pub(super) fn damage(tree: &Tree, order: DamageOrder) -> io::Result<DamageRecord> {
    tree.sync_all();
    let base = below(tree);
    let mut draws = Rng::new(order.seed, "damage", 0);
    let mut files = Vec::new();
    data_files(tree, &base, Path::new(""), &mut files)?;
    let (detail, checks) = match order.damage {
        DiskDamage::BitFlip { bits } => flip(&base, &files, bits, &mut draws)?,
        DiskDamage::Truncate { bytes } => cut(&base, &files, bytes, &mut draws)?,
        DiskDamage::OldCopy => put_back(tree, &base)?,
    };
    Ok(DamageRecord { fault: order.fault, detail, checks })
}

fn no_data() -> io::Error {
    io::Error::other("the folder has no file with data to damage")
}

type Damaged = (String, Vec<DamageCheck>);

fn flip(base: &Path, files: &[DataFile], bits: u32, draws: &mut Rng) -> io::Result<Damaged> {
    let total: u64 = files.iter().map(|(_, size)| size).sum();
    let mut checks = Vec::new();
    for _ in 0..bits {
        let (name, offset) = place(base, files, total, draws)?;
        let file = File::options().read(true).write(true).open(base.join(name))?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        byte[0] ^= 1 << draws.below(8);
        file.write_all_at(&byte, offset)?;
        let size = file.metadata()?.len();
        let name = name.to_string_lossy().into_owned();
        // A byte may be drawn twice.
        checks.retain(|check: &DamageCheck| check.name != name || check.byte.is_none_or(|(at, _)| at != offset));
        checks.push(DamageCheck { name, size, byte: Some((offset, byte[0])) });
    }
    let first = checks.first().ok_or_else(no_data)?;
    let at = first.byte.map_or(0, |(offset, _)| offset);
    Ok((format!("{bits} bits flipped, the first in byte {at} of {}", first.name), checks))
}

/// A byte, drawn from all, in a sector that is not all zeros: large parts of files may be allocated and never written.
fn place<'a>(base: &Path, files: &'a [DataFile], total: u64, draws: &mut Rng) -> io::Result<(&'a Path, u64)> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let mut at = draws.below(total);
        let Some((name, _)) = files.iter().find(|(_, size)| {
            let here = at < *size;
            at -= if here { 0 } else { *size };
            here
        }) else {
            return Err(no_data());
        };
        let mut sector = vec![0; SECTOR_BYTES as usize];
        let got = File::open(base.join(name))?.read_at(&mut sector, at / SECTOR_BYTES * SECTOR_BYTES)?;
        last = Some((name.as_path(), at));
        if sector[..got].iter().any(|byte| *byte != 0) {
            break;
        }
    }
    last.ok_or_else(no_data)
}

fn cut(base: &Path, files: &[DataFile], bytes: u64, draws: &mut Rng) -> io::Result<Damaged> {
    let Some((name, _)) = draws.pick(files) else { return Err(no_data()) };
    let file = File::options().read(true).write(true).open(base.join(name))?;
    // Zeros at the end may be no data, and their loss no damage.
    let end = end_of_data(&file)?;
    let lost = 1 + draws.below(bytes.min(end.max(1)));
    let size = end.saturating_sub(lost);
    file.set_len(size)?;
    let name = name.to_string_lossy().into_owned();
    let detail = format!("{name} ends after {size} bytes, {lost} bytes of its data earlier");
    Ok((detail, vec![DamageCheck { name, size, byte: None }]))
}

/// The position behind the last byte that is not zero.
fn end_of_data(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut chunk = vec![0; 1 << 16];
    while end > 0 {
        let start = end.saturating_sub(chunk.len() as u64);
        let part = &mut chunk[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Keeps a copy of all files as they are now. No call may change them meanwhile.
pub(super) fn keep_copy(tree: &Tree) -> io::Result<()> {
    let base = below(tree);
    let copy = base.join(HIDDEN).join(COPY);
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    fs::create_dir(&copy)?;
    copy_files(tree, (&base, &copy), Path::new(""))
}

fn copy_files(tree: &Tree, (from, to): (&Path, &Path), folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if name == Path::new(HIDDEN) || tree.is_exempt(&name) {
            continue;
        }
        let (about, target) = (entry.metadata()?, to.join(&name));
        if about.is_dir() {
            if !target.exists() {
                fs::create_dir(&target)?;
            }
            copy_files(tree, (from, to), &name)?;
        } else if about.is_file() {
            fs::copy(entry.path(), &target)?;
        } else if about.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            continue;
        }
        std::os::unix::fs::lchown(&target, Some(about.uid()), Some(about.gid()))?;
        if !about.is_symlink() {
            fs::set_permissions(&target, fs::Permissions::from_mode(about.mode() & 0o7777))?;
        }
    }
    Ok(())
}

fn put_back(tree: &Tree, base: &Path) -> io::Result<Damaged> {
    let copy = base.join(HIDDEN).join(COPY);
    if !copy.exists() {
        return Err(io::Error::other("there is no older copy of the folder"));
    }
    remove_files(tree, base, Path::new(""))?;
    copy_files(tree, (&copy, base), Path::new(""))?;
    let mut files = Vec::new();
    data_files(tree, base, Path::new(""), &mut files)?;
    let check =
        |(name, size): &DataFile| DamageCheck { name: name.to_string_lossy().into_owned(), size: *size, byte: None };
    let checks = files.iter().take(CHECKS).map(check).collect();
    Ok((format!("{} files are as they were before the load", files.len()), checks))
}

fn remove_files(tree: &Tree, base: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if name == Path::new(HIDDEN) || tree.is_exempt(&name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_files(tree, base, &name)?;
            match fs::remove_dir(entry.path()) {
                // An exempt log is in it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                other => other?,
            }
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
