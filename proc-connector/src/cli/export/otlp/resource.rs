//! The resource of all records: this machine and this program.

use std::env;
use std::fs;

use nix::sys::utsname::uname;
use proc_connector::process::BootId;

use super::attributes::BOOT_ID;
use super::encode::Attributes;

/// The attributes that describe this machine and this program. A value that is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    attributes: Vec<(String, String)>,
}

impl Resource {
    /// That of this machine. `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` take precedence.
    pub(crate) fn of_this_machine(boot_id: Option<BootId>) -> Self {
        let mut resource = Self::default();
        resource.set("service.name", "proc-connector");
        resource.set("service.version", env!("CARGO_PKG_VERSION"));
        if let Ok(system) = uname() {
            let name = system.nodename().to_string_lossy();
            resource.set("host.name", &name);
            resource.set("host.arch", arch(&system.machine().to_string_lossy()));
            resource.set("os.type", "linux");
            resource.set("os.version", &system.release().to_string_lossy());
        }
        if let Ok(id) = fs::read_to_string("/etc/machine-id") {
            resource.set("host.id", id.trim());
        }
        if let Some(boot_id) = boot_id {
            resource.set(BOOT_ID, &boot_id.to_string());
        }
        resource.apply(
            env::var("OTEL_RESOURCE_ATTRIBUTES").ok().as_deref(),
            env::var("OTEL_SERVICE_NAME").ok().as_deref(),
        );
        resource
    }

    /// Applies the values of `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. The specification
    /// requires that the former is ignored as a whole if it is invalid.
    fn apply(&mut self, attributes: Option<&str>, service_name: Option<&str>) {
        for (key, value) in attributes.and_then(pairs).unwrap_or_default() {
            self.set(&key, &value);
        }
        if let Some(name) = service_name {
            self.set("service.name", name);
        }
    }

    /// Sets an attribute. An empty value is not set.
    fn set(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        match self.attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => value.clone_into(known),
            None => self.attributes.push((key.to_owned(), value.to_owned())),
        }
    }

    /// The attributes, each key once.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The encoded message `Resource`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut message = Vec::new();
        let mut to = Attributes::of_resource(&mut message);
        for (key, value) in self.attributes() {
            to.text(key, value);
        }
        message
    }
}

/// The pairs of a list such as `a=1,b=2`, in which values are percent-encoded. `None` if any is invalid.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim(), decoded(value.trim())?);
        Some((key.to_owned(), value)).filter(|_| !key.is_empty())
    });
    pairs.collect()
}

/// Decodes `%20` and its like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(digits[0]? << 4 | digits[1]?).ok()?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

/// The name of an architecture in the semantic conventions. Others keep the kernel's name.
fn arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" | "aarch64_be" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "armv6l" | "armv7l" | "armv8l" => "arm32",
        "ppc64le" => "ppc64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Resource, pairs};

    fn resource(attributes: Option<&str>, name: Option<&str>) -> Vec<(String, String)> {
        let mut resource = Resource::default();
        resource.set("service.name", "proc-connector");
        resource.apply(attributes, name);
        resource.attributes
    }

    #[test]
    fn the_variables_take_precedence_and_the_name_most() {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let default = owned(&[("service.name", "proc-connector")]);
        assert_eq!(resource(None, None), default);
        assert_eq!(resource(Some(""), Some("")), default);
        let both = owned(&[("service.name", "b"), ("team", "x, y")]);
        assert_eq!(resource(Some("service.name=a , team=x%2C%20y,"), Some("b")), both);
        // An invalid list is ignored as a whole.
        for invalid in ["team=x,host", "=x,team=y", "a=%2", "a=%zz", "a=%ff"] {
            assert_eq!(resource(Some(invalid), None), default, "{invalid}");
            assert_eq!(pairs(invalid), None);
        }
    }
}
