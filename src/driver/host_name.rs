//! The name of this host, for the default instance id.
//!
//! Not worth a dependency: it is only shown to operators, and the standard library reads it where
//! services mostly run.

/// From the kernel (Linux), else from the environment, else `localhost`.
pub(crate) fn host_name() -> String {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let environment = || {
        ["HOSTNAME", "COMPUTERNAME", "HOST"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
    };
    kernel()
        .or_else(environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
