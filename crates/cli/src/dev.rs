//! `dev`: an in-process gateway for development, and a view of its activity.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use tower_gwag_gateway::{CallCount, EmbeddedGateway, Profile, Rpc};

use crate::access::on_a_runtime;
use crate::cli::{Dev, DevProfile};
use crate::exit_codes::{self, FINE, Fault};
use crate::output::{self, Style, paint, plain, say, short, table};

/// The default ports of a real gateway.
const CONTROL: u16 = 50090;
const HTTP: u16 = 8080;
/// The interval between redraws.
const REFRESH: Duration = Duration::from_millis(250);
/// The most lines of each kind in the table.
const MOST: usize = 12;

pub(crate) fn run(args: &Dev) -> Result<ExitCode, Fault> {
    on_a_runtime(serve(args))?
}

async fn serve(args: &Dev) -> Result<ExitCode, Fault> {
    let nodes = start(args).await?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Fault::new(exit_codes::RUN, error.to_string()))?;
    let is_on_a_screen = std::io::stdout().is_terminal() && output::is_coloured();
    let is_live = args.table || is_on_a_screen;
    for line in head(&nodes) {
        output::line(line);
    }
    let screen = is_on_a_screen.then(Screen::open);
    let mut view = Picture::default();
    let end = args.time.map(|it| Instant::now() + it);
    loop {
        let new = Picture::of(&nodes);
        if is_live {
            let text = drawn(&new);
            match &screen {
                Some(screen) => screen.show(&format!("{}\n\n{text}", head(&nodes).join("\n"))),
                None => output::print(&format!("\n{text}")),
            }
        } else {
            new.since(&view).iter().for_each(output::line);
        }
        view = new;
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        tokio::select! {
            () = sleep(REFRESH) => {}
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
    }
    if let Some(screen) = screen {
        drop(screen);
        // What was seen last stays.
        output::print(&format!("\n{}", drawn(&view)));
    }
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(ExitCode::from(FINE))
}

/// The terminal's other screen: the table leaves no traces among the lines that were there before.
struct Screen;

impl Screen {
    fn open() -> Self {
        // Without a cursor; a line that is too long is cut, not wrapped.
        output::print("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l");
        Self
    }

    fn show(&self, text: &str) {
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        let rows = size.map_or(0, |it| usize::from(it.ws_row));
        let mut lines: Vec<&str> = text.lines().collect();
        let more = format!("… {} more lines", (lines.len() + 1).saturating_sub(rows));
        if rows > 1 && lines.len() > rows {
            lines.truncate(rows - 1);
            lines.push(&more);
        }
        // Each line erases its rest, and the last one everything below.
        let text = lines.join("\u{1b}[K\n");
        output::print(&format!("\u{1b}[H{text}\u{1b}[K\u{1b}[J"));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        output::print("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l");
    }
}

async fn start(args: &Dev) -> Result<Vec<EmbeddedGateway>, Fault> {
    let profile = match args.profile {
        DevProfile::Standalone if args.nodes > 1 => {
            let message = "standalone gateways do not form a cluster";
            return Err(Fault::new(exit_codes::USAGE, message).help("remove --profile or --nodes"));
        }
        DevProfile::Standalone => Profile::Standalone,
        DevProfile::Clustered => Profile::Clustered,
    };
    let mut nodes: Vec<EmbeddedGateway> = Vec::new();
    for number in 0..args.nodes {
        let first = nodes.first();
        // The default ports if they are free; the next ones for further nodes.
        let control = place(
            args.listen.as_deref().filter(|_| first.is_none()),
            CONTROL + u16::from(number) * 10,
        );
        let http = place(
            args.http_listen.as_deref().filter(|_| first.is_none()),
            HTTP + u16::from(number) * 10,
        );
        let mut builder = EmbeddedGateway::builder()
            .profile(profile)
            .listen(control)
            .http_listen(http);
        if let Some(first) = first {
            builder = builder.join(first);
        }
        let node = builder
            .node_name(format!("node{}", number + 1))
            .start()
            .await;
        nodes.push(node.map_err(|error| {
            let why = std::error::Error::source(&error);
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            let message = error.to_string();
            let message = message.trim_end_matches(": give another `host:port`");
            Fault::new(exit_codes::GATEWAY, format!("{message}{why}"))
                .help("give free ports of this host: --listen and --http-listen host:port")
        })?);
    }
    Ok(nodes)
}

