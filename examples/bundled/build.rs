fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Checked, locked in gwag.lock, and bundled for `include_bundle!("greeter")`.
    let descriptors = tower_gwag_build::compile("proto/greeter.proto", ["proto"])?;
    // The Rust code of the same files, without protoc.
    tonic_prost_build::compile_fds(descriptors)?;
    Ok(())
}
