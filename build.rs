//! Nothing by default. With the `codegen` feature the control plane's proto is compiled into
//! `OUT_DIR`, and the crate uses that instead of the checked-in `src/control/generated.rs`.

#[cfg(feature = "codegen")]
include!("build/codegen.rs");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "codegen")]
    {
        println!("cargo::rerun-if-changed=build/codegen.rs");
        println!("cargo::rerun-if-changed=proto/control_plane.proto");
        let out_dir = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is set by cargo")?;
        generate(std::path::Path::new(&out_dir))?;
    }
    Ok(())
}
