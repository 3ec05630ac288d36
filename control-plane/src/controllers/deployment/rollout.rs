//! How many replicas each set should have now: one step of the change-over from the old sets to the current one.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use manifests::pod::is_terminal;

use super::{DESIRED_REPLICAS, MAX_REPLICAS, Set, View, annotated_number, template};
use crate::change::Change;
use crate::controllers::Plan;

/// How many pods above, and how many available ones below `replicas` there may be. Shares round up above and down
/// below; both may not be nothing, or nothing could ever move.
pub(super) fn bounds(
    max_surge: Option<&IntOrString>,
    max_unavailable: Option<&IntOrString>,
    replicas: usize,
) -> (usize, usize) {
    let quarter = IntOrString::String("25%".into());
    let surge = share(max_surge.unwrap_or(&quarter), replicas, usize::div_ceil);
    let unavailable = share(max_unavailable.unwrap_or(&quarter), replicas, |a, b| a / b).min(replicas);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

fn share(amount: &IntOrString, whole: usize, divide: fn(usize, usize) -> usize) -> usize {
    match amount {
        IntOrString::Int(count) => usize::try_from(*count).unwrap_or_default(),
        IntOrString::String(text) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap_or_default();
            divide(percent.saturating_mul(whole), 100)
        }
    }
}

/// Whether somebody scaled the Deployment since its sets were last scaled.
pub(super) fn was_rescaled(view: &View<'_>) -> bool {
    let is_other = |set: &Set<'_>| {
        annotated_number(set.stored, DESIRED_REPLICAS).is_some_and(|desired| desired != view.spec.replicas)
    };
    view.sets.iter().filter(|set| set.replicas > 0).any(is_other)
}

/// Takes a new number of replicas to the sets, or shares it out between them in the midst of a change-over.
pub(super) fn plan_rescale(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    let active: Vec<&Set<'_>> = view.sets.iter().filter(|set| set.replicas > 0).collect();
    if active.len() <= 1 {
        let latest = || current.or_else(|| view.sets.iter().max_by_key(|set| set.revision));
        if let Some(set) = active.first().copied().or_else(latest) {
            view.plan_scale(set, view.spec.replicas, plan);
        }
        return;
    }
    let is_saturated = |set: &&Set<'_>| set.replicas == view.spec.replicas && set.available == set.replicas;
    if current.is_some_and(|set| is_saturated(&set)) {
        view.old(current).filter(|set| set.replicas > 0).for_each(|set| view.plan_scale(set, 0, plan));
    } else if !view.spec.is_recreate {
        plan_proportional(view, &active, plan);
    }
}

/// Shares what is to be added or taken among the active sets by their size, the rest to the largest one.
fn plan_proportional(view: &View<'_>, active: &[&Set<'_>], plan: &mut Plan) {
    let total: usize = active.iter().map(|set| set.replicas).sum();
    let allowed = view.spec.max_total();
    // The newest of equals grows first and shrinks last.
    let mut by_size: Vec<&Set<'_>> = active.to_vec();
    if allowed >= total {
        by_size.reverse();
    }
    by_size.sort_by_key(|set| std::cmp::Reverse(set.replicas));
    let mut left = allowed.abs_diff(total);
    let mut sizes: Vec<usize> = Vec::with_capacity(by_size.len());
    for set in &by_size {
        let before =
            annotated_number(set.stored, MAX_REPLICAS).filter(|max| *max > 0).unwrap_or(total).max(1);
        let scaled = (set.replicas * allowed * 2 + before) / (before * 2);
        let moved = scaled.abs_diff(set.replicas).min(left);
        left -= moved;
        sizes.push(if allowed >= total { set.replicas + moved } else { set.replicas.saturating_sub(moved) });
    }
    for size in &mut sizes {
        let moved = if allowed >= total { left } else { left.min(*size) };
        *size = if allowed >= total { *size + moved } else { *size - moved };
        left -= moved;
    }
    by_size.iter().zip(sizes).for_each(|(set, size)| view.plan_scale(set, size, plan));
}

/// Ends all old pods before the first new one is made.
pub(super) fn plan_recreate(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    let mut old = view.old(current).filter(|set| set.replicas > 0).peekable();
    if old.peek().is_some() {
        old.for_each(|set| view.plan_scale(set, 0, plan));
        return;
    }
    // A pod that is still ending counts: two templates never run at once.
    let is_running = |set: &Set<'_>| set.pods.iter().any(|(_, pod)| !is_terminal(pod));
    if view.old(current).any(is_running) {
        plan.reasons.push(format!("{}: waits for its old pods to end", view.stored.key()));
        return;
    }
    match current {
        Some(set) => view.plan_scale(set, view.spec.replicas, plan),
        None => plan_new_set(view, view.spec.replicas, plan),
    }
}

/// One step of a rolling update: make the new set, or grow it, or shrink the old ones.
pub(super) fn plan_rolling(view: &View<'_>, current: Option<&Set<'_>>, plan: &mut Plan) {
    let Some(set) = current else {
        return plan_new_set(view, growth(view, 0), plan);
    };
    let wanted = if set.replicas > view.spec.replicas {
        view.spec.replicas
    } else {
        set.replicas + growth(view, set.replicas)
    };
    // Also keeps the sizes that it is annotated with up to date.
    view.plan_scale(set, wanted, plan);
    if wanted == set.replicas {
        plan_shrink_old(view, set, plan);
    }
}

fn plan_new_set(view: &View<'_>, replicas: usize, plan: &mut Plan) {
    let set = template::new_set(view, replicas);
    let name = set.name().to_owned();
    plan.push_because(Change::Create(set), format!("{}: a new template", view.stored.key()));
    if replicas > 0 {
        view.tell_scaled(&name, 0, replicas, plan);
    }
}

/// How many replicas the current set may get now.
fn growth(view: &View<'_>, replicas: usize) -> usize {
    // Pods that a set no longer wants count for as long as they are there.
    let present: usize = view.sets.iter().map(|set| set.replicas.max(set.active_pods())).sum();
    let room = view.spec.max_total().saturating_sub(present);
    room.min(view.spec.replicas.saturating_sub(replicas))
}

/// Takes from the old sets what is not needed: first what serves nobody, then as much as the new pods make up for.
fn plan_shrink_old(view: &View<'_>, current: &Set<'_>, plan: &mut Plan) {
    let mut sizes: Vec<(&Set<'_>, usize)> =
        view.old(Some(current)).filter(|set| set.replicas > 0).map(|set| (set, set.replicas)).collect();
    let not_yet_available = current.replicas.saturating_sub(current.available);
    let needed = view.spec.min_available() + not_yet_available;
    let mut surplus = view.total_replicas().saturating_sub(needed);
    for (set, size) in &mut sizes {
        let useless = (*size - set.lasting()).min(surplus);
        *size -= useless;
        surplus -= useless;
    }
    let lasting: usize = view.sets.iter().map(Set::lasting).sum();
    let mut spare = lasting.saturating_sub(view.spec.min_available()).min(surplus);
    for (_, size) in &mut sizes {
        let taken = (*size).min(spare);
        *size -= taken;
        spare -= taken;
    }
    for (set, size) in sizes.into_iter().filter(|(set, size)| set.replicas != *size) {
        view.plan_scale(set, size, plan);
    }
}
