//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tower_gwag::{GatewayRelease, Rule};

use crate::exit_codes::CODES;

/// One tool for gwag gateways: a gateway for development, a check for CI, a supervisor for any
/// program, diagnosis for operators.
#[derive(Debug, Parser)]
#[command(name = "tower-gwag", version, max_term_width = 100, after_help = CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const CHECK: &str = "\
Example:
  tower-gwag check proto/shop.proto openapi.yaml --format github

A gwag.toml lists services, with paths relative to it:
  gateway-release = \"1.4\"
  [[service]]
  proto = \"proto/shop/v1/shop.proto\"   # or openapi, or graphql = \"schema.graphql\"
  include = [\"proto\"]
  namespace = \"shop\"
  version = \"v1\"
  allow = [\"proto-streaming\"]
  # also: split, repair, endpoint, max-concurrency, max-concurrency-per-instance";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a gateway for development, with a live table.
    #[command(after_help = "Example:\n  tower-gwag dev --profile clustered --nodes 3")]
    Dev(Dev),
    /// Check protos, OpenAPI documents, GraphQL schemas, or a gwag.toml that lists services.
    ///
    /// All of them are checked together, as services of one registration. A file's namespace comes
    /// from its name or title, and its version is v1; --namespace and --version override them for a
    /// single file, a gwag.toml for several. Exits with 1 if there is an error.
    #[command(
        after_help = CHECK
    )]
    Check(Check),
    /// Show what callers get from a service, per operation and ingress; or explain a rule.
    #[command(after_help = "Example:\n  tower-gwag explain proto-two-services")]
    Explain(Explain),
    /// Print the GraphQL schema that a gateway will serve.
    #[command(after_help = "Example:\n  tower-gwag schema proto/shop.proto openapi.yaml")]
    Schema(SchemaArgs),
    /// Show what a schema change means to callers; exits with 1 if it breaks them.
    #[command(after_help = "Example:\n  tower-gwag diff old/openapi.yaml openapi.yaml")]
    Diff(Diff),
    /// Print the canonical hash by which a gateway distinguishes schemas.
    #[command(after_help = "Example:\n  tower-gwag hash proto/shop.proto")]
    Hash(SchemaArgs),
    /// Lock versions to their schemas: add new ones to gwag.lock, fail if one changed.
    #[command(after_help = "Example:\n  tower-gwag lock proto/shop.proto")]
    Lock(Lock),
    /// Run a program of any language as a registered service.
    ///
    /// Starts the program, waits until its port accepts connections, registers it, and sends
    /// heartbeats. At SIGTERM or SIGINT it deregisters, waits for --grace, and only then sends the
    /// program SIGTERM. If the program dies, deregisters it at once.
    #[command(
        after_help = "Example:\n  tower-gwag run --gateway gateway:50090 --openapi openapi.yaml --port 8080 -- python3 server.py"
    )]
    Run(Box<Run>),
    /// List the services of a gateway.
    #[command(after_help = "Example:\n  tower-gwag services --gateway gateway:50090")]
    Services(List),
    /// List the registrations that a node accepted.
    #[command(after_help = "Example:\n  tower-gwag registrations --gateway gateway:50090 --json")]
    Registrations(List),
    /// List the nodes of a gateway's cluster.
    #[command(after_help = "Example:\n  tower-gwag peers --gateway gateway:50090")]
    Peers(List),
    /// Remove a dead node from a cluster.
    #[command(after_help = "Example:\n  tower-gwag forget NODE_ID --gateway gateway:50090")]
    Forget(Forget),
    /// Mark a version as deprecated.
    #[command(
        after_help = "Example:\n  tower-gwag deprecate shop v1 \"use v2\" --gateway gateway:50090"
    )]
    Deprecate(Deprecate),
    /// Remove a deprecation.
    #[command(after_help = "Example:\n  tower-gwag undeprecate shop v1 --gateway gateway:50090")]
    Undeprecate(Undeprecate),
    /// Lower the `stable` alias of a namespace.
    #[command(after_help = "Example:\n  tower-gwag retract shop v1 --gateway gateway:50090")]
    Retract(Retract),
    /// Sign a token that allows subscribing to a channel.
    #[command(
        after_help = "Example:\n  tower-gwag sign events.orders --ttl 60s --token-file admin-token --gateway gateway:50090"
    )]
    Sign(Sign),
    /// Watch the changes at a gateway: services, replicas, registrations, peers.
    #[command(after_help = "Example:\n  tower-gwag watch --for 2s --gateway gateway:50090")]
    Watch(Watch),
    /// Find out what is wrong with a gateway, and what to do about it.
    ///
    /// It only makes harmless requests: lists, schemas, and whether addresses answer. Name every
    /// node of a cluster, or it cannot find ghosts. Exits with 1 if there is a fault.
    #[command(
        after_help = "Example:\n  tower-gwag doctor --gateway gateway:50090 --http http://gateway:8080"
    )]
    Doctor(Doctor),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  tower-gwag completions bash")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The files to check, and how.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SchemaArgs {
    /// .proto, .json, .yaml and .graphql files, a gwag.toml, or a directory with one.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How files become services.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct How {
    /// A directory in which to search imports of protos. Default: the nearest one above the file
    /// that contains them.
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    pub(crate) includes: Vec<PathBuf>,
    /// The namespace, for a single file.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The version, for a single file: unstable, or vN. Default: v1.
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Allow what this rule forbids.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub(crate) allow: Vec<Rule>,
    /// Register each service of a proto file as a separate service.
    #[arg(long)]
    pub(crate) split: bool,
    /// Repair OpenAPI documents without changing HTTP, as `Service::repair` does.
    #[arg(long)]
    pub(crate) repair: bool,
    /// The gateway release whose rules apply.
    #[arg(long, value_name = "RELEASE", env = "GWAG_GATEWAY_RELEASE")]
    pub(crate) release: Option<Release>,
}

