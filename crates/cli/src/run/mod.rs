//! `run`: runs a program of any language as a registered service.
//!
//! The kernel reports the program's death, which ends the registration at once: no calls are left
//! to wait for.

mod port;
mod program;

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tower_gwag::{
    Event, GwagRegistrationLayer, Hold, LeaveReport, OnRefusal, Options, Registration, Service,
    State,
};

pub(crate) use self::port::host_port;
use self::port::{Dialled, Port};
use self::program::{Came, Ended, Program, Signals};
use crate::access::{on_a_runtime, options};
use crate::check::check;
use crate::cli::{HoldWhen, How, Run};
use crate::environment::warn_of_unknown;
use crate::exit_codes::{Fault, RUN, USAGE};
use crate::output::{in_options, plain, say};
use crate::sources::{Kind, Source, Sources};

/// The interval between dials while the program starts.
const START_DIAL: Duration = Duration::from_millis(25);
/// The delay before a refusing port is dialled once more.
const SECOND_DIAL: Duration = Duration::from_millis(100);
/// The most time that leaving takes in addition to the grace.
const LEAVE: Duration = Duration::from_secs(20);
/// The pause before a restart, which doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After a run of this length the pause starts from the beginning.
const CALM: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &Run) -> Result<ExitCode, Fault> {
    // Any other error gets the exit code of a program that did not run.
    let as_run = |fault: Fault| match fault.code {
        USAGE => fault,
        _ => Fault { code: RUN, ..fault },
    };
    warn_of_unknown();
    let services = services(args).map_err(as_run)?;
    let options = planned(args, services).map_err(as_run)?;
    let code = on_a_runtime(async { Supervisor::new(args, options)?.run().await })??;
    Ok(ExitCode::from(code))
}

/// The services; fails if a gateway cannot serve them.
fn services(args: &Run) -> Result<Vec<Service>, Fault> {
    let mut paths: Vec<(std::path::PathBuf, Kind)> = Vec::new();
    paths.extend(args.proto.iter().map(|it| (it.clone(), Kind::Proto)));
    paths.extend(args.openapi.iter().map(|it| (it.clone(), Kind::OpenApi)));
    let of_config: Vec<_> = args.config.iter().cloned().collect();
    let mut sources = Sources::read(
        &of_config,
        &How {
            release: args.how.release,
            ..How::default()
        },
    )?;
    let number = paths.len() + usize::from(args.graphql.is_some());
    if number > 1 && (args.how.namespace.is_some() || args.how.version.is_some()) {
        let message =
            format!("--namespace and --version are for a single service, and there are {number}");
        return Err(Fault::new(USAGE, message).help("list the services in a gwag.toml: --config"));
    }
    for (path, kind) in paths {
        sources.all.push(Source::of(&path, &args.how, Some(kind))?);
    }
    let found = check(&sources);
    for it in found.iter().filter(|_| !args.unchecked_schemas) {
        say(&format!("{}\n", it.shown()));
    }
    if found.iter().any(|it| it.finding.is_error()) && !args.unchecked_schemas {
        return Err(Fault::new(
            RUN,
            "the program was not started: a gateway cannot serve this",
        ));
    }
    let mut services = sources.services();
    if let Some(endpoint) = &args.graphql {
        let Some(namespace) = &args.how.namespace else {
            let message = "a GraphQL endpoint does not imply a namespace";
            return Err(Fault::new(USAGE, message).help("give --namespace"));
        };
        let mut service = Service::graphql(endpoint.clone()).namespace(namespace.clone());
        if let Some(version) = &args.how.version {
            service = service.version(version.clone());
        }
        services.push(service);
    }
    if services.is_empty() {
        let message = "there is nothing to register";
        let help = "give --proto, --openapi or --graphql, or a gwag.toml with --config";
        return Err(Fault::new(USAGE, message).help(help));
    }
    Ok(services)
}

