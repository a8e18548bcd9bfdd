//! The part of the program that evaluates a filter's conditions on the acting task.
//!
//! | file | contents |
//! |---|---|
//! | `conditions` | users and names |
//! | `cgroups` | cgroups and those below them |
//! | `descendants` | the table of followed processes, which the program maintains |
//! | `share` | how many events each cgroup may cause in a second |
//! | `table` | access to hash tables |
//!
//! The program fills in the first part of the record, with the identity, before it evaluates these
//! conditions, in the buffer of its CPU.

mod cgroups;
mod conditions;
mod descendants;
mod share;
mod table;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use proc_connector_core::Filter;

use self::cgroups::{CgroupPlan, Cgroups};
use self::conditions::{NamePlan, UserPlan};
#[cfg(test)]
pub(super) use self::descendants::Followed;
#[cfg(test)]
use self::descendants::Since;
use self::descendants::{Descendants, FollowPlan};
use self::share::Shares;
use super::asm::{Assembler, Label};
use super::memory::KernelMemory;
use super::reason::RingError;
use crate::stats::ShareLoss;
use crate::transport_kind::NoRing;

/// How the program can read what conditions compare, on this kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct ChoicePlan {
    users: Option<UserPlan>,
    names: Option<NamePlan>,
    cgroups: Option<CgroupPlan>,
    descendants: Option<FollowPlan>,
}

/// The conditions of one filter, with their tables.
#[derive(Debug, Default)]
pub(super) struct Choice {
    filter: Filter,
    users: Option<UserPlan>,
    names: Option<NamePlan>,
    cgroups: Option<Cgroups>,
    descendants: Option<Descendants>,
    shares: Option<Shares>,
    /// Whether this is not the choice before the first filter.
    is_prepared: bool,
}

/// Limits that a caller can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most processes that are followed at a time.
    pub(crate) followed: u32,
    /// The most events that a cgroup may cause in a second.
    pub(crate) share: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { followed: 1 << 15, share: None }
    }
}

impl ChoicePlan {
    pub(super) fn detect(memory: &KernelMemory) -> Self {
        let names = NamePlan::detect(memory);
        Self {
            users: UserPlan::detect(memory),
            names,
            cgroups: CgroupPlan::detect(memory),
            descendants: FollowPlan::detect(memory, names),
        }
    }

    /// Prepares the conditions of `filter`, in place of `present`.
    pub(super) fn prepare(
        &self,
        filter: &Filter,
        limits: Limits,
        present: &Choice,
    ) -> Result<Choice, RingError> {
        fn required<T: Clone>(plan: Option<&T>) -> Result<T, RingError> {
            plan.cloned().ok_or(RingError::new(NoRing::NoTaskFilter))
        }
        let map_error = |error: std::io::Error| RingError::from_map_error(&error);
        let mut choice = Choice { filter: filter.clone(), is_prepared: true, ..Choice::default() };
        if !filter.users().is_empty() {
            choice.users = Some(required(self.users.as_ref())?);
        }
        if !filter.names().is_empty() {
            choice.names = Some(required(self.names.as_ref())?);
        }
        if !filter.cgroups().is_empty() {
            let plan = required(self.cgroups.as_ref())?;
            choice.cgroups = Some(Cgroups::new(plan, filter.cgroups()).map_err(map_error)?);
        }
        if filter.selects_descendants() {
            choice.descendants = match &present.descendants {
                Some(descendants) if has_all_roots(filter, &present.filter) => {
                    Some(descendants.clone())
                }
                _ => {
                    let plan = required(self.descendants.as_ref())?;
                    let new = Descendants::new(plan, limits.followed).map_err(map_error)?;
                    if present.is_prepared {
                        new.seed_early(filter);
                    }
                    Some(new)
                }
            };
        }
        if let Some(share) = limits.share {
            let plan = required(self.cgroups.as_ref())?;
            choice.shares = Some(Shares::new(plan, share).map_err(map_error)?);
        }
        Ok(choice)
    }
}

/// Whether processes that `old` selects as descendants are descendants for `new` as well.
fn has_all_roots(new: &Filter, old: &Filter) -> bool {
    old.roots().iter().all(|root| new.roots().contains(root))
        && old.root_names().iter().all(|name| new.root_names().contains(name))
}

impl Choice {
    /// Whether there is anything to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        !self.filter.selects_tasks() && self.shares.is_none()
    }

    /// Follows the processes in `/proc` that the filter selects as descendants. Returns the number of
    /// those that do not fit the table.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`](crate::Error::NoSuchProcess) if a root has ended, and errors of
    /// reading `/proc`.
    pub(super) fn seed(&self) -> crate::error::Result<u32> {
        self.descendants.as_ref().map_or(Ok(0), |descendants| descendants.seed(&self.filter))
    }

    /// The table of followed processes.
    #[cfg(test)]
    pub(super) fn followed(&self) -> Option<&Followed> {
        self.descendants.as_ref().map(Descendants::followed)
    }

    /// The cgroups that have exceeded their share.
    pub(super) fn share_losses(&self) -> Vec<ShareLoss> {
        self.shares.as_ref().map(Shares::losses).unwrap_or_default()
    }

    /// Emits code that initializes the variables of the other parts.
    pub(super) fn initialize(&self, asm: &mut Assembler) {
        if self.descendants.is_some() {
            Descendants::prepare(asm);
        }
    }

    /// Emits code that jumps to `unwanted` if the event cannot concern a followed process.
    pub(super) fn reject(&self, asm: &mut Assembler, unwanted: Label) {
        if let Some(descendants) = &self.descendants {
            descendants.reject(asm, &self.filter, unwanted);
        }
    }

    /// Emits code that updates the followed processes with any event, and jumps to `unwanted` if the
    /// acting process is not followed.
    pub(super) fn follow(&self, asm: &mut Assembler, unwanted: Label) {
        if let Some(descendants) = &self.descendants {
            descendants.follow(asm, &self.filter, unwanted);
        }
    }

    /// Emits code that evaluates the other conditions, and jumps to `over_share` if the cgroup has used
    /// up its share.
    pub(super) fn evaluate(&self, asm: &mut Assembler, unwanted: Label, over_share: Label) {
        if let Some(users) = &self.users {
            users.check(asm, self.filter.users(), unwanted);
        }
        if let Some(names) = &self.names {
            names.check(asm, self.filter.names(), unwanted);
        }
        if let Some(cgroups) = &self.cgroups {
            cgroups.check(asm, unwanted);
        }
        if let Some(shares) = &self.shares {
            shares.check(asm, over_share);
        }
    }

    /// Emits code that removes a followed process if it is over after this event. The record in `R7`
    /// has the state.
    pub(super) fn retire(&self, asm: &mut Assembler) {
        if let Some(descendants) = &self.descendants {
            descendants.retire(asm);
        }
    }

    /// Whether processes are followed.
    pub(super) fn follows(&self) -> bool {
        self.descendants.is_some()
    }
}
