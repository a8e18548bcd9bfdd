//! Resolving jumps, and leaving out what no jump reaches.

use proc_connector_sys as uapi;

use crate::sys::Instruction;

/// Why a program cannot be assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AssemblyError {
    /// The target of a jump was never bound.
    UnboundLabel,
    /// The distance of a jump does not fit 16 bits.
    JumpTooFar,
    /// The filter's classic BPF has an instruction that cannot be translated.
    UnsupportedFilter,
}

pub(super) const JUMP: u32 = uapi::BPF_JMP | uapi::BPF_JA;
pub(super) const EXIT: u32 = uapi::BPF_JMP | uapi::BPF_EXIT;
/// Occupies two instructions.
pub(super) const WIDE_LOAD: u32 = uapi::BPF_LD | uapi::BPF_IMM | uapi::BPF_DW;

/// Sets the distances of the jumps. `targets` has the place to which each instruction jumps.
pub(super) fn link(
    code: Vec<Instruction>,
    targets: &[Option<usize>],
) -> Result<Vec<Instruction>, AssemblyError> {
    let reachable = reachable(&code, targets);
    // The new position of each instruction, or of the next one if it is left out.
    let mut len = 0;
    let mut positions: Vec<usize> = Vec::with_capacity(code.len());
    for &is_kept in &reachable {
        positions.push(len);
        len += usize::from(is_kept);
    }
    positions.push(len);
    let mut linked: Vec<Instruction> = Vec::with_capacity(len);
    for (at, mut instruction) in code.into_iter().enumerate() {
        if !reachable[at] {
            continue;
        }
        if let Some(target) = targets[at] {
            let to = *positions.get(target).ok_or(AssemblyError::UnboundLabel)?;
            // Relative to the instruction after the jump.
            let distance =
                i64::try_from(to).and_then(|to| Ok(to - i64::try_from(linked.len() + 1)?));
            let distance = distance.ok().and_then(|distance| i16::try_from(distance).ok());
            let distance = distance.ok_or(AssemblyError::JumpTooFar)?;
            instruction[2..4].copy_from_slice(&distance.to_ne_bytes());
        }
        linked.push(instruction);
    }
    Ok(linked)
}

/// Whether the kernel can execute each instruction.
fn reachable(code: &[Instruction], targets: &[Option<usize>]) -> Vec<bool> {
    let mut reachable = vec![false; code.len()];
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        let Some(seen) = reachable.get_mut(at) else { continue };
        if std::mem::replace(seen, true) {
            continue;
        }
        pending.extend(targets[at]);
        let [operation, ..] = code[at];
        let operation = u32::from(operation);
        if operation == WIDE_LOAD {
            if let Some(second) = reachable.get_mut(at + 1) {
                *second = true;
            }
            pending.push(at + 2);
        } else if ![JUMP, EXIT].contains(&operation) {
            pending.push(at + 1);
        }
    }
    reachable
}
