use std::path::PathBuf;
use std::time::Duration;

use super::{BadSetting, Chosen, Config, HeaderFile, Signal, Variables, metric_interval};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const LOGS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";

fn config(variables: &[(&str, &str)]) -> Result<Config, BadSetting> {
    let config = Config::new(Signal::Logs, Chosen::default(), &Variables::of(variables));
    config.map(|config| config.expect("enabled"))
}

/// The message about a setting.
fn bad(variables: &[(&str, &str)]) -> String {
    config(variables).expect_err("a bad setting").to_string()
}

fn headers(config: &Config) -> Vec<(&str, &str)> {
    let pairs = config.headers.iter();
    pairs.map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect()
}

/// A directory that is deleted at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otlp-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_base_url_gets_the_path_of_the_signal() {
    // The examples of the specification, and more.
    for (endpoint, url) in [
        ("http://collector:4318", "http://collector:4318/v1/logs"),
        ("http://collector:4318/", "http://collector:4318/v1/logs"),
        ("http://collector:4318/mycollector", "http://collector:4318/mycollector/v1/logs"),
        ("https://collector/mycollector/", "https://collector/mycollector/v1/logs"),
        ("http://collector/base?key=1", "http://collector/base/v1/logs?key=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/logs"),
        ("  http://collector  ", "http://collector/v1/logs"),
        ("", "http://localhost:4318/v1/logs"),
    ] {
        let config = config(&[(ENDPOINT, endpoint)]).expect("valid");
        assert_eq!(config.url.uri().to_string(), url, "{endpoint}");
    }
    for (signal, path) in [(Signal::Traces, "/v1/traces"), (Signal::Metrics, "/v1/metrics")] {
        let config = Config::new(signal, Chosen::default(), &Variables::of(&[])).expect("valid");
        assert_eq!(config.expect("enabled").url.uri().path(), path);
    }
}

#[test]
fn the_url_of_a_signal_is_used_as_it_is() {
    for (endpoint, url) in [
        ("http://collector:4318/custom", "http://collector:4318/custom"),
        ("http://collector:4318/custom/", "http://collector:4318/custom/"),
        ("http://collector:4318", "http://collector:4318/"),
    ] {
        let variables = [(LOGS_ENDPOINT, endpoint), (ENDPOINT, "http://other")];
        assert_eq!(config(&variables).expect("valid").url.uri().to_string(), url);
    }
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector/traces");
    assert_eq!(config(&[traces]).expect("valid").shown_url(), "http://localhost:4318/v1/logs");
}

#[test]
fn the_option_has_priority_over_variables() {
    let variables = Variables::of(&[(LOGS_ENDPOINT, "http://a"), (ENDPOINT, "http://b")]);
    for (endpoint, url) in [
        ("http://c:1", "http://c:1/v1/logs"),
        ("http://c:1/v1/logs", "http://c:1/v1/logs"),
        ("http://c:1/base", "http://c:1/base/v1/logs"),
    ] {
        let chosen = Chosen { endpoint: Some(endpoint), header_files: &[] };
        let config = Config::new(Signal::Logs, chosen, &variables).expect("valid");
        assert_eq!(config.expect("enabled").shown_url(), url);
    }
}

