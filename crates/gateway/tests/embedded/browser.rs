//! The page at `/`, in a real headless browser: where none is installed, the test says so and passes.
//! With `GWAG_SCREENSHOTS` it leaves pictures in that directory.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::backend::{Backend, PROTO};
use crate::caller::Caller;

/// A browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

const BROWSERS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];

struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    last: u64,
    _process: Child,
    _traces: Traces,
}

/// The browser's processes, which a script may have started and then does not take with it, and its
/// own directory.
struct Traces {
    group: String,
    profile: std::path::PathBuf,
}

impl Drop for Traces {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new("kill");
        let _ = kill.args(["-KILL", "--", &self.group]).status();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Browser {
    /// One tab; none where no browser is installed.
    async fn open() -> Option<Self> {
        let profile = std::env::temp_dir().join(format!("gwag-browser-{}", std::process::id()));
        let mut process = BROWSERS.iter().find_map(|name| {
            let mut command = Command::new(name);
            command.args(["--headless", "--no-sandbox", "--disable-gpu"]);
            command.args(["--disable-dev-shm-usage", "--remote-debugging-port=0"]);
            command.arg(format!("--user-data-dir={}", profile.display()));
            command
                .arg("about:blank")
                .kill_on_drop(true)
                .process_group(0);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().ok()
        })?;
        let traces = Traces {
            group: format!("-{}", process.id()?),
            profile,
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return url.to_owned();
                }
            }
            panic!("the browser ended");
        });
        let url = url.await.expect("the browser starts");
        // It goes on writing.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let mut browser = Self {
            socket,
            session: String::new(),
            last: 0,
            _process: process,
            _traces: traces,
        };
        let tab = json!({ "url": "about:blank" });
        let tab = browser.ask("Target.createTarget", tab).await;
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
        let answer = async {
            loop {
                let message = self.socket.next().await.unwrap().unwrap();
                let Ok(text) = message.to_text() else {
                    continue;
                };
                let message: Value = serde_json::from_str(text).unwrap_or_default();
                if message["id"] == self.last {
                    return message;
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method}"));
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The value of an expression.
    async fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let found = self.ask("Runtime.evaluate", params).await;
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    async fn until(&mut self, expression: &str) {
        let begun = tokio::time::Instant::now();
        while self.value(expression).await != true {
            if begun.elapsed() > PATIENCE {
                let text = self.value("document.body.innerText").await;
                panic!("never: {expression}\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn picture(&mut self, name: &str, width: u32, height: u32, scheme: &str) {
        let Some(directory) = std::env::var_os("GWAG_SCREENSHOTS") else {
            return;
        };
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "features": features });
        self.ask("Emulation.setEmulatedMedia", media).await;
        let picture = self
            .ask("Page.captureScreenshot", json!({ "format": "png" }))
            .await;
        let picture = picture["data"].as_str().unwrap();
        let picture = base64::prelude::BASE64_STANDARD.decode(picture).unwrap();
        let path = std::path::Path::new(&directory).join(format!("{name}.png"));
        std::fs::write(path, picture).unwrap();
    }
}

const ROW: &str = "document.querySelector('[data-service=\"demo/v1\"]')";

#[tokio::test]
async fn the_page_shows_services_and_calls_them() {
    let Some(mut browser) = Browser::open().await else {
        println!("skipped: none of {BROWSERS:?} is installed");
        return;
    };
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    let (one, two) = (Backend::start("one").await, Backend::start("one").await);
    let (first, second) = (one.address.to_string(), two.address.to_string());
    caller.register(&first, "demo", PROTO).await;
    let leaving = caller.register(&second, "demo", PROTO).await;
    let routed = gateway.wait_until(|now| now.service("demo", "v1").is_some_and(|it| it.routed));
    tokio::time::timeout(PATIENCE, routed).await.unwrap();

    let url = json!({ "url": gateway.http_url() + "/" });
    browser.ask("Page.navigate", url).await;
    // The table of services, and their operations.
    let has = |text: &str| format!("!!{ROW} && {ROW}.innerText.includes({text:?})");
    browser.until(&has(&first)).await;
    browser.until(&has(&second)).await;
    browser.until(&has("routed")).await;
    let operation = |name: &str| {
        format!(
            "[...document.querySelectorAll('.operation')].find(it => it.querySelector('b').textContent === {name:?})"
        )
    };
    browser
        .until(&format!("!!{}", operation("demo.ping")))
        .await;
    // The schema that came of the proto.
    browser
        .value("document.getElementById('schema').open = true")
        .await;
    browser
        .until(
            "document.getElementById('sdl').textContent.includes('ping(a: String): Demo_V1_Resp')",
        )
        .await;
    browser
        .value("document.getElementById('schema').open = false")
        .await;
    // A call, by clicks, and its answer.
    let clicks = format!(
        "{}.click(), document.getElementById('run').click()",
        operation("demo.ping")
    );
    browser.value(&clicks).await;
    browser
        .until("document.getElementById('answer').textContent.includes('\"b\": \"one\"')")
        .await;
    browser.picture("light", 1280, 800, "light").await;
    browser.picture("dark", 1280, 800, "dark").await;
    browser.picture("narrow", 420, 1100, "light").await;
    // A subscription, and its end.
    let clicks = format!(
        "{}.click(), document.getElementById('run').click()",
        operation("demo_watch")
    );
    browser.value(&clicks).await;
    browser
        .until("(text => text.includes('\"3\"') && text.includes('closed'))(document.getElementById('answer').textContent)")
        .await;
    // A query that is wrong is an answer, too.
    browser
        .value("document.getElementById('query').value = '{ nobody }', document.getElementById('run').click()")
        .await;
    browser
        .until("document.getElementById('answer').textContent.includes('Cannot query field')")
        .await;
    // A replica that leaves, and one after it.
    caller.deregister(&leaving).await.unwrap();
    browser
        .until(&format!(
            "{ROW}.innerText.includes({first:?}) && !{ROW}.innerText.includes({second:?})"
        ))
        .await;
    drop(gateway);
    browser
        .until("document.getElementById('state').textContent.includes('does not answer')")
        .await;
}
