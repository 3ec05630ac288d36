use super::*;

#[test]
fn the_default_profile_compiles_and_is_compiled_once() {
    let mut cache = Cache::default();
    let profile = crate::defaults::seccomp(&[]);
    let program = cache.program(&profile).expect("the default profile compiles");
    assert!(program.len().is_multiple_of(crate::sys::seccomp::INSTRUCTION_BYTES) && program.len() > 1000);
    let again = cache.program(&profile).expect("the default profile compiles");
    assert!(Arc::ptr_eq(&program, &again));
}

#[test]
fn a_capability_changes_the_filter() {
    let plain = compile(&crate::defaults::seccomp(&[])).expect("compiles");
    let admin = compile(&crate::defaults::seccomp(&["CAP_SYS_ADMIN"])).expect("compiles");
    assert_ne!(plain, admin);
}

#[test]
fn a_notifying_profile_is_refused() {
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActNotify);
    assert!(matches!(compile(&profile), Err(Failure::BadSpec { .. })));
}
