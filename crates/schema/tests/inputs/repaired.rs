//! What repairs do to documents that generators write, and what findings say of them.

use serde_json::json;
use tower_gwag_schema::{CheckError, Findings, Rule, Service, check};

fn checked(document: &str) -> Result<Findings, CheckError> {
    check(&[Service::openapi(document.to_owned()).namespace("x")])
}

fn repaired(document: &str) -> Result<Findings, CheckError> {
    check(&[Service::openapi(document.to_owned())
        .namespace("x")
        .repair()])
}

const SHELF: &str = r#"
openapi: 3.0.3
info: {title: shelf, version: "1"}
paths:
  /books/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
      - {name: lang, in: query, schema: {type: string}}
    get:
      operationId: readBook
      parameters:
        - {name: lang, in: query, schema: {type: integer}}
      responses: {"200": {description: ok}}
"#;

#[test]
fn parameters_of_a_path_are_reported_and_handed_down() {
    let found = checked(SHELF).unwrap();
    let finding = found.iter().next().unwrap();
    assert_eq!(finding.rule(), Rule::OpenApiPathItemParameters);
    assert!(finding.message().contains("`id`"), "{finding}");
    assert_eq!(finding.line(), Some(6), "{finding}");
    let found = repaired(SHELF).unwrap();
    assert!(
        found.iter().all(|it| it.rule() == Rule::OpenApiRepaired),
        "{found}"
    );
    assert!(
        found
            .to_string()
            .contains("2 parameters of the path `/books/{id}`"),
        "{found}"
    );
}

#[test]
fn the_license_that_utoipa_writes_is_dropped() {
    let document = r#"{"openapi":"3.1.0","info":{"title":"shop","version":"0.1.0","license":{"name":""}},
        "paths":{"/pets":{"get":{"operationId":"list_pets","responses":{"200":{"description":"ok"}}}}}}"#;
    let error = checked(document).unwrap_err();
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
    let found = repaired(document).unwrap();
    assert!(found.to_string().contains("license"), "{found}");
    // A license that says more stays, and is reported.
    assert!(repaired(&document.replace(r#""name":"""#, r#""url":"https://a.example""#)).is_err());
}

#[test]
fn findings_show_the_text_that_was_given() {
    let document = SHELF.replace("operationId: readBook\n", "\n").replace(
        ", in: query, schema: {type: integer}",
        ", in: query, schema: {type: 3}",
    );
    let error = repaired(&document).unwrap_err();
    let finding = error.findings().errors().next().unwrap();
    assert_eq!(finding.line(), Some(12), "{finding}");
}

#[test]
fn long_lines_are_reported_with_the_pointer() {
    let document = serde_json::json!({
        "openapi": "3.0.3", "info": {"title": "t", "version": "1"},
        "paths": {"/p": {"get": {"operationId": "get it", "responses": {"200": {"description": "a description that makes the line long"}}}}},
    });
    let error = checked(&document.to_string()).unwrap_err();
    assert!(
        error.to_string().contains(" (#/paths/~1p/get/operationId)"),
        "{error}"
    );
}

#[test]
fn what_is_meant_is_named() {
    let error = checked(r#"{"swagger":"2.0","info":{"title":"t","version":"1"},"paths":{}}"#);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("this is Swagger 2.0")
    );
    let service = Service::proto("syntax = \"proto3\";").namespace("x");
    for (given, meant) in [
        ("1.0", "v1"),
        ("V2", "v2"),
        ("v03", "v3"),
        ("1", "v1"),
        ("Unstable", "unstable"),
    ] {
        let error = check(&[service.clone().version(given)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("`.version(\"{meant}\")`")),
            "{error}"
        );
    }
    assert!(
        !check(&[service.version("0.1")])
            .unwrap_err()
            .to_string()
            .contains(".version(")
    );
    let document = SHELF.replace("{type: integer}", "{type: string, maxLength: 1e400}");
    let error = checked(&document).unwrap_err().to_string();
    assert!(error.contains("a number that is too large"), "{error}");
}

/// Nobody has seen the text of a document that a program makes: its lines say nothing.
#[test]
fn a_generated_document_is_reported_by_pointers_and_a_text_by_lines() {
    let document = json!({
        "openapi": "3.0.3",
        "info": {"title": "Pets", "version": "1"},
        "paths": {"/pets/{pet-id}": {"get": {
            "operationId": "get-pet",
            "parameters": [{"name": "pet-id", "in": "path", "required": true,
                "schema": {"type": "string"}}],
            "responses": {"200": {"description": "ok"}},
        }}},
    });
    let text = serde_json::to_string_pretty(&document).unwrap();
    let faults = |service: Service| check(&[service]).unwrap_err().into_findings();
    let generated = faults(Service::openapi(document));
    let written = faults(Service::openapi(text));
    assert_eq!(generated.len(), written.len(), "{generated}");
    let mut located = 0;
    for (generated, written) in generated.iter().zip(written.iter()) {
        assert_eq!(written.pointer(), generated.pointer());
        let Some(pointer) = generated.pointer() else {
            continue;
        };
        located += 1;
        assert!(written.line().is_some_and(|line| line > 1), "{written}");
        assert_eq!(generated.line(), None, "{generated}");
        let place = format!("--> openapi#{pointer}");
        assert!(generated.to_string().contains(&place), "{generated}");
    }
    assert!(located > 1, "{generated}");
}
