//! Where and how to send requests: options, and the standard variables of OpenTelemetry.
//!
//! The variables are those of the specification of the OTLP exporter. A variable for one signal, such as
//! `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT`, overrides the general variable, and an empty variable counts as
//! unset.

mod headers;
mod proxy;
mod setting;
mod signal;
mod tls;
mod url;
mod variables;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use ureq::Proxy;
use ureq::http::{HeaderName, HeaderValue};
use ureq::tls::TlsConfig;

pub(crate) use self::headers::HeaderFile;
pub(crate) use self::setting::BadSetting;
pub(crate) use self::signal::Signal;
pub(crate) use self::url::Url;
pub(super) use self::url::shown_without_credentials;
pub(crate) use self::variables::Variables;

use crate::cli::shown::shown;

/// The time limit of a request where the environment sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A time limit in milliseconds: a request without a limit would block all that follow.
const TIMEOUT_LIMIT_MS: u64 = 600_000;

/// The time between two requests with metrics, unless a variable or an option sets it.
const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// A day.
const METRIC_INTERVAL_LIMIT_MS: u64 = 86_400_000;

const LEAST_TIMEOUT: Duration = Duration::from_secs(2);

/// How to send the requests of one signal.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// For a whole request, from the look-up of the name to the end of the answer.
    pub(super) timeout: Duration,
    /// Whether the receiver accepts compressed requests.
    pub(super) gzip: bool,
    pub(super) tls: Option<TlsConfig>,
    pub(super) proxy: Option<Proxy>,
}

/// Settings of the command line, which have priority over variables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chosen<'a> {
    /// The base URL of the receiver.
    pub(crate) endpoint: Option<&'a str>,
    /// Files with the values of headers.
    pub(crate) header_files: &'a [HeaderFile],
}

impl Config {
    /// Collects the settings for a signal. Returns `None` if `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    ///
    /// A variable or option has a value that cannot be used, or a file that it names cannot be read.
    pub(crate) fn new(
        signal: Signal,
        chosen: Chosen<'_>,
        variables: &Variables,
    ) -> Result<Option<Self>, BadSetting> {
        if is_disabled(variables)? {
            return Ok(None);
        }
        check_protocol(signal, variables)?;
        let url = url::find(signal, chosen.endpoint, variables)?;
        let tls = if url.is_encrypted() { Some(tls::find(signal, variables)?) } else { None };
        Ok(Some(Self {
            headers: headers::find(signal, chosen.header_files, variables)?,
            timeout: timeout(signal, variables)?,
            gzip: gzip(signal, variables)?,
            proxy: proxy::find(&url, variables)?,
            tls,
            url,
        }))
    }

    /// With this time limit, unless the limit of the environment is shorter. A shorter time than two
    /// seconds is too short for a single request.
    pub(super) fn limited(self, limit: Duration) -> Self {
        Self { timeout: self.timeout.min(limit.max(LEAST_TIMEOUT)), ..self }
    }

    /// The URL of the receiver, without credentials.
    pub(crate) fn shown_url(&self) -> &str {
        self.url.shown()
    }
}

fn is_disabled(variables: &Variables) -> Result<bool, BadSetting> {
    // The specification: every other value means false.
    let value = variables.value("OTEL_SDK_DISABLED")?;
    Ok(value.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

fn check_protocol(signal: Signal, variables: &Variables) -> Result<(), BadSetting> {
    match variables.for_signal(signal, "PROTOCOL")? {
        Some((name, value)) if value != "http/protobuf" => Err(BadSetting::new(
            name,
            format!(
                "the protocol {} is not supported: set http/protobuf, and the receiver's port for HTTP, \
                 which is usually 4318",
                shown(&value)
            ),
        )),
        _ => Ok(()),
    }
}

fn timeout(signal: Signal, variables: &Variables) -> Result<Duration, BadSetting> {
    let Some((name, value)) = variables.for_signal(signal, "TIMEOUT")? else {
        return Ok(DEFAULT_TIMEOUT);
    };
    milliseconds(&name, &value, "a time limit", 1..=TIMEOUT_LIMIT_MS)
}

/// The time between two requests with metrics, as the SDKs of OpenTelemetry read it.
///
/// # Errors
///
/// The variable has a value that cannot be used.
pub(crate) fn metric_interval(variables: &Variables) -> Result<Duration, BadSetting> {
    let name = "OTEL_METRIC_EXPORT_INTERVAL";
    match variables.value(name)? {
        None => Ok(DEFAULT_METRIC_INTERVAL),
        Some(value) => milliseconds(name, &value, "an interval", 10..=METRIC_INTERVAL_LIMIT_MS),
    }
}

fn milliseconds(
    name: &str,
    value: &str,
    what: &str,
    range: RangeInclusive<u64>,
) -> Result<Duration, BadSetting> {
    match value.parse() {
        Ok(milliseconds) if range.contains(&milliseconds) => {
            Ok(Duration::from_millis(milliseconds))
        }
        _ => Err(BadSetting::new(
            name,
            format!(
                "{} is not {what}: set a number of milliseconds from {} to {}",
                shown(value),
                range.start(),
                range.end()
            ),
        )),
    }
}

/// Whether to compress requests: unlike in the specification, the default is yes.
fn gzip(signal: Signal, variables: &Variables) -> Result<bool, BadSetting> {
    match variables.for_signal(signal, "COMPRESSION")? {
        None => Ok(true),
        Some((_, value)) if value == "gzip" => Ok(true),
        Some((_, value)) if value == "none" => Ok(false),
        Some((name, value)) => Err(BadSetting::new(
            name,
            format!("the compression {} is not supported: set gzip or none", shown(&value)),
        )),
    }
}
