//! A router in virtual time: threads with tunnels that offer what they like, one line.

use super::*;
use crate::time::Mono;
use std::sync::Arc;
use std::time::Duration;

const CELL: usize = 1024;
/// What a cell takes of the line, as the router estimates it and as it turns out to be.
const PRICE: u32 = 1045;
const WRITTEN: u64 = 1050;
const TURN: Duration = Duration::from_millis(1);
const LINE: u64 = 5_000_000;

struct Tunnel {
    flow: usize,
    /// Cells per second, and what is owed of them.
    rate: f64,
    due: f64,
    /// Cells that come at once.
    burst: u32,
    contract: Contract,
    sent: u64,
    passed: u64,
}

struct Thread {
    purse: Purse,
    queue: FairQueue,
    tunnels: Vec<Tunnel>,
    /// Bytes per second that take precedence.
    control: u64,
    codel_drops: u64,
    /// The thread whose sockets its cells leave through.
    leaves_through: usize,
}

struct Router {
    bank: Arc<Bank>,
    threads: Vec<Thread>,
    now: Mono,
    /// Bytes on the line in each turn.
    line: Vec<u64>,
}

fn router(share: u64, threads: usize) -> Router {
    let now = Mono::from_secs(1);
    let bank = Arc::new(Bank::new(LINE, share, now));
    let thread = |index| Thread {
        purse: Purse::new(Arc::clone(&bank)),
        queue: FairQueue::new(500),
        tunnels: Vec::new(),
        control: 0,
        codel_drops: 0,
        leaves_through: index,
    };
    Router { threads: (0..threads).map(thread).collect(), bank, now, line: Vec::new() }
}

impl Thread {
    fn add(&mut self, cells_per_second: f64, burst: u32, contract: Contract) {
        let flow = self.queue.open(self.tunnels.len());
        // Not all at the same time.
        let (rate, due) = (cells_per_second, f64::from(burst) * (self.tunnels.len() as f64 * 0.618).fract());
        self.tunnels.push(Tunnel { flow, rate, due, burst, contract, sent: 0, passed: 0 });
    }

    /// One turn; how many cells go out.
    fn turn(&mut self, now: Mono) -> u64 {
        self.purse.begin(now);
        let mut out = 0;
        for tunnel in &mut self.tunnels {
            tunnel.due += tunnel.rate * TURN.as_secs_f64();
            while tunnel.due >= f64::from(tunnel.burst) {
                tunnel.due -= f64::from(tunnel.burst);
                for _ in 0..tunnel.burst {
                    tunnel.sent += 1;
                    if !tunnel.contract.allows(now, 1) {
                        continue;
                    }
                    let first = tunnel.contract.promises(now);
                    if first {
                        self.purse.pay_first(PRICE, true);
                    }
                    if first || (self.queue.is_empty() && self.purse.pay(PRICE)) {
                        tunnel.passed += 1;
                        out += 1;
                    } else {
                        // A refusal is a drop: `sent` and `passed` tell.
                        let _ = self.queue.push(tunnel.flow, &[0; CELL], now);
                    }
                }
            }
        }
        while !self.queue.is_empty() && self.purse.holds(PRICE) {
            let Some((tag, _)) = self.queue.pop(now, &mut self.codel_drops) else { break };
            self.purse.pay(PRICE);
            self.tunnels[tag].passed += 1;
            out += 1;
        }
        out
    }
}

impl Router {
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += TURN;
            let mut written = vec![0; self.threads.len()];
            for thread in &mut self.threads {
                let cells = thread.turn(self.now);
                written[thread.leaves_through] += cells * WRITTEN;
            }
            for (thread, written) in self.threads.iter_mut().zip(&mut written) {
                *written += thread.control / 1000;
                thread.purse.end(*written, thread.queue.backlogged());
            }
            self.line.push(written.iter().sum());
        }
    }

    /// The most and the least that ten seconds brought, as parts of the limit.
    fn extremes(&self, limit: u64) -> (f64, f64) {
        let all = self.line.windows(10_000).map(|w| w.iter().sum::<u64>() as f64 / (limit * 10) as f64);
        all.fold((f64::MAX, 0.0), |(least, most), part| (least.min(part), most.max(part)))
    }

    fn reset(&mut self) {
        self.line.clear();
        self.threads.iter_mut().flat_map(|t| &mut t.tunnels).for_each(|t| (t.sent, t.passed) = (0, 0));
    }

    fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.threads.iter().flat_map(|t| &t.tunnels)
    }
}

/// 1 if all have the same, 1/n if one has it all.
fn jain(all: impl Iterator<Item = f64>) -> f64 {
    let (n, sum, squares) = all.fold((0.0, 0.0, 0.0), |(n, s, q), x| (n + 1.0, s + x, q + x * x));
    sum * sum / (n * squares)
}

/// Cells per second that fill the line `times` over.
fn cells(times: f64) -> f64 {
    LINE as f64 * times / WRITTEN as f64
}

