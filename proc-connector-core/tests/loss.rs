//! Gaps in the sequence numbers of a CPU.

use proc_connector_core::CpuSequence;

#[test]
fn missing_numbers_are_counted_at_the_next_number() {
    // Sequence numbers of one CPU in order, with the count of missing numbers before each.
    let cases: [&[(u32, u32)]; 6] = [
        // Losses before the first number are unknown.
        &[(0, 0)],
        &[(4711, 0)],
        &[(7, 0), (8, 0), (9, 0)],
        &[(7, 0), (10, 2), (11, 0), (13, 1)],
        // The kernel's counter wraps.
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
fn each_cpu_has_its_own_counter() {
    let mut cpus = [CpuSequence::default(); 2];
    assert_eq!(cpus[0].observe(5), 0);
    assert_eq!(cpus[1].observe(900), 0);
    assert_eq!(cpus[0].observe(6), 0);
    assert_eq!(cpus[1].observe(902), 1);
    assert_ne!(cpus[0], cpus[1]);
}