fn planned(args: &Run, services: Vec<Service>) -> Result<Options, Fault> {
    let leave = args.leave_timeout.unwrap_or(args.grace + LEAVE);
    if args.grace >= leave {
        let message = format!(
            "--grace {:?} does not fit into --leave-timeout {leave:?}, which includes it",
            args.grace
        );
        return Err(Fault::new(USAGE, message).help("make one longer or the other shorter"));
    }
    // The time to deregister, then the grace for calls that cannot be counted, and no more.
    let drain = (args.grace + Duration::from_secs(1)).min(leave);
    let mut options = options(args.gateway.clone(), &args.access)?
        .services(services)
        .quiet(args.grace)
        .drain_timeout(drain)
        .leave_timeout(leave)
        .hold(match args.hold {
            HoldWhen::AtStart => Hold::AtStart,
            HoldWhen::AtLeave => Hold::AtLeave,
            HoldWhen::Off => Hold::Off,
        })
        .on_event(tell);
    if let Some(url) = &args.gateway_http {
        options = options.gateway_http(url.clone());
    }
    if let Some(address) = &args.advertise {
        options = options.advertise(address.clone());
    }
    if let Some(host) = &args.advertise_host {
        options = options.advertise_host(host.clone());
    }
    if let Some(path) = &args.advertise_path {
        options = options.advertise_path(path.clone());
    }
    if let Some(scheme) = &args.advertise_scheme {
        options = options.advertise_scheme(scheme.clone());
    }
    if args.verbatim_address {
        options = options.verbatim_address();
    }
    if let Some(id) = &args.instance_id {
        options = options.instance_id(id.clone());
    }
    if let Some(name) = &args.exclusive_instance {
        options = options.exclusive_instance(name.clone());
    }
    if let Some(ttl) = args.ttl {
        options = options.ttl(ttl);
    }
    if let Some(interval) = args.heartbeat_interval {
        options = options.heartbeat_interval(interval);
    }
    if let Some(tag) = &args.build_tag {
        options = options.build_tag(tag.clone());
    }
    for (name, value) in &args.metadata {
        options = options.metadata(name, value);
    }
    if args.prefer_first {
        options = options.prefer_first();
    }
    if let Some(free) = args.reclaim_after {
        options = options.reclaim_after(free);
    }
    if args.stop_on_refusal {
        options = options.on_refusal(OnRefusal::Stop);
    }
    if args.unchecked_schemas {
        options = options.unchecked_schemas();
    }
    if let Some(seed) = args.seed {
        options = options.seed(seed);
    }
    if let Some(release) = args.how.release {
        options = options.gateway_release(release.into());
    }
    // Findings about schemas have been shown already.
    options
        .check()
        .map_err(|error| Fault::new(RUN, in_options(&error.to_string())))?;
    Ok(options)
}

fn tell(event: &Event) {
    match event {
        Event::StatusChanged(status) => match status.state() {
            State::Idle | State::Registering | State::Leaving | State::Left => {}
            // Reported with the address.
            State::Registered if status.reason().is_none() => {}
            _ => say(&in_options(&format!("tower-gwag: {status}"))),
        },
        // These concern Rust code, or are reported here.
        Event::HalfWired(_) | Event::Uncalled(_) | Event::Left(_) => {}
        other => say(&in_options(&format!("tower-gwag: {other}"))),
    }
}

/// The result of one run of the program.
enum Course {
    /// Asked to stop.
    Stopped(Ended),
    /// The program ended by itself.
    Died(Ended),
}

struct Supervisor<'a> {
    args: &'a Run,
    options: Options,
    port: Port,
    signals: Signals,
}

impl<'a> Supervisor<'a> {
    fn new(args: &'a Run, options: Options) -> Result<Self, Fault> {
        Ok(Self {
            args,
            options,
            port: Port::of(args)?,
            signals: Signals::new()?,
        })
    }