#[test]
fn the_line_carries_its_limit_and_no_more_over_any_ten_seconds() {
    for (threads, crossed) in [(1, false), (2, false), (2, true)] {
        let mut router = router(LINE, threads);
        for (index, thread) in router.threads.iter_mut().enumerate() {
            (0..20).for_each(|_| thread.add(cells(2.0) / 20.0 / threads as f64, 4, Contract::default()));
            thread.leaves_through = if crossed { (index + 1) % threads } else { index };
        }
        router.run(Duration::from_secs(30));
        let (least, most) = router.extremes(LINE);
        assert!(least > 0.97 && most < 1.03, "{threads} threads, crossed {crossed}: {least} to {most}");
    }
}

#[test]
fn a_changed_limit_is_in_force_at_once() {
    let mut router = router(LINE, 2);
    router.threads.iter_mut().for_each(|t| (0..8).for_each(|_| t.add(cells(0.25), 8, Contract::default())));
    router.run(Duration::from_secs(2));
    router.bank.set(LINE / 4, LINE / 4);
    router.run(Duration::from_millis(100));
    router.reset();
    router.run(Duration::from_secs(12));
    let (least, most) = router.extremes(LINE / 4);
    assert!(least > 0.97 && most < 1.03, "{least} to {most}");
}

#[test]
fn with_half_of_what_is_offered_the_small_lose_nothing_and_the_large_share_alike_on_whatever_thread() {
    let mut router = router(LINE, 2);
    let (few, many) = router.threads.split_at_mut(1);
    (0..5).for_each(|_| few[0].add(cells(0.1), 8, Contract::default()));
    (0..15).for_each(|n| many[0].add(cells(0.07 + 0.004 * f64::from(n)), 8, Contract::default()));
    let small = cells(1.0) / 22.0 / 4.0;
    few[0].add(small, 4, Contract::default());
    many[0].add(small, 1, Contract::default());
    router.run(Duration::from_secs(2));
    router.reset();
    router.run(Duration::from_secs(10));
    let large = router.tunnels().filter(|t| t.rate > small).map(|t| t.passed as f64);
    let index = jain(large);
    assert!(index > 0.95, "{index}");
    for tunnel in router.tunnels().filter(|t| t.rate <= small) {
        let under_way = u64::from(tunnel.burst) * 2;
        assert!(tunnel.passed + under_way >= tunnel.sent, "{} of {}", tunnel.passed, tunnel.sent);
    }
}

#[test]
fn below_the_limit_nothing_waits_and_nothing_is_lost() {
    let mut router = router(LINE, 2);
    router.threads.iter_mut().for_each(|t| (0..8).for_each(|_| t.add(cells(0.9) / 16.0, 8, Contract::default())));
    router.run(Duration::from_secs(5));
    assert!(router.tunnels().all(|t| t.sent == t.passed && t.sent > 1000));
}

#[test]
fn control_and_own_traffic_pass_and_transit_has_the_rest_of_the_line() {
    let mut router = router(LINE, 2);
    router.threads.iter_mut().for_each(|t| (0..8).for_each(|_| t.add(cells(0.2), 8, Contract::default())));
    router.threads[0].control = LINE * 2 / 5;
    router.run(Duration::from_secs(15));
    let (least, most) = router.extremes(LINE);
    assert!(least > 0.97 && most < 1.03, "{least} to {most}");
    let transit = router.tunnels().map(|t| t.passed).sum::<u64>() * WRITTEN;
    let part = transit as f64 / (LINE * 15) as f64;
    assert!((part - 0.6).abs() < 0.03, "{part}");
}

#[test]
fn transit_has_its_share_and_no_more_though_the_line_is_free() {
    let mut router = router(LINE / 2, 1);
    (0..8).for_each(|_| router.threads[0].add(cells(0.2), 8, Contract::default()));
    router.run(Duration::from_secs(12));
    let (least, most) = router.extremes(LINE / 2);
    assert!(least > 0.97 && most < 1.03, "{least} to {most}");
}

#[test]
fn a_promise_is_kept_among_many_and_a_limit_of_the_creator_is_enforced() {
    let mut router = router(LINE, 1);
    let thread = &mut router.threads[0];
    (0..20).for_each(|_| thread.add(cells(0.2), 8, Contract::default()));
    // A fair part would be 230 KB/s.
    thread.add(1_500_000.0 / CELL as f64, 8, Contract::new(Some(1500), None));
    thread.add(800_000.0 / CELL as f64, 8, Contract::new(None, Some(50)));
    router.run(Duration::from_secs(10));
    let [promised, limited] = &router.threads[0].tunnels[20..] else { panic!("two more") };
    assert_eq!(promised.passed, promised.sent);
    let rate = limited.passed as f64 * CELL as f64 / 10.0;
    assert!((45_000.0..60_000.0).contains(&rate), "{rate}");
}

