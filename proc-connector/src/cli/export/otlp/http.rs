//! Sending requests by OTLP/HTTP.

mod answer;
mod error;
mod retry_after;
mod status;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

pub(crate) use self::answer::Answer;
use self::answer::{PROTOBUF, Received};
use super::config::Config;
use super::gzip;

/// How long an idle connection stays open.
const IDLE: Duration = Duration::from_secs(60);

/// Sends requests to one address of a receiver.
pub(crate) trait Deliver: Send {
    /// Sends a compressed request and waits for the answer.
    fn deliver(&mut self, body: &[u8]) -> Answer;
}

/// Sends requests over a connection that stays open between them.
pub(crate) struct Client {
    agent: Agent,
    config: Config,
    /// Whether a request may use a connection that the receiver has closed meanwhile.
    has_connected: bool,
    /// Whether the receiver has accepted a compressed request.
    is_gzip_proven: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.config.url).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        let connect_limit = config.timeout / 2;
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(config.proxy.clone())
            .user_agent(concat!("proc-connector/", env!("CARGO_PKG_VERSION")))
            // The answer has the type of the request, by the specification.
            .accept(AutoHeaderValue::None)
            .timeout_resolve(Some(connect_limit))
            .timeout_connect(Some(connect_limit))
            .timeout_global(Some(config.timeout))
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE);
        let builder = match &config.tls {
            Some(tls) => builder.tls_config(tls.clone()),
            None => builder,
        };
        Self {
            agent: builder.build().new_agent(),
            config,
            has_connected: false,
            is_gzip_proven: false,
        }
    }

    fn post(&self, body: &[u8]) -> Result<Received, ureq::Error> {
        let mut request = self.agent.post(self.config.url.uri()).header(CONTENT_TYPE, PROTOBUF);
        if gzip::is_compressed(body) {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        Received::read(request.send(body)?)
    }
}

impl Client {
    /// Sends a request. Tries again at once if the connection was idle, because a receiver may close it
    /// at the moment when the next request leaves.
    fn exchange(&mut self, body: &[u8]) -> Result<Received, ureq::Error> {
        let mut result = self.post(body);
        if self.has_connected && result.as_ref().is_err_and(error::is_disconnect) {
            result = self.post(body);
        }
        self.has_connected = result.is_ok();
        result
    }

    /// Sends a compressed request. Some receivers do not support compression, and answer as if the
    /// request were invalid, so the first such request is sent again without.
    fn exchange_compressed(&mut self, body: &[u8]) -> Result<Received, ureq::Error> {
        const UNSUPPORTED: [StatusCode; 2] =
            [StatusCode::BAD_REQUEST, StatusCode::UNSUPPORTED_MEDIA_TYPE];
        let received = self.exchange(body)?;
        if received.status.is_success() {
            self.is_gzip_proven = true;
        } else if !self.is_gzip_proven && UNSUPPORTED.contains(&received.status) {
            let Ok(request) = gzip::expand(body) else { return Ok(received) };
            let plain = self.exchange(&request)?;
            if plain.status.is_success() {
                self.config.gzip = false;
                return Ok(plain);
            }
        }
        Ok(received)
    }
}

impl Deliver for Client {
    fn deliver(&mut self, body: &[u8]) -> Answer {
        let result = if !gzip::is_compressed(body) {
            self.exchange(body)
        } else if self.config.gzip {
            self.exchange_compressed(body)
        } else {
            match gzip::expand(body) {
                Ok(request) => self.exchange(&request),
                Err(error) => {
                    return Answer::Refused { reason: format!("the request is damaged: {error}") };
                }
            }
        };
        match result {
            Ok(received) => status::answer(&received, &self.config.url),
            Err(error) => {
                let (after, reason) = (None, error::reason(&error, &self.config));
                if error::is_misconfiguration(&error) {
                    Answer::Misconfigured { after, reason }
                } else {
                    Answer::Retry { after, reason }
                }
            }
        }
    }
}
