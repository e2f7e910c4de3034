//! What is in a directory of proto files and no file.

use std::path::Path;
use std::process::Command;

use tower_gwag_schema::{Rule, Service, check};

fn refused(directory: &Path) -> String {
    let error = check(&[Service::proto_dir(directory, "x.proto")]).unwrap_err();
    assert_eq!(error.rule(), Rule::ProtoUnreadable, "{error}");
    error.to_string()
}

#[test]
fn pipes_devices_and_what_is_too_large_are_not_read() {
    let directory = tempdir("unreadable");
    let entry = directory.join("x.proto");
    assert!(
        Command::new("mkfifo")
            .arg(&entry)
            .status()
            .unwrap()
            .success()
    );
    assert!(refused(&directory).contains("not a regular file"));
    std::fs::remove_file(&entry).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &entry).unwrap();
    assert!(refused(&directory).contains("not a regular file"));
    std::fs::remove_file(&entry).unwrap();
    std::fs::write(&entry, "syntax = \"proto3\"; import \"y.proto\";").unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.join("y.proto")).unwrap();
    assert!(refused(&directory).contains("`y.proto`"));
    // Sparse: it takes no room on the disk.
    let file = std::fs::File::create(&entry).unwrap();
    file.set_len(1 << 33).unwrap();
    assert!(refused(&directory).contains("that a gateway accepts"));
    std::fs::remove_dir_all(&directory).unwrap();
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
