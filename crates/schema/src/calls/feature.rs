//! The features that do not survive a gateway: what happens to each on each ingress, and the rule that
//! reports it. `{}` stands for the subject that has the feature.

use super::{Fate, Ingress, Note, Seen};
use crate::finding::Rule;
use Fate::{Changed, EndsGateway, Fails, Lost};
use Ingress::{GraphQl, Grpc, Http};

/// A feature of an operation that does not survive a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Feature {
    // Proto: streams.
    Unsigned64InStream,
    Unsigned64ToStream,
    MapToStream,
    Unsigned32InStream,
    Unsigned32ToStream,
    StreamStatus,
    BytesInStream,
    BoolInQuery,
    RepeatedInQuery,
    ClientStream,
    // Proto: unary methods.
    Unsigned64InAnswer,
    Unsigned64InRequest,
    MapInRequest,
    BytesInAnswer,
    BytesInRequest,
    NumberInRequest,
    WellKnownInRequest,
    EnumInAnswer,
    OptionalInAnswer,
    Proto2Default,
    UnderscoredArgument,
    RepeatedArgument,
    // OpenAPI.
    UnservedMethod,
    PartialTemplate,
    PathParameter,
    BasePath,
    RequiredParameter,
    OptionalParameter,
    ApiKey,
    Body,
    ArrayInQuery,
    ObjectInQuery,
    AnswerType,
    Status,
    ErrorStatus,
    Header,
    Redirect,
    BigNumber,
    SnakeInAnswer,
    SnakeInBody,
    MapOverGrpc,
    NotOverGrpc,
    // GraphQL.
    Opaque,
    NestedArguments,
    TypedVariables,
    Interface,
    NestedByHttp,
    MutationByHttp,
    RemoteOverGrpc,
    RemoteSubscription,
}

/// The facts about a feature.
pub(super) struct Facts {
    pub(super) rule: Option<Rule>,
    /// In a finding, as part of its rule's message.
    pub(super) summary: &'static str,
    pub(super) effects: &'static [(Ingress, Fate, &'static str)],
}

/// Changes that affect every operation.
pub(super) const OF_EVERY_CALL: [(Ingress, &str); 3] = [
    (
        Grpc,
        "metadata is lost except that of tracing, `authorization` included, and so are the \
         service's headers and trailers; messages have at most 4 MiB; compressed messages fail in \
         either direction",
    ),
    (
        Http,
        "proto services get only tracing headers, OpenAPI and GraphQL services also \
         `authorization`; headers of answers are lost; a gRPC error becomes 500",
    ),
    (
        GraphQl,
        "named fragments return `{}`; an error is a text, without details",
    ),
];

const ENDS: &str = "a value that is set ends the gateway's process, for everybody: `{}`";

