//! Processes that behave in every way, and a record of what each of them did.

pub(crate) mod ends;
pub(crate) mod execs;
pub(crate) mod families;
pub(crate) mod generator;
pub(crate) mod identity;
pub(crate) mod line;
pub(crate) mod programs;
pub(crate) mod reuse;
pub(crate) mod stage;
pub(crate) use proc_connector::testing::behaviour as sys;
pub(crate) mod thread_execs;
pub(crate) mod threads;
pub(crate) mod traced;
pub(crate) mod truth;

use self::stage::Stage;

/// Creates processes of one kind, waits for their ends, and prints their records.
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Stage),
    pub(crate) needs: &'static [Need],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The user id 0 with its capabilities.
    Root,
    /// [`Programs`](programs::Programs) that this machine can execute.
    Programs,
}

/// Behaviours that have the same needs: `behaviours![&[Root]; one, other]`.
macro_rules! behaviours {
    ($needs:expr; $($run:ident),* $(,)?) => {
        &[$($crate::behaviour::Behaviour { name: stringify!($run), run: $run, needs: $needs }),*]
    };
}
pub(crate) use behaviours;

const ALL: &[&[Behaviour]] = &[
    ends::PLAIN,
    ends::WITH_PROGRAMS,
    threads::PLAIN,
    thread_execs::WITH_PROGRAMS,
    execs::PLAIN,
    execs::WITH_PROGRAMS,
    families::PLAIN,
    families::WITH_PROGRAMS,
    families::AS_ROOT,
    reuse::AS_ROOT,
    reuse::AS_ROOT_WITH_PROGRAMS,
    traced::PLAIN,
    traced::WITH_PROGRAMS,
    identity::PLAIN,
    identity::AS_ROOT,
    identity::AS_ROOT_WITH_PROGRAMS,
];

/// The behaviours whose needs this process and this machine meet.
pub(crate) fn possible() -> Vec<&'static Behaviour> {
    let is_met = |need: &Need| match need {
        Need::Root => nix::unistd::geteuid().is_root(),
        Need::Programs => programs::ARE_SUPPORTED,
    };
    let all = ALL.iter().flat_map(|group| group.iter());
    all.filter(|behaviour| behaviour.needs.iter().all(is_met)).collect()
}
