//! Messages as the cases write them: JSON with proto names, `$raw`, `$fill`, and long texts by
//! length and hash.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use prost_reflect::{DeserializeOptions, SerializeOptions};
use serde_json::{Map, Value, json};

/// Texts above this length are noted by length and hash.
const LONGEST: usize = 100_000;

/// The methods of the proto schemas, by path.
#[derive(Default)]
pub(crate) struct Methods(HashMap<String, MethodDescriptor>);

impl Methods {
    pub(crate) fn add(&mut self, name: &str, source: &str) {
        let pool = compile(name, source);
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                self.0.insert(path, method);
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&MethodDescriptor> {
        self.0.get(path)
    }
}

fn compile(name: &str, source: &str) -> DescriptorPool {
    use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
    struct One(String, String);
    impl FileResolver for One {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            match name == self.0 {
                true => File::from_source(name, &self.1),
                false => Err(protox::Error::file_not_found(name)),
            }
        }
    }
    let file = format!("{name}.proto");
    let mut resolver = ChainFileResolver::new();
    resolver.add(One(file.clone(), source.to_owned()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(&file).expect("a valid source");
    compiler.descriptor_pool()
}

/// The bytes of a message.
pub(crate) fn encode(descriptor: &MessageDescriptor, message: &Value) -> Vec<u8> {
    if let Some(raw) = message["$raw"].as_str() {
        return STANDARD.decode(raw).expect("base64");
    }
    if message.is_null() {
        return Vec::new();
    }
    let json = filled(message).to_string();
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let options = DeserializeOptions::new();
    let message =
        DynamicMessage::deserialize_with_options(descriptor.clone(), &mut deserializer, &options);
    prost::Message::encode_to_vec(&message.expect("a message of the type"))
}

/// A message as the cases write it; bytes that are none come as `$raw`.
pub(crate) fn decode(descriptor: Option<&MessageDescriptor>, bytes: &[u8]) -> Value {
    let message = descriptor.and_then(|it| DynamicMessage::decode(it.clone(), bytes).ok());
    let Some(message) = message else {
        return raw(bytes);
    };
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut out);
    match message.serialize_with_options(&mut serializer, &options) {
        Ok(()) => shortened(serde_json::from_slice(&out).expect("JSON")),
        Err(_) => raw(bytes),
    }
}

pub(crate) fn raw(bytes: &[u8]) -> Value {
    json!({ "$raw": STANDARD.encode(bytes) })
}

/// With `$fill` written out.
pub(crate) fn filled(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let length = |key: &str| map.get(key).and_then(Value::as_u64).map(|it| it as usize);
            if let Some(length) = length("$fill") {
                return "x".repeat(length).into();
            }
            map.iter()
                .map(|(key, value)| (key.clone(), filled(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(all) => all.iter().map(filled).collect(),
        other => other.clone(),
    }
}

/// With long texts by length and hash.
pub(crate) fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST => digest(text.as_bytes()),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, shortened(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(all) => all.into_iter().map(shortened).collect(),
        other => other,
    }
}

fn digest(bytes: &[u8]) -> Value {
    let hash = hmac_sha256::Hash::hash(bytes);
    let hex: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({ "$bytes": bytes.len(), "$sha256": hex })
}

/// The bytes of a body.
pub(crate) fn body(value: &Value) -> Vec<u8> {
    let length = |key: &str| value[key].as_u64().map(|it| "x".repeat(it as usize));
    if let Some(hex) = value["$hex"].as_str() {
        return unhex(hex);
    }
    if let Some(text) = length("$json_body") {
        return format!("{{\"fString\":\"{text}\"}}").into_bytes();
    }
    if let Some(text) = length("$json_fill") {
        return format!("{{\"id\":1,\"name\":\"{text}\"}}").into_bytes();
    }
    value.as_str().unwrap_or_default().as_bytes().to_vec()
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    digits.map(|pair| byte(pair).expect("hex")).collect()
}

/// A body as the cases write it.
pub(crate) fn body_text(bytes: &[u8]) -> Value {
    match bytes.len() > LONGEST {
        true => digest(bytes),
        false => String::from_utf8_lossy(bytes).into(),
    }
}

/// The bytes of a base64 text, padded or not.
pub(crate) fn encode_raw(text: &str) -> Vec<u8> {
    use base64::alphabet::STANDARD as ALPHABET;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&ALPHABET, config)
        .decode(text)
        .expect("base64")
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
