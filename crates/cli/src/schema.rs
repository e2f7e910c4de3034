//! `schema` and `hash`: what a gateway makes of schemas.

use std::process::ExitCode;

use tower_gwag::SchemaHash;
use tower_gwag_schema::{check_for, graphql_schema};

use crate::check::faulty;
use crate::cli::SchemaArgs;
use crate::exit_codes::{FINE, Fault};
use crate::output::{self, line, say};
use crate::sources::{Source, Sources};

pub(crate) fn schema(args: &SchemaArgs) -> Result<ExitCode, Fault> {
    let sources = Sources::read(&args.paths, &args.how)?;
    match graphql_schema(&sources.services(), sources.release) {
        Ok(schema) => {
            output::print(&schema.to_string());
            Ok(ExitCode::from(FINE))
        }
        Err(error) => Err(faulty(&sources, error)),
    }
}

pub(crate) fn hash(args: &SchemaArgs) -> Result<ExitCode, Fault> {
    let sources = Sources::read(&args.paths, &args.how)?;
    for source in &sources.all {
        let hashes = hashes_of(&sources, source)?;
        for (namespace, hash) in hashes {
            let hex = hash.hex().unwrap_or("-");
            line(format_args!("{hex}  {namespace}/{}", source.version));
            if let Some(doubt) = hash.doubt() {
                say(&format!(
                    "{namespace}/{}: a gateway may compute another hash: {doubt}",
                    source.version
                ));
            }
        }
    }
    Ok(ExitCode::from(FINE))
}

/// The hashes of a source; a schema is required.
pub(crate) fn hashes_of(
    sources: &Sources,
    source: &Source,
) -> Result<Vec<(String, SchemaHash)>, Fault> {
    let hashes = source.service.hashes();
    let hashes = hashes.map_err(|error| faulty(sources, error))?;
    if hashes.is_empty() {
        check_for(std::slice::from_ref(&source.service), sources.release)
            .map_err(|error| faulty(sources, error))?;
    }
    Ok(hashes)
}
