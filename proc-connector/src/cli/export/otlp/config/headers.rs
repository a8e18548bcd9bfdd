//! Headers that the receiver requires, such as `authorization`.
//!
//! Sources, each with priority over the one before it: the variables, the systemd credential
//! `otlp-headers`, the option `--header-file`. No header is an option, because other users can read the
//! command line.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ureq::http::{HeaderName, HeaderValue};

use super::setting::BadSetting;
use super::signal::Signal;
use super::variables::Variables;
use crate::cli::shown::shown;

/// The systemd credential with a header on each line.
const CREDENTIAL: &str = "otlp-headers";

const FILE_LIMIT: u64 = 64 << 10;

/// Headers that describe the request or the connection.
const RESERVED: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "te",
    "transfer-encoding",
];

/// A header whose value is in a file.
#[derive(Debug, Clone)]
pub(crate) struct HeaderFile {
    name: HeaderName,
    path: PathBuf,
}

impl HeaderFile {
    /// Reads `NAME=PATH`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or("write NAME=PATH, as in authorization=/etc/otlp/authorization")?;
        Ok(Self { name: header_name(name)?, path: path.into() })
    }
}

pub(super) fn find(
    signal: Signal,
    files: &[HeaderFile],
    variables: &Variables,
) -> Result<Vec<(HeaderName, HeaderValue)>, BadSetting> {
    let mut headers = Vec::new();
    if let Some((variable, list)) = variables.for_signal(signal, "HEADERS")? {
        for entry in list.split(',').filter(|entry| !entry.trim().is_empty()) {
            let header =
                from_variable(entry).map_err(|problem| BadSetting::new(&variable, problem))?;
            set(&mut headers, header);
        }
    }
    if let Some(directory) = variables.value("CREDENTIALS_DIRECTORY")? {
        let path = Path::new(&directory).join(CREDENTIAL);
        if path.exists() {
            let setting = format!("the credential {CREDENTIAL}");
            let text = read(&path).map_err(|problem| BadSetting::new(&setting, problem))?;
            for line in text.lines().map(str::trim) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let header =
                    from_line(line).map_err(|problem| BadSetting::new(&setting, problem))?;
                set(&mut headers, header);
            }
        }
    }
    for HeaderFile { name, path } in files {
        let value = read(path).and_then(|text| header_value(text.trim(), name));
        let value = value.map_err(|problem| {
            BadSetting::new(format!("--header-file {name}={}", shown_path(path)), problem)
        })?;
        set(&mut headers, (name.clone(), value));
    }
    Ok(headers)
}

fn set(headers: &mut Vec<(HeaderName, HeaderValue)>, header: (HeaderName, HeaderValue)) {
    headers.retain(|(name, _)| *name != header.0);
    headers.push(header);
}

/// Reads `name=value`, with a percent-encoded value.
fn from_variable(entry: &str) -> Result<(HeaderName, HeaderValue), String> {
    // The message does not quote the entry, which can be a secret.
    let (name, value) = entry.split_once('=').ok_or(
        "an entry has no \"=\": write NAME=VALUE,NAME=VALUE, and %2C for a comma within a value",
    )?;
    let name = header_name(name.trim())?;
    let value = String::from_utf8(percent_decoded(value.trim()))
        .map_err(|_| format!("the value of {name} is not valid UTF-8"))?;
    let value = header_value(&value, &name)?;
    Ok((name, value))
}

/// Reads `name: value`.
fn from_line(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or(
        "a line has no \":\": write a header on each line, as in authorization: Bearer 123",
    )?;
    let name = header_name(name.trim())?;
    let value = header_value(value.trim(), &name)?;
    Ok((name, value))
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName =
        text.parse().map_err(|_| format!("{} is not a name of a header", shown(text)))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(format!("the header {name} cannot be set: it describes the request"));
    }
    Ok(name)
}

fn header_value(text: &str, name: &HeaderName) -> Result<HeaderValue, String> {
    if text.is_empty() {
        return Err(format!("the value of the header {name} is empty"));
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        format!("the value of the header {name} contains a line feed or another control character")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Replaces `%2C` and the like. Any other `%` stands for itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                rest = &after[2..];
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let result =
        File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_string(&mut text));
    match result {
        Ok(len) if len as u64 > FILE_LIMIT => {
            Err(format!("{} is larger than 64 KiB", shown_path(path)))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot read {}: {error}", shown_path(path))),
    }
}

fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}
