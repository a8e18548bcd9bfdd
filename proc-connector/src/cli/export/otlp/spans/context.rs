//! The context of a trace in the environment, in the format of W3C Trace Context.

use std::ffi::OsString;
use std::fmt;

/// The longest `tracestate` that a participant must pass on.
const STATE_LIMIT: usize = 512;

/// A span of a trace, as `TRACEPARENT` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    /// Whether the span is recorded.
    pub(super) is_sampled: bool,
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, is_sampled } = *self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", u8::from(is_sampled))
    }
}

impl TraceContext {
    /// Reads `TRACEPARENT`. A later version may append fields.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (version, rest) = field(text, 2)?;
        let (trace_id, rest) = field(rest.strip_prefix('-')?, 32)?;
        let (span_id, rest) = field(rest.strip_prefix('-')?, 16)?;
        let (flags, rest) = field(rest.strip_prefix('-')?, 2)?;
        let is_complete = rest.is_empty() || (version != 0 && rest.starts_with('-'));
        let span_id = u64::try_from(span_id).ok()?;
        let is_valid = version != 0xff && trace_id != 0 && span_id != 0;
        (is_complete && is_valid).then_some(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }
}

/// Splits off a number of lower-case hexadecimal digits.
fn field(text: &str, len: usize) -> Option<(u128, &str)> {
    let (digits, rest) = text.split_at_checked(len)?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let number = digits.bytes().all(is_digit).then_some(digits)?;
    Some((u128::from_str_radix(number, 16).ok()?, rest))
}

/// Where a trace begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Here.
    New { trace_id: u128 },
    /// In the program that has set `TRACEPARENT`.
    Continued { parent: TraceContext, state: String },
}

impl Origin {
    /// Continues the trace of the environment, or begins one with a random id. Also returns why the
    /// environment is ignored, if it is not valid.
    pub(super) fn new(
        parent: Option<OsString>,
        state: Option<OsString>,
        random: impl Fn() -> u64,
    ) -> (Self, Option<&'static str>) {
        let begin = || {
            // Zero is not a valid id.
            let trace_id = (u128::from(random()) << 64 | u128::from(random())).max(1);
            Self::New { trace_id }
        };
        let Some(parent) = parent.filter(|parent| !parent.is_empty()) else {
            return (begin(), None);
        };
        let parent = parent.to_str().and_then(|text| TraceContext::parse(text.trim()));
        let Some(parent) = parent else {
            let problem = "TRACEPARENT is ignored, because it is not valid (W3C Trace Context); a new \
                           trace begins";
            return (begin(), Some(problem));
        };
        let is_kept = |state: &String| {
            state.len() <= STATE_LIMIT && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let known = state.is_some();
        let state = state.and_then(|state| state.into_string().ok()).filter(is_kept);
        let problem = (known && state.is_none()).then_some(
            "TRACESTATE is ignored, because it is longer than 512 characters or not ASCII",
        );
        (Self::Continued { parent, state: state.unwrap_or_default() }, problem)
    }

    pub(super) fn trace_id(&self) -> u128 {
        match self {
            Self::New { trace_id } => *trace_id,
            Self::Continued { parent, .. } => parent.trace_id,
        }
    }

    /// The span that is the parent of the command's span.
    pub(super) fn parent(&self) -> Option<TraceContext> {
        match self {
            Self::New { .. } => None,
            Self::Continued { parent, .. } => Some(*parent),
        }
    }

    /// The value of `TRACESTATE`.
    pub(super) fn state(&self) -> &str {
        match self {
            Self::New { .. } => "",
            Self::Continued { state, .. } => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, TraceContext};

    /// The example of the specification.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn origin(parent: Option<&str>, state: Option<&str>) -> (Origin, Option<&'static str>) {
        Origin::new(parent.map(Into::into), state.map(Into::into), || 7)
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let context = TraceContext::parse(EXAMPLE).expect("valid");
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.span_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.to_string(), EXAMPLE);
        let later = EXAMPLE.replacen("00", "cc", 1);
        for text in [&*later, &format!("{later}-what-the-future"), &EXAMPLE.replace("-01", "-03")] {
            assert_eq!(TraceContext::parse(text), Some(context), "{text}");
        }
        assert!(context.is_sampled);
        let unsampled = EXAMPLE.replace("-01", "-00");
        let context = TraceContext { is_sampled: false, ..context };
        for text in [&*unsampled, &EXAMPLE.replace("-01", "-fe")] {
            assert_eq!(TraceContext::parse(text), Some(context), "{text}");
        }
        assert_eq!(context.to_string(), unsampled);
    }

    #[test]
    fn invalid_contexts_begin_a_new_trace() {
        for text in [
            "x",
            "00",
            &EXAMPLE.to_uppercase(),
            &format!("{EXAMPLE}-more"),
            &format!("{EXAMPLE}."),
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE.replacen("00", "cc", 1).replace("-01", "-01x"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("4bf", "+bf"),
            &EXAMPLE.replace("4bf", "\u{e4}b"),
            &EXAMPLE.replace('-', "_"),
        ] {
            let (new, problem) = origin(Some(text), Some("a=b"));
            assert_eq!(new, Origin::New { trace_id: 7 << 64 | 7 }, "{text}");
            assert!(problem.is_some_and(|problem| problem.contains("TRACEPARENT")), "{text}");
            assert_eq!((new.parent(), new.state()), (None, ""));
        }
        assert_eq!(origin(None, Some("a=b")).1, None);
        assert_eq!(origin(Some(""), None).1, None);
    }

    #[test]
    fn the_state_of_a_trace_is_kept() {
        let (continued, problem) = origin(Some(EXAMPLE), Some("rojo=00f067,congo=t61"));
        assert_eq!((continued.state(), problem), ("rojo=00f067,congo=t61", None));
        assert_eq!(continued.parent(), TraceContext::parse(EXAMPLE));
        for state in ["x".repeat(513), "a=\u{e4}".to_owned(), "a=\n".to_owned()] {
            let (continued, problem) = origin(Some(EXAMPLE), Some(&state));
            assert_eq!(continued.state(), "");
            assert!(problem.is_some_and(|problem| problem.contains("TRACESTATE")), "{state}");
        }
    }
}
