//! The sources of proto files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::gateway::MAX_REQUEST_BYTES;

/// A tree of proto files: directories on disk, an `include_dir!` tree, or a list of (path, bytes).
///
/// Paths in the tree use `/` on every system, as `import` statements do; `\` in given paths is
/// read as `/`. On disk, symbolic links are followed and only regular files are read. Files whose
/// paths are not UTF-8 are ignored, because they cannot be imported.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::{ProtoFiles, Service};
///
/// let on_disk = ProtoFiles::from_directories(["proto", "third_party"]);
/// let in_memory = ProtoFiles::from_files([("greeter.proto", "syntax = \"proto3\";")]);
/// let service = Service::proto_dir(in_memory, "greeter.proto");
/// # let _ = on_disk;
/// ```
#[derive(Clone)]
pub struct ProtoFiles(Files);

#[derive(Clone)]
enum Files {
    /// Searched in order, as a compiler searches its include directories.
    Directories {
        /// The base of relative roots; empty for the working directory.
        base: PathBuf,
        roots: Vec<PathBuf>,
    },
    Memory(Arc<BTreeMap<String, Vec<u8>>>),
}

// === impl ProtoFiles ===

impl ProtoFiles {
    /// Files from any iterator of (path, bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::ProtoFiles;
    ///
    /// let files = [("a.proto", "syntax = \"proto3\";")];
    /// let tree = ProtoFiles::from_files(files.into_iter().filter(|(path, _)| path.ends_with(".proto")));
    /// ```
    pub fn from_files<P, B>(files: impl IntoIterator<Item = (P, B)>) -> Self
    where
        P: AsRef<Path>,
        B: Into<Vec<u8>>,
    {
        let files = files
            .into_iter()
            .filter_map(|(path, bytes)| Some((normal(path.as_ref().to_str()?), bytes.into())))
            .collect();
        Self(Files::Memory(Arc::new(files)))
    }

    /// Several directories on disk, searched in order: what a compiler calls include paths.
    pub fn from_directories<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self::from_directories_in(PathBuf::new(), directories)
    }

    #[doc(hidden)]
    /// As `from_directories`, with relative directories resolved in `base`; errors omit `base`.
    pub fn from_directories_in<P: Into<PathBuf>>(
        base: PathBuf,
        directories: impl IntoIterator<Item = P>,
    ) -> Self {
        let roots = directories.into_iter().map(Into::into).collect();
        Self(Files::Directories { base, roots })
    }

    #[doc(hidden)]
    /// The location on disk of the file at `path`, below the directory as it was given.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let Files::Directories { base, roots } = &self.0 else {
            return None;
        };
        let mut places = roots.iter().map(|root| root.join(path));
        places.find(|place| base.join(place).is_file())
    }

    #[doc(hidden)]
    /// The file at `path`; `Ok(None)` when there is none.
    pub fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        match &self.0 {
            Files::Memory(files) => Ok(files.get(path).cloned()),
            Files::Directories { .. } if !stays_inside(path) => Ok(None),
            Files::Directories { base, roots } => {
                for root in roots {
                    match read_file(&base.join(root).join(path)) {
                        Ok(bytes) => return Ok(Some(bytes)),
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        // A directory in `path` is a file under this root.
                        Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(None)
            }
        }
    }
}

/// How many files to look at when searching for a misplaced one.
const MOST_SEARCHED: usize = 2_000;

impl ProtoFiles {
    /// The remedy for a missing entry file: names directories that do not exist, or a file of the same
    /// name elsewhere.
    pub(super) fn remedy_for_missing(&self, path: &str) -> String {
        let usual = "its path is relative to the root of the tree".to_owned();
        let name = Path::new(path).file_name().and_then(|name| name.to_str());
        let found = match &self.0 {
            Files::Memory(files) => files.keys().find(|it| name_of(it) == name).cloned(),
            Files::Directories { base, roots } => {
                let missing = roots.iter().find(|root| !base.join(root).is_dir());
                if let Some(missing) = missing {
                    return no_directory(base, missing);
                }
                let name = name.unwrap_or_default();
                let in_root = |root: &PathBuf| search(&base.join(root), name);
                roots.iter().find_map(in_root)
            }
        };
        match found {
            Some(found) => format!("there is `{found}`: use that as the entry file"),
            None => usual,
        }
    }
}

fn name_of(path: &str) -> Option<&str> {
    Path::new(path).file_name()?.to_str()
}

