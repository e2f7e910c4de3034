//! A program that has rustls with its default features beside the crate, with each provider feature:
//! neither panics, whoever comes first.

use tower_gwag::{Options, Service, Tls};

fn options(authority: &str) -> Options {
    let proto = "syntax = \"proto3\"; package greeter.v1; message A {} \
                 service Greeter { rpc Hello(A) returns (A); }";
    Options::new("gateway:50090")
        .service(Service::proto(proto).namespace("greeter"))
        .tls(Tls::new().ca_pem(authority))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = std::env::args().nth(1).unwrap_or_default();
    let key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = authority.self_signed(&key)?.pem();
    if first == "install" {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider
            .install_default()
            .map_err(|_| "somebody was faster")?;
    }
    if first == "program" {
        let _ = rustls::ClientConfig::builder();
    }
    options(&authority).check()?;
    let _ = rustls::ClientConfig::builder();
    println!("RESULT checked first={first}");
    Ok(())
}
