//! A real browser: headless Chromium, told what to do by the DevTools protocol over a pipe of its own. Nothing listens, and no driver
//! is needed beside it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use crate::target::DEADLINE;
use crate::until::until;

/// Finds Chromium by the name it goes by here, Debian's first.
const FIND: &str = "for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $name && exit; done; exit 1";
/// The shell puts the two ends of the pipe where Chromium looks for them: 3 to read, 4 to write.
const AT_3_AND_4: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// One browser with a profile of its own; ended when it is dropped.
pub struct Browser {
    child: Child,
    shared: Arc<Shared>,
    commands: Mutex<ChildStdin>,
    _profile: TempDir,
}

#[derive(Default)]
struct Shared {
    /// Calls not answered yet.
    open: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
    last_id: Mutex<u64>,
    count: watch::Sender<usize>,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub width: u32,
    pub is_dark: bool,
    pub has_script: bool,
}

impl Look {
    pub const DESKTOP: Look = Look { width: 1280, is_dark: false, has_script: true };
    pub const PHONE: Look = Look { width: 360, is_dark: false, has_script: true };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find() -> String {
    let found = Command::new("sh").args(["-c", FIND]).output().expect("sh runs");
    assert!(found.status.success(), "Chromium is missing: run `cargo xtask test`, which installs it");
    String::from_utf8_lossy(&found.stdout).trim().to_owned()
}

impl Browser {
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("sh")
            .args(["-c", AT_3_AND_4, "sh", &find(), "--headless=new", "--remote-debugging-pipe"])
            // Tests run as root in containers, where the sandbox does not start and /dev/shm is small.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Chromium starts");
        let commands = Mutex::new(child.stdin.take().expect("its pipe"));
        let answers = BufReader::new(child.stdout.take().expect("its pipe"));
        let shared = Arc::new(Shared::default());
        let reading = shared.clone();
        std::thread::spawn(move || read(answers, &reading));
        Browser { child, shared, commands, _profile: profile }
    }

    /// A new page in a context of its own: no cookie of another page is there.
    pub async fn open(&self, look: Look) -> Page<'_> {
        let context = self.call("", "Target.createBrowserContext", json!({})).await;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.call("", "Target.createTarget", target).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("", "Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { browser: self, session };
        for domain in ["Page.enable", "Network.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({})).await;
        }
        page.look(look).await;
        page
    }

    async fn call(&self, session: &str, method: &str, params: Value) -> Value {
        let id = {
            let mut last = lock(&self.shared.last_id);
            *last += 1;
            *last
        };
        let (tell, told) = oneshot::channel();
        lock(&self.shared.open).insert(id, tell);
        let mut message = json!({"id": id, "method": method, "params": params});
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        lock(&self.commands).write_all(&bytes).expect("Chromium listens");
        let answer = tokio::time::timeout(DEADLINE, told).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} was not answered")).expect("Chromium runs");
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Messages end with a zero byte.
fn read(mut answers: BufReader<ChildStdout>, shared: &Shared) {
    let mut bytes = Vec::new();
    while answers.read_until(0, &mut bytes).is_ok_and(|n| n > 0) {
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        bytes.clear();
        match message["id"].as_u64() {
            Some(id) => {
                if let Some(tell) = lock(&shared.open).remove(&id) {
                    let _ = tell.send(message);
                }
            }
            None => {
                let mut events = lock(&shared.events);
                events.push(message);
                shared.count.send_replace(events.len());
            }
        }
    }
    // Whoever waits for an answer hears that there is none.
    lock(&shared.open).clear();
}

/// One page of a browser.
pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
}

impl Page<'_> {
    async fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(&self.session, method, params).await
    }

    pub async fn look(&self, look: Look) {
        let screen =
            json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = if look.is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media).await;
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !look.has_script})).await;
    }

    /// What has happened on the page so far, by the event's name.
    pub fn events(&self, method: &str) -> Vec<Value> {
        let events = lock(&self.browser.shared.events);
        let own = events.iter().filter(|e| e["sessionId"] == self.session.as_str() && e["method"] == method);
        own.map(|event| event["params"].clone()).collect()
    }

    /// The URLs the page asked for.
    pub fn requests(&self) -> Vec<String> {
        let events = self.events("Network.requestWillBeSent");
        events.iter().filter_map(|event| event["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// Does something that loads a page, and waits until it is there.
    async fn loading(&self, doing: impl Future<Output = ()>) {
        let before = self.events("Page.loadEventFired").len();
        doing.await;
        let mut count = self.browser.shared.count.subscribe();
        let loaded = async {
            while self.events("Page.loadEventFired").len() == before {
                count.changed().await.expect("Chromium runs");
            }
        };
        tokio::time::timeout(DEADLINE, loaded).await.expect("the page loads");
    }

    pub async fn goto(&self, url: &str) {
        self.loading(async {
            let answer = self.call("Page.navigate", json!({"url": url})).await;
            assert!(answer["errorText"].is_null(), "{url}: {answer}");
        })
        .await;
    }

    /// The value of an expression of the page's language.
    pub async fn value(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub async fn is(&self, expression: &str) -> bool {
        self.value(expression).await == true
    }

    /// Looks until the expression is true.
    pub async fn until(&self, expression: &str) {
        let looked = until(DEADLINE, async || self.is(expression).await.then_some(())).await;
        if looked.is_none() {
            panic!("never true: {expression}\n{}", self.text().await);
        }
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        self.value("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks with the mouse what a selector finds first.
    pub async fn click(&self, selector: &str) {
        let find = format!(
            "(() => {{ const e = document.querySelector({}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            Value::from(selector)
        );
        let place = self.value(&find).await;
        assert!(place.is_array(), "{selector} is not there:\n{}", self.text().await);
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Clicks what leads to another page.
    pub async fn follow(&self, selector: &str) {
        self.loading(self.click(selector)).await;
    }

    /// Puts a text in the place of what a field holds, as typing would.
    pub async fn fill(&self, selector: &str, text: &str) {
        let select = format!(
            "(() => {{ const e = document.querySelector({}); e.focus(); e.select(); }})()",
            Value::from(selector)
        );
        self.value(&select).await;
        self.write(text).await;
    }

    /// Types a text where the focus is.
    pub async fn write(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key: `Tab`, `Enter`, ` ` or `ArrowDown`.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            "ArrowDown" => (40, ""),
            _ => panic!("{key} is not known here"),
        };
        let down = json!({"type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", down).await;
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up).await;
    }

    /// Presses a key that leads to another page.
    pub async fn press_to_follow(&self, key: &str) {
        self.loading(self.press(key)).await;
    }

    /// Keeps a picture of the whole page.
    pub async fn picture(&self, path: &Path) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", params).await;
        let text = answer["data"].as_str().expect("a picture");
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).expect("base64");
        std::fs::write(path, bytes).expect("the picture is kept");
    }
}