#[test]
fn a_url_that_cannot_be_used_says_what_to_write() {
    for (endpoint, part) in [
        ("localhost:4318", "start it with http://"),
        ("collector", "start it with http://"),
        ("grpc://collector:4317", "grpc is not supported"),
        ("http://", "http://localhost:4318"),
        ("http://:4318", "http://localhost:4318"),
        ("http://host:99999", "1 to 65535"),
        ("http://host:0", "1 to 65535"),
        ("http://ho st", "is not a URL"),
        ("http://user:secret@h\u{1}", "is not a URL"),
    ] {
        let text = bad(&[(ENDPOINT, endpoint)]);
        assert!(text.starts_with(ENDPOINT) && text.contains(part), "{endpoint}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn headers_are_percent_decoded_and_a_signal_has_its_own() {
    let general = ("OTEL_EXPORTER_OTLP_HEADERS", " A=b%2Cc , d=e%3Df=g%zz,, d=2 ");
    let config_of = |variables: &[(&str, &str)]| config(variables).expect("valid");
    assert_eq!(headers(&config_of(&[general])), [("a", "b,c"), ("d", "2")]);
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=Bearer%20x");
    assert_eq!(headers(&config_of(&[general, logs])), [("authorization", "Bearer x")]);
    let debug = format!("{:?}", config_of(&[logs]));
    assert!(!debug.contains("Bearer"), "{debug}");
}

#[test]
fn headers_that_cannot_be_sent_are_reported_without_their_values() {
    for (list, part) in [
        ("secret", "has no \"=\""),
        ("a b=secret", "not a name of a header"),
        ("=secret", "not a name of a header"),
        ("a=", "value of the header a is empty"),
        ("a=secret%0Asecret", "line feed"),
        ("a=secret%ff", "not valid UTF-8"),
        ("content-length=secret", "describes the request"),
        ("Content-Encoding=secret", "describes the request"),
    ] {
        let text = bad(&[("OTEL_EXPORTER_OTLP_HEADERS", list)]);
        assert!(text.contains(part) && !text.contains("secret"), "{list}: {text}");
    }
}

#[test]
fn files_have_priority_over_credentials_and_these_over_variables() {
    let directory = Directory::new("priority");
    directory.file("otlp-headers", "# Keys\n\n a: credential \nb:credential: 2\n");
    let path = directory.file("value", "from file\n");
    let files = [HeaderFile::parse(&format!("B={path}")).expect("valid")];
    let variables = Variables::of(&[
        ("CREDENTIALS_DIRECTORY", directory.path()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=variable,c=variable"),
    ]);
    let chosen = Chosen { endpoint: None, header_files: &files };
    let config = Config::new(Signal::Logs, chosen, &variables).expect("valid").expect("enabled");
    assert_eq!(headers(&config), [("c", "variable"), ("a", "credential"), ("b", "from file")]);
    // Without the option.
    let config = Config::new(Signal::Logs, Chosen::default(), &variables).expect("valid");
    let config = config.expect("enabled");
    assert_eq!(headers(&config), [("c", "variable"), ("a", "credential"), ("b", "credential: 2")]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = Directory::new("unusable");
    let missing = format!("a={}/missing", directory.path());
    let two_lines = format!("a={}", directory.file("two-lines", "secret\nsecret"));
    let empty = format!("a={}", directory.file("empty", "\n"));
    let large = format!("a={}", directory.file("large", vec![b'x'; 70_000]));
    let binary = format!("a={}", directory.file("binary", b"secret\xff"));
    for (option, part) in [
        (missing, "No such file"),
        (two_lines, "line feed"),
        (empty, "is empty"),
        (large, "larger than 64 KiB"),
        (binary, "cannot read"),
    ] {
        let files = [HeaderFile::parse(&option).expect("valid")];
        let chosen = Chosen { endpoint: None, header_files: &files };
        let error = Config::new(Signal::Logs, chosen, &Variables::of(&[])).expect_err("bad");
        let text = error.to_string();
        let is_named = text.starts_with(&format!("--header-file {option}: "));
        assert!(is_named && text.contains(part) && !text.contains("secret"), "{text}");
    }
    directory.file("otlp-headers", "secret");
    let text = bad(&[("CREDENTIALS_DIRECTORY", directory.path())]);
    assert!(
        text.contains("otlp-headers: a line has no \":\"") && !text.contains("secret"),
        "{text}"
    );
    for option in ["a", "a=", "=path", "te=path"] {
        assert!(HeaderFile::parse(option).is_err(), "{option}");
    }
}

#[test]
fn other_settings_are_read_and_checked() {
    let default = config(&[]).expect("valid");
    assert_eq!((default.timeout, default.gzip), (Duration::from_secs(10), true));
    let chosen = config(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_SDK_DISABLED", "no"),
    ])
    .expect("valid");
    assert_eq!((chosen.timeout, chosen.gzip), (Duration::from_millis(1500), false));
    for (name, value, part) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 1 to 600000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "10s", "number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "zstd is not supported: set gzip or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc is not supported: set http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "4318"),
    ] {
        let text = bad(&[(name, value)]);
        assert!(text.starts_with(name) && text.contains(part), "{text}");
    }
    let disabled = Variables::of(&[("OTEL_SDK_DISABLED", "True"), (ENDPOINT, "bad")]);
    let config = Config::new(Signal::Logs, Chosen::default(), &disabled).expect("no check");
    assert!(config.is_none());
}

#[test]
fn certificates_are_checked_at_the_start() {
    const ROOTS: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    const CLIENT: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
    const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
    let directory = Directory::new("certificates");
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        (made.cert.pem(), made.key_pair.serialize_pem())
    };
    let (certificate, key) = pair("a");
    let certificate = directory.file("certificate", certificate);
    let key = directory.file("key", key);
    let other_key = directory.file("other-key", pair("b").1);
    let text = directory.file("text", "no PEM");
    let cut = directory.file("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let garbage =
        directory.file("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let garbage_key = directory
        .file("garbage-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let missing = format!("{}/missing", directory.path());
    let https = (ENDPOINT, "https://localhost");

    assert!(config(&[https, (ROOTS, &certificate), (CLIENT, &certificate), (KEY, &key)]).is_ok());
    // Certificates have no effect without TLS.
    assert!(config(&[(ENDPOINT, "http://localhost"), (ROOTS, &missing)]).is_ok());
    for (variables, name, part) in [
        (vec![(ROOTS, &missing)], ROOTS, "cannot read"),
        (vec![(ROOTS, &text)], ROOTS, "contains no certificate"),
        (vec![(ROOTS, &key)], ROOTS, "contains no certificate"),
        (vec![(ROOTS, &cut)], ROOTS, "not a valid PEM file"),
        (vec![(ROOTS, &garbage)], ROOTS, "unusable certificate"),
        (vec![(CLIENT, &certificate)], CLIENT, "set OTEL_EXPORTER_OTLP_CLIENT_KEY"),
        (vec![(KEY, &key)], KEY, "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        (vec![(CLIENT, &certificate), (KEY, &other_key)], KEY, "is not the key of"),
        (vec![(CLIENT, &certificate), (KEY, &certificate)], KEY, "no unencrypted private key"),
        (vec![(CLIENT, &certificate), (KEY, &garbage_key)], KEY, "is not the key of"),
        (vec![(CLIENT, &garbage), (KEY, &key)], KEY, "is not the key of"),
        (vec![(CLIENT, &text), (KEY, &key)], CLIENT, "contains no certificate"),
    ] {
        let mut all = vec![https];
        all.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let text = bad(&all);
        assert!(text.starts_with(name) && text.contains(part), "{variables:?}: {text}");
    }
}

#[test]
fn proxies_are_used_only_where_the_environment_says() {
    let uses = |endpoint: &str, variables: &[(&str, &str)]| {
        let mut all = vec![(ENDPOINT, endpoint)];
        all.extend(variables);
        let proxy = config(&all).expect("valid").proxy;
        proxy.map(|proxy| proxy.host().to_owned())
    };
    let both = [("https_proxy", "http://user:pass@s:1"), ("http_proxy", "p:1")];
    assert_eq!(uses("https://collector", &both).as_deref(), Some("s"));
    assert_eq!(uses("http://collector", &both).as_deref(), Some("p"));
    assert_eq!(uses("http://collector", &[("ALL_PROXY", "http://a")]).as_deref(), Some("a"));
    for local in ["http://localhost:1", "http://127.0.0.2:1", "https://[::1]:1"] {
        assert_eq!(uses(local, &both), None, "{local}");
    }
    for (exception, is_excepted) in [
        ("collector.example", true),
        (".EXAMPLE", true),
        ("*.example", true),
        ("other, example", true),
        ("*", true),
        ("ample", false),
        ("a.collector.example", false),
    ] {
        let variables = [("http_proxy", "p:1"), ("NO_PROXY", exception)];
        assert_eq!(
            uses("http://collector.example", &variables).is_none(),
            is_excepted,
            "{exception}"
        );
    }
    assert_eq!(uses("http://collector", &[]), None);
    let text = bad(&[(ENDPOINT, "http://collector"), ("http_proxy", "socks5://secret@s")]);
    assert!(text.starts_with("http_proxy: ") && !text.contains("secret"), "{text}");
}

#[test]
fn the_interval_of_metrics_is_a_number_of_milliseconds() {
    let name = "OTEL_METRIC_EXPORT_INTERVAL";
    let interval = |value| metric_interval(&Variables::of(&[(name, value)]));
    for (value, seconds) in [("", 60), ("15000", 15), ("86400000", 86_400)] {
        assert_eq!(interval(value), Ok(Duration::from_secs(seconds)), "{value}");
    }
    for value in ["0", "9", "86400001", "60s", "-1", "1.5"] {
        let message = interval(value).expect_err("a bad setting").to_string();
        assert!(message.starts_with(name), "{message}");
        assert!(message.contains("set a number of milliseconds from 10 to 86400000"), "{message}");
    }
}
