//! The encoding of a bundle: a proto service with all its files, written by a build script for the
//! program that it builds.

use prost::Message;

use crate::finding::Finding;
use crate::finding::Rule;

/// The contents of a bundle; equal contents encode to equal bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Contents {
    /// Empty if the service is split and each part derives its own namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(string, tag = "2")]
    pub version: String,
    /// The path of the entry file, which is one of `files`.
    #[prost(string, tag = "3")]
    pub entry: String,
    #[prost(message, repeated, tag = "4")]
    pub files: Vec<BundledFile>,
    /// The ids of the allowed rules.
    #[prost(string, repeated, tag = "5")]
    pub allowed: Vec<String>,
    /// Each service of the entry file is registered as a separate service.
    #[prost(bool, tag = "6")]
    pub splits: bool,
    /// The results of the check, for each service.
    #[prost(message, repeated, tag = "7")]
    pub checked: Vec<Checked>,
    /// A hash over all other fields, salted with the checker that wrote it: a program with the same checker
    /// need not compile and check the files again.
    #[prost(string, tag = "8")]
    pub seal: String,
}

/// The result of checking one service.
#[derive(Clone, PartialEq, Message)]
pub struct Checked {
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The canonical hash, and the reason why it may differ.
    #[prost(string, tag = "2")]
    pub hash: String,
    #[prost(string, optional, tag = "3")]
    pub doubt: Option<String>,
    /// The path of a method that gateways route.
    #[prost(string, optional, tag = "4")]
    pub route: Option<String>,
    #[prost(bool, tag = "5")]
    pub has_operations: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct BundledFile {
    /// The path in the `import` statement.
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bytes = "vec", tag = "2")]
    pub source: Vec<u8>,
}

/// Starts the one line before the message; the format's number ends that line.
const MAGIC: &[u8] = b"gwag-bundle ";
const FORMAT: &[u8] = b"1";

// === impl Contents ===

impl Contents {
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = [MAGIC, FORMAT, b"\n"].concat();
        bytes.extend(self.encode_to_vec());
        bytes
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Finding> {
        let fault = |message: String| Finding::error(Rule::ProtoBundle, message);
        let header = bytes.strip_prefix(MAGIC).and_then(|rest| {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            Some((&rest[..end], &rest[end + 1..]))
        });
        let Some((format, message)) = header else {
            let size = bytes.len();
            let finding = fault(format!(
                "these {size} bytes are not a bundle of proto files"
            ));
            return Err(finding.help(
                "pass what `tower_gwag::include_bundle!` returns, or pass the text of a proto to \
                 `Service::proto`",
            ));
        };
        if format != FORMAT {
            let finding = fault(format!(
                "the bundle has the format {}, and this version of tower-gwag reads {}",
                format.escape_ascii(),
                FORMAT.escape_ascii()
            ));
            return Err(finding.help(
                "use the same version of tower-gwag in [dependencies] and [build-dependencies], \
                 and rebuild",
            ));
        }
        Self::decode(message).map_err(|cause| {
            let finding = fault(format!("the bundle is damaged: {cause}"));
            finding.help("rebuild the crate that contains it")
        })
    }

    /// Records the results for services that passed the check, so that the program need not check them
    /// again.
    #[cfg(feature = "preflight")]
    pub fn seal(&mut self, services: &[super::Resolved]) {
        self.checked = services
            .iter()
            .filter_map(super::evidence::to_bundle)
            .collect();
        self.seal = self.sealed();
    }

    /// The results of the build script's check, if nothing has changed since and this is the same
    /// checker.
    pub(super) fn known(&self) -> &[Checked] {
        #[cfg(feature = "preflight")]
        if self.seal == self.sealed() {
            return &self.checked;
        }
        &[]
    }

    #[cfg(feature = "preflight")]
    fn sealed(&self) -> String {
        let rest = Self {
            seal: String::new(),
            ..self.clone()
        };
        let checker = concat!("tower-gwag-schema ", env!("CARGO_PKG_VERSION"), "\n");
        crate::hash::of_bytes(&[checker.as_bytes(), &rest.encode_to_vec()].concat())
    }

