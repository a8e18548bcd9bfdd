//! Gaps in the sequence numbers of a CPU.

use proc_connector_core::CpuSequence;

#[test]
fn numbers_that_never_came_are_counted_where_the_next_one_comes() {
    // Sequence numbers of one CPU in their order, and how many are missing before each.
    let cases: [&[(u32, u32)]; 6] = [
        // What was sent before the first one seen cannot be known.
        &[(0, 0)],
        &[(4711, 0)],
        &[(7, 0), (8, 0), (9, 0)],
        &[(7, 0), (10, 2), (11, 0), (13, 1)],
        // The kernel's count wraps.
        &[(u32::MAX - 1, 0), (u32::MAX, 0), (0, 0), (1, 0)],
        &[(u32::MAX - 1, 0), (2, 3), (3, 0)],
    ];
    for case in cases {
        let mut cpu = CpuSequence::default();
        for &(seq, missing) in case {
            assert_eq!(cpu.observe(seq), missing, "{seq} of {case:?}");
        }
    }
}

#[test]
fn each_cpu_counts_for_itself() {
    let mut cpus = [CpuSequence::default(); 2];
    assert_eq!(cpus[0].observe(5), 0);
    assert_eq!(cpus[1].observe(900), 0);
    assert_eq!(cpus[0].observe(6), 0);
    assert_eq!(cpus[1].observe(902), 1);
    assert_ne!(cpus[0], cpus[1]);
}
