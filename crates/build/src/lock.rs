//! The text of `gwag.lock`: the schema hash of each version, one per line. Build scripts write the file;
//! tools read it with this module.

use tower_gwag_schema::finding::excerpt::Lines;
use tower_gwag_schema::finding::{Excerpt, Finding};
use tower_gwag_schema::version::Version;
use tower_gwag_schema::{Findings, Rule};

/// The file name, beside `Cargo.toml`.
pub const FILE: &str = "gwag.lock";

const HEADER: &str = "\
# The schemas of versions: namespace, version and hash. Written by tower-gwag's build helper; commit
# it. A release build fails when the schema of a version here has changed: register the next version.
# To change one that was never released, remove its line.
";

/// The markers of a merge conflict.
const CONFLICT: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// The parsed lock file.
///
/// # Examples
///
/// ```
/// use tower_gwag_build::lock::Lock;
///
/// let hash = "57d1f475ad0502d11a0fed469840b17478c28436ec328dbb7a7554e266f69ace";
/// let lock = Lock::parse("")?;
/// let text = lock.with("demo", 1, hash);
/// let lock = Lock::parse(&text)?;
/// assert_eq!(lock.find("demo", 1).map(|it| it.hash()), Some(hash));
/// # Ok::<(), tower_gwag_build::Findings>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    text: String,
    entries: Vec<Entry>,
}

/// One line: the hash of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) namespace: String,
    /// The N of `vN`.
    pub(super) version: u64,
    pub(super) hash: String,
    /// The byte range of the line in the text, without its line break.
    line: (usize, usize),
}

// === impl Lock ===

impl Lock {
    /// Parses the text of the file; an empty text stands for a missing file.
    ///
    /// # Errors
    ///
    /// A finding for each malformed line.
    pub fn parse(text: &str) -> Result<Self, Findings> {
        let mut lock = Self {
            text: text.to_owned(),
            entries: Vec::new(),
        };
        let mut found = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let content = line.trim();
            let place = (start, start + line.trim_end().len());
            start += line.len();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            match Entry::parse(content, place) {
                Ok(entry) => match lock.find(&entry.namespace, entry.version) {
                    Some(former) if former.hash != entry.hash => {
                        found.push(twice(&entry, former).at(FILE, Some(lock.excerpt_at(place))));
                    }
                    _ => lock.entries.push(entry),
                },
                Err(finding) => found.push(finding.at(FILE, Some(lock.excerpt_at(place)))),
            }
        }
        match found.is_empty() {
            true => Ok(lock),
            false => Err(found.into_iter().collect()),
        }
    }

    /// The line of a version.
    #[must_use]
    pub fn find(&self, namespace: &str, version: u64) -> Option<&Entry> {
        let is_it = |entry: &&Entry| entry.namespace == namespace && entry.version == version;
        self.entries.iter().find(is_it)
    }

    /// The highest version of a namespace.
    #[must_use]
    pub fn newest(&self, namespace: &str) -> Option<u64> {
        let versions = self.entries.iter().filter(|it| it.namespace == namespace);
        versions.map(|it| it.version).max()
    }

    /// The text with one more line, inserted in order; everything else stays unchanged.
    #[must_use]
    pub fn with(&self, namespace: &str, version: u64, hash: &str) -> String {
        let key = (namespace, version);
        let next = self.entries.iter().find(|it| it.key() > key);
        let at = next.map_or(self.text.len(), |entry| entry.line.0);
        let (before, after) = self.text.split_at(at);
        let gap = match before {
            "" if after.is_empty() => HEADER,
            "" => "",
            _ if before.ends_with('\n') => "",
            _ => "\n",
        };
        format!("{before}{gap}{namespace} v{version} {hash}\n{after}")
    }

    pub(super) fn excerpt(&self, entry: &Entry) -> Excerpt {
        self.excerpt_at(entry.line)
    }

    fn excerpt_at(&self, (start, end): (usize, usize)) -> Excerpt {
        Lines::of(&self.text).at_bytes(start, end)
    }
}

// === impl Entry ===

