//! How many events each cgroup may cause in a second.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;

use proc_connector_sys as uapi;

use super::super::asm::{Alu, Assembler, Cond, Label, Reg, Size, Width};
use super::super::layout::{SCRATCH_2, SHARE, Word};
use super::cgroups::CgroupPlan;
use super::table::{insert, look_up};
use crate::stats::ShareLoss;
use crate::sys::{HashTable, WhenFull};
use Reg::{R0, R1, R2, R9, R10};

/// The shares of the cgroups that caused events lately.
#[derive(Debug)]
pub(super) struct Shares {
    plan: CgroupPlan,
    events: NonZeroU32,
    /// Of each cgroup: the second, the number of events in it, and the number of lost events.
    used: HashTable<3>,
}

/// How many cgroups are counted at a time.
const CGROUPS: u32 = 8192;

/// The length of a period is 2^30 ns, slightly more than a second.
const PERIOD_SHIFT: i32 = 30;

/// Offsets in a value.
const PERIOD: i16 = 0;
const COUNT: i16 = 8;
const LOST: i16 = 16;

impl Shares {
    pub(super) fn new(plan: CgroupPlan, events: NonZeroU32) -> io::Result<Self> {
        let used = HashTable::new(CGROUPS, WhenFull::Evict, c"proc_shares")?;
        Ok(Self { plan, events, used })
    }

    /// The cgroups that have lost events.
    pub(super) fn losses(&self) -> Vec<ShareLoss> {
        let keys = self.used.keys().unwrap_or_default().into_iter();
        let losses = keys.filter_map(|cgroup_id| {
            let [_, _, lost] = self.used.get(cgroup_id).ok()??;
            Some(ShareLoss { cgroup_id, lost }).filter(|_| lost > 0)
        });
        losses.collect()
    }

    /// As a positive operand.
    fn limit(&self) -> i32 {
        i32::try_from(self.events.get()).unwrap_or(i32::MAX)
    }

    /// Emits code that jumps to `lost` if the cgroup of the task has used up its share. Events in the
    /// same moment on several CPUs can exceed a share by their number.
    pub(super) fn check(&self, asm: &mut Assembler, lost: Label) {
        let (known, counted, over, done) = (asm.label(), asm.label(), asm.label(), asm.label());
        asm.call(uapi::BPF_FUNC_ktime_get_boot_ns);
        asm.alu(Width::W64, Alu::Rsh, R0, PERIOD_SHIFT);
        asm.store(Size::Double, R10, SCRATCH_2, R0);
        self.plan.store_id(asm, done);
        look_up(asm, self.used.as_fd());
        asm.branch(Width::W64, Cond::Ne, R0, 0, known);
        asm.load(Size::Double, R1, R10, SCRATCH_2);
        asm.store(Size::Double, R10, SHARE + PERIOD, R1);
        asm.store(Size::Double, R10, SHARE + COUNT, 1);
        asm.store(Size::Double, R10, SHARE + LOST, 0);
        insert(asm, self.used.as_fd(), SHARE);
        asm.jump(done);

        asm.bind(known);
        asm.load(Size::Double, R1, R10, SCRATCH_2);
        asm.load(Size::Double, R2, R0, PERIOD);
        asm.branch(Width::W64, Cond::Eq, R1, R2, counted);
        asm.store(Size::Double, R0, PERIOD, R1);
        asm.store(Size::Double, R0, COUNT, 0);
        asm.bind(counted);
        asm.mov(R1, 1);
        asm.atomic_add_double(R0, COUNT, R1);
        asm.load(Size::Double, R2, R0, COUNT);
        asm.branch(Width::W64, Cond::Gt, R2, self.limit(), over);
        asm.jump(done);
        asm.bind(over);
        asm.atomic_add_double(R0, LOST, R1);
        asm.atomic_add(R9, Word::OverShare.offset(), R1);
        asm.jump(lost);
        asm.bind(done);
    }
}
