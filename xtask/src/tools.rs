//! Programs that tests and demos need from outside: installed where that is known to work, else named with what to type.

use crate::shell::{is_there, run, say};

/// A real `redis-server`: tests never fake one.
pub(crate) fn redis_server() -> Result<(), String> {
    if is_there("redis-server") {
        return Ok(());
    }
    apt_install("redis-server").map_err(|why| {
        format!("redis-server is missing and could not be installed ({why}); install Redis 7.0 or later, or Valkey, so that redis-server is in PATH")
    })
}

/// Installs a Debian package as root, without its service: `policy-rc.d` is not ours to write, so a service that starts is stopped.
fn apt_install(package: &str) -> Result<(), String> {
    if !is_there("apt-get") {
        return Err("no apt-get here".to_owned());
    }
    say(&format!("installing {package} by apt"));
    let as_root = |arguments: &[&str]| match run("apt-get", arguments) {
        Err(_) if is_there("sudo") => run("sudo", &[&["-n", "apt-get"], arguments].concat()),
        other => other,
    };
    as_root(&["update", "-q"])?;
    as_root(&["install", "-y", "-q", "--no-install-recommends", package])
}