impl Entry {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The N of `vN`.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The hash, 64 lower-case hex digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn parse(content: &str, line: (usize, usize)) -> Result<Self, Finding> {
        let fields: Vec<&str> = content.split_whitespace().collect();
        let is_hash = |text: &str| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            text.len() == 64 && text.bytes().all(is_digit)
        };
        if let [namespace, version, hash] = fields[..]
            && let Ok(Some(number)) = Version::parse(version).map(Version::number)
            && version == format!("v{number}")
            && is_hash(hash)
        {
            return Ok(Self {
                namespace: namespace.to_owned(),
                version: number,
                hash: hash.to_owned(),
                line,
            });
        }
        let fault = |message: &str| Finding::error(Rule::LockFile, message);
        if CONFLICT.iter().any(|mark| content.starts_with(mark)) {
            return Err(fault("the merge conflict here is not resolved").help(
                "keep the lines of both sides; where they differ in a hash, keep the one that was \
                 released",
            ));
        }
        let finding = fault("this line is not `namespace vN hash`, with 64 hex digits");
        Err(finding.help("restore it from version control, or remove it"))
    }

    fn key(&self) -> (&str, u64) {
        (&self.namespace, self.version)
    }
}

fn twice(entry: &Entry, former: &Entry) -> Finding {
    let name = format!("{}/v{}", entry.namespace, entry.version);
    let hash = former.hash.get(..8).unwrap_or_default();
    let message = format!("`{name}` appears twice, further up with the hash {hash}…");
    Finding::error(Rule::LockFile, message).help("keep the line of the schema that was released")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const B: &str = "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// The lines without the file's header.
    fn lines(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    fn told(text: &str) -> Vec<(Option<usize>, String)> {
        let found = Lock::parse(text).unwrap_err();
        let tell = |it: &Finding| {
            assert_eq!((it.rule(), it.file()), (Rule::LockFile, Some(FILE)));
            (it.line(), it.message().to_owned())
        };
        found.iter().map(tell).collect()
    }

    #[test]
    fn lines_are_added_in_order_and_read_back() {
        let mut text = String::new();
        for (namespace, version) in [("shop", 2), ("shop", 10), ("shop", 1), ("pets", 1)] {
            text = Lock::parse(&text).unwrap().with(namespace, version, A);
        }
        let sorted = ["pets v1", "shop v1", "shop v2", "shop v10"].map(|it| format!("{it} {A}"));
        assert_eq!(lines(&text), sorted);
        assert!(text.starts_with("# The schemas of versions"), "{text}");
        assert_eq!(text.matches("commit").count(), 1, "{text}");
        let lock = Lock::parse(&text).unwrap();
        assert_eq!(lock.find("shop", 10).unwrap().hash, A);
        assert_eq!(lock.find("shop", 3), None);
        assert_eq!((lock.newest("shop"), lock.newest("cars")), (Some(10), None));
        let excerpt = lock.excerpt(lock.find("pets", 1).unwrap());
        let finding = Finding::error(Rule::VersionLocked, "").at(FILE, Some(excerpt));
        assert_eq!(finding.line(), Some(4));
    }

    #[test]
    fn what_people_wrote_stays() {
        let text = format!("# ours\r\n\r\nb v1 {A}  \r\n# the end");
        let added = Lock::parse(&text).unwrap().with("a", 1, B);
        assert_eq!(
            added,
            format!("# ours\r\n\r\na v1 {B}\nb v1 {A}  \r\n# the end")
        );
        let added = Lock::parse(&added).unwrap().with("c", 1, B);
        assert!(
            added.ends_with(&format!("# the end\nc v1 {B}\n")),
            "{added}"
        );
        assert_eq!(Lock::parse(&added).unwrap().entries.len(), 3);
    }

    #[test]
    fn what_a_merge_left_is_reported_line_by_line() {
        let text = format!("# x\n<<<<<<< ours\na v1 {A}\n=======\na v1 {B}\n>>>>>>> theirs\n");
        let found = told(&text);
        let at: Vec<_> = found.iter().filter_map(|(line, _)| *line).collect();
        assert_eq!(at, [2, 4, 5, 6]);
        assert!(found[0].1.contains("merge"), "{found:?}");
        assert!(found[2].1.contains("`a/v1` appears twice"), "{found:?}");
        // Both sides added the same line.
        assert!(Lock::parse(&format!("a v1 {A}\na v1 {A}\n")).is_ok());
    }

    #[test]
    fn lines_of_another_form_are_reported() {
        for line in [
            "a v1",
            &format!("a v01 {A}"),
            &format!("a v+1 {A}"),
            &format!("a unstable {A}"),
            &format!("a v1 {}", A.to_uppercase()),
            &format!("a v1 {A}0"),
            &format!("a v1 {A} b"),
        ] {
            let found = told(&format!("\n{line}\n"));
            assert!(found[0].1.contains("not `namespace vN hash`"), "{found:?}");
            assert_eq!((found.len(), found[0].0), (1, Some(2)));
        }
    }
}
