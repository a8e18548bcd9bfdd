//! The rows of a report's lists. Their fields are keys of `stats --json`.

use std::path::PathBuf;

use proc_connector::Usage;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::usage;
use crate::cli::shown::shown;

/// A row: what all processes with the same key did.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Row<K, V> {
    #[serde(flatten)]
    pub(crate) key: K,
    #[serde(flatten)]
    pub(crate) value: V,
}

/// How often they did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
}

/// How processes ended, and what they used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Ends {
    /// Processes that ended.
    pub(crate) count: u64,
    /// Those that failed: their exit code is not 0, or a signal killed them.
    pub(crate) failed: u64,
    /// Those whose usage is known.
    pub(crate) measured: u64,
    /// What the measured processes used together; null without any.
    #[serde(serialize_with = "usage::serialize")]
    pub(crate) usage: Option<Usage>,
}

impl Ends {
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.usage.map_or(0, |usage| usage.cpu_ns)
    }
}

/// The name of a process.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) Option<Vec<u8>>);

/// The effective user, who may have no name.
#[derive(Debug, serde::Serialize)]
pub(crate) struct User {
    pub(crate) uid: Option<u32>,
    pub(crate) user: Option<String>,
}

/// The path of a cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup(pub(crate) Option<PathBuf>);

/// Adds the key `raw_name` if the name is not UTF-8.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text_keys(["name", "raw_name"], self.0.as_deref(), serializer)
    }
}

/// Adds the key `raw_cgroup` if the path is not UTF-8.
impl Serialize for Cgroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text_keys(["cgroup", "raw_cgroup"], self.bytes(), serializer)
    }
}

fn text_keys<S: Serializer>(
    [key, raw_key]: [&'static str; 2],
    text: Option<&[u8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry(key, &text.map(String::from_utf8_lossy))?;
    if let Some(raw) = text.filter(|text| std::str::from_utf8(text).is_err()) {
        map.serialize_entry(raw_key, raw)?;
    }
    map.end()
}

impl Cgroup {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.0.as_ref()?.as_os_str().as_encoded_bytes())
    }
}

/// The text of an unknown key.
const UNKNOWN: &str = "?";

/// A key as text.
pub(crate) trait Key {
    fn text(&self) -> String;
}

impl Key for Name {
    fn text(&self) -> String {
        self.0.as_deref().map_or(UNKNOWN.to_owned(), shown)
    }
}

impl Key for User {
    fn text(&self) -> String {
        match (&self.user, self.uid) {
            (Some(user), _) => shown(user),
            (None, Some(uid)) => uid.to_string(),
            (None, None) => UNKNOWN.to_owned(),
        }
    }
}

impl Key for Cgroup {
    fn text(&self) -> String {
        self.bytes().map_or(UNKNOWN.to_owned(), shown)
    }
}
