//! The format of an answer, chosen by the header `Accept` of the request.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Text,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// `OpenMetrics` if the client accepts it and prefers no other format.
    pub(super) fn accepted(header: &str) -> Self {
        let (mut open_metrics, mut text) = (0, 0);
        for range in header.split(',') {
            let (format, weight) = media_range(range);
            match format {
                Some(Self::OpenMetrics) => open_metrics = weight.max(open_metrics),
                Some(Self::Text) => text = weight.max(text),
                None => {}
            }
        }
        if open_metrics > 0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }
}

/// The format that a media range such as `text/plain;version=0.0.4;q=0.5` accepts, with its weight in
/// thousandths.
fn media_range(range: &str) -> (Option<Format>, u32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut version, mut weight) = (None, 1000);
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key.trim() {
            "q" | "Q" => weight = thousandths(value.trim()),
            "version" => version = Some(value.trim().trim_matches('"')),
            _ => {}
        }
    }
    let format = match (&*name, version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => Some(Format::OpenMetrics),
        ("text/plain", None | Some("0.0.4" | "1.0.0")) => Some(Format::Text),
        _ => None,
    };
    (format, weight)
}

/// A weight; 0 if it is invalid.
fn thousandths(weight: &str) -> u32 {
    let weight: f32 = weight.parse().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to small positive numbers"
    )]
    let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
    weight
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Text};

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        for (header, expected) in [
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                 escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0; Q=0.5", OpenMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.9", Text),
            ("application/openmetrics-text;q=NaN", Text),
            (";;,,=;q=", Text),
        ] {
            assert_eq!(Format::accepted(header), expected, "{header}");
        }
    }
}
