//! `services`, `registrations`, `peers` and the commands of operators that change something.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower_gwag::control::Client;
use tower_gwag::control::escaped;
use tower_gwag::control::proto::{
    ListServicesResponse, Peer, Registration, SignSubscriptionTokenRequest, SubscribeAuthCode,
};

use crate::access::{client, on_a_runtime};
use crate::cli::{Deprecate, Forget, Gateway, List, Retract, Sign, Undeprecate, Watch};
use crate::exit_codes::{FINE, Fault, GATEWAY};
use crate::output::{self, count, line, plain, table};

type Outcome = Result<ExitCode, Fault>;

/// Makes one call to a gateway.
fn ask<T>(
    gateway: &Gateway,
    what: impl AsyncFnOnce(&Client) -> Result<T, tower_gwag::Error>,
) -> Result<T, Fault> {
    on_a_runtime(async {
        let client = client(&gateway.gateway, &gateway.access)?;
        what(&client)
            .await
            .map_err(|error| Fault::of_gateway(&error))
    })?
}

const DONE: Outcome = Ok(ExitCode::SUCCESS);

pub(crate) fn services(args: &List) -> Outcome {
    let listed = ask(&args.gateway, async |it| it.services().await)?;
    if args.json {
        output::json(&services_json(&listed));
        return DONE;
    }
    let rows: Vec<Vec<String>> = listed
        .services
        .iter()
        .map(|it| {
            let is_stable = listed
                .stable_vn
                .get(&it.namespace)
                .is_some_and(|n| it.version == format!("v{n}"));
            vec![
                it.namespace.clone(),
                it.version.clone(),
                if is_stable {
                    "stable".to_owned()
                } else {
                    String::new()
                },
                it.replica_count.to_string(),
                it.hash_hex.chars().take(12).collect(),
                it.manual_deprecation_reason.clone(),
            ]
        })
        .collect();
    let head = ["NAMESPACE", "VERSION", "", "REPLICAS", "HASH", "DEPRECATED"];
    output::print(&table(&head, &rows));
    DONE
}

pub(crate) fn services_json(listed: &ListServicesResponse) -> Value {
    let services: Vec<Value> = listed
        .services
        .iter()
        .map(|it| {
            json!({
                "namespace": it.namespace, "version": it.version, "hash": it.hash_hex,
                "replicas": it.replica_count,
                "deprecated": Some(&it.manual_deprecation_reason).filter(|it| !it.is_empty()),
            })
        })
        .collect();
    let stable: BTreeMap<_, _> = listed.stable_vn.iter().collect();
    json!({ "services": services, "stable": stable })
}

pub(crate) fn registrations(args: &List) -> Outcome {
    let mut listed = ask(&args.gateway, async |it| it.registrations().await)?;
    listed.sort_by(|a, b| (&a.namespaces, &a.addr).cmp(&(&b.namespaces, &b.addr)));
    if args.json {
        let all: Vec<Value> = listed.iter().map(registration_json).collect();
        output::json(&json!({ "registrations": all }));
        return DONE;
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|it| {
            vec![
                it.registration_id.clone(),
                it.namespaces.join(", "),
                it.addr.clone(),
                it.instance_id.clone(),
                format!("{} s", it.ttl_seconds),
                ago(it.last_heartbeat_unix_ms),
            ]
        })
        .collect();
    let head = ["ID", "SERVICES", "ADDRESS", "INSTANCE", "TTL", "LAST BEAT"];
    output::print(&table(&head, &rows));
    DONE
}

