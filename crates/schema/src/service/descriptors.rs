//! Services from descriptor sets, which are converted to proto text first.

use super::proto_files::normal;
use super::resolve::stem;
use super::schema::{Descriptors, ProtoSource, Schema};
use super::{Checks, ProtoFiles, Purpose, Resolved, Service};
use crate::finding::Findings;
use crate::finding::Rule;
use crate::name;
use crate::proto::descriptor_set;

// === impl Service ===

impl Service {
    /// A gRPC service, from an encoded `google.protobuf.FileDescriptorSet` and the name of its entry
    /// file in that set: for servers that have a set for reflection, but no proto files.
    ///
    /// A gateway needs proto text, so it is generated from the descriptors, with comments if the
    /// set has source info. The same set always gives the same text, but not the layout of the
    /// original files: its [`hash`](Self::hash) differs from theirs, and all replicas of a vN must
    /// use the same one of the two.
    ///
    /// The set must contain every file that the entry file imports, directly or not, except
    /// `google/protobuf/*`. Custom options are kept if the files that declare them are in the set, and
    /// dropped with a warning if not. The default [`namespace`](Self::namespace) is the stem of the
    /// entry file's name, as with [`proto_dir`](Self::proto_dir).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_gwag::Service;
    ///
    /// # const FILE_DESCRIPTOR_SET: &[u8] = &[];
    /// // `tonic::include_file_descriptor_set!("shop")`, for instance.
    /// let shop = Service::descriptor_set(FILE_DESCRIPTOR_SET, "shop/v1/shop.proto");
    /// println!("{}", shop.hash()?);
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn descriptor_set(set: impl Into<Vec<u8>>, entry: impl Into<String>) -> Self {
        Self::new(Schema::Descriptors(Descriptors {
            set: set.into().into(),
            entry: entry.into(),
        }))
    }

    /// Resolves the proto text generated from a descriptor set; `None` for other schemas.
    pub(super) fn resolve_descriptors(
        &self,
        position: usize,
        checks: Checks,
        purpose: Purpose,
    ) -> Option<(Vec<Resolved>, Findings)> {
        let Schema::Descriptors(descriptors) = &self.schema else {
            return None;
        };
        let entry = normal(&descriptors.entry);
        let mut found = Findings::default();
        let texts = match descriptor_set::texts(&descriptors.set, &entry) {
            Ok(texts) => Some(texts),
            Err(finding) => {
                found.extend([finding]);
                None
            }
        };
        let outcome = texts.map(|texts| {
            found.extend(texts.found);
            let files = ProtoFiles::from_files(texts.files);
            let schema = Schema::Proto(ProtoSource::tree(files, entry.clone()));
            let text = Self {
                schema,
                ..self.clone()
            };
            text.resolve(position, checks, purpose)
        });
        if checks == Checks::StructureOnly {
            found.allow(&[Rule::DescriptorSetLoss]);
        }
        found.allow(&self.allowed);
        let own = self.namespace.clone().filter(|it| !it.is_empty());
        found.name(&own.unwrap_or_else(|| name::suggest(stem(&entry))));
        let (resolved, of_text) = outcome.unwrap_or_default();
        found.extend(of_text);
        Some((resolved, found))
    }
}
