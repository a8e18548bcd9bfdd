//! Servers with TLS, and certificates made for the test.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::receiver::{PROTOBUF, answer, read_request};
use super::{Answer, Deliver, accepted, assert_says, client, misconfigured, retry};

/// An authority that signs certificates.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, key }
    }

    /// Signs a certificate for a name that expires in a year.
    fn sign(&self, name: &str, year: i32) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.certificate, &self.key);
        (certificate.expect("a certificate"), key)
    }
}

/// Starts a server that answers each request with success.
fn serve(certificate: &(Certificate, KeyPair), client_authority: Option<&Authority>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(certificate.1.serialize_der()).expect("a key");
    let chain: Vec<CertificateDer<'static>> = vec![certificate.0.der().clone()];
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a server"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream =
                BufReader::new(StreamOwned::new(connection, stream.expect("a connection")));
            while read_request(&mut stream).is_some() {
                let ok = answer("200 OK", PROTOBUF, b"");
                if stream.get_mut().write_all(&ok).is_err() {
                    break;
                }
            }
        }
    });
    address
}

/// A file that is deleted at the end of the test.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otlp-tls-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// The answer of a server at localhost, for a client that knows this authority.
fn deliver(address: SocketAddr, authority: &Authority, name: &str) -> Answer {
    let file = TestFile::new(name, &authority.certificate.pem());
    let url = format!("https://localhost:{}", address.port());
    client(&url, &[(CERTIFICATE, file.path())]).deliver(b"\x0a\x00")
}

#[test]
fn a_certificate_of_a_known_authority_is_valid() {
    let authority = Authority::new();
    let address = serve(&authority.sign("localhost", 2999), None);
    assert_eq!(deliver(address, &authority, "known"), accepted(0, ""));
}

#[test]
fn an_unknown_authority_names_the_variable() {
    let authority = Authority::new();
    let address = serve(&authority.sign("localhost", 2999), None);
    let reason = misconfigured(deliver(address, &Authority::new(), "unknown"));
    assert_says(&reason, &["unknown authority", CERTIFICATE, "https://localhost:"]);
    // The certificates of the system do not include it either.
    let url = format!("https://localhost:{}", address.port());
    assert_says(&misconfigured(client(&url, &[]).deliver(b"")), &[CERTIFICATE]);
}

#[test]
fn a_certificate_for_another_name_names_the_host() {
    let authority = Authority::new();
    let address = serve(&authority.sign("other.example", 2999), None);
    let reason = misconfigured(deliver(address, &authority, "name"));
    assert_says(&reason, &["not for localhost"]);
}

#[test]
fn an_expired_certificate_names_the_clock() {
    let authority = Authority::new();
    let address = serve(&authority.sign("localhost", 2001), None);
    let reason = misconfigured(deliver(address, &authority, "expired"));
    assert_says(&reason, &["expired", "clock"]);
}

#[test]
fn a_port_without_tls_suggests_http() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n"));
        }
    });
    let reason = misconfigured(deliver(address, &Authority::new(), "plain"));
    assert_says(&reason, &["does not speak TLS", "http:// instead"]);
}

#[test]
fn a_port_with_tls_suggests_https() {
    let authority = Authority::new();
    let address = serve(&authority.sign("localhost", 2999), None);
    let url = format!("http://localhost:{}", address.port());
    assert_says(&retry(client(&url, &[]).deliver(b"")), &["https://"]);
}

#[test]
fn a_required_client_certificate_is_sent() {
    let authority = Authority::new();
    let address = serve(&authority.sign("localhost", 2999), Some(&authority));
    // The alert of the receiver may be lost when it closes the connection.
    let reason = match deliver(address, &authority, "required") {
        Answer::Retry { reason, .. } => reason,
        answer => misconfigured(answer),
    };
    assert_says(
        &reason,
        &["client certificate", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "CLIENT_KEY"],
    );

    let (certificate, key) = authority.sign("a client", 2999);
    let root = TestFile::new("client-root", &authority.certificate.pem());
    let certificate = TestFile::new("client-certificate", &certificate.pem());
    let key = TestFile::new("client-key", &key.serialize_pem());
    let variables = [
        (CERTIFICATE, root.path()),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.path()),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.path()),
    ];
    let url = format!("https://localhost:{}", address.port());
    assert_eq!(client(&url, &variables).deliver(b"\x0a\x00"), accepted(0, ""));
}