/// The directory is missing. Without a base, usually because the program does not run where it was built.
fn no_directory(base: &Path, missing: &Path) -> String {
    let in_base = |base: &Path| match missing.is_absolute() {
        true => String::new(),
        false => format!(" in `{}`", base.display()),
    };
    let missing = missing.display();
    if !base.as_os_str().is_empty() {
        return format!("there is no directory `{missing}`{}", in_base(base));
    }
    let here = std::env::current_dir().unwrap_or_default();
    let place = in_base(&here).replacen(" in ", " in the working directory ", 1);
    format!(
        "there is no directory `{missing}`{place}: directories are read when the program runs; to embed \
         the files use `include_dir!`, or a bundle of tower-gwag-build"
    )
}

/// The path of a file of this name below `root`; the one closest to `root`.
fn search(root: &Path, name: &str) -> Option<String> {
    let mut left = MOST_SEARCHED;
    let mut folders = std::collections::VecDeque::from([root.to_owned()]);
    while let Some(folder) = folders.pop_front() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            left = left.checked_sub(1)?;
            // The type of the entry itself: following links could loop.
            let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
            if is_folder {
                folders.push_back(entry.path());
            } else if entry.file_name().to_str() == Some(name) {
                let path = entry.path();
                return Some(normal(path.strip_prefix(root).ok()?.to_str()?));
            }
        }
    }
    None
}

/// Reads a regular file, up to what can be sent: reading a pipe or device might never end.
#[doc(hidden)]
pub fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    // Checked before opening, because opening a pipe already blocks until its other end is open.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let most = MAX_REQUEST_BYTES as u64;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    // Not the size in the metadata, which some file systems do not know.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let text = format!("it is larger than the {most} bytes that a gateway accepts");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// A path as `import` statements write it.
pub(super) fn normal(path: &str) -> String {
    let path = path.replace('\\', "/");
    path.trim_start_matches("./").to_owned()
}

/// Whether an `import` path stays inside the tree.
fn stays_inside(path: &str) -> bool {
    let ordinary = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    Path::new(path).components().all(ordinary)
}

/// Names the tree in errors.
impl fmt::Display for ProtoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Files::Directories { roots, .. } => {
                let many = if roots.len() == 1 { "y" } else { "ies" };
                write!(f, "the director{many}")?;
                for (root, at) in roots.iter().zip(0..) {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} `{}`", root.display())?;
                }
                Ok(())
            }
            Files::Memory(files) => write!(f, "the {} given files", files.len()),
        }
    }
}

impl fmt::Debug for ProtoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtoFiles({self})")
    }
}

impl From<&str> for ProtoFiles {
    fn from(directory: &str) -> Self {
        Self::from_directories([directory])
    }
}

impl From<String> for ProtoFiles {
    fn from(directory: String) -> Self {
        Self::from_directories([directory])
    }
}

impl From<&Path> for ProtoFiles {
    fn from(directory: &Path) -> Self {
        Self::from_directories([directory])
    }
}

impl From<PathBuf> for ProtoFiles {
    fn from(directory: PathBuf) -> Self {
        Self::from_directories([directory])
    }
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>> FromIterator<(P, B)> for ProtoFiles {
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        Self::from_files(files)
    }
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>> From<BTreeMap<P, B>> for ProtoFiles {
    fn from(files: BTreeMap<P, B>) -> Self {
        Self::from_files(files)
    }
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>> From<Vec<(P, B)>> for ProtoFiles {
    fn from(files: Vec<(P, B)>) -> Self {
        Self::from_files(files)
    }
}

impl<P: AsRef<Path>, B: Into<Vec<u8>>, const N: usize> From<[(P, B); N]> for ProtoFiles {
    fn from(files: [(P, B); N]) -> Self {
        Self::from_files(files)
    }
}

#[cfg(feature = "include_dir")]
impl From<&include_dir::Dir<'_>> for ProtoFiles {
    fn from(tree: &include_dir::Dir<'_>) -> Self {
        let mut files = BTreeMap::new();
        let mut directories = vec![tree];
        while let Some(directory) = directories.pop() {
            directories.extend(directory.dirs());
            files.extend(directory.files().filter_map(|file| {
                // A path that is not UTF-8 cannot appear in an `import` statement.
                let path = file.path().to_str()?.replace('\\', "/");
                Some((path, file.contents().to_vec()))
            }));
        }
        Self(Files::Memory(Arc::new(files)))
    }
}
