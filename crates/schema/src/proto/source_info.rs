//! Source info as a gateway's compiler writes it: columns, comments and their order.

use std::collections::{HashMap, HashSet};

use prost_reflect::prost_types::SourceCodeInfo;
use prost_reflect::prost_types::source_code_info::Location;

use crate::proto::lex::Source;

/// Rewrites the source info of a file; `None` if a location matches no token, which no known source
/// causes.
pub(crate) fn canonical(info: SourceCodeInfo, source: &Source<'_>) -> Option<SourceCodeInfo> {
    let mut locations = info.location;
    for location in &mut locations {
        widen_default(location, source);
    }
    let start = |location: &Location| {
        let at = |index: usize| location.span.get(index).copied().unwrap_or_default();
        (at(0), at(1))
    };
    let extensions = locations.iter().filter(|it| is_extension(&it.path));
    let extensions: HashMap<Vec<i32>, (i32, i32)> =
        extensions.map(|it| (it.path.clone(), start(it))).collect();
    // In the order of the text; of two that start together, the outer one first. The extended type appears
    // once for all fields of a block in the text, but right after each of them in the source info.
    locations.sort_by_cached_key(|location| {
        let field = location.path.split_last().filter(|(last, _)| **last == 2);
        let field = field.and_then(|(_, field)| extensions.get(field));
        let place = field.copied().unwrap_or_else(|| start(location));
        (place, location.path.len(), field.is_none())
    });
    // A json_name has a location for the option, but none for its value.
    locations.dedup_by(|second, first| is_json_name(&second.path) && second.path == first.path);
    let mut used = HashSet::new();
    let location = locations
        .into_iter()
        .map(|location| rewrite(location, source, &mut used))
        .collect::<Option<Vec<Location>>>()?;
    Some(SourceCodeInfo { location })
}

/// The rest of a path inside a field.
fn in_field(path: &[i32]) -> Option<&[i32]> {
    match path {
        [7, _, rest @ ..] => Some(rest),
        [4, _, rest @ ..] => in_field_of_message(rest),
        _ => None,
    }
}

fn in_field_of_message(path: &[i32]) -> Option<&[i32]> {
    match path {
        [2 | 6, _, rest @ ..] => Some(rest),
        [3, _, rest @ ..] => in_field_of_message(rest),
        _ => None,
    }
}

/// Whether a path is that of an extension itself.
fn is_extension(path: &[i32]) -> bool {
    match path {
        [7, _] => true,
        [4, _, rest @ ..] => is_extension_of_message(rest),
        _ => false,
    }
}

fn is_extension_of_message(path: &[i32]) -> bool {
    match path {
        [6, _] => true,
        [3, _, rest @ ..] => is_extension_of_message(rest),
        _ => false,
    }
}

fn is_json_name(path: &[i32]) -> bool {
    in_field(path) == Some(&[10])
}

/// The location of a default starts at the option, not at its value.
fn widen_default(location: &mut Location, source: &Source<'_>) {
    if in_field(&location.path) != Some(&[7]) {
        return;
    }
    let Some((value, _)) = tokens_of(&location.span, source) else {
        return;
    };
    let name = value.checked_sub(2).and_then(|at| source.tokens.get(at));
    if let Some(name) = name.filter(|name| name.text == "default")
        && let Some((line, byte)) = source.line_and_byte(name.start)
    {
        // With both lines, because the two may be on different lines.
        let (last_line, end) = match location.span[..] {
            [line, _, end] => (line, end),
            [_, _, line, end] => (line, end),
            _ => return,
        };
        location.span = vec![line, byte, last_line, end];
    }
}

/// Whether the declaration with this span has braces.
pub(crate) fn ends_with_brace(span: &[i32], source: &Source<'_>) -> bool {
    tokens_of(span, source).is_some_and(|(_, last)| source.tokens[last].text == "}")
}

