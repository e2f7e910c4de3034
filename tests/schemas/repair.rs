//! `Service::repair`: what it reports, what it registers, and that it leaves good documents as they are.

use tower_gwag::{ErrorKind, Options, Rule, Service};

const JSON: &str = r##"{"openapi":"3.0.3","info":{"title":"Pets","version":"1"},"paths":{
    "/pets/{pet-id}":{"get":{"operationId":"pets.get",
        "parameters":[{"name":"pet-id","in":"path","required":true,"schema":{"type":"string"}}],
        "responses":{"200":{"description":"ok","content":{"application/json":{
            "schema":{"$ref":"#/components/schemas/My-Pet"}}}}}}}},
    "components":{"schemas":{"My-Pet":{"type":"object","properties":{
        "kind":{"type":"string","enum":["a-b"]}}}}}}"##;

const YAML: &str = r##"
openapi: "3.0.3"
info: { title: Pets, version: "1" }
paths:
  /pets/{pet-id}:
    get:
      operationId: pets.get
      parameters:
        - { name: pet-id, in: path, required: true, schema: { type: string } }
      responses:
        "200":
          description: ok
          content:
            application/json:
              schema: { $ref: "#/components/schemas/My-Pet" }
components:
  schemas:
    My-Pet:
      type: object
      properties:
        kind: { type: string, enum: [a-b] }
"##;

fn of(service: Service) -> Options {
    Options::new("gateway:1").service(service)
}

#[test]
fn a_repaired_document_passes_and_each_repair_is_reported() {
    for document in [JSON, YAML] {
        assert!(of(Service::openapi(document)).check().is_err());
        let found = of(Service::openapi(document).repair()).check().unwrap();
        let told: Vec<_> = found
            .iter()
            .filter(|it| it.rule() == Rule::OpenApiRepaired)
            .map(|it| it.message().to_owned())
            .collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for name in ["`My_Pet`", "`a-b`", "`pet_id`", "`get_pets_by_pet_id`"] {
            assert!(told.iter().any(|it| it.contains(name)), "{name}: {told:?}");
        }
    }
}

#[test]
fn the_hash_is_that_of_the_repaired_document() {
    let hash = |service: Service| service.hash().unwrap().to_string();
    let repaired = hash(Service::openapi(JSON).repair());
    assert_ne!(repaired, hash(Service::openapi(JSON)));
    // The same document in another notation gets the same bytes.
    assert_eq!(repaired, hash(Service::openapi(YAML).repair()));
}

#[test]
fn a_good_document_keeps_its_bytes() {
    let good = "{ \"paths\": {\"/a\": {\"get\": {\"operationId\": \"a\", \"responses\": {\"200\": {\"description\": \"\"}}}}}, \"openapi\": \"3.1.0\",\n \"info\": {\"title\":\"T\",\"version\":\"1\"} }";
    let plain = Service::openapi(good).hash().unwrap().to_string();
    let repaired = Service::openapi(good).repair();
    assert_eq!(repaired.hash().unwrap().to_string(), plain);
    assert!(of(repaired).check().unwrap().is_empty());
}

#[test]
fn query_parameters_stay_an_error() {
    let document = JSON.replace("\"in\":\"path\"", "\"in\":\"query\"");
    let document = document.replace("/{pet-id}", "");
    let error = of(Service::openapi(document).repair()).check().unwrap_err();
    let findings = error.findings().unwrap();
    let rules: Vec<_> = findings.errors().map(tower_gwag::Finding::rule).collect();
    assert_eq!(rules, [Rule::OpenApiParameterName]);
    assert_eq!(error.kind(), ErrorKind::Unrenderable);
}

/// utoipa writes a license without a name for a crate that has none.
#[test]
fn a_utoipa_document_of_a_crate_without_a_license_passes() {
    use utoipa::openapi::{
        HttpMethod, InfoBuilder, License, OpenApiBuilder, PathItem, PathsBuilder,
    };
    use utoipa::openapi::{Response, path::OperationBuilder};

    let document = |license: &str| {
        let info = InfoBuilder::new().title("Pets").version("1");
        let list = OperationBuilder::new()
            .operation_id(Some("list"))
            .response("200", Response::new("all"));
        let path = PathItem::new(HttpMethod::Get, list.build());
        OpenApiBuilder::new()
            .info(info.license(Some(License::new(license))).build())
            .paths(PathsBuilder::new().path("/pets", path).build())
            .build()
    };
    let found = of(Service::openapi(document(""))).check();
    assert_eq!(found.unwrap().iter().count(), 0);
    let named = of(Service::openapi(document("MIT"))).check();
    assert_eq!(named.unwrap().iter().count(), 0);
}

/// utoipa leaves the description out where nobody wrote one.
#[test]
fn responses_get_the_description_that_gateways_want() {
    let document = JSON.replace("\"description\":\"ok\",", "");
    let told = |service: Service| of(service).check().map(|found| found.len());
    let found = of(Service::openapi(document.clone())).check().unwrap_err();
    let mut found = found.findings().unwrap().errors();
    let missing = found.find(|it| it.rule() == Rule::OpenApiRequired).unwrap();
    assert!(
        missing.remedy().unwrap().contains("Service::repair"),
        "{missing}"
    );
    assert_eq!(told(Service::openapi(document).repair()).unwrap(), 5);
}

#[test]
fn dates_without_quotes_become_text_where_gateways_take_them_for_moments() {
    let dated = |default: &str| {
        format!(
            "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\npaths: {{/a: {{get: {{operationId: a, responses: {{'200': {{description: ok}}}}}}}}}}\ncomponents:\n  schemas:\n    \
             Day: {{type: string, format: date, default: {default}}}\n"
        )
    };
    let written = dated("2026-01-31");
    let found = of(Service::openapi(written.clone())).check().unwrap_err();
    let finding = found.findings().unwrap().errors().next().unwrap().clone();
    assert_eq!(
        (finding.rule(), finding.line()),
        (Rule::OpenApiExample, Some(6))
    );
    assert!(
        finding.remedy().unwrap().contains("Service::repair"),
        "{finding}"
    );
    let repaired = of(Service::openapi(written).repair()).check().unwrap();
    assert_eq!(repaired.len(), 1);
    let quoted = Service::openapi(dated("'2026-01-31'"));
    assert!(of(quoted.repair()).check().unwrap().is_empty());
}
