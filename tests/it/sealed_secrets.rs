//! Secrets at rest: sealed by a key that the store does not have, resealed by a newer one, of no use elsewhere.

use std::io::Write;
use std::process::{Command, Stdio};

use campanile_tests::binary::{Process, campanile};
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;

const CANARY: &str = "canary-4f1c9a77e2";

fn new_key() -> String {
    let output = Command::new(campanile()).args(["secret", "new-key"]).output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn set(process: &Process, name: &str, value: &str) -> (bool, String) {
    let mut child = Command::new(campanile())
        .args(["--server", &process.grpc, "secret", "set", name, "--host", "127.0.0.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("its input").write_all(value.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn kept(running: &Running) -> Vec<Vec<u8>> {
    match &running.redis {
        Some(redis) => vec![redis.dump()],
        None => std::fs::read_dir(running.folder.path())
            .expect("a folder")
            .map_while(Result::ok)
            .map(|file| std::fs::read(file.path()).expect("a file"))
            .collect(),
    }
}

fn shows(kept: &[Vec<u8>], text: &str) -> bool {
    kept.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

async fn a_secret_is_sealed_and_still_sent(running: Running) {
    let target = Target::start().await;
    let (done, told) = set(&running.processes[0], "KEY", CANARY);
    assert!(done && !told.contains(CANARY), "{told}");
    running
        .activate(&format!(
            "id: sealed\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{}\", headers: {{x-key: \"{{{{ secret.KEY }}}}\"}}, data: {{a: b}}}}\n",
            target.url("/sealed")
        ))
        .await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    assert_eq!(target.wait_for(1).await[0].header("x-key"), CANARY);
    let kept = kept(&running);
    assert!(shows(&kept, "sealed"), "the campaign at least is kept");
    assert!(!shows(&kept, CANARY), "the secret is kept as it is");
}

fn settings(folder: &tempfile::TempDir, keys: &[&str]) -> String {
    let file = folder.path().join("keys");
    std::fs::write(&file, keys.join("\n")).expect("written");
    format!("[secrets]\nkey_file = {:?}\n[network]\ndev = true\n", file.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sealed_and_still_sent_on_sqlite() {
    a_secret_is_sealed_and_still_sent(Running::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sealed_and_still_sent_on_redis() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(&folder, &[&new_key()]);
    a_secret_is_sealed_and_still_sent(Running::redis_set(folder, &settings).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_no_secret_enters_a_redis() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::redis_set(folder, "").await;
    let (done, told) = set(&running.processes[0], "KEY", CANARY);
    assert!(!done && told.contains("secrets.key_file"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_changed_one_step_after_the_other() {
    let (old, new) = (new_key(), new_key());
    let folder = tempfile::tempdir().expect("a folder");
    let both = settings(&folder, &[&old]);
    let mut running = Running::redis_set(folder, &both).await;
    assert!(set(&running.processes[0], "KEY", CANARY).0);
    let rotate = |process: &Process| {
        let output = Command::new(campanile())
            .args(["--server", &process.grpc, "--json", "secret", "rotate-key"])
            .output();
        let output = output.expect("the binary runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let restart = async |running: &mut Running, keys: &[&str]| {
        std::fs::write(running.folder.path().join("keys"), keys.join("\n")).expect("written");
        let config = running.folder.path().join("campanile.toml").display().to_string();
        running.processes[0] = Process::start("control", &running.store, &["--config", &config]);
    };
    restart(&mut running, &[&new, &old]).await;
    assert_eq!(rotate(&running.processes[0]), (true, r#"{"reencrypted":1}"#.to_owned()));
    assert_eq!(rotate(&running.processes[0]), (true, "{}".to_owned()), "nothing is left to do");
    restart(&mut running, &[&new]).await;
    assert_eq!(rotate(&running.processes[0]), (true, "{}".to_owned()), "the new key alone opens it");
    restart(&mut running, &[&old]).await;
    let (done, told) = rotate(&running.processes[0]);
    assert!(!done && told.contains("not in the key file") && !told.contains(CANARY), "{told}");
}
