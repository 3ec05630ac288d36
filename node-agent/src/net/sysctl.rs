//! Kernel settings of the thread's network namespace, as files below `/proc/sys/net`.

use std::fs;
use std::io;

/// Whether this namespace forwards packets between its interfaces.
pub const IP_FORWARD: &str = "ipv4/ip_forward";

/// Reads a setting; `key` is a path below `/proc/sys/net`, for names of interfaces may contain dots.
pub fn read(key: &str) -> io::Result<String> {
    Ok(fs::read_to_string(format!("/proc/sys/net/{key}"))?.trim_end().to_owned())
}

/// Writes a setting, where it differs.
pub fn write(key: &str, value: &str) -> io::Result<()> {
    if read(key)? == value {
        return Ok(());
    }
    fs::write(format!("/proc/sys/net/{key}"), value)
}
