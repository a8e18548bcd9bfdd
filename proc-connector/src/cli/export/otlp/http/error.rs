//! Why a request has no answer, and the remedy.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use ureq::Timeout;

use crate::cli::export::otlp::config::{Config, Url};
use crate::cli::shown::shown;

/// Whether the receiver has closed the connection.
pub(super) fn is_disconnect(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if is_disconnect_kind(error.kind()))
}

fn is_disconnect_kind(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
    )
}

/// Whether only a change of settings, here or at the receiver, can help.
pub(super) fn is_misconfiguration(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) => true,
        ureq::Error::Io(error) => rustls_error(error).is_some(),
        _ => false,
    }
}

/// One sentence that names the URL, the problem and the remedy.
pub(super) fn reason(error: &ureq::Error, config: &Config) -> String {
    let url = &config.url;
    let problem = match error {
        ureq::Error::Timeout(timeout) => time_limit(*timeout, config),
        ureq::Error::HostNotFound => host_not_found(url),
        ureq::Error::Rustls(error) => tls(error, url),
        ureq::Error::Io(error) => match rustls_error(error) {
            Some(error) => tls(error, url),
            None => system(error, url),
        },
        ureq::Error::ConnectProxyFailed(message) => format!(
            "the proxy refuses the connection ({}); check https_proxy, or add the host to no_proxy",
            shown(message)
        ),
        ureq::Error::Protocol(_) => not_http(url),
        ureq::Error::LargeResponseHeader(..) => {
            "the header of the answer is too large; check that the URL names a receiver of OTLP/HTTP"
                .to_owned()
        }
        error => format!("the request failed ({}); check the URL", shown(error.to_string())),
    };
    format!("{}: {problem}", url.shown())
}

fn time_limit(timeout: Timeout, config: &Config) -> String {
    let limit = config.timeout;
    match timeout {
        Timeout::Resolve => format!(
            "the host name is not found within {:?}; check the machine's DNS servers",
            limit / 2
        ),
        Timeout::Connect => {
            format!("no connection within {:?}; check the host, the port and firewalls", limit / 2)
        }
        _ => format!(
            "no complete answer within {limit:?}; check the receiver, or raise \
             OTEL_EXPORTER_OTLP_TIMEOUT"
        ),
    }
}

fn host_not_found(url: &Url) -> String {
    format!("the host {} is not found; check its name", shown(url.host()))
}

fn not_http(url: &Url) -> String {
    let port = url.port();
    if port == 4317 {
        return "the receiver does not speak HTTP/1.1 on port 4317, which is usually the port for gRPC; \
                use the port for HTTP, usually 4318"
            .to_owned();
    }
    let remedy = if url.is_encrypted() {
        "use the receiver's port for OTLP/HTTP, usually 4318"
    } else {
        "write https:// if the port expects TLS, or use the receiver's port for OTLP/HTTP, usually 4318"
    };
    format!("the answer on port {port} is not HTTP/1.1; {remedy}")
}

fn system(error: &io::Error, url: &Url) -> String {
    let (host, port) = (shown(url.host()), url.port());
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "no program listens on port {port} of {host}; start the receiver, or set its URL as the \
             endpoint"
        ),
        kind if is_disconnect_kind(kind) => {
            let remedy = if url.is_encrypted() {
                "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY if it requires \
                 a client certificate"
            } else {
                "write https:// if the port expects TLS"
            };
            format!(
                "the receiver closes the connection on port {port} without an answer; check its log, and \
                 {remedy}"
            )
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no route to {host}; check the network")
        }
        // The standard library has no kind for errors of the resolver.
        _ if error.to_string().contains("lookup address") => host_not_found(url),
        _ => format!("the connection failed ({error}); check the network"),
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls(error: &rustls::Error, url: &Url) -> String {
    let host = shown(url.host());
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error, &host),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => format!(
            "port {} does not speak TLS; write http:// instead of https://, or enable TLS in the receiver",
            url.port()
        ),
        rustls::Error::AlertReceived(alert) => alert_received(*alert),
        rustls::Error::PeerIncompatible(_) => {
            "the receiver does not support TLS 1.2 or 1.3; update it".to_owned()
        }
        rustls::Error::General(text) if text.contains("CA certificates") => {
            "the system has no certificates of authorities; install the package ca-certificates, or set \
             OTEL_EXPORTER_OTLP_CERTIFICATE"
                .to_owned()
        }
        error => format!(
            "TLS failed ({}); check that the port is for OTLP/HTTP with TLS",
            shown(error.to_string())
        ),
    }
}

fn certificate(error: &CertificateError, host: &str) -> String {
    match error {
        // The signature is bad if the authority has the name of another that is known.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "an unknown authority has signed the certificate; set OTEL_EXPORTER_OTLP_CERTIFICATE to the \
             file with the authority's certificate"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the certificate is not for {host}; use the name in the certificate, or issue a certificate \
             for this name"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired; renew it, or check the clock of this machine".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; check the clock of this machine".to_owned()
        }
        error => format!(
            "the certificate is not valid ({}); issue another",
            shown(error.to_string())
        ),
    }
}

fn alert_received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::AccessDenied => format!(
            "the receiver requires a client certificate that it knows (alert {alert:?}); set \
             OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY"
        ),
        alert => format!(
            "the receiver refuses the TLS connection (alert {alert:?}); check its TLS versions and \
             certificates"
        ),
    }
}