/// The first and the last token of a span.
fn tokens_of(span: &[i32], source: &Source<'_>) -> Option<(usize, usize)> {
    let (start, end) = match *span {
        [line, start, end] => ((line, start), (line, end)),
        [line, start, last_line, end] => ((line, start), (last_line, end)),
        _ => return None,
    };
    let start = source.offset(start.0, start.1)?;
    let end = source.offset(end.0, end.1)?;
    let tokens = &source.tokens;
    let first = tokens
        .binary_search_by_key(&start, |token| token.start)
        .ok()?;
    let last = tokens
        .binary_search_by_key(&end, crate::proto::lex::Token::end)
        .ok()?;
    Some((first, last))
}

fn rewrite(location: Location, source: &Source<'_>, used: &mut HashSet<usize>) -> Option<Location> {
    // A file with only comments.
    if source.tokens.len() == 1 {
        let span = vec![0, 0, 0];
        return Some(Location { span, ..location });
    }
    let (first, last) = tokens_of(&location.span, source)?;
    let start = source.position(source.tokens[first].start);
    let end = source.position(source.tokens[last].end());
    let mut out = Location {
        span: if start.line == end.line {
            vec![start.line, start.column, end.column]
        } else {
            vec![start.line, start.column, end.line, end.column]
        },
        path: location.path,
        ..Default::default()
    };
    let Some(style) = style_of(&out.path) else {
        return Some(out);
    };
    let (attached, at) = source.before(first);
    // No comment is used twice.
    if at.is_some_and(|at| used.insert(at)) {
        out.leading_detached_comments = attached.detached;
        out.leading_comments = attached.leading;
    }
    let end_of_head = match style {
        Style::Statement => last,
        Style::Block => (first..=last)
            .find(|at| source.tokens[*at].text == "{")
            .unwrap_or(last),
    };
    if let Some((text, at)) = source.behind(end_of_head)
        && used.insert(at)
    {
        out.trailing_comments = Some(text);
    }
    Some(out)
}

/// How a declaration with comments ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// With a semicolon.
    Statement,
    /// With braces: the comment after the opening brace belongs to it.
    Block,
}

/// Whether and how the declaration at this path of a FileDescriptorProto has comments.
fn style_of(path: &[i32]) -> Option<Style> {
    match path {
        // package, syntax; imports
        [2 | 12] | [3, _] => Some(Style::Statement),
        [4, _, rest @ ..] => message(rest),
        [5, _, rest @ ..] => enumeration(rest),
        [6, _, rest @ ..] => service(rest),
        [7] => Some(Style::Block),
        [7, _, rest @ ..] => field(rest),
        [8, rest @ ..] => option(rest),
        _ => None,
    }
}

fn message(path: &[i32]) -> Option<Style> {
    match path {
        [] | [6] | [8, _] => Some(Style::Block),
        [2 | 6, _, rest @ ..] => field(rest),
        [3, _, rest @ ..] => message(rest),
        [4, _, rest @ ..] => enumeration(rest),
        [7, rest @ ..] | [8, _, 2, rest @ ..] => option(rest),
        // extension ranges, reserved ranges and names
        [5 | 9 | 10] => Some(Style::Statement),
        _ => None,
    }
}

fn field(path: &[i32]) -> Option<Style> {
    path.is_empty().then_some(Style::Statement)
}

fn enumeration(path: &[i32]) -> Option<Style> {
    match path {
        [] => Some(Style::Block),
        [2, _] | [4 | 5] => Some(Style::Statement),
        [3, rest @ ..] => option(rest),
        _ => None,
    }
}

fn service(path: &[i32]) -> Option<Style> {
    match path {
        // A method without braces has no `{`, so its end is used.
        [] | [2, _] => Some(Style::Block),
        [3, rest @ ..] | [2, _, 4, rest @ ..] => option(rest),
        _ => None,
    }
}

/// Each single option has comments, but not the options as a whole.
fn option(path: &[i32]) -> Option<Style> {
    (!path.is_empty()).then_some(Style::Statement)
}