    async fn run(&mut self) -> Result<u8, Fault> {
        let mut pause = FIRST_PAUSE;
        let mut is_first = true;
        loop {
            if self.port.dial().await == Dialled::Accepts {
                let port = &self.port;
                let message = format!(
                    "something already accepts connections on {port}, and would be registered \
                     instead of the program"
                );
                let fault =
                    Fault::new(RUN, message).help("stop it, or give the program another port");
                if is_first || !self.args.restart {
                    return Err(fault);
                }
                say(&format!("tower-gwag: {}", fault.message));
            } else {
                let mut program = Program::start(&self.args.program)?;
                say(&format!(
                    "tower-gwag: started {} (pid {})",
                    plain(&self.args.program[0].to_string_lossy()),
                    program.id()
                ));
                let course = self.life(&mut program).await;
                let has_left = program.has_left();
                program.clear().await;
                match course {
                    Ok(Course::Stopped(ended)) => return Ok(ended.code()),
                    Ok(Course::Died(ended)) if !self.args.restart => {
                        if has_left && ended == Ended::Exit(0) {
                            let message = "the program forked into the background and ended: the \
                                           processes that it left behind were stopped";
                            return Err(Fault::new(RUN, message)
                                .help("run it in the foreground, so that it can be supervised"));
                        }
                        return Ok(ended.code());
                    }
                    Ok(Course::Died(_)) => {}
                    Err(fault) if !self.args.restart || is_first => return Err(fault),
                    Err(fault) => say(&format!("tower-gwag: {}", fault.message)),
                }
                if program.started.elapsed() > CALM {
                    pause = FIRST_PAUSE;
                }
            }
            is_first = false;
            say(&format!("tower-gwag: starting it again in {pause:?}"));
            if self.signals.pause(pause).await {
                return Ok(0);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Runs the program from start to end; afterwards it has no registration.
    async fn life(&mut self, program: &mut Program) -> Result<Course, Fault> {
        if let Some(course) = self.wait_for_port(program).await? {
            return Ok(course);
        }
        loop {
            let registration = self.register(program).await?;
            let mut status = registration.status();
            let mut closed = 0;
            let is_checked = !self.args.port_check.is_zero();
            // Beside the signals, because a dial may take a second.
            let mut dialled = self.port.dial_at(Instant::now() + self.args.port_check);
            // Until an event ends the run.
            let lost_port = loop {
                tokio::select! {
                    biased;
                    came = self.signals.next(program) => match came {
                        Came::End(ended) => {
                            say(&format!("tower-gwag: the program {ended}: deregistering at once"));
                            report(&leave_at_once(&registration).await, None);
                            return Ok(Course::Died(ended));
                        }
                        Came::Stop => return Ok(self.stop(program, &registration).await),
                    },
                    changed = status.changed() => {
                        if changed.is_err() || status.borrow_and_update().state() != State::Left {
                            continue;
                        }
                        report(&registration.finish().await, None);
                        let ended = program.stop(&mut self.signals, self.args.stop_timeout).await;
                        say(&format!("tower-gwag: the program {ended}"));
                        return Err(Fault::new(RUN, "the gateway refused the service (--stop-on-refusal)"));
                    }
                    answer = &mut dialled, if is_checked => {
                        match answer {
                            Dialled::Refused if closed > 0 => break true,
                            Dialled::Refused => closed += 1,
                            _ => closed = 0,
                        }
                        let pause = if closed > 0 { SECOND_DIAL } else { self.args.port_check };
                        dialled = self.port.dial_at(Instant::now() + pause);
                    }
                }
            };
            if lost_port {
                let port = &self.port;
                say(&format!(
                    "tower-gwag: {port} no longer accepts connections, although the program runs: \
                     deregistering at once"
                ));
                report(&leave_at_once(&registration).await, None);
            }
            drop(registration);
            if let Some(course) = self.wait_for_return(program).await {
                return Ok(course);
            }
        }
    }

    /// Waits until the port accepts connections; returns the result of the run if it does not.
    async fn wait_for_port(&mut self, program: &mut Program) -> Result<Option<Course>, Fault> {
        let deadline = Instant::now() + self.args.start_timeout;
        let mut dialled = self.port.dial_at(Instant::now());
        loop {
            tokio::select! {
                biased;
                came = self.signals.next(program) => match came {
                    Came::End(ended) => {
                        let (port, left) = (&self.port, program.has_left());
                        say(&format!("tower-gwag: the program {ended} before {port} accepted \
                                      connections"));
                        if left {
                            say("tower-gwag: it left processes behind: run it in the foreground, so that it can be supervised");
                        }
                        return match ended {
                            Ended::Exit(0) if !self.args.restart => {
                                let message = format!("the program ended before {port} accepted \
                                                       connections: nothing was registered");
                                Err(Fault::new(RUN, message).help("check that it listens there, and stays in the foreground"))
                            }
                            _ => Ok(Some(Course::Died(ended))),
                        };
                    }
                    Came::Stop => {
                        let ended = program.stop(&mut self.signals, self.args.stop_timeout).await;
                        say(&format!("tower-gwag: the program {ended}; nothing was registered"));
                        return Ok(Some(Course::Stopped(ended)));
                    }
                },
                answer = &mut dialled => {
                    if answer == Dialled::Accepts {
                        return Ok(None);
                    }
                    dialled = self.port.dial_at(Instant::now() + START_DIAL);
                }
                () = sleep_until(deadline) => {
                    program.stop(&mut self.signals, self.args.stop_timeout).await;
                    let (port, patience) = (&self.port, self.args.start_timeout);
                    let message = format!("{port} accepts no connections {patience:?} after the start: the program was stopped, and nothing registered");
                    return Err(Fault::new(RUN, message).help("check --port, or give it longer: --start-timeout"));
                }
            }
        }
    }

    /// Waits until a closed port accepts connections again; returns the result of the run if it
    /// does not.
    async fn wait_for_return(&mut self, program: &mut Program) -> Option<Course> {
        let pause = self.args.port_check.max(SECOND_DIAL);
        let mut dialled = self.port.dial_at(Instant::now() + pause);
        loop {
            tokio::select! {
                biased;
                came = self.signals.next(program) => return Some(match came {
                    Came::End(ended) => {
                        say(&format!("tower-gwag: the program {ended}"));
                        Course::Died(ended)
                    }
                    Came::Stop => Course::Stopped(program.stop(&mut self.signals, self.args.stop_timeout).await),
                }),
                answer = &mut dialled => {
                    if answer == Dialled::Accepts {
                        return None;
                    }
                    dialled = self.port.dial_at(Instant::now() + pause);
                }
            }
        }
    }

    async fn register(&mut self, _: &Program) -> Result<Registration, Fault> {
        let layer = GwagRegistrationLayer::new(self.options.clone());
        let registration = layer.registration();
        let bound = (std::net::Ipv4Addr::UNSPECIFIED, self.bound_port()).into();
        registration
            .start(bound)
            .map_err(|error| Fault::new(RUN, in_options(&error.to_string())))?;
        if registration.status().borrow().state() == State::Disabled {
            say(
                "tower-gwag: Disabled: GWAG_ENABLED switches the registration off; the program runs without it",
            );
        }
        Ok(registration)
    }

    fn bound_port(&self) -> u16 {
        let advertised = || host_port(self.args.advertise.as_deref()?).map(|(_, port)| port);
        self.args.port.or_else(advertised).unwrap_or(0)
    }

    /// Deregisters, waits for calls in flight, releases the hold, and only then stops the program.
    async fn stop(&mut self, program: &mut Program, registration: &Registration) -> Course {
        let grace = self.args.grace;
        let is_registered = registration.status().borrow().state() != State::Disabled;
        if is_registered {
            say(&format!(
                "tower-gwag: stopping: deregistering, then {grace:?} for calls in flight"
            ));
        }
        let leaving = registration.leave();
        tokio::pin!(leaving);
        let mut ended = None;
        let mut is_hurried = false;
        let left = loop {
            tokio::select! {
                biased;
                left = &mut leaving => break left,
                came = self.signals.next(program), if ended.is_none() => {
                    match came {
                        Came::Stop => say("tower-gwag: a second signal: no more waiting"),
                        Came::End(how) => {
                            ended = Some(how);
                            say(&format!("tower-gwag: the program {how} before it was asked to"));
                        }
                    }
                    is_hurried = true;
                    let hurry = registration.clone();
                    tokio::spawn(async move { leave_at_once(&hurry).await });
                }
            }
        };
        report(&left, Some(grace).filter(|_| is_registered && !is_hurried));
        let ended = match ended {
            Some(ended) => ended,
            None => {
                let ended = program
                    .stop(&mut self.signals, self.args.stop_timeout)
                    .await;
                say(&format!("tower-gwag: the program {ended}"));
                ended
            }
        };
        Course::Stopped(ended)
    }
}

/// Leaves without waiting for calls in flight, but waits for an outstanding heartbeat: an entry
/// deregistered during one may stay for good.
async fn leave_at_once(registration: &Registration) -> LeaveReport {
    let leave = registration.leave();
    tokio::pin!(leave);
    tokio::select! {
        left = &mut leave => left,
        () = registration.leaving() => registration.leave_now().await,
    }
}

fn report(left: &LeaveReport, waited: Option<Duration>) {
    let text = left.to_string();
    let mut lines = text.lines().filter(|it| !it.starts_with("calls:"));
    say(&format!("tower-gwag: {}", lines.next().unwrap_or_default()));
    lines.for_each(|it| say(&format!("tower-gwag: {it}")));
    if let Some(grace) = waited {
        say(&format!(
            "tower-gwag: calls cannot be counted from outside: waited {grace:?} for those in \
             flight (--grace)"
        ));
    }
}