/// The requested address, or the default one if it is free, or any.
fn place(wanted: Option<&str>, usual: u16) -> String {
    if let Some(wanted) = wanted {
        return wanted.to_owned();
    }
    match std::net::TcpListener::bind(("127.0.0.1", usual)) {
        Ok(_) => format!("127.0.0.1:{usual}"),
        Err(_) => {
            say(&format!(
                "tower-gwag: port {usual} is taken: using a free one"
            ));
            "127.0.0.1:0".to_owned()
        }
    }
}

fn head(nodes: &[EmbeddedGateway]) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, node) in (1..).zip(nodes) {
        let url = node.http_url();
        let name = if nodes.len() > 1 {
            format!("node {number}: ")
        } else {
            String::new()
        };
        lines.push(format!(
            "{name}control plane and gRPC {}, HTTP {url}, page {url}/",
            node.target()
        ));
    }
    if let Some(node) = nodes.first() {
        lines.push(format!(
            "GWAG_GATEWAY={} GWAG_GATEWAY_HTTP={}",
            node.target(),
            node.http_url()
        ));
    }
    lines.push("a gateway for development, never for production; Ctrl-C ends it".to_owned());
    lines
}

/// A snapshot of the gateway.
#[derive(Clone, Debug, Default)]
struct Picture {
    /// Replicas, whether calls are routed to it, why it is deprecated.
    services: BTreeMap<String, (Vec<String>, bool, Option<String>)>,
    /// By id: the services, the address, the instance, the last beat in tenths of a second.
    registrations: BTreeMap<String, (String, String, String, u128)>,
    calls: BTreeMap<String, CallCount>,
    refusals: Vec<String>,
    fatal: Vec<String>,
    /// What calls lost on their way, and how often.
    changed: BTreeMap<String, u64>,
    beats: u64,
}

// === impl Picture ===

impl Picture {
    fn of(nodes: &[EmbeddedGateway]) -> Self {
        let mut picture = Self::default();
        for node in nodes {
            let view = node.view();
            for it in view.services {
                let name = format!("{}/{}", it.namespace, it.version);
                picture
                    .services
                    .insert(name, (it.replicas, it.routed, it.deprecation));
            }
            for it in view.registrations {
                let beat = it.since_last_beat.as_millis() / 100;
                let entry = (it.namespaces.join(", "), it.addr, it.instance_id, beat);
                picture.registrations.insert(it.id, entry);
            }
            for (name, count) in node.calls().into_iter().filter(|(_, it)| !is_probe(it)) {
                let sum = picture.calls.entry(name).or_default();
                sum.calls += count.calls;
                sum.errors += count.errors;
                sum.last_error = count.last_error.or(sum.last_error.take());
            }
            picture.refusals.extend(node.refusals());
            picture
                .fatal
                .extend(node.fatal_calls().iter().map(ToString::to_string));
            for it in node.changed_calls() {
                *picture.changed.entry(it.to_string()).or_default() += it.times;
            }
            picture.beats += view.rpc_counts.of(Rpc::Heartbeat).answered;
        }
        picture
    }

    /// The changes, one line for each.
    fn since(&self, old: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, (services, address, instance, _)) in &self.registrations {
            if !old.registrations.contains_key(id) {
                lines.push(format!(
                    "+ registered {} at {} ({})",
                    plain(services),
                    plain(address),
                    plain(instance)
                ));
            }
        }
        for (id, (services, address, instance, _)) in &old.registrations {
            if !self.registrations.contains_key(id) {
                lines.push(format!(
                    "- gone {} at {} ({})",
                    plain(services),
                    plain(address),
                    plain(instance)
                ));
            }
        }
        for (name, (replicas, routed, deprecated)) in &self.services {
            let before = old.services.get(name);
            if before.is_none_or(|it| {
                it.0.len() != replicas.len() || it.1 != *routed || it.2 != *deprecated
            }) {
                let state = state_of(name, *routed, deprecated.as_deref());
                lines.push(format!(
                    "~ {}: {}{state}",
                    plain(name),
                    output::count(replicas.len(), "replica")
                ));
            }
        }
        for name in old
            .services
            .keys()
            .filter(|it| !self.services.contains_key(*it))
        {
            lines.push(format!("- {}: no replicas", plain(name)));
        }
        let news = self
            .changed
            .keys()
            .filter(|it| !old.changed.contains_key(*it));
        lines.extend(news.map(|it| format!("* changed {}", plain(it))));
        for (name, count) in &self.calls {
            let before = old.calls.get(name).cloned().unwrap_or_default();
            if count.calls > before.calls {
                let errors = count.errors - before.errors.min(count.errors);
                let why = match (errors, &count.last_error) {
                    (0, _) => String::new(),
                    (errors, why) => format!(
                        ", {errors} failed ({})",
                        short(why.as_deref().unwrap_or_default(), 200)
                    ),
                };
                let calls = output::count((count.calls - before.calls) as usize, "call");
                lines.push(format!("> {}: {calls}{why}", plain(name)));
            }
        }
        let new = self.refusals.len().saturating_sub(old.refusals.len());
        lines.extend(
            self.refusals
                .iter()
                .rev()
                .take(new)
                .rev()
                .map(|it| format!("! refused {}", plain(it))),
        );
        let new = self.fatal.len().saturating_sub(old.fatal.len());
        lines.extend(
            self.fatal
                .iter()
                .rev()
                .take(new)
                .rev()
                .map(|it| format!("! {}", plain(it))),
        );
        lines
    }
}

