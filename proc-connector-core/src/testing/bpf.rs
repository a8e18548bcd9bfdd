//! An interpreter of classic BPF programs.

use proc_connector_sys::sock_filter;

/// Runs a classic BPF program on a datagram, as `Documentation/networking/filter.rst` defines it.
pub fn run(program: &[sock_filter], datagram: &[u8]) -> u32 {
    let (mut a, mut x, mut at) = (0u32, 0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut jump_if = |yes: bool| at += usize::from(if yes { jt } else { jf });
        match code {
            0x20 => {
                let Some(word) = datagram.get(k as usize..).and_then(|rest| rest.first_chunk())
                else {
                    return 0;
                };
                a = u32::from_be_bytes(*word);
            }
            0x07 => x = a,
            0x05 => at += k as usize,
            0x15 => jump_if(a == k),
            0x1d => jump_if(a == x),
            0x35 => jump_if(a >= k),
            0x45 => jump_if(a & k != 0),
            0x74 => a >>= k,
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}
