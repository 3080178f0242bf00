use metricd_connection::ServerTimeline;

use super::*;
use crate::config::RunnerConfig;

const SECOND: Duration = Duration::from_secs(1);

/// Servers that were not polled yet; a standby may lag by 5 s.
fn servers(count: usize) -> ReplicaSet {
    let server = |number: usize| {
        let url = DatabaseUrl::parse(format!("postgres://nobody@127.0.0.1:{number}/none")).unwrap();
        let runner = PgRunner::new(&url, RunnerConfig::default()).unwrap();
        (url, runner)
    };
    ReplicaSet::new((1..=count).map(server).collect(), 7, 5 * SECOND, LatestTimeline::default())
}

impl ReplicaSet {
    /// The response of a server some time ago: on this timeline and at this position.
    fn responds(&self, number: usize, is_standby: bool, (timeline, position): (u32, u64), ago: Duration) {
        let state = ServerState { is_standby, position: LogPosition::new(position), timeline };
        self.note(&self.servers[number], state, Instant::now().checked_sub(ago).unwrap());
    }

    fn chosen(&self, after: Option<u64>) -> Option<(usize, u64)> {
        self.find(after.map(LogPosition::new)).map(|server| (server.number, server.lag.as_secs()))
    }
}

#[test]
fn standbys_that_are_recent_enough_are_used_in_turn() {
    let set = servers(3);
    assert_eq!(set.chosen(None), None, "nothing is known");
    set.responds(0, false, (1, 100), 8 * SECOND);
    set.responds(0, false, (1, 200), 3 * SECOND);
    set.responds(1, true, (1, 200), SECOND);
    set.responds(2, true, (1, 199), SECOND);
    assert_eq!([set.chosen(None), set.chosen(None)], [Some((1, 3)), Some((1, 3))], "the other one is 8 s behind");
    set.responds(2, true, (1, 250), SECOND);
    let turns: Vec<_> = (0..4).map(|_| set.chosen(None).unwrap().0).collect();
    assert!(turns == [1, 2, 1, 2] || turns == [2, 1, 2, 1], "{turns:?}");
    assert_eq!(set.chosen(Some(230)), Some((2, 3)), "only it shows the position");
    assert_eq!(set.chosen(Some(200)).unwrap().1, 3);
    set.give_up(&set.servers[1], "gone");
    set.give_up(&set.servers[2], "gone");
    assert_eq!(set.chosen(None), Some((0, 0)));
    assert_eq!(set.chosen(Some(200)), Some((0, 0)));
    assert_eq!(set.chosen(Some(201)), None, "the primary has not reached it");
}

#[test]
fn a_standby_of_another_timeline_is_not_used() {
    let set = servers(3);
    set.responds(0, false, (1, 100), SECOND);
    set.responds(1, true, (1, 100), SECOND);
    assert_eq!(set.chosen(None).unwrap().0, 1);
    // A fail-over to the third server, which the second does not follow. Its position means nothing there.
    set.give_up(&set.servers[0], "gone");
    set.responds(2, false, (2, 90), SECOND);
    assert_eq!(set.chosen(None), Some((2, 0)));
    set.responds(1, true, (2, 90), Duration::ZERO);
    assert_eq!(set.chosen(None), Some((1, 1)));
}

#[test]
fn a_primary_of_an_earlier_timeline_is_never_used_again() {
    let set = servers(2);
    set.responds(0, false, (1, 100), SECOND);
    set.responds(1, false, (2, 90), SECOND);
    assert_eq!(set.chosen(None), Some((1, 0)));
    set.give_up(&set.servers[1], "it missed a poll");
    set.responds(0, false, (1, 110), Duration::ZERO);
    assert_eq!(set.chosen(None), None);
    set.responds(0, false, (2, 95), Duration::ZERO);
    set.responds(1, false, (2, 95), Duration::ZERO);
    assert_eq!(set.chosen(None), None, "two primaries of one timeline");
}

#[test]
fn changes_go_to_the_primary_of_the_latest_timeline_alone() {
    let set = servers(3);
    let accepted = || {
        let timelines = ["00000001", "00000002", "00000003", ""];
        timelines.map(|timeline| set.timeline.accepts(ServerTimeline::parse(timeline)))
    };
    assert_eq!(accepted(), [true; 4], "nothing is known");
    set.responds(0, false, (1, 100), SECOND);
    assert_eq!(accepted(), [true, true, true, false]);
    set.responds(1, false, (2, 100), SECOND);
    assert_eq!(accepted(), [false, true, true, false]);
    set.responds(0, false, (2, 100), SECOND);
    assert_eq!(accepted(), [false; 4], "two primaries of one timeline");
    set.give_up(&set.servers[0], "it misses a poll");
    assert_eq!((accepted(), set.chosen(None)), ([false; 4], None));
    let last = Some(ServerState { is_standby: false, position: LogPosition::new(100), timeline: 2 });
    let since = Instant::now().checked_sub(CLAIM_MEMORY).unwrap();
    *set.servers[0].status() = Status::Unusable { last, since };
    set.responds(1, false, (2, 110), Duration::ZERO);
    assert_eq!(accepted(), [false, true, true, false], "it is gone");
    assert_eq!(set.chosen(None), Some((1, 0)));
    set.responds(0, false, (2, 100), Duration::ZERO);
    assert_eq!(accepted(), [false; 4]);
    set.responds(0, true, (2, 100), Duration::ZERO);
    assert_eq!(accepted(), [false, true, true, false], "it has become a standby");
    // A standby of a primary that does not respond.
    set.responds(2, true, (3, 100), SECOND);
    assert_eq!(accepted(), [false, false, true, false]);
    assert_eq!(set.chosen(None), None);
}

#[test]
fn a_standby_is_as_old_as_the_last_position_that_it_shows() {
    let began = Instant::now();
    let positions: VecDeque<_> =
        (0..5_u32).map(|number| (began + SECOND * number, LogPosition::new(100 * u64::from(number)))).collect();
    let shown = |replayed: u64| last_shown(&positions, LogPosition::new(replayed)).map(|at| at - began);
    assert_eq!(shown(399), Some(3 * SECOND));
    assert_eq!(shown(400), Some(4 * SECOND));
    assert_eq!(shown(u64::MAX), Some(4 * SECOND));
    assert_eq!(shown(0), Some(Duration::ZERO));
    assert_eq!(last_shown(&VecDeque::new(), LogPosition::new(7)), None);
    // While nothing is written, a standby shows the newest of equal positions.
    let idle: VecDeque<_> = (0..3).map(|number| (began + SECOND * number, LogPosition::new(7))).collect();
    assert_eq!(last_shown(&idle, LogPosition::new(7)).map(|at| at - began), Some(2 * SECOND));
}
