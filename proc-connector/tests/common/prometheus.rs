//! Debian's package `prometheus`: a server that scrapes, and its check of metrics.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::program::text;
use super::scratch::Scratch;

/// Whether Debian's package `prometheus` is installed.
pub(crate) fn has_prometheus() -> bool {
    let finds = |name: &str| Command::new(name).arg("--version").output().is_ok();
    finds("prometheus") && finds("promtool")
}

/// Prometheus' own check of names, types and the format.
pub(crate) fn check_with_promtool(metrics: &str) {
    if !has_prometheus() {
        eprintln!("skipped: this part needs promtool");
        return;
    }
    promtool(&["check", "metrics"], metrics);
}

/// Runs `promtool` with this input. It must succeed without a complaint. Returns its output.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool runs");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("an exit status");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// A server that scrapes one target every second as the job `test`.
#[derive(Debug)]
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _data: Scratch,
}

impl Prometheus {
    pub(crate) fn start(target: SocketAddr) -> Self {
        let scratch = Scratch::new("prometheus");
        let config = scratch.file("prometheus.yml");
        let job = format!("job_name: test, static_configs: [{{targets: ['{target}']}}]");
        let times = "scrape_interval: 1s, scrape_timeout: 1s";
        let text = format!("global: {{{times}}}\nscrape_configs: [{{{job}}}]\n");
        fs::write(&config, text).expect("a writable directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}", scratch.file("data")))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .spawn()
            .expect("prometheus runs");
        Self { child, address, _data: scratch }
    }

    /// The value of the first series of a query; `None` if there is none yet.
    pub(crate) fn query(&self, query: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let query =
            query.bytes().fold(String::new(), |query, byte| query + &format!("%{byte:02x}"));
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
