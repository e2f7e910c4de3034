//! Uploads: multipart requests, as the GraphQL multipart request specification defines them, and
//! files as arguments.

use bytes::Bytes;

use super::super::Fault;
use super::super::json::{self, File, Value};
use super::super::multipart;
use super::super::openapi_services::FormPart;
use super::serve::Asked;

/// The request in a form: `operations`, `map`, and the files that `map` puts into its variables. The
/// error has the gateway's text.
pub(super) fn read(boundary: &str, body: &Bytes) -> Result<Asked, String> {
    let form = match boundary {
        "" => Err("multipart: boundary is empty"),
        boundary => multipart::parts(boundary, body),
    };
    let form = form.map_err(|why| format!("read form: {why}"))?;
    let field = |name: &str| {
        let found = form.iter().find(|it| it.file.is_none() && it.name == name);
        found.ok_or_else(|| format!("missing `{name}` part"))
    };
    let (operations, map) = (field("operations")?, field("map")?);
    if operations.data.trim_ascii_start().starts_with(b"[") {
        return Err("batched `operations` (JSON array) not supported".to_owned());
    }
    let parsed = |part: &FormPart| {
        let value = json::whole(&part.data);
        value.map_err(|why| format!("parse `{}`: {why}", part.name))
    };
    let unfit = |name: &str, found: &Value, wanted: &str| {
        let found = kind_of(found);
        format!("parse `{name}`: json: cannot unmarshal {found} into Go value of type {wanted}")
    };
    let mut asked = match parsed(operations)? {
        it @ (Value::Object(_) | Value::Null) => Asked::of(it),
        it => return Err(unfit("operations", &it, "gateway.graphqlRequestOptions")),
    };
    let map = match parsed(map)? {
        Value::Object(map) => map,
        Value::Null => Default::default(),
        it => return Err(unfit("map", &it, "map[string][]string")),
    };
    for (name, paths) in map {
        let paths = match paths {
            Value::Array(paths) => paths,
            Value::Null => Vec::new(),
            it => return Err(unfit("map", &it, "[]string")),
        };
        let part = form.iter().find(|it| it.file.is_some() && it.name == name);
        let Some(FormPart {
            file: Some((file, kind)),
            data,
            ..
        }) = part
        else {
            return Err(format!(
                "map references file part {name:?} but none present"
            ));
        };
        // Of a path only its last segment is kept.
        let file = file.rsplit('/').next().unwrap_or_default();
        let file = Value::File(File::new(file.to_owned(), kind.clone(), data.clone()));
        for path in paths {
            let Value::String(path) = path else {
                return Err(unfit("map", &path, "string"));
            };
            put(&mut asked, &path, file.clone())
                .map_err(|why| format!("substitute {path:?}: {why}"))?;
        }
    }
    Ok(asked)
}

/// What Go's JSON calls a value of this kind.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => "number",
    }
}

/// Puts a file where a path such as `variables.files.0` leads.
fn put(asked: &mut Asked, path: &str, file: Value) -> Result<(), String> {
    let Some(rest) = path.strip_prefix("variables.") else {
        return Err("path must start with \"variables.\"".to_owned());
    };
    let (inner, last) = match rest.rsplit_once('.') {
        Some((inner, last)) => (Some(inner), last),
        None => (None, rest),
    };
    let mut at = "variables".to_owned();
    let mut place: Option<&mut Value> = None;
    for name in inner.into_iter().flat_map(|it| it.split('.')) {
        let next = format!("{at}.{name}");
        place = Some(
            match place {
                None => asked.variables.get_mut(name),
                Some(Value::Object(map)) => map.get_mut(name),
                Some(Value::Array(all)) => Some(item(all, &next, name)?),
                Some(_) => return Err(format!("{at} is not a map or list")),
            }
            .ok_or_else(|| format!("{next} not present"))?,
        );
        at = next;
    }
    match place {
        None => drop(asked.variables.insert(last.to_owned(), file)),
        Some(Value::Object(map)) => drop(map.insert(last.to_owned(), file)),
        Some(Value::Array(all)) => *item(all, &format!("{at}.{last}"), last)? = file,
        Some(_) => return Err(format!("{at} is not a map or list")),
    }
    Ok(())
}

fn item<'a>(all: &'a mut [Value], at: &str, index: &str) -> Result<&'a mut Value, String> {
    let Ok(index) = index.parse::<i64>() else {
        return Err(format!("expected numeric index at {at}, got {index:?}"));
    };
    let length = all.len();
    let item = usize::try_from(index).ok().and_then(|it| all.get_mut(it));
    item.ok_or_else(|| format!("{at} index out of range (len={length})"))
}

/// The part of a form that sends a value for an argument of type `Upload`.
pub(super) fn part(name: &str, value: &Value) -> Result<FormPart, Fault> {
    // The gateway sends its own error as the value (new-graphql-upload-var-number).
    let text = match value {
        Value::File(file) => {
            return Ok(FormPart {
                name: name.to_owned(),
                file: Some((file.name.clone(), file.kind.clone())),
                data: file.take(),
            });
        }
        Value::String(id) if !id.is_empty() => {
            let text = format!(
                "openapi multipart: open {name:?}: Upload.Open: tus upload-id {id:?} referenced but no \
                 UploadStore configured (use WithUploadStore / WithUploadDataDir)"
            );
            return Err(Fault::of("INVALID_ARGUMENT", text));
        }
        Value::Null => value.plain(),
        Value::String(_) => "Upload: empty string is not a valid tus upload-id".to_owned(),
        other => format!(
            "Upload: expected *Upload (multipart) or string (tus upload-id), got {}",
            other.type_name()
        ),
    };
    Ok(FormPart {
        name: name.to_owned(),
        file: None,
        data: text.into(),
    })
}
