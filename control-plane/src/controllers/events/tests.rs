use manifests::Kind;

use crate::change::Change;
use crate::change::{EventIntent, Severity};
use crate::manager::testing::World;
use crate::snapshot::Key;

fn say(world: &mut World, message: &str) {
    world.apply(Change::Record(EventIntent {
        regarding: Key::new(Kind::Pod, "default", "shop"),
        uid: "u".into(),
        field_path: String::new(),
        severity: Severity::Normal,
        reason: "Pulled".into(),
        message: message.into(),
        component: "test",
        host: String::new(),
    }));
}

#[test]
fn what_is_said_again_counts_and_what_was_not_said_for_an_hour_is_forgotten() {
    let mut world = World::new(&[]);
    say(&mut world, "once");
    say(&mut world, "often");
    world.pass(1800);
    say(&mut world, "often");
    assert_eq!(world.events("Pulled").len(), 2);
    world.pass(1900);
    assert_eq!(world.events("Pulled"), ["often"]);
    let snapshot = world.snapshot();
    let event = snapshot.list(Kind::Event).next().expect("one is left");
    assert_eq!(event.object().i64_at(&["count"]), Some(2));
}
