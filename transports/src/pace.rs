//! How often a loop turns: at once while it has little to do, at most once in a quantum when it has much.
//!
//! ```text
//!            6 % busy             60 %
//! at once ------------> 1 ms ------------> max_delay
//!         <------------      <------------
//!              2 %                25 %
//! ```
//! A turn that comes later finds more cells: they share wakes, system calls, AES lanes and frames, all of which cost more
//! than what is done to a cell. The first cell after silence is never kept waiting, since a pause follows a turn. Round
//! trips through tunnels take 300 to 1000 ms. I/O threads and client threads are paced alike.
//!
//! Measured, in CPU-s/GB without a pause and with 1, 2 and 5 ms. Cells one at a time, evenly spaced, 500 peers: 1 MB/s
//! (1.5 % busy) 24 and 26; 5 MB/s 17 and 14; 10 MB/s (11 % busy) 18 and 10; 30 MB/s 13.5, 9, 8 and 9.5. Bursts of eight,
//! 128 peers, 100 MB/s: 2.7, 2.2, 1.9 and 2.0.

use ramson_protocol::time::Mono;
use std::time::Duration;

/// How busy the loop was is judged over this time.
const WINDOW: Duration = Duration::from_millis(50);

/// The first pause, before the longest is called for.
const QUANTUM: Duration = Duration::from_millis(1);

/// Per cent of the time spent in turns from which a loop pauses, and pauses longest.
const UP: [u128; 2] = [6, 60];

/// And below which it does so no more. Far below, since what a pause saves must not end it.
const DOWN: [u128; 2] = [2, 25];

/// How busy a loop is, and how long it pauses for that.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since when the present window runs, and how long turns lasted in it.
    window: Mono,
    busy: Duration,
    /// When the last turn began.
    last: Mono,
    /// 0: no pause, 1: the quantum, 2: the longest pause.
    level: usize,
}

impl Pace {
    /// A turn begins.
    pub fn begin(&mut self, now: Mono) {
        self.last = now;
        let span = now.saturating_sub(self.window);
        if span >= WINDOW {
            let percent = self.busy.as_nanos() * 100 / span.as_nanos();
            self.level = match self.level {
                0 if percent >= UP[0] => 1,
                1 if percent >= UP[1] => 2,
                level if level > 0 && percent < DOWN[level - 1] => level - 1,
                level => level,
            };
            // Of a long silence nothing is known but that it was one.
            if span >= 2 * WINDOW && percent < DOWN[0] {
                self.level = 0;
            }
            (self.window, self.busy) = (now, Duration::ZERO);
        }
    }

    /// The turn that began last is over.
    pub fn end(&mut self, now: Mono) {
        self.busy += now.saturating_sub(self.last);
    }

    /// How long the loop pauses from one turn's beginning to the next's, if `max` is the longest that is allowed.
    pub fn quantum(&self, max: Duration) -> Duration {
        match self.level {
            0 => Duration::ZERO,
            1 => QUANTUM.min(max),
            _ => max,
        }
    }

    /// How long the next turn is to wait in any case.
    pub fn pause(&self, now: Mono, max: Duration) -> Duration {
        (self.last + self.quantum(max)).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_millis(2);

    fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    /// A loop for which cells come one at a time, `every` so often; a turn costs 10 us and 4 us for each of its cells.
    struct Loop {
        pace: Pace,
        now: Mono,
        every: Duration,
        next_cell: Mono,
    }

    impl Loop {
        fn new(every: Duration) -> Self {
            let now = Mono::from_secs(1);
            Self { pace: Pace::default(), now, every, next_cell: now }
        }

        /// Runs for `time`; says how many turns there were and how long a cell waited at most.
        fn run(&mut self, time: Duration) -> (u32, Duration) {
            let (end, mut turns, mut longest) = (self.now + time, 0, Duration::ZERO);
            while self.now < end {
                self.now = (self.now + self.pace.pause(self.now, MAX)).max(self.next_cell);
                self.pace.begin(self.now);
                turns += 1;
                longest = longest.max(self.now - self.next_cell);
                let cells = 1 + (self.now - self.next_cell).as_nanos() / self.every.as_nanos();
                self.next_cell += self.every * u32::try_from(cells).unwrap();
                self.now += us(10) + us(4) * u32::try_from(cells).unwrap();
                self.pace.end(self.now);
            }
            (turns, longest)
        }
    }

    #[test]
    fn a_loop_with_little_to_do_never_waits() {
        let (turns, longest) = Loop::new(us(1000)).run(Duration::from_secs(1));
        assert!(turns >= 1000 && longest.is_zero(), "{turns} {longest:?}");
    }

    #[test]
    fn a_busy_loop_turns_once_in_a_quantum_and_a_busier_one_less_often() {
        let mut busy = Loop::new(us(100));
        busy.run(Duration::from_secs(1));
        let (turns, longest) = busy.run(Duration::from_secs(1));
        assert!((999..=1001).contains(&turns) && longest <= QUANTUM, "{turns} {longest:?}");
        let mut busier = Loop::new(us(5));
        busier.run(Duration::from_secs(1));
        let (turns, _) = busier.run(Duration::from_secs(1));
        assert!((499..=501).contains(&turns), "{turns}");
    }

    #[test]
    fn what_a_pause_saves_does_not_end_it() {
        for every in [20, 50, 100, 150, 200] {
            let mut steady = Loop::new(us(every));
            steady.run(Duration::from_secs(1));
            let level = steady.pace.level;
            for _ in 0..100 {
                steady.run(WINDOW);
                assert_eq!(steady.pace.level, level, "a cell every {every} us");
            }
        }
    }

    #[test]
    fn the_first_cell_after_silence_does_not_wait() {
        let mut burst = Loop::new(us(20));
        burst.run(Duration::from_secs(1));
        assert!(burst.pace.level > 0);
        burst.next_cell = burst.now + Duration::from_secs(1);
        burst.every = Duration::from_secs(1);
        assert_eq!(burst.run(Duration::from_millis(1)), (1, Duration::ZERO));
        assert_eq!(burst.pace.level, 0);
    }

    #[test]
    fn the_longest_pause_is_the_operators() {
        let mut busy = Loop::new(us(50));
        busy.run(Duration::from_secs(1));
        assert_eq!(busy.pace.level, 1);
        assert_eq!(busy.pace.quantum(us(300)), us(300));
        assert_eq!(busy.pace.quantum(Duration::ZERO), Duration::ZERO);
    }
}
