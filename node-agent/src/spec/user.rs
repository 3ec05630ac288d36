//! Whom a container runs as. Pure: the image's account files come in as text.

use k8s_openapi::api::core::v1::{Container, Pod};
use oci_spec::runtime::User;
use runtime::image::ImageConfig;

/// An image's `/etc/passwd` and `/etc/group`; empty where it has none.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// `name:password:uid:gid:…` lines.
    pub passwd: String,
    /// `name:password:gid:members` lines.
    pub group: String,
}

/// A user that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    /// The image has no such user or group.
    #[error("the image has no {what} named {name}")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An id that the kernel does not have.
    #[error("{field}: {value} is not a user or group id")]
    BadId {
        /// The field of the pod.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// `runAsNonRoot` is set and the container would be root.
    #[error("container has runAsNonRoot and its image will run as root; set runAsUser to another user")]
    Root,
}

/// The image's user, unless the pod says another.
///
/// # Errors
/// When a named user is not the image's, an id is none, or the pod forbids root and it would be root.
pub fn user(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
    accounts: &Accounts,
) -> Result<User, UserError> {
    let own = container.security_context.as_ref();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let said_uid = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
    let said_gid = own.and_then(|own| own.run_as_group).or(of_pod.and_then(|pod| pod.run_as_group));
    let (mut uid, mut gid) = image_user(&image.user, accounts)?;
    if let Some(said) = said_uid {
        uid = id("runAsUser", said)?;
        gid = primary_group(accounts, uid).unwrap_or(0);
    }
    if let Some(said) = said_gid {
        gid = id("runAsGroup", said)?;
    }
    let non_root = own.and_then(|own| own.run_as_non_root).or(of_pod.and_then(|pod| pod.run_as_non_root));
    if non_root == Some(true) && uid == 0 {
        return Err(UserError::Root);
    }
    let mut groups = Vec::new();
    for group in of_pod.and_then(|pod| pod.supplemental_groups.as_ref()).into_iter().flatten() {
        groups.push(id("supplementalGroups", *group)?);
    }
    if let Some(group) = of_pod.and_then(|pod| pod.fs_group) {
        groups.push(id("fsGroup", group)?);
    }
    let mut user = User::default();
    user.set_uid(uid).set_gid(gid).set_additional_gids((!groups.is_empty()).then_some(groups));
    Ok(user)
}

/// `user`, `uid`, `user:group` or `uid:gid`; empty is root.
fn image_user(text: &str, accounts: &Accounts) -> Result<(u32, u32), UserError> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let unknown = |what, name: &str| UserError::Unknown { what, name: name.to_owned() };
    let (uid, mut gid) = match user.parse::<u32>() {
        _ if user.is_empty() => (0, 0),
        Ok(uid) => (uid, primary_group(accounts, uid).unwrap_or(0)),
        Err(_) => named(&accounts.passwd, user).ok_or_else(|| unknown("user", user))?,
    };
    if !group.is_empty() {
        gid = match group.parse() {
            Ok(gid) => gid,
            Err(_) => named(&accounts.group, group).ok_or_else(|| unknown("group", group))?.0,
        };
    }
    Ok((uid, gid))
}

/// The third and, where it is a number, the fourth field of the line that begins with `name`.
fn named(lines: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = lines
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.skip(1)))?;
    let first = fields.next()?.parse().ok()?;
    Some((first, fields.next().and_then(|text| text.parse().ok()).unwrap_or(0)))
}

fn primary_group(accounts: &Accounts, uid: u32) -> Option<u32> {
    let uid = uid.to_string();
    accounts.passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.get(2) == Some(&uid.as_str()) { fields.get(3)?.parse().ok() } else { None }
    })
}

fn id(field: &'static str, value: i64) -> Result<u32, UserError> {
    // The largest is "no change" to the kernel.
    u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or(UserError::BadId { field, value })
}
