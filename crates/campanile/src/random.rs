//! Random bytes from the operating system: the only room that draws them.

/// It never fails once the machine is up.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the operating system has no random bytes");
        std::process::abort();
    }
    bytes
}

/// Even in -1 to 1.
pub fn jitter() -> f64 {
    let n = u32::from_be_bytes(random());
    f64::from(n) / f64::from(u32::MAX) * 2.0 - 1.0
}
