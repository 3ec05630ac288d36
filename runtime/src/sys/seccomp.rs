//! Loading a compiled filter into the calling process.

use nix::errno::Errno;

/// One instruction of classic BPF, as the kernel reads it.
pub(crate) const INSTRUCTION_BYTES: usize = size_of::<libc::sock_filter>();

/// Installs `program` for this process and all its descendants, for ever.
pub(crate) fn load(program: &[u8]) -> Result<(), Errno> {
    let mut filter: Vec<libc::sock_filter> = program
        .chunks_exact(INSTRUCTION_BYTES)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let len = u16::try_from(filter.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: the program points to `len` instructions that outlive the call; the kernel copies and verifies them.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })
    .map(drop)
}
