//! `multipart/form-data`, parsed and written again.

use bytes::Bytes;

use super::json::lossy;
use super::openapi_services::FormPart;

/// The most parts of a form.
const MAX_PARTS: usize = 1000;

/// The longest boundary by RFC 2046. The time to search for it grows with its length.
const LONGEST_BOUNDARY: usize = 70;

/// The boundary of a form by its content type: empty if it names none, `None` if it is not a form.
pub(super) fn boundary(kind: &str) -> Option<String> {
    let (media, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let is_form = media.trim().eq_ignore_ascii_case("multipart/form-data");
    is_form.then(|| parameter(parameters, "boundary").unwrap_or_default())
}

/// Parses the form of a request to an OpenAPI service; the error has the gateway's text.
pub(super) fn read(kind: &str, body: &Bytes) -> Result<Vec<FormPart>, String> {
    let boundary = boundary(kind).ok_or_else(|| {
        let media = kind.split(';').next().unwrap_or_default();
        format!("multipart: expected multipart/form-data, got {media:?}")
    })?;
    if boundary.is_empty() {
        return Err("multipart: missing boundary".to_owned());
    }
    parts(&boundary, body).map_err(|why| format!("multipart: read form: {why}"))
}

/// The parts of a form.
pub(super) fn parts(boundary: &str, body: &Bytes) -> Result<Vec<FormPart>, &'static str> {
    if boundary.len() > LONGEST_BOUNDARY {
        return Err("multipart: boundary is longer than 70 bytes");
    }
    let cut = || "unexpected EOF";
    let delimiter = format!("\r\n--{boundary}");
    let opening = format!("--{boundary}");
    let mut at = match body.starts_with(opening.as_bytes()) {
        true => opening.len(),
        false => {
            let found = find(body, delimiter.as_bytes(), 0);
            found.ok_or("multipart: NextPart: EOF")? + delimiter.len()
        }
    };
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if !rest.starts_with(b"\r\n") || parts.len() >= MAX_PARTS {
            return Err(cut());
        }
        at += 2;
        let end_of_head = find(body, b"\r\n\r\n", at.saturating_sub(2)).ok_or_else(cut)?;
        let head = lossy(body.get(at..end_of_head).unwrap_or_default());
        let start = end_of_head + 4;
        let end = find(body, delimiter.as_bytes(), start.saturating_sub(2)).ok_or_else(cut)?;
        parts.extend(part(&head, body.slice(start.min(end)..end)));
        at = end + delimiter.len();
    }
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.windows(what.len())
        .position(|window| window == what)
        .map(|at| from + at)
}

/// A parameter of a header, with or without quotes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (quoted[..end].to_owned(), &quoted[end + 1..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

fn part(head: &str, data: Bytes) -> Option<FormPart> {
    let header = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let disposition = header("content-disposition")?;
    let parameters = disposition
        .split_once(';')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let kind = header("content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
    Some(FormPart {
        name: parameter(parameters, "name")?,
        file: parameter(parameters, "filename").map(|file| (file, kind)),
        data,
    })
}

/// Writes a form; its parts are ordered by name (http-oas-multipart).
pub(super) fn write(boundary: &str, parts: &[FormPart]) -> Bytes {
    let mut parts: Vec<&FormPart> = parts.iter().collect();
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    let quoted = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(['\r', '\n'], " ")
    };
    let mut out = Vec::new();
    for part in parts {
        let before = if out.is_empty() { "" } else { "\r\n" };
        let mut head = format!(
            "{before}--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(&part.name)
        );
        if let Some((file, kind)) = &part.file {
            head.push_str(&format!(
                "; filename=\"{}\"\r\nContent-Type: {kind}",
                quoted(file)
            ));
        }
        head.push_str("\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&part.data);
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_written() {
        let text = "--BB\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nhi\r\n--BB\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a b\"\r\nContent-Type: image/png\r\n\r\n\x01\r\n--BB--\r\n";
        let kind = "multipart/form-data; boundary=\"BB\"";
        let parts = read(kind, &Bytes::from(text)).unwrap();
        assert_eq!(
            parts[1].file,
            Some(("a b".to_owned(), "image/png".to_owned()))
        );
        let again = write("BB", &parts);
        assert!(again.starts_with(b"--BB\r\nContent-Disposition: form-data; name=\"file\""));
        assert_eq!(read(kind, &again).unwrap().len(), 2);
        for (length, is_read) in [(70, true), (71, false)] {
            let long = "B".repeat(length);
            let text = text.replace("BB", &long);
            let read = read(&kind.replace("BB", &long), &Bytes::from(text));
            assert_eq!(read.is_ok(), is_read, "{length}");
        }
        let cut = Bytes::from(text.split("--BB--").next().unwrap());
        for (kind, body, fault) in [
            (
                "application/json",
                &cut,
                "multipart: expected multipart/form-data, got \"application/json\"",
            ),
            ("multipart/form-data", &cut, "multipart: missing boundary"),
            (kind, &cut, "multipart: read form: unexpected EOF"),
        ] {
            assert_eq!(read(kind, body).unwrap_err(), fault);
        }
    }
}