impl Feature {
    pub(super) fn facts(self) -> Facts {
        let facts = |rule: Option<Rule>, summary, effects| Facts {
            rule,
            summary,
            effects,
        };
        match self {
            Self::Unsigned64InStream => facts(
                Some(Rule::CallsFatalStream),
                "is uint64 or fixed64, in an answer of the stream",
                &[
                    (Grpc, EndsGateway, ENDS),
                    (Http, EndsGateway, ENDS),
                    (GraphQl, EndsGateway, ENDS),
                ],
            ),
            Self::Unsigned64ToStream => facts(
                Some(Rule::CallsFatalStream),
                "is uint64 or fixed64, in a request of the stream",
                &[(Grpc, EndsGateway, ENDS)],
            ),
            Self::MapToStream => facts(
                Some(Rule::CallsFatalStream),
                "is a map, in a request of the stream",
                &[
                    (Grpc, EndsGateway, ENDS),
                    (GraphQl, Fails, "callers cannot set maps: `{}`"),
                ],
            ),
            Self::Unsigned32InStream => facts(
                Some(Rule::CallsStreamUnsigned),
                "gRPC drops each message with {} set, without an error, and GraphQL shows null",
                &[
                    (
                        Grpc,
                        Lost,
                        "each message with a value that is set is dropped: `{}`",
                    ),
                    (GraphQl, Lost, "always null: `{}`"),
                ],
            ),
            Self::Unsigned32ToStream => facts(
                Some(Rule::CallsStreamUnsigned),
                "gRPC calls with {} set fail with INTERNAL",
                &[(Grpc, Fails, "INTERNAL if a value is set: `{}`")],
            ),
            Self::StreamStatus => facts(
                Some(Rule::CallsStreamStatus),
                "{}",
                &[
                    (Grpc, Lost, END_LOST),
                    (Http, Lost, END_LOST),
                    (GraphQl, Lost, END_LOST),
                ],
            ),
            Self::BytesInStream => facts(
                Some(Rule::CallsHttpValues),
                "bytes of streamed answers are corrupted ({})",
                &[(Http, Lost, DESTROYED), (GraphQl, Lost, DESTROYED)],
            ),
            Self::BoolInQuery => {
                facts(None, "", &[(Http, Fails, "500 if the query has one: `{}`")])
            }
            Self::RepeatedInQuery => facts(
                None,
                "",
                &[(
                    Http,
                    Fails,
                    "500 if the query has one value; two work: `{}`",
                )],
            ),
            // `proto-streaming` warns of it.
            Self::ClientStream => facts(
                None,
                "",
                &[
                    (
                        Grpc,
                        Fails,
                        "UNIMPLEMENTED: gateways do not route client-streaming methods",
                    ),
                    (
                        Http,
                        Fails,
                        "404: gateways do not route client-streaming methods",
                    ),
                    (
                        GraphQl,
                        Fails,
                        "the schema has it, but every call is an error",
                    ),
                ],
            ),
            Self::Unsigned64InAnswer => facts(
                Some(Rule::CallsHttpValues),
                "the connection closes without an answer if a uint64 or fixed64 is set ({})",
                &[(
                    Http,
                    Fails,
                    "the connection closes without an answer if a value is set: `{}`",
                )],
            ),
            Self::Unsigned64InRequest => facts(
                Some(Rule::CallsHttpValues),
                "uint64 above 2^63−1 cannot be sent, nor over GraphQL ({})",
                &[
                    (Http, Fails, "above 2^63−1: `{}`"),
                    (GraphQl, Fails, "above 2^63−1: `{}`"),
                ],
            ),
            Self::MapInRequest => facts(
                Some(Rule::CallsHttpValues),
                "the connection closes if a map is set ({})",
                &[
                    (Http, Fails, "the connection closes if one is set: `{}`"),
                    (GraphQl, Fails, "callers cannot set maps: `{}`"),
                ],
            ),
            Self::BytesInAnswer => facts(
                Some(Rule::CallsHttpValues),
                "bytes of answers are corrupted ({})",
                &[(Http, Lost, DESTROYED)],
            ),
            Self::BytesInRequest => facts(
                Some(Rule::CallsHttpValues),
                "bytes are sent as the text itself, not as base64, over GraphQL, too ({})",
                &[(Http, Changed, AS_TEXT), (GraphQl, Changed, AS_TEXT)],
            ),
            Self::NumberInRequest => facts(
                None,
                "",
                &[(
                    Http,
                    Changed,
                    "numbers must be strings, others get 500: `{}`",
                )],
            ),
            Self::WellKnownInRequest => facts(
                None,
                "",
                &[(
                    Http,
                    Changed,
                    "must be an object with its fields; RFC 3339 and the like get 500: `{}`",
                )],
            ),
            Self::EnumInAnswer => {
                facts(None, "", &[(Http, Changed, "arrives as its number: `{}`")])
            }
            Self::OptionalInAnswer => facts(
                None,
                "",
                &[(GraphQl, Changed, "the zero value if it is not set: `{}`")],
            ),
            Self::Proto2Default => facts(
                Some(Rule::CallsProto2Defaults),
                "{}",
                &[
                    (Http, Lost, "left out if it is not set: `{}`"),
                    (GraphQl, Lost, "the zero value if it is not set: `{}`"),
                ],
            ),
            Self::UnderscoredArgument => facts(
                Some(Rule::CallsGraphQlFields),
                "accepted but never sent, because of the underscore in the name: {}",
                &[(GraphQl, Lost, "accepted but never sent: `{}`")],
            ),
            Self::RepeatedArgument => facts(
                Some(Rule::CallsGraphQlFields),
                "callers cannot set the repeated {}",
                &[(GraphQl, Fails, "callers cannot set it: `{}`")],
            ),
            Self::UnservedMethod => facts(
                Some(Rule::CallsUnreachable),
                "HEAD, OPTIONS and TRACE get 404 ({})",
                &[
                    (Grpc, Fails, "there is no route"),
                    (
                        Http,
                        Fails,
                        "404: gateways serve GET, POST, PUT, PATCH and DELETE",
                    ),
                    (GraphQl, Fails, "the schema does not have it"),
                ],
            ),
            Self::PartialTemplate => facts(
                Some(Rule::CallsUnreachable),
                "a parameter that is part of a path segment never matches ({})",
                &[(
                    Http,
                    Fails,
                    "404: a parameter that is part of a path segment never matches",
                )],
            ),
            // `openapi-path-item-parameters` warns of it.
            Self::PathParameter => facts(
                None,
                "",
                &[
                    (Http, Lost, "a parameter of the path item is ignored: `{}`"),
                    (
                        GraphQl,
                        Lost,
                        "a parameter of the path item is ignored: `{}`",
                    ),
                ],
            ),
            Self::BasePath => facts(
                Some(Rule::CallsBasePath),
                "{}",
                &[
                    (Http, Changed, "`servers` is ignored: `{}`"),
                    (GraphQl, Changed, "`servers` is ignored: `{}`"),
                ],
            ),
            Self::RequiredParameter => facts(
                Some(Rule::CallsRequests),
                "required headers and cookies are never sent ({})",
                &[
                    (Http, Lost, "required, but never sent: `{}`"),
                    (GraphQl, Lost, "required, but never sent: `{}`"),
                ],
            ),
            Self::OptionalParameter => facts(
                None,
                "",
                &[
                    (Http, Lost, "headers and cookies are never sent: `{}`"),
                    (GraphQl, Lost, "headers and cookies are never sent: `{}`"),
                ],
            ),
            Self::ApiKey => facts(
                Some(Rule::CallsRequests),
                "API keys are never sent ({})",
                &[
                    (Http, Lost, "the API key is never sent: `{}`"),
                    (GraphQl, Lost, "the API key is never sent: `{}`"),
                ],
            ),
            Self::Body => facts(
                Some(Rule::CallsRequests),
                "bodies other than JSON and multipart arrive empty ({})",
                &[
                    (Http, Lost, "the service gets an empty body: `{}`"),
                    (GraphQl, Lost, "no argument exists for the body: `{}`"),
                ],
            ),
            Self::ArrayInQuery => facts(
                Some(Rule::CallsRequests),
                "two or more values of an array in the query arrive as one, `[a b]` ({})",
                &[
                    (
                        Http,
                        Changed,
                        "two or more values arrive as one, `[a b]`: `{}`",
                    ),
                    (
                        GraphQl,
                        Changed,
                        "the argument is a single String, and lists are refused: `{}`",
                    ),
                ],
            ),
            Self::ObjectInQuery => facts(
                Some(Rule::CallsRequests),
                "objects in the query are dropped ({})",
                &[
                    (Http, Lost, "objects in the query are dropped: `{}`"),
                    (GraphQl, Changed, "arrives as `map[a:x]`: `{}`"),
                ],
            ),
            Self::AnswerType => facts(
                Some(Rule::CallsAnswerTypes),
                "{}",
                &[
                    (Http, Fails, "500, because the answer is not JSON: `{}`"),
                    (GraphQl, Fails, "the whole answer is no longer JSON: `{}`"),
                ],
            ),
            Self::Status => facts(
                Some(Rule::CallsAnswers),
                "a status other than 200 becomes 200 ({})",
                &[(
                    Http,
                    Changed,
                    "becomes 200, with `null` for an empty body: `{}`",
                )],
            ),
            Self::ErrorStatus => facts(None, "", &[(Http, Changed, "becomes 400 or 500: `{}`")]),
            Self::Header => facts(
                Some(Rule::CallsAnswers),
                "headers are lost ({})",
                &[
                    (Http, Lost, "headers of the answer: `{}`"),
                    (GraphQl, Lost, "headers of the answer: `{}`"),
                ],
            ),
            Self::Redirect => facts(
                Some(Rule::CallsAnswers),
                "the gateway follows redirects itself ({})",
                &[(
                    Http,
                    Changed,
                    "the gateway follows the redirect itself: `{}`",
                )],
            ),
            Self::BigNumber => facts(
                Some(Rule::CallsAnswers),
                "integers above 2^53 are rounded over HTTP ({})",
                &[(Http, Changed, "rounded above 2^53: `{}`")],
            ),
            Self::SnakeInAnswer => facts(
                Some(Rule::CallsGraphQlFields),
                "{} is always null",
                &[(GraphQl, Lost, "always null: `{}`")],
            ),
            Self::SnakeInBody => facts(
                Some(Rule::CallsGraphQlFields),
                "{} is sent under its lowerCamel name, which the service does not know",
                &[(GraphQl, Lost, "sent under its lowerCamel name: `{}`")],
            ),
            Self::MapOverGrpc => facts(
                Some(Rule::CallsFatalMap),
                "{}",
                &[(Grpc, EndsGateway, ENDS)],
            ),
            Self::NotOverGrpc => facts(
                None,
                "",
                &[(
                    Grpc,
                    Fails,
                    "there is no route: the document has a union, or an invalid name",
                )],
            ),
            Self::Opaque => facts(
                Some(Rule::CallsUpstream),
                "{} returns opaque JSON, because its type leads to fields with arguments and is a \
                 namespace elsewhere",
                &[(
                    GraphQl,
                    Fails,
                    "opaque JSON without a selection: its type `{}` is a namespace elsewhere",
                )],
            ),
            Self::NestedArguments => facts(
                Some(Rule::CallsUpstream),
                "arguments below the root are not offered ({})",
                &[(
                    GraphQl,
                    Lost,
                    "arguments below the root are not offered: `{}`",
                )],
            ),
            Self::TypedVariables => facts(
                None,
                "",
                &[(
                    GraphQl,
                    Fails,
                    "fails as a variable, because the service does not know the gateway's name for \
                     its type; a literal works: `{}`",
                )],
            ),
            Self::Interface => facts(
                None,
                "",
                &[(
                    GraphQl,
                    Changed,
                    "fields can only be selected in inline fragments on the types: `{}`",
                )],
            ),
            Self::NestedByHttp => facts(
                None,
                "",
                &[(
                    Http,
                    Lost,
                    "only scalar fields of the object, nothing nested",
                )],
            ),
            Self::MutationByHttp => facts(
                None,
                "",
                &[(Http, Fails, "arguments of mutations are ignored")],
            ),
            Self::RemoteOverGrpc => facts(None, "", &[(Grpc, Fails, "there is no route")]),
            Self::RemoteSubscription => facts(
                None,
                "",
                &[
                    (Http, Fails, "there is no route"),
                    (GraphQl, Lost, "an error at its end: callers see `complete`"),
                ],
            ),
        }
    }
}

const END_LOST: &str = "an error at the end, and the death of the service midway: callers see OK";
const DESTROYED: &str = "bytes arrive as text, corrupted unless they are UTF-8: `{}`";
const AS_TEXT: &str = "bytes are sent as the text itself, not as base64: `{}`";

impl Seen {
    /// The effect on callers through an ingress.
    pub(super) fn note(&self, ingress: Ingress) -> Option<Note> {
        let facts = self.feature.facts();
        let mut effects = facts.effects.iter();
        let (_, fate, text) = effects.find(|effect| effect.0 == ingress)?;
        let names = self.subjects.iter().map(|it| it.name.as_str());
        Some(Note {
            fate: *fate,
            rule: facts.rule,
            text: text.replace("{}", &names.collect::<Vec<_>>().join("`, `")),
        })
    }
}
