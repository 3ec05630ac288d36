use super::*;
use proptest::prelude::*;

fn spec(port: u16, ready: bool) -> EndpointSpec {
    EndpointSpec { address: ([127, 0, 0, 1], port).into(), ready, target: format!("t{port}") }
}

fn carry_out(current: &mut BTreeMap<SocketAddr, Standing>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Add(spec) => {
                let standing = if spec.ready { Standing::Ready } else { Standing::Draining };
                assert_eq!(current.insert(spec.address, standing), None);
            }
            Change::Revive(address) => {
                assert_eq!(current.insert(address, Standing::Ready), Some(Standing::Draining))
            }
            Change::Drain(address) => {
                assert_eq!(current.insert(address, Standing::Draining), Some(Standing::Ready))
            }
            Change::Remove(address) => assert!(current.remove(&address).is_some()),
        }
    }
}

proptest! {
    #[test]
    fn any_table_after_any_other_gives_what_it_says_and_applying_it_again_nothing(
        tables in prop::collection::vec(prop::collection::vec((1..9u16, any::<bool>()), 0..9), 1..6),
    ) {
        let mut current = BTreeMap::new();
        for table in tables {
            let wanted: Vec<_> = table.into_iter().map(|(port, ready)| spec(port, ready)).collect();
            let changes = plan_changes(&current, &wanted);
            carry_out(&mut current, changes);
            let mut expected = BTreeMap::new();
            for spec in &wanted {
                let ready = wanted.iter().any(|other| other.address == spec.address && other.ready);
                expected.insert(spec.address, if ready { Standing::Ready } else { Standing::Draining });
            }
            prop_assert_eq!(&current, &expected);
            prop_assert_eq!(plan_changes(&current, &wanted), vec![]);
        }
    }
}

#[test]
fn an_endpoint_that_is_not_ready_drains_and_one_that_is_missing_is_gone() {
    let current =
        BTreeMap::from([(spec(1, true).address, Standing::Ready), (spec(2, true).address, Standing::Ready)]);
    let changes = plan_changes(&current, &[spec(1, false)]);
    assert_eq!(changes, [Change::Remove(spec(2, true).address), Change::Drain(spec(1, true).address)]);
}
