//! Trees of files in a directory of their own.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part, as a module of its own"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory that is removed when dropped.
pub struct Tree(PathBuf);

impl Tree {
    pub fn of<P: AsRef<Path>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-gwag-tree-{}-{number}", std::process::id());
        let tree = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(tree.path()).expect("a directory");
        for (path, bytes) in files {
            tree.add(path, bytes);
        }
        tree
    }

    pub fn add(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        let parent = path.parent().expect("a parent");
        std::fs::create_dir_all(parent).expect("a directory");
        std::fs::write(path, bytes).expect("written");
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What is left in the temporary directory hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