/// Services that register probe their routes with a message that reaches no handler.
fn is_probe(count: &CallCount) -> bool {
    let why = count.last_error.as_deref().unwrap_or_default();
    let of_probes = [
        "ingress: no route",
        "error unmarshalling",
        "failed to unmarshal",
    ];
    let is_unanswered = of_probes.iter().any(|it| why.contains(it));
    count.errors == count.calls && is_unanswered
}

fn state_of(name: &str, routed: bool, deprecated: Option<&str>) -> String {
    match (name.starts_with('_'), routed, deprecated) {
        (true, ..) => String::new(),
        (_, false, _) => ", NOT ROUTED: a schema blocks the gateway".to_owned(),
        (_, true, Some(why)) => format!(", deprecated: {}", plain(why)),
        (_, true, None) => String::new(),
    }
}

/// The whole picture.
fn drawn(picture: &Picture) -> String {
    let mut text = String::new();
    let rows: Vec<Vec<String>> = picture
        .services
        .iter()
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(name, (replicas, routed, deprecated))| {
            let addresses: BTreeSet<&String> = replicas.iter().collect();
            let addresses: Vec<&str> = addresses.into_iter().map(String::as_str).collect();
            let state = state_of(name, *routed, deprecated.as_deref());
            vec![
                name.clone(),
                replicas.len().to_string(),
                addresses.join(" "),
                state.trim_start_matches(", ").to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        text.push_str("No service is registered.\n");
    } else {
        text.push_str(&table(&["SERVICE", "REPLICAS", "ADDRESSES", ""], &rows));
    }
    let rows: Vec<Vec<String>> = picture
        .registrations
        .values()
        .filter(|(services, ..)| !services.starts_with('_'))
        .take(MOST)
        .map(|(services, address, instance, beat)| {
            let beat = format!("{}.{} s ago", beat / 10, beat % 10);
            vec![services.clone(), address.clone(), instance.clone(), beat]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!(
            "\n{}",
            table(&["REGISTRATION", "ADDRESS", "INSTANCE", "LAST BEAT"], &rows)
        ));
    }
    let mut calls: Vec<(&String, &CallCount)> = picture.calls.iter().collect();
    calls.sort_by_key(|(_, it)| std::cmp::Reverse(it.calls));
    let rows: Vec<Vec<String>> = calls
        .into_iter()
        .take(MOST)
        .map(|(name, it)| {
            vec![
                name.clone(),
                it.calls.to_string(),
                it.errors.to_string(),
                it.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!(
            "\n{}",
            table(&["METHOD", "CALLS", "FAILED", "LAST ERROR"], &rows)
        ));
    }
    let mut changed: Vec<(&String, &u64)> = picture.changed.iter().collect();
    changed.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    if !changed.is_empty() {
        let title = paint(Style::Notice, "changed on the way, as a real gateway would");
        text.push_str(&format!("\n{title}\n"));
    }
    for (what, times) in changed.iter().take(MOST) {
        text.push_str(&format!("  {times:>5} × {}\n", short(what, 160)));
    }
    if changed.len() > MOST {
        text.push_str(&format!("  and {} more\n", changed.len() - MOST));
    }
    for (title, lines) in [
        ("refused, as a real gateway would", &picture.refusals),
        ("a real gateway would have died of", &picture.fatal),
    ] {
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", paint(Style::Bad, title)));
        for it in lines.iter().rev().take(5).rev() {
            text.push_str(&format!("  {}\n", short(it, 160)));
        }
    }
    text.push_str(&format!(
        "\n{}\n",
        paint(
            Style::Faint,
            &match picture.beats {
                1 => "1 heartbeat answered".to_owned(),
                beats => format!("{beats} heartbeats answered"),
            }
        )
    ));
    text
}
