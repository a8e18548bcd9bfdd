//! The URL of a receiver.

use std::fmt;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::setting::BadSetting;
use super::signal::Signal;
use super::variables::Variables;
use crate::cli::shown::shown;

const DEFAULT: &str = "http://localhost:4318";

/// The URL that requests for a signal go to.
#[derive(Clone)]
pub(crate) struct Url {
    uri: Uri,
    shown: String,
}

// A URL can contain credentials.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.shown).finish()
    }
}

impl Url {
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The URL without user, password and query, for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the URL requires TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The port, also if the URL does not name it.
    pub(crate) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    fn parse(setting: &str, text: &str) -> Result<Self, BadSetting> {
        let bad = |problem: &str| BadSetting::new(setting, problem);
        let uri: Uri = text.parse().map_err(|_| {
            bad("the value is not a URL: write http:// or https://, a host, and a port, as in \
                 http://localhost:4318")
        })?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(scheme) => {
                return Err(BadSetting::new(
                    setting,
                    format!("{} is not supported: use http:// or https://", shown(scheme)),
                ));
            }
            None => return Err(bad("the URL has no scheme: start it with http:// or https://")),
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(bad("the URL has no host: write one, as in http://localhost:4318"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let place = authority.rsplit('@').next().unwrap_or_default();
        let is_bare = Some(place) == uri.host();
        if !is_bare && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(bad("the URL has no valid port: write a number from 1 to 65535"));
        }
        Ok(Self { shown: shown_without_credentials(&uri), uri })
    }

    /// Appends to the path.
    fn join(&self, setting: &str, path: &str) -> Result<Self, BadSetting> {
        let mut parts = self.uri.clone().into_parts();
        let base = self.uri.path().trim_end_matches('/');
        let query = self.uri.query().map_or(String::new(), |query| format!("?{query}"));
        let path = format!("{base}/{path}{query}");
        let bad = || BadSetting::new(setting, "the URL is too long");
        parts.path_and_query = Some(path.parse().map_err(|_| bad())?);
        let uri = Uri::from_parts(parts).map_err(|_| bad())?;
        Ok(Self { shown: shown_without_credentials(&uri), uri })
    }
}

/// Finds the URL for a signal: the option, the signal's variable, the general variable, or the default.
pub(super) fn find(
    signal: Signal,
    endpoint: Option<&str>,
    variables: &Variables,
) -> Result<Url, BadSetting> {
    if let Some(endpoint) = endpoint {
        let url = Url::parse("--endpoint", endpoint)?;
        let is_whole = url.uri.path().trim_end_matches('/').ends_with(signal.path());
        return if is_whole { Ok(url) } else { url.join("--endpoint", signal.path()) };
    }
    let name = format!("OTEL_EXPORTER_OTLP_{}ENDPOINT", signal.infix());
    if let Some(endpoint) = variables.value(&name)? {
        // The specification: this URL is used as it is, with the path `/` if it has none.
        return Url::parse(&name, &endpoint);
    }
    let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let endpoint = variables.value(name)?;
    Url::parse(name, endpoint.as_deref().unwrap_or(DEFAULT))?.join(name, signal.path())
}

/// A URL for messages. A query can contain a key.
pub(in super::super) fn shown_without_credentials(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map_or(String::new(), |port| format!(":{port}"));
    let scheme = uri.scheme_str().unwrap_or("http");
    shown(format!("{scheme}://{host}{port}{}", uri.path()))
}
