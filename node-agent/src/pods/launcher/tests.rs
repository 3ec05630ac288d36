//! Who waits for whom.

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_probes_command_does_not_wait_behind_starts_and_removals() {
    let folder = tempfile::tempdir().expect("a folder");
    let launcher = Launcher::new(folder.path().join("nobody.sock"), Vec::new());
    let all = u32::try_from(CONNECTIONS_MAX).expect("few");
    let _busy = launcher.inner.turns.try_acquire_many(all).expect("nothing is under way");
    let asked = timeout(PATIENCE, launcher.run("app", vec!["true".into()], PATIENCE)).await;
    assert!(matches!(asked, Ok(Err(LauncherError::Client(_)))), "{asked:?}");
}