    /// The allowed rules. Rules that this version does not know are skipped.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.allowed.iter().filter_map(|id| id.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;
    use crate::check;

    fn contents() -> Contents {
        let file = |path: &str, source: &str| BundledFile {
            path: path.into(),
            source: source.into(),
        };
        Contents {
            namespace: "shop".into(),
            version: "v3".into(),
            entry: "shop/v3.proto".into(),
            files: vec![
                file(
                    "shop/item.proto",
                    "syntax = \"proto3\"; package shop; message Item {}",
                ),
                file(
                    "shop/v3.proto",
                    "syntax = \"proto3\"; package shop; import \"shop/item.proto\";",
                ),
            ],
            allowed: vec!["proto-two-services".into(), "of-the-future".into()],
            splits: false,
            checked: Vec::new(),
            seal: String::new(),
        }
    }

    fn refused(bytes: &[u8]) -> String {
        let error = check(&[Service::proto_bundle(bytes)]).unwrap_err();
        assert_eq!(error.rule(), Rule::ProtoBundle);
        // No follow-up errors, such as a missing namespace.
        assert_eq!(error.findings().len(), 1, "{error}");
        error.to_string()
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written() {
        let bytes = contents().write();
        assert_eq!(Contents::read(&bytes).unwrap(), contents());
        let rules: Vec<Rule> = contents().rules().collect();
        assert_eq!(rules, [Rule::ProtoTwoServices]);
        let service = Service::proto_bundle(bytes);
        check(&[service]).unwrap();
    }

    /// A bundle whose seal says that the check passed, whatever its files contain.
    fn sealed() -> Contents {
        let mut contents = contents();
        contents.files[1].source = b"no proto".to_vec();
        contents.seal(&[]);
        contents.checked = vec![Checked {
            namespace: "shop".into(),
            hash: "ab".into(),
            ..Checked::default()
        }];
        contents.seal = contents.sealed();
        contents
    }

    #[test]
    fn a_bundle_that_was_checked_is_not_compiled_again() {
        let service = |contents: &Contents| Service::proto_bundle(contents.write());
        let hash = |service: Service| service.hash().map(|it| it.to_string());
        let good = sealed();
        assert_eq!(hash(service(&good)).unwrap(), "ab");
        check(&[service(&good)]).unwrap();
        // Changes made afterwards are checked.
        let mut edited = good.clone();
        edited.files[0].source.push(b' ');
        assert!(check(&[service(&edited)]).is_err());
        let mut edited = good.clone();
        edited.allowed.clear();
        assert!(check(&[service(&edited)]).is_err());
        assert!(check(&[service(&good).namespace("other")]).is_err());
        assert!(check(&[service(&good).version("v4")]).is_err());
        assert!(check(&[service(&good).import("shop/item.proto", "")]).is_err());
        assert!(
            service(&good)
                .graphql_schema(crate::GatewayRelease::default())
                .is_err()
        );
    }

    #[test]
    fn bytes_that_are_not_a_bundle_are_refused_without_a_panic() {
        let bytes = contents().write();
        let proto = refused(b"syntax = \"proto3\";");
        assert!(proto.contains("these 18 bytes are not a bundle"), "{proto}");
        assert!(refused(b"gwag-bundle 1").contains("not a bundle"));
        let other = refused(b"gwag-bundle 2\n");
        assert!(other.contains("has the format 2"), "{other}");
        assert!(
            other.contains("the same version of tower-gwag in [dependencies]"),
            "{other}"
        );
        let damaged = refused(&bytes[..bytes.len() - 3]);
        assert!(damaged.contains("damaged"), "{damaged}");
        for end in 0..bytes.len() {
            let service = Service::proto_bundle(&bytes[..end]);
            let _ = check(&[service]);
        }
    }
}
