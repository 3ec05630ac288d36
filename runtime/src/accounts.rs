//! Looking up a user in the container's own `/etc/passwd` and `/etc/group` (passwd(5), group(5)), from inside it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::plan::UserPlan;
use crate::protocol::Failure;
use crate::rootfs::Rootfs;

#[cfg(test)]
mod tests;

/// How much of an account file is read. They are an image's to fill: a bound keeps a hostile one harmless.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A user by number, with a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) additional_gids: Vec<u32>,
    pub(crate) home: String,
}

/// Resolves `user` against the files of the caller's own root.
pub(crate) fn resolve(user: &UserPlan) -> Result<Account, Failure> {
    look_up(user, &read("/etc/passwd"), &read("/etc/group"))
}

/// An absent or unreadable file is an empty one: many images have none.
fn read(path: &str) -> String {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened =
        Rootfs::open(Path::new("/")).and_then(|root| root.open_inside(Path::new(path), flags, Mode::empty()));
    let mut bytes = Vec::new();
    let read = opened
        .map_err(Errno::into)
        .and_then(|fd| File::from(fd).take(FILE_MAX_BYTES).read_to_end(&mut bytes));
    if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

fn look_up(user: &UserPlan, passwd: &str, group: &str) -> Result<Account, Failure> {
    match user {
        UserPlan::Ids { uid, gid, additional_gids } => {
            let home =
                entry(passwd, |fields| number(fields, 2) == Some(*uid)).and_then(|fields| text(&fields, 5));
            let additional_gids = additional_gids.clone();
            Ok(Account { uid: *uid, gid: *gid, additional_gids, home: home.unwrap_or("/".into()) })
        }
        UserPlan::Named { name, additional_gids } => {
            let (user, wanted_group) =
                name.split_once(':').map_or((name.as_str(), None), |(u, g)| (u, Some(g)));
            let mut account = named(user, passwd)?;
            account.additional_gids.clone_from(additional_gids);
            match wanted_group {
                Some(wanted) => account.gid = named_group(wanted, group)?,
                None => account.additional_gids.extend(memberships(user, group)),
            }
            Ok(account)
        }
    }
}

fn named(user: &str, passwd: &str) -> Result<Account, Failure> {
    let uid: Option<u32> = user.parse().ok();
    let found = entry(passwd, |fields| fields[0] == user || (uid.is_some() && number(fields, 2) == uid));
    match (found, uid) {
        (Some(fields), _) => Ok(Account {
            uid: number(&fields, 2).ok_or_else(|| no_such("user", user))?,
            gid: number(&fields, 3).unwrap_or(0),
            additional_gids: Vec::new(),
            home: text(&fields, 5).unwrap_or("/".into()),
        }),
        (None, Some(uid)) => Ok(Account { uid, gid: 0, additional_gids: Vec::new(), home: "/".into() }),
        (None, None) => Err(no_such("user", user)),
    }
}

fn named_group(wanted: &str, group: &str) -> Result<u32, Failure> {
    let by_number = || wanted.parse().ok();
    let found = entry(group, |fields| fields[0] == wanted).and_then(|fields| number(&fields, 2));
    found.or_else(by_number).ok_or_else(|| no_such("group", wanted))
}

/// The groups that list `user` as a member.
fn memberships(user: &str, group: &str) -> Vec<u32> {
    let lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let member =
        |fields: &Vec<&str>| fields.get(3).is_some_and(|names| names.split(',').any(|name| name == user));
    lines.filter(member).filter_map(|fields| number(&fields, 2)).collect()
}

fn entry(file: &str, matches: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
    file.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| matches(fields))
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

fn text(fields: &[&str], index: usize) -> Option<String> {
    fields.get(index).filter(|text| !text.is_empty()).map(|&text| text.into())
}

fn no_such(kind: &str, name: &str) -> Failure {
    Failure::BadSpec {
        field: "spec.process.user".into(),
        reason: format!("the container has no {kind} {name:?}"),
    }
}
