//! Where proto files come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A tree of proto files: a directory on disk, an `include_dir!` tree, or a list of (path, bytes).
///
/// Paths in the tree use `/` on every system, as `import` statements do.
#[derive(Clone)]
pub struct ProtoFiles(Files);

#[derive(Clone)]
enum Files {
    Directory(PathBuf),
    Memory(BTreeMap<String, Vec<u8>>),
}

// === impl ProtoFiles ===

impl ProtoFiles {
    /// Files from any iterator of (path, bytes).
    pub fn from_files<P, B>(files: impl IntoIterator<Item = (P, B)>) -> Self
    where
        P: Into<String>,
        B: Into<Vec<u8>>,
    {
        let files = files
            .into_iter()
            .map(|(path, bytes)| (path.into().replace('\\', "/"), bytes.into()))
            .collect();
        Self(Files::Memory(files))
    }

    /// The file at `path`; `Ok(None)` when there is none.
    pub(super) fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        match &self.0 {
            Files::Memory(files) => Ok(files.get(path).cloned()),
            Files::Directory(root) => {
                let escapes = path.split('/').any(|part| part == "..") || path.starts_with('/');
                if escapes {
                    return Ok(None);
                }
                match std::fs::read(root.join(path)) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Names the tree in errors.
impl fmt::Display for ProtoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Files::Directory(root) => write!(f, "the directory `{}`", root.display()),
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
        Self(Files::Directory(directory.into()))
    }
}

impl From<String> for ProtoFiles {
    fn from(directory: String) -> Self {
        Self(Files::Directory(directory.into()))
    }
}

impl From<&Path> for ProtoFiles {
    fn from(directory: &Path) -> Self {
        Self(Files::Directory(directory.to_owned()))
    }
}

impl From<PathBuf> for ProtoFiles {
    fn from(directory: PathBuf) -> Self {
        Self(Files::Directory(directory))
    }
}

impl<P: Into<String>, B: Into<Vec<u8>>> From<Vec<(P, B)>> for ProtoFiles {
    fn from(files: Vec<(P, B)>) -> Self {
        Self::from_files(files)
    }
}

impl<P: Into<String>, B: Into<Vec<u8>>, const N: usize> From<[(P, B); N]> for ProtoFiles {
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
                // A path that is not text cannot stand in an `import` statement.
                let path = file.path().to_str()?.replace('\\', "/");
                Some((path, file.contents().to_vec()))
            }));
        }
        Self(Files::Memory(files))
    }
}
