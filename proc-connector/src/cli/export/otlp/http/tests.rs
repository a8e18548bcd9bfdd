//! Each answer and failure of a receiver, given by a receiver in this process.

mod connection;
mod receiver;
mod status;
mod tls;

use crate::cli::export::otlp::config::{Chosen, Config, Signal, Variables};

use super::{Answer, Client, Deliver};

/// A client for an address, with further variables.
fn client(endpoint: &str, variables: &[(&str, &str)]) -> Client {
    let chosen = Chosen { endpoint: Some(endpoint), header_files: &[] };
    let config = Config::new(Signal::Logs, chosen, &Variables::of(variables));
    Client::new(config.expect("valid settings").expect("enabled"))
}

/// The reason to try again later.
#[track_caller]
fn retry(answer: Answer) -> String {
    match answer {
        Answer::Retry { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// The reason to change a setting.
#[track_caller]
fn misconfigured(answer: Answer) -> String {
    match answer {
        Answer::Misconfigured { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn accepted(rejected: u64, message: &str) -> Answer {
    Answer::Accepted { rejected, message: message.to_owned() }
}

/// Checks that a reason is one sentence with all of these parts.
#[track_caller]
fn assert_says(reason: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| reason.contains(part)), "{reason:?} lacks one of {parts:?}");
    assert!(!reason.contains('\n') && !reason.ends_with('.'), "{reason:?}");
}