fn registration_json(it: &Registration) -> Value {
    json!({
        "id": it.registration_id, "address": it.addr, "instance": it.instance_id,
        "ttl_seconds": it.ttl_seconds, "last_heartbeat_unix_ms": it.last_heartbeat_unix_ms,
        "services": it.namespaces,
    })
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn ago(unix_ms: u64) -> String {
    let passed = Duration::from_millis(now_ms().saturating_sub(unix_ms));
    match passed.as_secs() {
        0..120 => format!("{:.1} s ago", passed.as_secs_f64()),
        120..7200 => format!("{} min ago", passed.as_secs() / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

pub(crate) fn peers(args: &List) -> Outcome {
    let listed = ask(&args.gateway, async |it| it.peers().await)?;
    if args.json {
        let all: Vec<Value> = listed.iter().map(peer_json).collect();
        output::json(&json!({ "peers": all }));
        return DONE;
    }
    if listed.is_empty() {
        line("no peers: the gateway is standalone");
        return DONE;
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|it| {
            let joined = u64::try_from(it.joined_unix_ms).unwrap_or(0);
            vec![it.node_id.clone(), it.name.clone(), ago(joined)]
        })
        .collect();
    output::print(&table(&["NODE ID", "NAME", "JOINED"], &rows));
    DONE
}

fn peer_json(it: &Peer) -> Value {
    json!({ "node_id": it.node_id, "name": it.name, "joined_unix_ms": it.joined_unix_ms })
}

pub(crate) fn forget(args: &Forget) -> Outcome {
    let answer = ask(&args.gateway, async |it| {
        it.forget_peer(args.node_id.clone()).await
    })?;
    if args.json {
        output::json(&json!({ "removed": answer.removed, "replicas": answer.new_replicas }));
    } else if answer.removed {
        line(format_args!("forgotten: {}", plain(&args.node_id)));
    }
    match answer.removed {
        true => DONE,
        false => {
            let message = format!("the gateway removed no node `{}`", plain(&args.node_id));
            Err(Fault::new(GATEWAY, message).help("`tower-gwag peers` lists the nodes"))
        }
    }
}

pub(crate) fn deprecate(args: &Deprecate) -> Outcome {
    ask(&args.gateway, async |it| {
        it.deprecate(&*args.namespace, &*args.version, &*args.reason)
            .await
    })?;
    let name = format!("{}/{}", args.namespace, args.version);
    match args.json {
        true => output::json(&json!({ "deprecated": name, "reason": args.reason })),
        false => line(format_args!("deprecated: {}", plain(&name))),
    }
    DONE
}

pub(crate) fn undeprecate(args: &Undeprecate) -> Outcome {
    let reason = ask(&args.gateway, async |it| {
        it.undeprecate(&*args.namespace, &*args.version).await
    })?;
    let name = format!("{}/{}", args.namespace, args.version);
    match (args.json, reason.as_str()) {
        (true, _) => output::json(&json!({ "undeprecated": name, "prior_reason": reason })),
        (false, "") => line(format_args!("{} was not deprecated", plain(&name))),
        (false, reason) => line(format_args!(
            "no longer deprecated: {} (it was: {})",
            plain(&name),
            escaped(reason)
        )),
    }
    DONE
}

pub(crate) fn retract(args: &Retract) -> Outcome {
    let answer = ask(&args.gateway, async |it| {
        it.retract_stable(&*args.namespace, args.version).await
    })?;
    let (was, is) = (answer.prior_v_n, answer.new_v_n);
    match args.json {
        true => output::json(&json!({ "namespace": args.namespace, "prior": was, "new": is })),
        false => line(format_args!(
            "stable of {}: v{was} → v{is}",
            plain(&args.namespace)
        )),
    }
    DONE
}

pub(crate) fn sign(args: &Sign) -> Outcome {
    let request = SignSubscriptionTokenRequest {
        channel: args.channel.clone(),
        ttl_seconds: i64::try_from(args.ttl.as_secs()).unwrap_or(i64::MAX),
        kid: args.kid.clone(),
    };
    let answer = ask(&args.gateway, async |it| {
        it.sign_subscription_token(request).await
    })?;
    let code = SubscribeAuthCode::try_from(answer.code).unwrap_or(SubscribeAuthCode::Unspecified);
    if code != SubscribeAuthCode::Ok {
        let name = code
            .as_str_name()
            .trim_start_matches("SUBSCRIBE_AUTH_CODE_");
        let message = format!("not signed: {name} {}", escaped(&answer.reason));
        let help = match code {
            SubscribeAuthCode::Denied => {
                "give --token-file with the gateway's admin token, in hexadecimal digits"
            }
            SubscribeAuthCode::NotConfigured => {
                "the gateway was started without a subscription secret"
            }
            SubscribeAuthCode::UnknownKid => "--kid names no key of the gateway",
            _ => "look into the gateway's log",
        };
        return Err(Fault::new(GATEWAY, message.trim_end()).help(help));
    }
    match args.json {
        true => output::json(&json!({
            "channel": args.channel, "hmac": answer.hmac, "timestamp": answer.timestamp_unix, "kid": answer.kid,
        })),
        false => {
            line(format_args!("hmac       {}", plain(&answer.hmac)));
            line(format_args!("timestamp  {}", answer.timestamp_unix));
            if !answer.kid.is_empty() {
                line(format_args!("kid        {}", plain(&answer.kid)));
            }
        }
    }
    DONE
}

/// All watched values, as lines by name.
type State = BTreeMap<String, String>;

pub(crate) fn watch(args: &Watch) -> Outcome {
    on_a_runtime(async {
        let client = client(&args.gateway.gateway, &args.gateway.access)?;
        let mut state = look(&client)
            .await
            .map_err(|error| Fault::of_gateway(&error))?;
        let end = args.time.map(|it| Instant::now() + it);
        tell(args, "", &state.clone());
        if !args.json {
            line(format_args!(
                "watching {}: {}",
                client.target(),
                crate::output::count_as(state.len(), "entry", "entries")
            ));
        }
        let mut is_away = false;
        while end.is_none_or(|end| Instant::now() < end) {
            let left = end.map(|it| it.saturating_duration_since(Instant::now()));
            let pause = args.every.max(Duration::from_millis(20));
            tokio::select! {
                () = sleep(left.map_or(pause, |it| it.min(pause))) => {}
                _ = tokio::signal::ctrl_c() => break,
            }
            let new = match look(&client).await {
                Ok(new) => new,
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tell(
                            args,
                            "!",
                            &State::from([("gateway".to_owned(), error.to_string())]),
                        );
                    }
                    continue;
                }
            };
            if std::mem::take(&mut is_away) {
                tell(
                    args,
                    "+",
                    &State::from([("gateway".to_owned(), "is back".to_owned())]),
                );
            }
            let differs = |of: &State, from: &State| -> State {
                let new = of
                    .iter()
                    .filter(|(name, value)| from.get(*name) != Some(value));
                new.map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            };
            let mut gone = differs(&state, &new);
            gone.retain(|name, _| !new.contains_key(name));
            let come = differs(&new, &state);
            let (changed, added) = come
                .into_iter()
                .partition(|(name, _)| state.contains_key(name));
            tell(args, "-", &gone);
            tell(args, "+", &added);
            tell(args, "~", &changed);
            state = new;
        }
        Ok(ExitCode::from(FINE))
    })?
}

async fn look(client: &Client) -> Result<State, tower_gwag::Error> {
    let mut state = State::new();
    let services = client.services().await?;
    for it in services.services {
        let deprecated = match it.manual_deprecation_reason.as_str() {
            "" => String::new(),
            reason => format!(", deprecated: {}", escaped(reason)),
        };
        let name = format!(
            "service {}/{}",
            escaped(&it.namespace),
            escaped(&it.version)
        );
        let hash: String = it.hash_hex.chars().take(12).collect();
        let value = format!(
            "{}, {}{deprecated}",
            count(it.replica_count as usize, "replica"),
            plain(&hash)
        );
        state.insert(name, value);
    }
    for (namespace, number) in services.stable_vn {
        state.insert(
            format!("stable {}", escaped(&namespace)),
            format!("v{number}"),
        );
    }
    for it in client.registrations().await? {
        let name = format!("registration {}", escaped(&it.registration_id));
        let value = format!(
            "{} at {} ({})",
            escaped(&it.namespaces.join(", ")),
            escaped(&it.addr),
            escaped(&it.instance_id)
        );
        state.insert(name, value);
    }
    for it in client.peers().await? {
        state.insert(format!("peer {}", escaped(&it.node_id)), escaped(&it.name));
    }
    Ok(state)
}

fn tell(args: &Watch, sign: &str, what: &State) {
    for (name, value) in what {
        if args.json {
            let change = match sign {
                "" => "is",
                "-" => "gone",
                "+" => "new",
                "!" => "away",
                _ => "changed",
            };
            let (kind, name) = name.split_once(' ').unwrap_or((name, ""));
            line(
                json!({ "unix_ms": now_ms(), "change": change, "kind": kind, "name": name, "value": value }),
            );
        } else if !sign.is_empty() {
            line(format_args!("{sign} {name}: {value}"));
        }
    }
}
