//! Whether a trace is sent: the samplers of OpenTelemetry, as `OTEL_TRACES_SAMPLER` names them.

use super::super::config::{BadSetting, Variables};
use crate::cli::shown::shown;

const NAME: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Decides about a trace. The default is `parentbased_always_on`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    /// Whether the decision of the parent applies, if the trace has one.
    follows_parent: bool,
    root: Root,
}

/// The decision about a trace that begins here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    On,
    Off,
    /// On for this share of the traces.
    Ratio(f64),
}

impl Sampler {
    const DEFAULT: Self = Self { follows_parent: true, root: Root::On };

    /// The sampler of the environment. Also returns why a variable is ignored: the specification requires
    /// the default in place of an unknown sampler.
    ///
    /// # Errors
    ///
    /// A variable is not UTF-8.
    pub(super) fn new(variables: &Variables) -> Result<(Self, Option<String>), BadSetting> {
        let Some(name) = variables.value(NAME)? else { return Ok((Self::DEFAULT, None)) };
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, &*name),
        };
        let (root, problem) = match root {
            "always_on" => (Root::On, None),
            "always_off" => (Root::Off, None),
            "traceidratio" => ratio(variables)?,
            _ => {
                let problem = format!(
                    "{NAME} is ignored, because the sampler {} is not supported: set always_on, \
                     always_off or traceidratio, each with or without parentbased_",
                    shown(&name)
                );
                return Ok((Self::DEFAULT, Some(problem)));
            }
        };
        Ok((Self { follows_parent, root }, problem))
    }

    /// Why a trace is not sent; `None` if it is sent. `parent` is the decision of the parent, if the trace
    /// has one.
    pub(super) fn refuses(self, trace_id: u128, parent: Option<bool>) -> Option<&'static str> {
        let (is_sampled, reason) = match (parent.filter(|_| self.follows_parent), self.root) {
            (Some(is_sampled), _) => (
                is_sampled,
                "the trace of TRACEPARENT is not sampled; OTEL_TRACES_SAMPLER=always_on sends them",
            ),
            (None, Root::On) => return None,
            (None, Root::Off) => (false, "OTEL_TRACES_SAMPLER is always_off"),
            (None, Root::Ratio(ratio)) => (
                is_below(trace_id, ratio),
                "the trace is not in the share that OTEL_TRACES_SAMPLER_ARG selects",
            ),
        };
        (!is_sampled).then_some(reason)
    }
}

/// The share of the traces. An invalid one is 1, as in the specification.
fn ratio(variables: &Variables) -> Result<(Root, Option<String>), BadSetting> {
    let Some(value) = variables.value(ARGUMENT)? else { return Ok((Root::Ratio(1.0), None)) };
    if let Ok(ratio @ 0.0..=1.0) = value.parse() {
        return Ok((Root::Ratio(ratio), None));
    }
    let problem = format!(
        "{ARGUMENT} is ignored, because {} is not a number from 0 to 1: all traces are sent",
        shown(&value)
    );
    Ok((Root::Ratio(1.0), Some(problem)))
}

/// Whether an id is in the lowest share of all ids. Like the Go SDK of OpenTelemetry, this compares 63 of
/// the lowest 64 bits, so that a trace is sent by both or by neither.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the lowest 64 bits, and a share from 0 to 1"
)]
fn is_below(trace_id: u128, ratio: f64) -> bool {
    let bound = (ratio * (1_u64 << 63) as f64) as u64;
    (trace_id as u64) >> 1 < bound
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Variables};

    fn sampler(name: &str, argument: &str) -> (Sampler, Option<String>) {
        let variables = [("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        Sampler::new(&Variables::of(&variables)).expect("UTF-8")
    }

    #[test]
    fn samplers_decide_as_the_specification_says() {
        // With no parent, a parent that is not sampled, and one that is sampled.
        for (name, argument, expected) in [
            ("", "", [true, false, true]),
            ("always_on", "", [true, true, true]),
            ("always_off", "", [false, false, false]),
            ("parentbased_always_on", "", [true, false, true]),
            ("parentbased_always_off", "", [false, false, true]),
            ("traceidratio", "", [true, true, true]),
            ("traceidratio", "0", [false, false, false]),
            ("parentbased_traceidratio", "0.0", [false, false, true]),
            ("parentbased_traceidratio", "1", [true, false, true]),
        ] {
            let (sampler, problem) = sampler(name, argument);
            assert_eq!(problem, None, "{name}");
            let outcome =
                [None, Some(false), Some(true)].map(|parent| sampler.refuses(7, parent).is_none());
            assert_eq!(outcome, expected, "{name} {argument}");
        }
    }

    #[test]
    fn a_ratio_compares_the_lowest_bits_of_the_id() {
        let (half, _) = sampler("traceidratio", "0.5");
        for (low, is_sampled) in [
            (0_u64, true),
            (0x7fff_ffff_ffff_ffff, true),
            (0x8000_0000_0000_0000, false),
            (0xffff_ffff_ffff_ffff, false),
        ] {
            let id = u128::from(u64::MAX) << 64 | u128::from(low);
            assert_eq!(half.refuses(id, None).is_none(), is_sampled, "{low:x}");
        }
    }

    #[test]
    fn what_is_not_supported_is_reported_and_replaced_by_the_default() {
        for name in ["jaeger_remote", "parentbased_xray", "ALWAYS_ON", "parentbased_", "\x1b"] {
            let (sampler, problem) = sampler(name, "");
            assert_eq!(sampler, Sampler::DEFAULT, "{name}");
            let problem = problem.expect("a problem");
            assert!(problem.contains("OTEL_TRACES_SAMPLER is ignored"), "{problem}");
            assert!(!problem.contains('\x1b'), "{problem}");
        }
        for argument in ["2", "-1", "NaN", "x"] {
            let (sampler, problem) = sampler("traceidratio", argument);
            assert_eq!(sampler.refuses(u128::MAX, None), None, "{argument}");
            let problem = problem.expect("a problem");
            assert!(problem.contains("_ARG is ignored") && problem.contains(argument), "{problem}");
        }
    }
}
