//! Where the values of a walk are. A walk sees every value and has few faults: a step here takes no memory
//! of its own, and the pointer is made for a fault only.

use crate::location::Pointer;

/// The path to each visited value.
#[derive(Debug, Default)]
pub(super) struct Trail<'a>(Vec<Step<'a>>);

/// The step to a value from another one, which is given by its number.
#[derive(Debug)]
enum Step<'a> {
    Start(Pointer),
    Key(usize, &'a str),
    Item(usize, usize),
}

// === impl Trail ===

impl<'a> Trail<'a> {
    pub(super) fn start(&mut self, pointer: Pointer) -> usize {
        self.add(Step::Start(pointer))
    }

    /// A value of the object at `parent`.
    pub(super) fn key(&mut self, parent: usize, key: &'a str) -> usize {
        self.add(Step::Key(parent, key))
    }

    /// A value of the list at `parent`.
    pub(super) fn item(&mut self, parent: usize, number: usize) -> usize {
        self.add(Step::Item(parent, number))
    }

    fn add(&mut self, step: Step<'a>) -> usize {
        self.0.push(step);
        self.0.len() - 1
    }

    pub(super) fn pointer(&self, at: usize) -> Pointer {
        let mut steps = Vec::new();
        let mut at = at;
        let start = loop {
            match self.0.get(at) {
                Some(Step::Start(pointer)) => break pointer.clone(),
                Some(step @ (Step::Key(parent, _) | Step::Item(parent, _))) => {
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
                Step::Start(_) => pointer,
                Step::Key(_, key) => pointer.key(key),
                Step::Item(_, number) => pointer.item(*number),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
