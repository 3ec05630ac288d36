//! Conditions in a status: a list with one entry per type, whose transition time moves only when its status does.

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a condition is to say.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'a> {
    /// Which one.
    pub condition_type: &'a str,
    /// True, False or Unknown.
    pub status: &'a str,
    /// One word in CamelCase.
    pub reason: &'a str,
    /// One sentence.
    pub message: &'a str,
}

/// The time as the API writes it, in whole seconds.
pub fn time(at: Timestamp) -> String {
    let seconds = Timestamp::from_second(at.as_second()).unwrap_or(at);
    seconds.to_string()
}

/// The entry of a type.
pub fn find<'a>(conditions: &'a [Value], condition_type: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["type"] == condition_type)
}

/// Puts a condition into the list. Returns whether it says anything new.
pub fn set(conditions: &mut Vec<Value>, wanted: Condition<'_>, now: Timestamp) -> bool {
    let at = conditions.iter().position(|condition| condition["type"] == wanted.condition_type);
    let Some(at) = at else {
        conditions.push(json!({
            "type": wanted.condition_type,
            "status": wanted.status,
            "reason": wanted.reason,
            "message": wanted.message,
            "lastTransitionTime": time(now),
        }));
        return true;
    };
    let old = &mut conditions[at];
    let turned = old["status"] != wanted.status;
    let same = !turned && old["reason"] == wanted.reason && old["message"] == wanted.message;
    if same {
        return false;
    }
    old["reason"] = wanted.reason.into();
    old["message"] = wanted.message.into();
    if turned {
        old["status"] = wanted.status.into();
        old["lastTransitionTime"] = time(now).into();
    }
    true
}
