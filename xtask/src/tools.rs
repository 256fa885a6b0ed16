//! Programs that tests and demos need from outside: installed where that is known to work, else named with what to type.

use crate::shell::{is_there, run, say, succeeds};

/// A real `redis-server`: tests never fake one.
pub(crate) fn redis_server() -> Result<(), String> {
    if is_there("redis-server") {
        return Ok(());
    }
    apt_install(&["redis-server"]).map_err(|why| {
        format!("redis-server is missing and could not be installed ({why}); install Redis 7.0 or later, or Valkey, so that redis-server is in PATH")
    })
}

/// What the documentation's commands are run with.
pub(crate) fn curl() -> Result<(), String> {
    if is_there("curl") {
        return Ok(());
    }
    let why = apt_install(&["curl"]);
    why.map_err(|why| {
        format!("curl is missing and could not be installed ({why}); install it, so that curl is in PATH")
    })
}

/// A Python that makes environments (`python3 -m venv`): on Debian that is a package of its own.
pub(crate) fn python() -> Result<(), String> {
    let makes_environments =
        || succeeds("python3", &["-c", "import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 9))"]);
    if makes_environments() {
        return Ok(());
    }
    let why = match apt_install(&["python3", "python3-venv"]) {
        Ok(()) if makes_environments() => return Ok(()),
        Ok(()) => "it is older than 3.9".to_owned(),
        Err(why) => why,
    };
    Err(format!(
        "python3 with venv is missing and could not be installed ({why}); install Python 3.9 or later with its venv module, so that python3 is in PATH"
    ))
}

/// Node 18 or later, with npm.
pub(crate) fn node() -> Result<(), String> {
    let is_fit = || {
        is_there("npm")
            && succeeds(
                "node",
                &["-e", "process.exit(Number(process.versions.node.split('.')[0]) < 18 ? 1 : 0)"],
            )
    };
    if is_fit() {
        return Ok(());
    }
    let missing: &[&str] = if is_there("node") { &["npm"] } else { &["nodejs", "npm"] };
    let why = match apt_install(missing) {
        Ok(()) if is_fit() => return Ok(()),
        Ok(()) => "it is older than 18".to_owned(),
        Err(why) => why,
    };
    Err(format!(
        "node and npm are missing and could not be installed ({why}); install Node 18 or later, so that node and npm are in PATH"
    ))
}

/// The browser that the console's tests look at pages with.
pub(crate) fn chromium() -> Result<(), String> {
    if ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .any(|name| is_there(name))
    {
        return Ok(());
    }
    apt_install(&["chromium"]).map_err(|why| {
        format!("Chromium is missing and could not be installed ({why}); install it, so that chromium or google-chrome is in PATH")
    })
}

/// Installs Debian packages as root, without their services: `policy-rc.d` is not ours to write, so a service that starts is stopped.
fn apt_install(packages: &[&str]) -> Result<(), String> {
    if !is_there("apt-get") {
        return Err("no apt-get here".to_owned());
    }
    say(&format!("installing {} by apt", packages.join(", ")));
    let as_root = |arguments: &[&str]| match run("apt-get", arguments) {
        Err(_) if is_there("sudo") => run("sudo", &[&["-n", "apt-get"], arguments].concat()),
        other => other,
    };
    as_root(&["update", "-q"])?;
    as_root(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}
