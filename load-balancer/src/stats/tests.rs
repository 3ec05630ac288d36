use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn each_time_falls_in_the_bucket_that_holds_it(time_us in 0..(1u64 << 30)) {
        let bucket = bucket_of(time_us);
        prop_assert!(lower_end(bucket) <= time_us && time_us < lower_end(bucket + 1), "{bucket}");
        prop_assert!(lower_end(bucket + 1) - lower_end(bucket) <= 1.max(lower_end(bucket) / SUB));
    }

    #[test]
    fn a_quantile_is_right_to_an_eighth(mut times_us in prop::collection::vec(1..1_000_000u64, 1..200)) {
        let histogram = Histogram::default();
        times_us.iter().for_each(|time| histogram.record(Duration::from_micros(*time)));
        times_us.sort_unstable();
        let median = times_us[times_us.len().div_ceil(2) - 1];
        let found = histogram.quantile_us(50);
        prop_assert!(found >= median && found <= median + median / SUB, "{found} for {median}");
    }
}

#[test]
fn the_longest_times_count_in_the_last_bucket() {
    let histogram = Histogram::default();
    histogram.record(Duration::MAX);
    assert_eq!(histogram.quantile_us(99), lower_end(BUCKETS) - 1);
    assert_eq!(Histogram::default().quantile_us(99), 0);
}

#[test]
fn totals_survive_being_absorbed() {
    let (mine, theirs) = (Counters::default(), Counters::default());
    mine.finished(true);
    theirs.finished(false);
    theirs.retried();
    mine.absorb(&theirs);
    let row = mine.row(None, "", 0);
    assert_eq!((row.requests, row.failures, row.retries), (2, 1, 1));
}
