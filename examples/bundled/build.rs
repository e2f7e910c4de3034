fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Checked, locked in gwag.lock, and bundled for `include_bundle!("greeter")`.
    tower_gwag_build::bundle("proto/greeter.proto", ["proto"])?;
    // The Rust code of the same files, without protoc.
    let descriptors = protox::compile(["greeter.proto"], ["proto"])?;
    tonic_prost_build::compile_fds(descriptors)?;
    Ok(())
}
