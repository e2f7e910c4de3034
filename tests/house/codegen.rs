//! The checked-in code is what the proto files compile to.
//!
//! After a change of a proto: `TOWER_GWAG_BLESS=1 cargo test --test house codegen`, and commit.

use std::path::Path;

use super::root;

include!("../../build/codegen.rs");

#[test]
fn code_of_the_control_plane_equals_its_proto() {
    compare(
        "gateway.controlplane.v1.rs",
        "src/control/generated.rs",
        generate,
    );
}

#[test]
fn code_of_the_greeter_example_equals_its_proto() {
    compare("greeter.v1.rs", "examples/greeter/generated.rs", |out| {
        let descriptors = protox::compile(["greeter.proto"], ["examples/greeter/proto"])?;
        tonic_prost_build::configure()
            .out_dir(out)
            .compile_fds(descriptors)?;
        Ok(())
    });
}

fn compare(
    file: &str,
    checked_in: &str,
    generate: impl FnOnce(&Path) -> Result<(), Box<dyn std::error::Error>>,
) {
    let out = std::env::temp_dir().join(format!("tower-gwag-{file}-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    generate(&out).unwrap();
    let compiled = std::fs::read_to_string(out.join(file)).unwrap();
    std::fs::remove_dir_all(&out).unwrap();

    let path = root().join(checked_in);
    if std::env::var_os("TOWER_GWAG_BLESS").is_some() {
        std::fs::write(&path, &compiled).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        compiled == found,
        "{checked_in} differs from its proto: run `TOWER_GWAG_BLESS=1 cargo test --test house codegen`"
    );
}
