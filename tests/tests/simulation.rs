//! A small share of the simulated worlds; `cargo run --release -p kinesis-tests --example simulate` lives through many.

use kinesis_tests::simulation::{Door, Part, Seen, catch, simulate, simulate_fleet};

/// Enough for every kind of fault to meet every kind of subscription, and over in seconds without optimisation.
const SEEDS: u64 = 150;

#[test]
fn no_seed_breaks_a_promise() {
    let stories: Vec<_> = (0..SEEDS).map(|seed| simulate(seed, Door::Source)).collect();
    let broken: String = stories.iter().filter(|story| !story.violations.is_empty()).map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{broken}");
    // Worlds in which nothing happens prove nothing.
    let seen =
        |what: fn(&kinesis_tests::simulation::Seen) -> usize| stories.iter().map(|story| what(&story.seen)).sum();
    let counts: [(&str, usize); 17] = [
        ("repeats", seen(|seen| seen.repeats)),
        ("crashes", seen(|seen| seen.crashes)),
        ("stops", seen(|seen| seen.stops)),
        ("splits and merges", seen(|seen| seen.reshards)),
        ("dead letters", seen(|seen| seen.dead_letters)),
        ("records passed over", seen(|seen| seen.skipped)),
        ("subscriptions halted", seen(|seen| seen.halted)),
        ("faults", seen(|seen| seen.faults)),
        ("records trimmed", seen(|seen| seen.trimmed)),
        ("gaps", seen(|seen| seen.gaps)),
        ("subscriptions fallen behind", seen(|seen| seen.fell_behind)),
        ("attached", seen(|seen| seen.changes[0])),
        ("detached", seen(|seen| seen.changes[1])),
        ("paused", seen(|seen| seen.changes[2])),
        ("resumed", seen(|seen| seen.changes[3])),
        ("sought", seen(|seen| seen.changes[4])),
        ("forgotten", seen(|seen| seen.changes[5])),
    ];
    for (what, count) in counts {
        assert!(count > 0, "no {what} in {SEEDS} seeds");
    }
}

/// A share of the worlds is lived through over the wire, with the real SDK, in every way to read.
#[test]
fn no_seed_breaks_a_promise_over_the_wire() {
    let stories = (0..18).map(|seed| simulate(seed, Door::sdk(seed)));
    let broken: String = stories.filter(|story| !story.violations.is_empty()).map(|story| story.to_string()).collect();
    assert!(broken.is_empty(), "{broken}");
}

/// Several workers at once, with every kind of bad luck.
#[test]
fn no_fleet_breaks_a_promise() {
    let stories: Vec<_> = (0..60).map(simulate_fleet).collect();
    let broken: String = stories.iter().filter(|story| !story.violations.is_empty()).map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{broken}");
    let seen = |what: fn(&Seen) -> usize| stories.iter().map(|story| what(&story.seen)).sum::<usize>();
    let counts = [
        ("crashes", seen(|seen| seen.crashes)),
        ("stops", seen(|seen| seen.stops)),
        ("splits and merges", seen(|seen| seen.reshards)),
        ("workers that stood still", seen(|seen| seen.stood_still)),
        ("workers cut off", seen(|seen| seen.cut_off)),
        ("records that the KCL processed", seen(|seen| seen.by_the_kcl)),
        ("leases taken over", seen(|seen| seen.taken_over)),
        ("leases handed over", seen(|seen| seen.handed_over)),
    ];
    for (what, count) in counts {
        assert!(count > 0, "no {what}");
    }
}

/// A part is broken on purpose, one after another: a simulation that finds nothing may be blind.
#[test]
fn every_broken_part_is_caught() {
    let blind = Part::ALL.iter().filter(|part| catch(**part, 0..500).is_none());
    let blind: Vec<&str> = blind.map(|part| part.name()).collect();
    assert!(blind.is_empty(), "not caught: {blind:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..10 {
        let (mut story, again) = (simulate(seed, Door::Source), simulate(seed, Door::Source));
        story.compare(&again);
        assert!(story.violations.is_empty(), "{story}");
        assert!(story.log.len() > 10, "seed {seed} tells nothing");
    }
    assert_ne!(simulate(0, Door::Source).hash(), simulate(1, Door::Source).hash());
}
