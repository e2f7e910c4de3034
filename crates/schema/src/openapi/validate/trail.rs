//! The places of the values in a walk; pointers are only built for reported faults.

use crate::openapi::step;

/// The path to each visited value.
#[derive(Debug, Default)]
pub(super) struct Trail<'a>(Vec<(usize, Step<'a>)>);

/// One step of a path.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The JSON pointer to start from.
    From(String),
    Key(&'a str),
    Index(usize),
}

// === impl Trail ===

impl<'a> Trail<'a> {
    pub(super) fn start(&mut self, pointer: String) -> usize {
        self.go(0, Step::From(pointer))
    }

    /// The step from the value at `parent`.
    pub(super) fn go(&mut self, parent: usize, by: Step<'a>) -> usize {
        self.0.push((parent, by));
        self.0.len() - 1
    }

    /// The JSON pointer of a value.
    pub(super) fn pointer(&self, at: usize) -> String {
        let mut steps = Vec::new();
        let mut at = at;
        let mut pointer = String::new();
        while let Some((parent, by)) = self.0.get(at) {
            match by {
                Step::From(start) => {
                    pointer.clone_from(start);
                    break;
                }
                by => steps.push(by),
            }
            at = *parent;
        }
        for by in steps.into_iter().rev() {
            pointer = match by {
                Step::From(start) => start.clone(),
                Step::Key(key) => step(&pointer, key),
                Step::Index(number) => format!("{pointer}/{number}"),
            };
        }
        pointer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_made_of_steps() {
        let mut trail = Trail::default();
        let root = trail.start("/a".to_owned());
        let list = trail.go(root, Step::Key("b/c"));
        let item = trail.go(list, Step::Index(2));
        assert_eq!(trail.pointer(item), "/a/b~1c/2");
        assert_eq!(trail.pointer(root), "/a");
    }
}
