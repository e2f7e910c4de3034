//! JSON pointers that share their prefixes: a path may be as long as the document, and every element in
//! it has a place.

use std::fmt;
use std::sync::Arc;

/// A JSON pointer into a document, written by `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Arc<Node>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Node {
    parent: Option<Pointer>,
    step: Step,
}

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    /// A complete pointer.
    Whole(String),
    Key(String),
    Item(usize),
}

// === impl Pointer ===

impl Pointer {
    fn with(&self, step: Step) -> Self {
        let parent = Some(self.clone());
        Self(Arc::new(Node { parent, step }))
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn item(&self, number: usize) -> Self {
        self.with(Step::Item(number))
    }

    /// Its last two steps, the last one first.
    pub(crate) fn ends_with(&self) -> (String, Option<String>) {
        let text = self.to_string();
        let mut steps = text.rsplit('/').map(str::to_owned);
        (steps.next().unwrap_or_default(), steps.next())
    }
}

impl From<String> for Pointer {
    fn from(pointer: String) -> Self {
        let step = Step::Whole(pointer);
        Self(Arc::new(Node { parent: None, step }))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Documents are at most 128 deep, and so are pointers.
        if let Some(parent) = &self.0.parent {
            parent.fmt(f)?;
        }
        match &self.0.step {
            Step::Whole(pointer) => f.write_str(pointer),
            Step::Key(key) => {
                let key = key.replace('~', "~0").replace('/', "~1");
                write!(f, "/{key}")
            }
            Step::Item(number) => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
