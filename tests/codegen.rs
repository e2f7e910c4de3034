//! The checked-in code of the control plane is what proto/ compiles to.

include!("../build/codegen.rs");

#[test]
fn checked_in_code_equals_the_compiled_proto() {
    let out = std::env::temp_dir().join(format!("tower-gwag-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    generate(&out).unwrap();
    let compiled = std::fs::read_to_string(out.join("gateway.controlplane.v1.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/control/generated.rs");
    if std::env::var_os("TOWER_GWAG_BLESS").is_some() {
        std::fs::write(path, &compiled).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        compiled == checked_in,
        "src/control/generated.rs differs from proto/control_plane.proto: \
         run `TOWER_GWAG_BLESS=1 cargo test --test codegen` and commit the result"
    );
}