#[test]
fn what_waits_is_bounded_and_the_line_may_stand_still_without_harm() {
    let mut router = router(LINE, 1);
    router.bank.set(0, 0);
    (0..2000).for_each(|_| router.threads[0].add(100.0, 1, Contract::default()));
    router.run(Duration::from_secs(1));
    assert!(router.threads[0].queue.len() <= 1000, "{}", router.threads[0].queue.len());
    let backlogged = router.threads[0].queue.backlogged();
    assert!((100..=router.threads[0].queue.len()).contains(&backlogged), "{backlogged}");
    let lost: usize = (0..2000).map(|flow| router.threads[0].queue.close(flow)).sum();
    assert!(lost > 500, "{lost}");
    assert!(router.threads[0].queue.is_empty());
    assert_eq!(router.threads[0].queue.backlogged(), 0);
}

#[test]
fn codel_lets_bursts_pass_and_takes_from_a_queue_that_stands() {
    let mut codel = Codel::default();
    let mut now = Mono::from_secs(10);
    let mut drops = |waited: u64, count: u64| {
        (0..count)
            .filter(|_| {
                now += Duration::from_millis(1);
                codel.drop_head(now, Duration::from_millis(waited), false)
            })
            .count()
    };
    assert_eq!(drops(200, 399), 0, "a burst of less than an interval");
    assert_eq!(drops(5, 1), 0);
    let standing = drops(200, 2_000);
    assert!((4..=40).contains(&standing), "{standing}");
    let later = drops(200, 2_000);
    assert!(later > standing, "more often the longer it stands: {later}");
    assert_eq!(drops(5, 1_000), 0);
    assert!(!codel.drop_head(now, Duration::from_secs(1), true), "the last cell of a queue stays");
}

#[test]
fn a_message_of_a_small_tunnel_is_lost_neither_to_its_own_length_nor_to_a_queue_full_of_others() {
    for busy in [70_u32, 200, 600] {
        let mut router = router(LINE, 1);
        let thread = &mut router.threads[0];
        (0..busy).for_each(|_| thread.add(cells(4.0) / f64::from(busy), 8, Contract::default()));
        // Half of a fair part, as messages of 33 cells.
        let small = cells(0.5) / f64::from(busy + 1);
        thread.add(small, 33, Contract::default());
        router.run(Duration::from_secs(5));
        router.reset();
        router.run(Duration::from_secs(60));
        let Some(tunnel) = router.threads[0].tunnels.last() else { panic!("the small one") };
        assert!(tunnel.sent >= 66 && tunnel.passed + 33 >= tunnel.sent, "{busy}: {} of {}", tunnel.passed, tunnel.sent);
        let index = jain(router.tunnels().take(busy as usize).map(|t| t.passed as f64));
        assert!(index > 0.95, "{busy}: {index}");
        assert!(router.threads[0].queue.len() <= 1000);
    }
}

#[test]
fn a_meter_lets_its_rate_pass_and_a_burst_of_a_quarter_second() {
    let meter = Meter::new(1024);
    let mut now = Mono::from_secs(5);
    let at_once = (0..10_000).filter(|_| meter.conforms(now, 1)).count();
    assert_eq!(at_once, 250);
    now += Duration::from_secs(1);
    assert_eq!((0..10_000).filter(|_| meter.conforms(now, 1)).count(), 250, "what was not used is gone");
    let passed = (0..100_000).filter(|_| {
        now += Duration::from_micros(100);
        meter.conforms(now, 1)
    });
    let passed = passed.count();
    assert!((9_990..=10_010).contains(&passed), "{passed}");
    assert!(!meter.conforms(now, u64::MAX), "no overflow");
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_of_a_tunnel_keep_their_order_and_none_appears_twice(
            steps in prop::collection::vec((0_usize..6, any::<bool>()), 1..400), bound in 1_usize..40
        ) {
            let mut queue = FairQueue::new(bound);
            let flows: Vec<usize> = (0..6).map(|tag| queue.open(tag)).collect();
            let (mut pushed, mut popped) = (vec![0_u16; 6], vec![0_i32; 6]);
            let (mut in_all, mut out, mut displaced, mut dropped) = (0, 0, 0, 0);
            for (tunnel, push) in steps {
                if push {
                    let mut cell = [0; CELL];
                    cell[..2].copy_from_slice(&pushed[tunnel].to_be_bytes());
                    let gone = queue.push(flows[tunnel], &cell, Mono::ZERO);
                    prop_assert!(gone.is_none() || !queue.is_empty());
                    in_all += u64::from(gone.is_some());
                    displaced += gone.unwrap_or(0);
                    pushed[tunnel] += 1;
                } else if let Some((tag, cell)) = queue.pop(Mono::ZERO, &mut dropped) {
                    let number = 1 + i32::from(u16::from_be_bytes([cell[0], cell[1]]));
                    prop_assert!(number > popped[tag]);
                    popped[tag] = number;
                    out += 1;
                }
                prop_assert_eq!(queue.len() as u64, in_all - out - displaced);
                prop_assert!(queue.len() <= 2 * bound);
                prop_assert!(queue.backlogged() <= queue.len().min(6));
                prop_assert_eq!(queue.backlogged() == 0, queue.is_empty());
            }
            prop_assert_eq!(dropped, 0);
        }
    }
}
