// Shared by build.rs (feature `codegen`) and tests/codegen.rs, so that both make the same code.

/// Compiles the control plane's proto, without protoc, to `out_dir/gateway.controlplane.v1.rs`.
fn generate(out_dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["control_plane.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .out_dir(out_dir)
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
