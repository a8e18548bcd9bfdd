//! The environment.

use std::ffi::OsString;
use std::fmt;

use super::setting::BadSetting;
use super::signal::Signal;

/// Returns the value of a variable.
type Read = dyn Fn(&str) -> Option<OsString>;

/// Reads variables of the environment.
pub(crate) struct Variables(Box<Read>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").finish_non_exhaustive()
    }
}

impl Variables {
    /// The variables of this process.
    pub(crate) fn of_this_process() -> Self {
        Self(Box::new(|name| std::env::var_os(name)))
    }

    /// Variables for a test.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables: std::collections::HashMap<_, _> = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), OsString::from(value)))
            .collect();
        Self(Box::new(move |name| variables.get(name).cloned()))
    }

    /// The value of a variable. An empty variable counts as unset.
    pub(crate) fn value(&self, name: &str) -> Result<Option<String>, BadSetting> {
        let Some(value) = (self.0)(name) else { return Ok(None) };
        let value = value.into_string().map_err(|_| {
            BadSetting::new(name, "the value is not valid UTF-8: set it again as plain text")
        })?;
        let value = value.trim();
        Ok((!value.is_empty()).then(|| value.to_owned()))
    }

    /// The name and value of `OTEL_EXPORTER_OTLP_<SIGNAL>_<setting>`, or of the general variable.
    pub(super) fn for_signal(
        &self,
        signal: Signal,
        setting: &str,
    ) -> Result<Option<(String, String)>, BadSetting> {
        for infix in [signal.infix(), ""] {
            let name = format!("OTEL_EXPORTER_OTLP_{infix}{setting}");
            if let Some(value) = self.value(&name)? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }
}