fn rule(id: &str) -> Result<Rule, String> {
    id.parse()
        .map_err(|error: tower_gwag::UnknownRule| error.to_string())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    #[value(name = "1.1")]
    V1_1,
    #[value(name = "1.4")]
    V1_4,
}

impl From<Release> for GatewayRelease {
    fn from(release: Release) -> Self {
        match release {
            Release::V1_1 => Self::V1_1,
            Release::V1_4 => Self::V1_4,
        }
    }
}

/// How to connect to a gateway.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Access {
    /// A file with the token for every call, read anew for each. Or set GWAG_TOKEN.
    #[arg(long, value_name = "FILE", env = "GWAG_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The CA certificates that verify the gateway, PEM. Implies TLS.
    #[arg(long, value_name = "FILE", env = "GWAG_TLS_CA_FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The client certificate, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "GWAG_TLS_CERT_FILE",
        requires = "tls_key"
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "GWAG_TLS_KEY_FILE",
        requires = "tls_cert"
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// The name that the gateway's certificate must have.
    #[arg(long, value_name = "NAME", env = "GWAG_TLS_SERVER_NAME")]
    pub(crate) tls_server_name: Option<String>,
}

/// One gateway.
#[derive(Args, Clone, Debug)]
pub(crate) struct Gateway {
    /// The gateway's control plane: host:port or a URL.
    #[arg(short, long, value_name = "ADDR", env = "GWAG_GATEWAY")]
    pub(crate) gateway: String,
    #[command(flatten)]
    pub(crate) access: Access,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct MaybeGateway {
    /// The gateway's control plane: host:port or a URL.
    #[arg(short, long, value_name = "ADDR")]
    pub(crate) gateway: Option<String>,
    /// The base URL of the gateway's HTTP port, to show differences.
    #[arg(long, value_name = "URL", requires = "gateway")]
    pub(crate) http: Option<String>,
    #[command(flatten)]
    pub(crate) access: Access,
}

#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// The kind of gateway; several nodes are clustered.
    #[arg(long, value_enum, default_value_t = DevProfile::Clustered)]
    pub(crate) profile: DevProfile,
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) nodes: u8,
    /// Where the control plane listens. Default: 127.0.0.1:50090, or a free port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Where HTTP is served. Default: 127.0.0.1:8080, or a free port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http_listen: Option<String>,
    /// Stop after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, hide = true)]
    pub(crate) time: Option<Duration>,
    /// Draw the table even without a terminal.
    #[arg(long, hide = true)]
    pub(crate) table: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DevProfile {
    /// Refuses at Register what it cannot serve.
    Standalone,
    /// A node of a cluster, even of a cluster of one, as `gwag up` starts it.
    Clustered,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) schemas: SchemaArgs,
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// Fail on warnings, too.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// Repair OpenAPI documents in place, without changing HTTP, and show the difference.
    #[arg(long)]
    pub(crate) fix: bool,
    /// With --fix: show the difference and write nothing.
    #[arg(long, requires = "fix")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) gateway: MaybeGateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Files as for `check`, or the id of a rule.
    #[arg(required = true, value_name = "PATH|RULE")]
    pub(crate) what: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// The old and the new schemas; with --gateway only the new ones.
    #[arg(required = true, num_args = 1..=2, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The lowest level of change that makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Breaking)]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) gateway: MaybeGateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Breaking,
    Dangerous,
    Safe,
    Never,
}

