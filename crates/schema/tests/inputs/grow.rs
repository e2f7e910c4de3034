//! Sources that grow, to see how a check grows with them: `n` is the number of their parts.

use std::collections::BTreeMap;
use std::fmt::Write;

use tower_gwag_schema::Service;

/// A service of a kind, of the size `n`.
pub(crate) fn service(kind: &str, n: usize) -> Service {
    match kind {
        "path-parameters" | "repeated-ids" | "integers" | "paths" | "bad-names" => {
            Service::openapi(document(kind, n)).namespace("x")
        }
        kind => Service::proto_dir(files(kind, n).into_iter().collect::<Vec<_>>(), "x.proto"),
    }
}

/// Proto files, the entry being `x.proto`.
pub(crate) fn files(kind: &str, n: usize) -> BTreeMap<String, String> {
    const HEAD: &str = "syntax = \"proto3\";\n";
    const SERVICE: &str = "service S { rpc R(M) returns (M); }\n";
    let each = |part: &dyn Fn(usize) -> String| (0..n).map(part).collect::<String>();
    let mut files = BTreeMap::new();
    let mut add = |name: String, text: String| files.insert(name, format!("{HEAD}{text}"));
    let entry = match kind {
        "public-dag" => {
            for i in 0..n {
                let publics: String = (0..i)
                    .map(|j| format!("import public \"i{j}.proto\";\n"))
                    .collect();
                let text = format!("package q{i};\n{publics}message T{i} {{ string s = 1; }}\n");
                add(format!("i{i}.proto"), text);
            }
            format!(
                "import \"i{}.proto\";\nmessage M {{ q0.T0 t = 1; }}\n",
                n - 1
            )
        }
        "public-chain" => {
            for i in 0..n {
                let next = if i + 1 < n {
                    format!("import public \"i{}.proto\";\n", i + 1)
                } else {
                    String::new()
                };
                add(
                    format!("i{i}.proto"),
                    format!("package q{i};\n{next}message T {{ string s = 1; }}\n"),
                );
            }
            format!(
                "import \"i0.proto\";\nmessage M {{ q{}.T t = 1; }}\n",
                n - 1
            )
        }
        "import-chain" => {
            for i in 0..n {
                let (import, field) = match i + 1 < n {
                    true => (
                        format!("import \"i{}.proto\";\n", i + 1),
                        format!("q{}.T t = 2;", i + 1),
                    ),
                    false => (String::new(), String::new()),
                };
                add(
                    format!("i{i}.proto"),
                    format!("package q{i};\n{import}message T {{ string s = 1; {field} }}\n"),
                );
            }
            "import \"i0.proto\";\nmessage M { q0.T t = 1; }\n".to_owned()
        }
        "wide-imports" | "missing-imports" => {
            for i in 0..n * usize::from(kind == "wide-imports") {
                add(
                    format!("m{i}.proto"),
                    format!("package m{i};\nmessage T {{ string a = 1; }}\n"),
                );
            }
            each(&|i| format!("import \"m{i}.proto\";\n")) + "message M { string a = 1; }\n"
        }
        "reserved" => {
            let reserved = each(&|i| format!("  reserved {};\n", 10 + 2 * i));
            format!("message M {{ string a = 1;\n{reserved}}}\n")
        }
        "options" => {
            let fields = each(&|i| {
                format!(
                    "string f{i} = {} [(o) = \"{i}\", deprecated = true];\n",
                    i + 1
                )
            });
            let fields = fields.replace(" = 19", " = 119");
            format!(
                "import \"google/protobuf/descriptor.proto\";\n\
                 extend google.protobuf.FieldOptions {{ string o = 50000; }}\nmessage M {{ {fields} }}\n"
            )
        }
        "message-chain" => {
            let chain = each(&|i| format!("message M{i} {{ M{} n = 1; }}\n", i + 1));
            format!("{chain}message M{n} {{ string a = 1; }}\nmessage M {{ M0 m = 1; }}\n")
        }
        "faults" => {
            let fields = each(&|i| format!("Nothing f{i} = {};\n", i + 20_000));
            format!("message M {{ {fields} }}\n")
        }
        _ => "message M { string a = 1; }\n".to_owned(),
    };
    let package = match kind {
        "deep-package" => (0..n).fold("x".to_owned(), |mut package, i| {
            let _ = write!(package, ".p{i}");
            package
        }),
        "long-package" => "x".repeat(n),
        _ => "x".to_owned(),
    };
    add(
        "x.proto".to_owned(),
        format!("package {package};\n{entry}{SERVICE}"),
    );
    files
}

/// An OpenAPI document as JSON.
pub(crate) fn document(kind: &str, n: usize) -> String {
    let responses = r#""responses":{"200":{"description":"ok"}}"#;
    let join = |part: &dyn Fn(usize) -> String| (0..n).map(part).collect::<Vec<_>>().join(",");
    let paths = match kind {
        "path-parameters" => {
            let path: String = (0..n).map(|i| format!("/{{p{i}}}")).collect();
            let parameters = join(&|i| {
                format!(
                    r#"{{"name":"p{i}","in":"path","required":true,"schema":{{"type":"string"}}}}"#
                )
            });
            format!(
                r#""{path}":{{"get":{{"operationId":"x","parameters":[{parameters}],{responses}}}}}"#
            )
        }
        "repeated-ids" => {
            join(&|i| format!(r#""/p{i}":{{"get":{{"operationId":"same",{responses}}}}}"#))
        }
        "integers" => {
            let numbers = join(&|i| i.to_string());
            format!(r#""/x":{{"get":{{"operationId":"x","x-numbers":[{numbers}],{responses}}}}}"#)
        }
        "bad-names" => join(&|i| {
            format!(
                r##""/p{i}/{{id-{i}}}":{{"post":{{
                    "parameters":[{{"name":"id-{i}","in":"path","required":true,"schema":{{"type":"string"}}}}],
                    "requestBody":{{"content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/T-{i}"}}}}}}}},
                    {responses}}}}}"##
            )
        }),
        _ => join(&|i| {
            format!(
                r##""/p{i}/{{some-id}}":{{
                    "parameters":[{{"name":"some-id","in":"path","required":true,"schema":{{"type":"string"}}}}],
                    "post":{{
                        "description":"What the operation does, in a sentence that is as long as such are.",
                        "requestBody":{{"content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/My-Type"}}}}}}}},
                        "responses":{{"200":{{"content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/My-Type"}}}}}}}}}}
                    }}}}"##
            )
        }),
    };
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;
    let schemas = match kind {
        "bad-names" => join(&|i| format!(r#""T-{i}":{schema}"#)),
        _ => format!(r#""My-Type":{schema}"#),
    };
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},"paths":{{{paths}}},
        "components":{{"schemas":{{{schemas}}}}}}}"#
    )
}
