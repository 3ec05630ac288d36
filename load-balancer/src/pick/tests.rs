use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn loads() -> impl Strategy<Value = Vec<Load>> {
    let load = (0..50u32, 0..10_000u64, any::<bool>(), any::<bool>());
    prop::collection::vec(
        load.prop_map(|(in_flight, latency_us, well, tried)| Load { in_flight, latency_us, well, tried }),
        0..12,
    )
}

proptest! {
    #[test]
    fn nobody_ill_is_picked_while_somebody_well_is_untried(loads in loads(), seed: u64) {
        let picked = pick(loads.len(), |index| loads[index], &mut StdRng::seed_from_u64(seed));
        if loads.iter().any(|load| load.well && !load.tried) {
            let load = loads[picked.expect("somebody can be picked")];
            prop_assert!(load.well && !load.tried);
        }
    }

    #[test]
    fn somebody_is_picked_exactly_when_somebody_is_untried(loads in loads(), seed: u64) {
        let picked = pick(loads.len(), |index| loads[index], &mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(picked.is_some(), loads.iter().any(|load| !load.tried));
        prop_assert!(picked.is_none_or(|index| !loads[index].tried));
    }

    #[test]
    fn requests_that_stay_spread_evenly(count in 2..20usize, seed: u64) {
        let mut in_flight = vec![0u32; count];
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..count * 100 {
            let load = |index: usize| Load { in_flight: in_flight[index], latency_us: 0, well: true, tried: false };
            let picked = pick(count, load, &mut rng).expect("all can be picked");
            in_flight[picked] += 1;
        }
        let (least, most) = (in_flight.iter().min().unwrap(), in_flight.iter().max().unwrap());
        prop_assert!(most - least <= 12, "{in_flight:?}");
    }

    #[test]
    fn replicas_that_answer_about_as_fast_share_evenly(
        fastest_us in 0..1_000_000u64,
        slower_by_percent in prop::collection::vec(0..=100u64, 2..8),
        seed: u64,
    ) {
        let mut given = vec![0u32; slower_by_percent.len()];
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..given.len() * 400 {
            let latency_us = |index: usize| fastest_us + fastest_us * slower_by_percent[index] / 100;
            // One request at a time: nothing is in flight when the next one comes.
            let load = |index| Load { in_flight: 0, latency_us: latency_us(index), well: true, tried: false };
            let picked = pick(given.len(), load, &mut rng).expect("all can be picked");
            given[picked] += 1;
        }
        prop_assert!(given.iter().all(|given| (280..520).contains(given)), "{given:?}");
    }
}

#[test]
fn between_equals_the_much_faster_one_is_asked() {
    let load = |index: usize| Load { in_flight: 1, latency_us: [9000, 100][index], well: true, tried: false };
    for seed in 0..32 {
        assert_eq!(pick(2, load, &mut StdRng::seed_from_u64(seed)), Some(1));
    }
}

#[test]
fn a_slow_endpoint_gets_fewer_requests_than_round_robin_would_give_it() {
    // One of four holds each request ten rounds, the others one.
    let mut rng = StdRng::seed_from_u64(1);
    let mut held: [Vec<u32>; 4] = Default::default();
    let mut given = [0u32; 4];
    for round in 0..10_000u32 {
        held.iter_mut().for_each(|until| until.retain(|end| *end > round));
        for _ in 0..3 {
            let load = |index: usize| Load {
                in_flight: u32::try_from(held[index].len()).unwrap(),
                latency_us: 0,
                well: true,
                tried: false,
            };
            let picked = pick(4, load, &mut rng).expect("all can be picked");
            held[picked].push(round + if picked == 0 { 10 } else { 1 });
            given[picked] += 1;
        }
    }
    let fair = given.iter().sum::<u32>() / 4;
    assert!(given[0] < fair * 2 / 3, "{given:?}");
}
