//! What a stream may send, and on which of its ways.

use super::{Lane, MOST_TOLD, Phase, Stream, Verdict};
use crate::time::Mono;
use std::time::Duration;

/// Bytes of lost packets that may be on their way to a side that has no room, ...
const AGAIN_TO_CHOKED: u64 = 32 * 1834;
/// ... and of those that it keeps others behind: without them it will not have room again.
const GAPS_TO_CHOKED: u64 = 512 * 1834;

/// Packets that are on their way at most before the first is acknowledged. INTEROP: i2pd ends a stream at once when two packets come before the
/// first, as one lost packet in a hundred would have it: the timer of the one is cancelled by the other, and does not know that from
/// its end.
const UNTIL_FIRST: usize = 2;

impl Stream {
    /// Of the ways that this lets take a packet the one that does so first, and of several the shortest.
    pub(super) fn paced_lane(&self, fits: impl Fn(&Lane) -> bool) -> Option<usize> {
        let lanes = self.send.open_lanes().filter(|(_, lane)| fits(lane));
        lanes.min_by_key(|(_, lane)| (lane.next_paced, lane.srtt())).map(|(at, _)| at)
    }

    /// The way that a packet takes now, if one may go: of those that may the shortest.
    pub(super) fn lane_now(&self, now: Mono, fits: impl Fn(&Lane) -> bool) -> Option<usize> {
        let lanes = self.send.open_lanes().filter(|(_, lane)| lane.next_paced <= now && fits(lane));
        lanes.min_by_key(|(_, lane)| lane.srtt()).map(|(at, _)| at)
    }

    /// True if the window of this way has room for a packet. One that is silent has for one, to find out whether it lives again.
    pub(super) fn fits(&self, lane: &Lane) -> bool {
        lane.in_flight() < if self.choked || self.is_given_up(lane) { 1 } else { self.window(lane) }
    }

    /// True if a packet that was lost may go this way. Who has no room has it again when what is missing has come, so that goes all the same.
    pub(super) fn fits_again(&self, lane: &Lane) -> bool {
        let window = self.window(lane);
        let most = match self.choked {
            false => window,
            true if self.send.fills_gap() => window.min(GAPS_TO_CHOKED),
            true => window.min(AGAIN_TO_CHOKED),
        };
        !self.is_given_up(lane) && lane.in_flight() < most
    }

    /// True if more than one way is open.
    fn takes_several(&self) -> bool {
        self.send.open_lanes().count() > 1
    }

    /// True if nothing comes back on this way, and others do better.
    fn is_given_up(&self, lane: &Lane) -> bool {
        lane.silent && self.takes_several()
    }

    /// True if the other side keeps one packet more, even if the first of those under way is lost.
    pub(super) fn fits_span(&self) -> bool {
        let span = if self.send.has_first() { self.span as usize } else { UNTIL_FIRST };
        self.send.unacked() < if self.takes_several() { span.min(MOST_TOLD) } else { span }
    }

    /// True if a new packet has room.
    pub(super) fn has_room(&self) -> bool {
        self.fits_span() && self.send.open_lanes().any(|(_, lane)| self.fits(lane))
    }

    fn window(&self, lane: &Lane) -> u64 {
        if self.backoff > 0 { 1 } else { lane.congestion.window() }
    }

    /// Bytes that may be on their way, over all ways.
    pub(super) fn windows(&self) -> u64 {
        self.send.open_lanes().map(|(_, lane)| lane.congestion.window()).sum()
    }

    /// Something has come: another way may be worth it, or the one on trial may not be.
    pub(super) fn judge_lanes(&mut self, now: Mono) {
        let settled = self.send.open_lanes().all(|(_, lane)| lane.congestion.is_settled());
        // Java's bound on what it keeps is no other with more ways.
        let limited = self.send.waiting() >= self.payload
            && !self.choked
            && self.send.unacked() < self.span as usize
            && self.phase == Phase::Open;
        let round_trip = self.send.open_lanes().filter_map(|(_, lane)| lane.srtt()).max().unwrap_or(Duration::ZERO);
        let count = self.send.open_lanes().count();
        match self.spread.judge(now, self.send.delivered(), limited, round_trip, count) {
            Verdict::Stay => {}
            // Ways that carry so much would be held back by one more.
            Verdict::Open if !self.alone || !settled || self.send.unacked() > MOST_TOLD * count / (count + 1) => {}
            Verdict::Open => match self.send.open_lane(now) {
                Some(lane) => self.spread.opened(now, lane, round_trip),
                None => self.spread.failed(now),
            },
            Verdict::Close(lane) => {
                self.close_lane(lane);
            }
        }
    }

    /// This way is worth nothing: there is none of its own for it, or nothing comes back. The first stays.
    pub fn give_up_lane(&mut self, now: Mono, at: usize) {
        if self.close_lane(at) {
            self.spread.failed(now);
        }
    }

    /// No new packet takes this way. True if it was open; the first stays so.
    pub(super) fn close_lane(&mut self, at: usize) -> bool {
        let lane = self.send.lanes_mut().get_mut(at).filter(|_| at > 0);
        lane.is_some_and(|lane| std::mem::take(&mut lane.open))
    }

    /// Nothing comes back on any way: it begins anew with one.
    pub(super) fn back_to_one_lane(&mut self, now: Mono) {
        let closed = (1..self.send.lanes().len()).filter(|at| self.close_lane(*at)).count();
        if closed > 0 {
            self.spread.failed(now);
        }
    }

    /// Ways on which nothing comes back, while others bring something: what is on them goes out again on the others.
    pub(super) fn end_silent_lanes(&mut self, now: Mono) {
        while let Some((_, at)) = self.next_silence().filter(|(deadline, _)| *deadline <= now) {
            self.send.time_out_lane(at);
            let lane = &mut self.send.lanes_mut()[at];
            (lane.silent, self.suspicious[at]) = (true, Some(now));
            lane.congestion.on_timeout(now);
            self.give_up_lane(now, at);
        }
    }

    /// When to look for such ways.
    pub(super) fn silence(&self) -> Option<Mono> {
        self.next_silence().map(|(deadline, _)| deadline)
    }

    /// Where there is but one the time-out of the stream is its own.
    fn next_silence(&self) -> Option<(Mono, usize)> {
        let watched = self.send.lanes().iter().enumerate().filter(|(_, lane)| !lane.open || self.takes_several());
        watched.filter_map(|(at, lane)| Some((lane.deadline(self.config.first_timeout)?, at))).min()
    }
}
