//! Kinds of requests.

/// What a request contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Logs,
    Metrics,
    Traces,
}

impl Signal {
    /// The last part of a receiver's URL.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Logs => "v1/logs",
            Self::Metrics => "v1/metrics",
            Self::Traces => "v1/traces",
        }
    }

    /// The part of a variable's name.
    pub(super) fn infix(self) -> &'static str {
        match self {
            Self::Logs => "LOGS_",
            Self::Metrics => "METRICS_",
            Self::Traces => "TRACES_",
        }
    }
}