#[derive(Args, Debug)]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(crate) schemas: SchemaArgs,
    /// The lock file.
    #[arg(long, value_name = "FILE", default_value = tower_gwag_build::lock::FILE)]
    pub(crate) file: PathBuf,
    /// Write nothing; fail if a version is missing.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// The node id, as `peers` lists it.
    pub(crate) node_id: String,
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Deprecate {
    /// The namespace.
    pub(crate) namespace: String,
    /// unstable, or vN.
    pub(crate) version: String,
    /// The reason to show to callers.
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Undeprecate {
    /// The namespace.
    pub(crate) namespace: String,
    /// unstable, or vN.
    pub(crate) version: String,
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Retract {
    /// The namespace.
    pub(crate) namespace: String,
    /// The new `stable` vN: lower than the current one, and registered.
    #[arg(value_parser = number)]
    pub(crate) version: u32,
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    let number = digits.parse().ok().filter(|it| *it > 0);
    number.ok_or_else(|| "write vN with N from 1".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct Sign {
    /// The channel to subscribe to.
    pub(crate) channel: String,
    /// How long the token is valid.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// The id of the key.
    #[arg(long, default_value = "")]
    pub(crate) kid: String,
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) gateway: Gateway,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// The interval between polls.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub(crate) every: Duration,
    /// Stop after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// The control planes of all nodes: host:port or URLs, separated by commas or repeated.
    #[arg(
        short,
        long,
        value_name = "ADDR",
        env = "GWAG_GATEWAY",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) gateway: Vec<String>,
    /// The base URL of the gateway's HTTP port, of any node. Without it, many checks are skipped.
    #[arg(long, value_name = "URL", env = "GWAG_GATEWAY_HTTP")]
    pub(crate) http: Option<String>,
    /// How long to watch for changes.
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub(crate) observe: Duration,
    /// Do not connect to the addresses of replicas.
    #[arg(long)]
    pub(crate) no_dial: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The control planes of gateways, one of which to register with: host:port or URLs.
    #[arg(
        short,
        long,
        value_name = "ADDR",
        env = "GWAG_GATEWAY",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) gateway: Vec<String>,
    /// The base URL of the gateway's HTTP port, for a more precise status.
    #[arg(long, value_name = "URL", env = "GWAG_GATEWAY_HTTP")]
    pub(crate) gateway_http: Option<String>,
    /// A proto file.
    #[arg(long, value_name = "FILE", env = "GWAG_PROTO", value_delimiter = ',')]
    pub(crate) proto: Vec<PathBuf>,
    /// An OpenAPI document.
    #[arg(long, value_name = "FILE", env = "GWAG_OPENAPI", value_delimiter = ',')]
    pub(crate) openapi: Vec<PathBuf>,
    /// A GraphQL endpoint: a path on the program's port, or a URL. It needs --namespace.
    #[arg(long, value_name = "PATH|URL", env = "GWAG_GRAPHQL")]
    pub(crate) graphql: Option<String>,
    /// A gwag.toml that lists the services.
    #[arg(long, value_name = "FILE", env = "GWAG_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
    /// The port on which the program listens.
    #[arg(short, long, env = "GWAG_PORT", required_unless_present = "advertise", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The address that the gateway calls: host:port, or a base URL. Default: this host's, with
    /// --port.
    #[arg(long, value_name = "ADDRESS", env = "GWAG_ADVERTISE")]
    pub(crate) advertise: Option<String>,
    /// The host that the gateway calls, with --port.
    #[arg(
        long,
        value_name = "HOST",
        env = "GWAG_ADVERTISE_HOST",
        conflicts_with = "advertise",
        requires = "port"
    )]
    pub(crate) advertise_host: Option<String>,
    /// The path in front of those of an OpenAPI document, such as /v2.
    #[arg(
        long,
        value_name = "PATH",
        env = "GWAG_ADVERTISE_PATH",
        conflicts_with = "advertise",
        requires = "port"
    )]
    pub(crate) advertise_path: Option<String>,
    /// How the gateway calls: http or https. Not for gRPC.
    #[arg(long, value_name = "SCHEME", env = "GWAG_ADVERTISE_SCHEME")]
    pub(crate) advertise_scheme: Option<String>,
    /// Send gRPC addresses without leading zeros.
    #[arg(long, env = "GWAG_VERBATIM_ADDRESS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) verbatim_address: bool,
    /// The label shown to operators for this replica.
    #[arg(long, value_name = "TEXT", env = "GWAG_INSTANCE")]
    pub(crate) instance_id: Option<String>,
    /// An identity that only one process at a time has.
    #[arg(long, value_name = "NAME", env = "GWAG_EXCLUSIVE_INSTANCE")]
    pub(crate) exclusive_instance: Option<String>,
    /// How long the gateway keeps a silent registration.
    #[arg(long, value_name = "TIME", env = "GWAG_TTL", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// The interval between heartbeats.
    #[arg(long, value_name = "TIME", env = "GWAG_HEARTBEAT_INTERVAL", value_parser = duration)]
    pub(crate) heartbeat_interval: Option<Duration>,
    /// Refuse the version unstable: this is a release.
    #[arg(long, value_name = "TAG", env = "GWAG_BUILD_TAG")]
    pub(crate) build_tag: Option<String>,
    /// A header for every control-plane call.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// When to register the hold, which keeps calls in flight alive.
    #[arg(long, value_enum, env = "GWAG_HOLD", default_value_t = HoldWhen::AtStart)]
    pub(crate) hold: HoldWhen,
    /// Return to the first of several gateways when it is back.
    #[arg(long, env = "GWAG_PREFER_FIRST", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) prefer_first: bool,
    /// How long a vN must be free before it is registered again.
    #[arg(long, value_name = "TIME", env = "GWAG_RECLAIM_AFTER", value_parser = duration)]
    pub(crate) reclaim_after: Option<Duration>,
    /// Stop the program if the gateway refuses the service.
    #[arg(long, env = "GWAG_STOP_ON_REFUSAL", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) stop_on_refusal: bool,
    /// Register schemas without checking them.
    #[arg(long, env = "GWAG_UNCHECKED_SCHEMAS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) unchecked_schemas: bool,
    /// Make the jitter repeatable.
    #[arg(long, value_name = "NUMBER", env = "GWAG_SEED")]
    pub(crate) seed: Option<u64>,
    /// How long calls in flight have after the deregistration before the program gets SIGTERM;
    /// `run` cannot see them. Replaces the drain timeout and the quiet time.
    #[arg(long, value_name = "TIME", env = "GWAG_GRACE", default_value = "5s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// The maximum time for leaving as a whole, --grace included. Default: --grace and 20 s, used
    /// up only if a gateway does not answer.
    #[arg(long, value_name = "TIME", env = "GWAG_LEAVE_TIMEOUT", value_parser = duration)]
    pub(crate) leave_timeout: Option<Duration>,
    /// How long the program may take to end after SIGTERM before it gets SIGKILL.
    #[arg(long, value_name = "TIME", env = "GWAG_STOP_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub(crate) stop_timeout: Duration,
    /// How long the program may take until its port accepts connections.
    #[arg(long, value_name = "TIME", env = "GWAG_START_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub(crate) start_timeout: Duration,
    /// How often to check that the port still accepts connections.
    #[arg(long, value_name = "TIME", env = "GWAG_PORT_CHECK", default_value = "1s", value_parser = duration)]
    pub(crate) port_check: Duration,
    /// Restart the program when it ends, after a pause that grows from 0.5 s to 30 s.
    #[arg(long, env = "GWAG_RESTART", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) restart: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM", num_args = 1..)]
    pub(crate) program: Vec<std::ffi::OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HoldWhen {
    AtStart,
    AtLeave,
    Off,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `500ms`, `2s`, `1m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a time as 500ms, 2s, 1m or 1h".to_owned()),
    };
    let seconds: f64 = number
        .parse()
        .map_err(|_| "write a time as 500ms, 2s, 1m or 1h".to_owned())?;
    Duration::try_from_secs_f64(seconds * scale)
        .ok()
        .filter(|it| *it <= Duration::from_secs(24 * 3600))
        .ok_or_else(|| "a day is the longest time".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read() {
        for (text, millis) in [("500ms", 500), ("2s", 2000), ("1.5", 1500), ("1m", 60_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1d", "-1s", "1e9h", "99999h", "2 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
