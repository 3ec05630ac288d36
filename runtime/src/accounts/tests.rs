use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:1000::/var/lib/redis:/bin/false\nbroken\n";
const GROUP: &str = "root:x:0:\nredis:x:1000:\ndisk:x:6:redis,other\n";

fn named_user(name: &str) -> UserPlan {
    UserPlan::Named { name: name.into(), additional_gids: vec![] }
}

#[test]
fn a_name_is_found_with_its_groups_and_home() {
    let account = look_up(&named_user("redis"), PASSWD, GROUP).expect("is there");
    let home = "/var/lib/redis".into();
    assert_eq!(account, Account { uid: 999, gid: 1000, additional_gids: vec![6], home });
}

#[test]
fn a_named_group_replaces_the_users_own() {
    let account = look_up(&named_user("redis:disk"), PASSWD, GROUP).expect("is there");
    assert_eq!((account.gid, account.additional_gids), (6, vec![]));
    assert_eq!(look_up(&named_user("0:77"), PASSWD, GROUP).expect("numbers need no entry").gid, 77);
}

#[test]
fn an_unknown_number_is_a_user_without_a_home() {
    let account = look_up(&named_user("4711"), PASSWD, GROUP).expect("numbers need no entry");
    assert_eq!((account.uid, account.gid, account.home.as_str()), (4711, 0, "/"));
}

#[test]
fn an_unknown_name_is_refused() {
    assert!(matches!(look_up(&named_user("nobody-here"), PASSWD, GROUP), Err(Failure::BadSpec { .. })));
    assert!(matches!(look_up(&named_user("redis:none"), PASSWD, GROUP), Err(Failure::BadSpec { .. })));
}

#[test]
fn numbers_of_a_known_user_find_its_home() {
    let ids = UserPlan::Ids { uid: 0, gid: 0, additional_gids: vec![] };
    assert_eq!(look_up(&ids, PASSWD, GROUP).expect("numbers need no entry").home, "/root");
}
