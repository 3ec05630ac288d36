use jiff::{SignedDuration, Timestamp};
use manifests::Kind;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Agenda, Batch, CONFLICTS_IN_A_ROW_MAX, Work};
use crate::change::Change;
use crate::controllers::{Controller, Facts};
use crate::registry::{Reason, Status};
use crate::snapshot::{Key, Snapshot};

fn work() -> Work {
    Work::Reconcile(Controller::Deployment, Key::new(Kind::Deployment, "default", "shop"))
}

fn batch() -> Batch {
    let Work::Reconcile(_, key) = work() else { unreachable!("it is one") };
    let mut batch = Batch::default();
    batch.add(&work(), vec![Change::delete(key, "u".into())]);
    batch.works.insert(work());
    batch
}

fn refuse(agenda: &mut Agenda, reason: Reason, now: Timestamp) {
    agenda.due.clear();
    agenda.settle(batch(), vec![Some(Status::new(reason, "no"))], &Snapshot::default(), now);
}

#[test]
fn a_conflict_is_tried_again_at_once_but_not_for_ever() {
    let (mut agenda, now) = (Agenda::default(), Timestamp::UNIX_EPOCH);
    for _ in 0..CONFLICTS_IN_A_ROW_MAX {
        refuse(&mut agenda, Reason::Conflict, now);
        assert_eq!(agenda.next_due(), Some(Timestamp::MIN));
    }
    refuse(&mut agenda, Reason::Conflict, now);
    assert!(agenda.next_due().is_some_and(|due| due > now));
}

#[test]
fn a_refusal_waits_longer_each_time_up_to_a_limit_and_is_forgiven_by_one_success() {
    let (mut agenda, now) = (Agenda::default(), Timestamp::UNIX_EPOCH);
    let mut waits = Vec::new();
    for _ in 0..20 {
        agenda.silence(&work());
        refuse(&mut agenda, Reason::Invalid, now);
        waits.push(agenda.next_due().expect("a time").duration_since(now));
    }
    assert!(waits.is_sorted());
    assert_eq!(waits[0], SignedDuration::from_millis(20));
    assert_eq!(waits[19], SignedDuration::from_secs(5));
    agenda.settle(batch(), vec![None], &Snapshot::default(), now);
    agenda.silence(&work());
    refuse(&mut agenda, Reason::Invalid, now);
    assert_eq!(agenda.next_due().expect("a time").duration_since(now), SignedDuration::from_millis(20));
}

#[test]
fn what_backs_off_is_not_woken_by_its_own_doing() {
    let (mut agenda, now) = (Agenda::default(), Timestamp::UNIX_EPOCH);
    refuse(&mut agenda, Reason::Invalid, now);
    agenda.add(work());
    assert!(agenda.due.is_empty());
    let facts = Facts::at(now + SignedDuration::from_secs(1));
    let batch = agenda.decide(&Snapshot::default(), &facts, &mut StdRng::seed_from_u64(0));
    assert!(batch.works.contains(&work()), "its time has come");
}

#[test]
fn of_two_times_the_sooner_counts() {
    let (mut agenda, now) = (Agenda::default(), Timestamp::UNIX_EPOCH);
    agenda.at(now + SignedDuration::from_secs(5), work());
    agenda.at(now + SignedDuration::from_secs(2), work());
    agenda.at(now + SignedDuration::from_secs(9), work());
    assert_eq!(agenda.next_due(), Some(now + SignedDuration::from_secs(2)));
    assert_eq!(agenda.timers.len(), 1);
}

#[test]
fn a_batch_that_was_not_tried_is_due_again() {
    let mut agenda = Agenda::default();
    agenda.abandon(batch(), &Snapshot::default());
    assert!(agenda.due.contains(&work()));
}

#[test]
fn a_work_whose_need_vanished_while_it_backed_off_is_woken_by_the_next_need() {
    let (mut agenda, now) = (Agenda::default(), Timestamp::UNIX_EPOCH);
    for work in [work(), Work::Schedule] {
        agenda.refusals.insert(work.clone(), CONFLICTS_IN_A_ROW_MAX + 1);
        agenda.at(now, work);
    }
    let batch = agenda.decide(&Snapshot::default(), &Facts::at(now), &mut StdRng::seed_from_u64(0));
    assert!(batch.is_empty(), "nothing is left to be done");
    for work in [work(), Work::Schedule] {
        agenda.add(work.clone());
        assert!(agenda.due.contains(&work), "{work:?} is dead");
    }
}
