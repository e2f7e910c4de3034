//! Where something is in the source of a schema. `proto/locate.rs` and `openapi/locate.rs` find its
//! line, and `finding/excerpt.rs` shows it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A location in the source of a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// Not in a source.
    #[default]
    Nowhere,
    /// A file, and a path into its FileDescriptorProto.
    Proto(Arc<str>, Vec<i32>),
    /// A JSON pointer into an OpenAPI document.
    OpenApi(Pointer),
    /// A line of a text, and a column in characters; both from 1. 0 and 0 in an introspection reply.
    Text(usize, usize),
}

/// A JSON pointer into a document, written by `Display`.
///
/// Pointers share their prefixes: a path may be as long as the document, and every element in it has a
/// location.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Option<Arc<Node>>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Node {
    parent: Pointer,
    step: Step,
}

/// One text is always the same step, so that equal pointers have equal texts.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    Key(Box<str>),
    Item(usize),
}

/// A key, escaped as in a JSON pointer.
pub(crate) fn escaped(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => key.replace('~', "~0").replace('/', "~1").into(),
        false => key.into(),
    }
}

/// The key of a step of a JSON pointer.
pub(crate) fn unescaped(step: &str) -> Cow<'_, str> {
    match step.contains('~') {
        true => step.replace("~1", "/").replace("~0", "~").into(),
        false => step.into(),
    }
}

/// Appends one step to the text of a JSON pointer.
pub(crate) fn step(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", escaped(key))
}

// === impl Location ===

impl Location {
    /// The location of a value in an OpenAPI document.
    pub(crate) fn in_document(pointer: impl Into<Pointer>) -> Self {
        Self::OpenApi(pointer.into())
    }
}

// === impl Pointer ===

impl Pointer {
    fn with(&self, step: Step) -> Self {
        let parent = self.clone();
        Self(Some(Arc::new(Node { parent, step })))
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        let number = key.parse().ok();
        let number = number.filter(|it: &usize| it.to_string() == key);
        self.with(number.map_or_else(|| Step::Key(key.into()), Step::Item))
    }

    pub(crate) fn item(&self, number: usize) -> Self {
        self.with(Step::Item(number))
    }

    /// Its last step; empty if it is that of the document.
    pub(crate) fn last(&self) -> Cow<'_, str> {
        match self.0.as_deref().map(|it| &it.step) {
            Some(Step::Key(key)) => (&**key).into(),
            Some(Step::Item(number)) => number.to_string().into(),
            None => "".into(),
        }
    }

    /// The pointer without its last step.
    pub(crate) fn parent(&self) -> Option<&Self> {
        self.0.as_deref().map(|it| &it.parent)
    }

    /// The length of its text, in bytes.
    pub(crate) fn len(&self) -> usize {
        let (mut length, mut next) = (0, self);
        while let Some(node) = &next.0 {
            length += 1 + match &node.step {
                Step::Key(key) => escaped(key).len(),
                Step::Item(number) => number.checked_ilog10().unwrap_or(0) as usize + 1,
            };
            next = &node.parent;
        }
        length
    }
}

impl From<&str> for Pointer {
    fn from(text: &str) -> Self {
        let mut pointer = Self::default();
        for step in text.split('/').skip(1) {
            pointer = pointer.key(&unescaped(step));
        }
        pointer
    }
}

impl From<String> for Pointer {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(node) = &self.0 else {
            return Ok(());
        };
        // Documents are at most 128 deep, and so are pointers.
        node.parent.fmt(f)?;
        match &node.step {
            Step::Key(key) => write!(f, "/{}", escaped(key)),
            Step::Item(number) => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// The path to each value that a walk through a document visits. A walk sees every value and has few faults:
/// a step takes no memory of its own here, as one of a [`Pointer`] does, and a pointer is made for a fault only.
#[derive(Debug, Default)]
pub(crate) struct Trail<'a>(Vec<Passed<'a>>);

/// How a walk came to a value: from another one, which is given by its number.
#[derive(Debug)]
enum Passed<'a> {
    Start(Pointer),
    Key(usize, &'a str),
    Item(usize, usize),
}

// === impl Trail ===

impl<'a> Trail<'a> {
    pub(crate) fn start(&mut self, pointer: Pointer) -> usize {
        self.add(Passed::Start(pointer))
    }

    /// A value of the object at `parent`.
    pub(crate) fn key(&mut self, parent: usize, key: &'a str) -> usize {
        self.add(Passed::Key(parent, key))
    }

    /// A value of the list at `parent`.
    pub(crate) fn item(&mut self, parent: usize, number: usize) -> usize {
        self.add(Passed::Item(parent, number))
    }

    fn add(&mut self, step: Passed<'a>) -> usize {
        self.0.push(step);
        self.0.len() - 1
    }

    pub(crate) fn pointer(&self, at: usize) -> Pointer {
        let mut steps = Vec::new();
        let mut at = at;
        let start = loop {
            match self.0.get(at) {
                Some(Passed::Start(pointer)) => break pointer.clone(),
                Some(step @ (Passed::Key(parent, _) | Passed::Item(parent, _))) => {
                    steps.push(step);
                    at = *parent;
                }
                None => break Pointer::default(),
            }
        };
        steps
            .into_iter()
            .rev()
            .fold(start, |pointer, step| match step {
                Passed::Start(_) => pointer,
                Passed::Key(_, key) => pointer.key(key),
                Passed::Item(_, number) => pointer.item(*number),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_of_one_text_are_equal() {
        for text in ["", "/", "/a", "/paths/~1a~1{b}/get", "/a~01/0/12/007/-1/ä"] {
            let pointer = Pointer::from(text);
            assert_eq!(
                (pointer.to_string(), pointer.len()),
                (text.to_owned(), text.len())
            );
        }
        let list = Pointer::default().key("a/b").key("c~");
        assert_eq!(list.item(10), Pointer::from("/a~1b/c~0/10"));
        assert_eq!(list.key("10"), list.item(10));
        assert!(list.item(10) > list.item(9));
    }

    #[test]
    fn pointers_are_made_of_steps() {
        let mut trail = Trail::default();
        let root = trail.start("/a".into());
        let list = trail.key(root, "b/c");
        let item = trail.item(list, 2);
        assert_eq!(trail.pointer(item), "/a/b~1c/2".into());
        assert_eq!(trail.pointer(root), "/a".into());
    }
}
