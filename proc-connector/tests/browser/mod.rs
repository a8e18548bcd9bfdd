//! A page in headless Chromium, over the `DevTools` protocol: messages in JSON that end with a zero byte,
//! on the descriptors 3 and 4 of the browser.

#![allow(dead_code, reason = "every test of a page uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::common::scratch::Scratch;
use crate::common::{Deadline, skip};

/// The names of the program, by distribution.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// An open page. The browser ends on drop.
#[derive(Debug)]
pub(crate) struct Page {
    browser: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    last_id: u64,
    /// Errors and messages of the page.
    pub(crate) complaints: Vec<Value>,
    _profile: Scratch,
}

impl Page {
    /// Opens a file, in a window of this size. Skips the test without a browser.
    pub(crate) fn open(file: &str, [width, height]: [u32; 2]) -> Self {
        let is_found = |name: &&str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(name) = NAMES.into_iter().find(is_found) else { skip("needs chromium") };
        let profile = Scratch::new("chromium");
        let user_data = format!("--user-data-dir={}", profile.directory().display());
        // The shell moves the pipes to the descriptors that the browser uses.
        let mut browser = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", name])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--disable-dev-shm-usage", "--no-first-run", &user_data, "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let requests = browser.stdin.take().expect("a pipe");
        let answers = BufReader::new(browser.stdout.take().expect("a pipe"));
        let (session, complaints) = (None, Vec::new());
        let mut page =
            Self { browser, requests, answers, session, last_id: 0, complaints, _profile: profile };
        let target = page.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", &attach);
        page.session = Some(session["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            page.call(domain, &json!({}));
        }
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        page.call("Emulation.setDeviceMetricsOverride", &metrics);
        page.call("Page.navigate", &json!({"url": format!("file://{file}")}));
        page.wait_until("document.readyState === 'complete' && typeof table === 'object'");
        page
    }

    /// Sends a request and returns its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut request = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.requests.write_all(&bytes).expect("the browser reads");
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).expect("the browser writes");
            assert_eq!(bytes.pop(), Some(0), "the browser ended");
            let message: Value = serde_json::from_slice(&bytes).expect("JSON");
            if message["id"] == self.last_id {
                assert_eq!(message.get("error"), None, "{method}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        let is_complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => true,
            // The page must not request anything besides itself.
            Some("Network.requestWillBeSent") => params["type"] != "Document",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(params.clone());
        }
    }

    /// Evaluates an expression to a value.
    pub(crate) fn read(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", &params);
        assert_eq!(result.get("exceptionDetails"), None, "{expression}");
        result["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let selector = json!(selector);
        let text = self.read(&format!("document.querySelector({selector})?.textContent"));
        text.as_str().unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    pub(crate) fn wait_until(&mut self, condition: &str) {
        let deadline = Deadline::new();
        while self.read(condition) != true {
            assert!(deadline.left().is_some(), "never: {condition}; {:?}", self.complaints);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Clicks in the middle of an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        let middle = self.read(&format!(
            "(() => {{ const element = document.querySelector({selector}); \
             element.scrollIntoView({{block: 'nearest'}}); \
             const r = element.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        let at = |place: usize| middle[place].as_f64().expect("a number");
        self.click_at(at(0), at(1));
    }

    pub(crate) fn click_at(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, json!({}));
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, x, y, json!({"button": "left", "clickCount": 1}));
        }
        self.settle();
    }

    /// Moves the mouse to a point.
    pub(crate) fn hover(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, json!({}));
        self.settle();
    }

    /// Moves the mouse with its button pressed.
    pub(crate) fn drag(&mut self, from: [f64; 2], to: [f64; 2]) {
        self.mouse("mouseMoved", from[0], from[1], json!({}));
        self.mouse("mousePressed", from[0], from[1], json!({"button": "left", "clickCount": 1}));
        for part in [0.3, 0.7, 1.0] {
            let [x, y] = [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * part);
            self.mouse("mouseMoved", x, y, json!({"button": "left", "buttons": 1}));
        }
        self.mouse("mouseReleased", to[0], to[1], json!({"button": "left", "clickCount": 1}));
        self.settle();
    }

    /// Turns the wheel. A negative number is away from the user.
    pub(crate) fn wheel(&mut self, x: f64, y: f64, turn: f64) {
        self.mouse("mouseWheel", x, y, json!({"deltaX": 0, "deltaY": turn}));
        self.settle();
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64, mut params: Value) {
        for (key, value) in [("type", json!(kind)), ("x", json!(x)), ("y", json!(y))] {
            params[key] = value;
        }
        self.call("Input.dispatchMouseEvent", &params);
    }

    /// Presses a key, by its name in the DOM and its virtual key code.
    pub(crate) fn key(&mut self, name: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": name, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && name.len() == 1 {
                params["text"] = json!(name);
            }
            self.call("Input.dispatchKeyEvent", &params);
        }
        self.settle();
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
        self.settle();
    }

    /// Waits for the next frame, in which the page draws what has changed.
    fn settle(&mut self) {
        let frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        let params = json!({"expression": frames, "awaitPromise": true, "returnByValue": true});
        self.call("Runtime.evaluate", &params);
    }

    /// The colour of a point of the timeline's canvas.
    pub(crate) fn pixel(&mut self, x: f64, y: f64) -> [u64; 3] {
        self.pixel_of("timeline.canvas", x, y)
    }

    /// The colour of a point of a canvas.
    pub(crate) fn pixel_of(&mut self, canvas: &str, x: f64, y: f64) -> [u64; 3] {
        let data = format!(
            "(() => {{ const one = new OffscreenCanvas(1, 1).getContext('2d'); \
             one.drawImage({canvas}, -{x}, -{y}); \
             return [...one.getImageData(0, 0, 1, 1).data]; }})()"
        );
        let data = self.read(&data);
        [0, 1, 2].map(|part| data[part].as_u64().expect("a number"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

/// The size of the window in pixels.
pub(crate) const WINDOW: [u32; 2] = [1_280, 800];

/// The process id in the selected row of the table.
pub(crate) fn selected_row(page: &mut Page) -> Value {
    page.read(
        "document.querySelector('#table tr[aria-selected=true]')?.children[1].textContent ?? null",
    )
}

/// The page has reported no error.
pub(crate) fn assert_quiet(page: &Page) {
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}
