//! The comments of a file, by declaration.

use std::collections::HashMap;
use std::ops::Range;

use prost_reflect::prost_types::SourceCodeInfo;
use prost_reflect::prost_types::source_code_info::Location;

/// The comments of one declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Note {
    pub(super) detached: Vec<String>,
    pub(super) leading: Option<String>,
    pub(super) trailing: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Comments(HashMap<Vec<i32>, Vec<Location>>);

impl Comments {
    pub(super) fn of(info: &SourceCodeInfo) -> Self {
        let mut places: HashMap<Vec<i32>, Vec<Location>> = HashMap::new();
        for location in &info.location {
            let same = places.entry(location.path.clone()).or_default();
            same.push(location.clone());
        }
        Self(places)
    }

    pub(super) fn note(&self, path: &[i32]) -> Note {
        let first = self.0.get(path).and_then(|places| places.first());
        first.map(Note::of).unwrap_or_default()
    }

    /// Groups the elements of a list by their statements, in the order of the list. Without known places,
    /// all of them are in one statement.
    pub(super) fn statements(&self, path: &[i32], count: usize) -> Vec<(Note, Range<usize>)> {
        let mut places: Vec<&Location> = self.0.get(path).into_iter().flatten().collect();
        places.sort_by_key(|place| ends(&place.span));
        let mut found: Vec<(Option<usize>, Range<usize>)> = Vec::new();
        for element in 0..count {
            let index = i32::try_from(element).unwrap_or(i32::MAX);
            let own: Vec<i32> = path.iter().copied().chain([index]).collect();
            let own = self.0.get(&own).and_then(|places| places.first());
            let statement = own.and_then(|own| {
                let (start, end) = ends(&own.span);
                let later = places.partition_point(|place| ends(&place.span).0 <= start);
                let last = later.checked_sub(1)?;
                (end <= ends(&places[last].span).1).then_some(last)
            });
            match found.last_mut() {
                Some((last, range)) if *last == statement => range.end = element + 1,
                _ => found.push((statement, element..element + 1)),
            }
        }
        let note = |(statement, range): (Option<usize>, Range<usize>)| {
            let place = statement.and_then(|at| places.get(at));
            (place.map(|it| Note::of(it)).unwrap_or_default(), range)
        };
        found.into_iter().map(note).collect()
    }
}

impl Note {
    pub(super) fn of(location: &Location) -> Self {
        Self {
            detached: location.leading_detached_comments.clone(),
            leading: location.leading_comments.clone(),
            trailing: location.trailing_comments.clone(),
        }
    }
}

/// Line and column of both ends.
fn ends(span: &[i32]) -> ((i32, i32), (i32, i32)) {
    match *span {
        [line, start, end] => ((line, start), (line, end)),
        [line, start, last, end] => ((line, start), (last, end)),
        _ => ((0, 0), (0, 0)),
    }
}
