//! Certificates.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::setting::BadSetting;
use super::signal::Signal;
use super::variables::Variables;
use crate::cli::shown::shown;

const FILE_LIMIT: u64 = 4 << 20;

/// Reads the certificates that the environment names. Without a variable, the certificates of the system
/// are valid; a file replaces them.
pub(super) fn find(signal: Signal, variables: &Variables) -> Result<TlsConfig, BadSetting> {
    let roots = match variables.for_signal(signal, "CERTIFICATE")? {
        Some((name, path)) => read_roots(&name, &path)?,
        None => RootCerts::PlatformVerifier,
    };
    let client = client_certificate(signal, variables)?;
    Ok(TlsConfig::builder().root_certs(roots).client_cert(client).build())
}

fn read_roots(name: &str, path: &str) -> Result<RootCerts, BadSetting> {
    let (certificates, _) = read_pem(name, path)?;
    if certificates.is_empty() {
        return Err(lacks(name, path, "certificate"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(CertificateDer::from(certificate.der().to_vec())).map_err(|error| {
            BadSetting::new(name, format!("{} has an unusable certificate: {error}", shown(path)))
        })?;
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

fn client_certificate(
    signal: Signal,
    variables: &Variables,
) -> Result<Option<ClientCert>, BadSetting> {
    let certificate = variables.for_signal(signal, "CLIENT_CERTIFICATE")?;
    let key = variables.for_signal(signal, "CLIENT_KEY")?;
    let ((name, path), (key_name, key_path)) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some((name, _)), None) => {
            return Err(BadSetting::new(
                name,
                "the key of the certificate is missing: set OTEL_EXPORTER_OTLP_CLIENT_KEY",
            ));
        }
        (None, Some((name, _))) => {
            return Err(BadSetting::new(
                name,
                "the certificate of the key is missing: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            ));
        }
    };
    let (chain, _) = read_pem(&name, &path)?;
    if chain.is_empty() {
        return Err(lacks(&name, &path, "certificate"));
    }
    let (_, key) = read_pem(&key_name, &key_path)?;
    let key = key.ok_or_else(|| lacks(&key_name, &key_path, "unencrypted private key"))?;
    check_pair(&chain, &key).map_err(|error| {
        BadSetting::new(
            &key_name,
            format!("{} is not the key of {}: {error}", shown(&key_path), shown(&path)),
        )
    })?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

/// Checks a key and certificate, because the HTTP client panics on those that cannot be used.
fn check_pair(
    chain: &[Certificate<'static>],
    key: &PrivateKey<'static>,
) -> Result<(), rustls::Error> {
    let chain = chain.iter().map(|part| CertificateDer::from(part.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec())
        .map_err(|problem| rustls::Error::General(problem.to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain, key)
        .map(drop)
}

/// Reads the certificates, and the first key, of a file.
fn read_pem(
    name: &str,
    path: &str,
) -> Result<(Vec<Certificate<'static>>, Option<PrivateKey<'static>>), BadSetting> {
    let bad = |problem: String| BadSetting::new(name, problem);
    let mut pem = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut pem))
        .map_err(|error| bad(format!("cannot read {}: {error}", shown(path))))?;
    if read as u64 > FILE_LIMIT {
        return Err(bad(format!("{} is larger than 4 MiB", shown(path))));
    }
    let mut certificates = Vec::new();
    let mut key = None;
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(PemItem::PrivateKey(found)) => key = key.or(Some(found)),
            Ok(_) => {}
            Err(_) => {
                return Err(bad(format!("{} is not a valid PEM file", shown(path))));
            }
        }
    }
    Ok((certificates, key))
}

fn lacks(name: &str, path: &str, item: &str) -> BadSetting {
    BadSetting::new(name, format!("{} contains no {item} in PEM format", shown(path)))
}
