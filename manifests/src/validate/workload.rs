//! Deployments and ReplicaSets: counts, strategy, and that they select the pods that they make.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use super::view::View;
use super::{metadata, pod};
use crate::field::FieldError;
use crate::selector::Selector;

pub(super) fn check_replica_set(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    spec.field("replicas").check_at_least(0, errors);
    spec.field("minReadySeconds").check_at_least(0, errors);
    let template = spec.field("template");
    check_selector(&spec.field("selector"), &template, errors);
    pod::check_template(&template, errors);
}

pub(super) fn check_deployment(spec: &View<'_>, errors: &mut Vec<FieldError>) {
    check_replica_set(spec, errors);
    spec.field("revisionHistoryLimit").check_at_least(0, errors);
    let (ready, deadline) = (spec.field("minReadySeconds"), spec.field("progressDeadlineSeconds"));
    deadline.check_at_least(0, errors);
    if let Some(seconds) = deadline.int()
        && seconds <= ready.int().unwrap_or_default()
    {
        errors.push(deadline.invalid("must be greater than minReadySeconds"));
    }
    check_strategy(&spec.field("strategy"), errors);
}

fn check_strategy(strategy: &View<'_>, errors: &mut Vec<FieldError>) {
    let kind = strategy.field("type");
    kind.check_one_of(&["Recreate", "RollingUpdate"], errors);
    let rolling = strategy.field("rollingUpdate");
    if kind.text() == Some("Recreate") && rolling.is_set() {
        errors.push(rolling.forbidden("may not be specified when strategy `type` is Recreate"));
    }
    let (surge, unavailable) = (rolling.field("maxSurge"), rolling.field("maxUnavailable"));
    let (surge_share, unavailable_share) = (check_share(&surge, errors), check_share(&unavailable, errors));
    if let Some(Share::Percent(percent)) = unavailable_share
        && percent > 100
    {
        errors.push(unavailable.invalid("must not be greater than 100%"));
    }
    let zero = |share: Option<Share>| matches!(share, Some(Share::Count(0) | Share::Percent(0)));
    if zero(surge_share) && zero(unavailable_share) {
        errors.push(unavailable.invalid("may not be 0 when `maxSurge` is 0: nothing could ever be replaced"));
    }
}

/// A count of pods, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Count(i64),
    Percent(u32),
}

fn check_share(view: &View<'_>, errors: &mut Vec<FieldError>) -> Option<Share> {
    view.check_at_least(0, errors);
    if let Some(count) = view.int() {
        return Some(Share::Count(count));
    }
    let digits = view.text()?.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok()).map(Share::Percent);
    if percent.is_none() {
        errors.push(view.invalid("must be a whole number, or a percentage such as 25%"));
    }
    percent
}

/// A selector must read, must not select everything, and must select the template's labels.
fn check_selector(selector: &View<'_>, template: &View<'_>, errors: &mut Vec<FieldError>) {
    let Some(value) = selector.value() else { return };
    metadata::check_labels(&selector.field("matchLabels"), errors);
    // What does not read as a LabelSelector is told by the schema.
    let Ok(read) = LabelSelector::deserialize(value) else { return };
    let read = match Selector::from_label_selector(&read) {
        Ok(read) => read,
        Err(error) => {
            errors.push(selector.field("matchExpressions").invalid(error.to_string()));
            return;
        }
    };
    if read.is_everything() {
        errors.push(selector.invalid("must not be empty: it would select every pod"));
        return;
    }
    let labels = template.field("metadata").field("labels");
    if template.is_set() && !read.matches_with(|key| labels.field(key).text()) {
        let shown = labels.value().unwrap_or(&Value::Null);
        let detail = format!("`selector` ({read}) does not match template `labels`");
        errors.push(FieldError::invalid(labels.path.clone(), shown, detail));
    }
}
