//! [`ShortLoad`]: a load that is too short for one fault of each kind at the plan's rate.
use super::{FaultKind, FaultSlot, Warning, millis};
use crate::quiet::GAP_MS;
use dsfuzz_span::Span;
use std::time::Duration;

/// A load that is too short for one fault of each kind at the plan's rate.
pub(super) struct ShortLoad {
    pub(super) load: Duration,
    pub(super) quiet_start: Span,
    pub(super) quiet_end: Span,
    pub(super) election: Duration,
    /// The plan has stretches without faults.
    pub(super) quiet: bool,
}

impl ShortLoad {
    /// Shortens the slots; if that is not enough, leaves out the last kinds of the plan's list. Adds a warning.
    pub(super) fn fit(
        &self,
        slots: &mut Vec<FaultSlot>,
        kinds: &[FaultKind],
        window_ms: u64,
        warnings: &mut Vec<Warning>,
    ) {
        // After the last fault, the gap is part of the quiet end.
        let room_ms = window_ms + if window_ms == 0 { 0 } else { millis(self.quiet_end.0).min(GAP_MS) };
        let election_ms = millis(self.election);
        let enough_ms = slots.iter().map(|slot| slot.enough_ms(election_ms)).sum::<u64>();
        let all = slots.len();
        let mut least_ms = 0;
        let mut kept = vec![false; kinds.len()];
        for (kind, kept) in kept.iter_mut().enumerate() {
            let need_ms = slots.iter().find(|slot| slot.kind == kind).map_or(0, FaultSlot::least_ms);
            *kept = least_ms + need_ms <= room_ms;
            least_ms += if *kept { need_ms } else { 0 };
        }
        slots.retain(|slot| kept[slot.kind]);
        stretch(slots, room_ms, election_ms);
        let left_out = kinds.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(kind, _)| kind.name.clone());
        let left_out: Vec<String> = left_out.collect();
        let load = Span(self.load);
        let needed_ms = millis(self.quiet_start.0) + enough_ms + millis(self.quiet_end.0);
        let needed = match self.quiet {
            // Stretches without faults come on top of it, as many as the load has.
            true => "longer load".to_owned(),
            false => format!("load of {}", Span(Duration::from_secs(needed_ms.div_ceil(1000)))),
        };
        if !left_out.is_empty() {
            let room = if slots.is_empty() { "none".to_owned() } else { slots.len().to_string() };
            let (start, end) = (self.quiet_start, self.quiet_end);
            let why = format!(
                "a load of {load} has room for {room} of {all} faults between quiet_start ({start}) and quiet_end ({end}), so that the \
                 run can only be unknown or invalid; a {needed} holds one of each (`load.time`, `--time`), or make `for`, \
                 `quiet_start` or `quiet_end` shorter"
            );
            warnings.extend(Warning::cannot_come(left_out, why));
        } else if room_ms < enough_ms {
            let election = Span(self.election);
            warnings.push(Warning::whole(format!(
                "a load of {load} holds one fault of each kind, but leaves less than an election ({election}) between \
                 them: calls may not be Ok again before the next fault, and evidence may be too thin; a {needed} \
                 holds them with room (`load.time`, `--time`)"
            )));
        }
    }
}

impl ShortLoad {
    /// The warning about less than the room after each fault that a demanded recovery needs, and the load that has it.
    pub(super) fn without_room(&self, slots: &[FaultSlot], after_ms: u64, needed_ms: u64) -> Option<String> {
        let close = after_ms > GAP_MS && slots.iter().any(|slot| slot.slot_ms - slot.lasts_ms < after_ms);
        let needed = match self.quiet {
            true => "a longer load".to_owned(),
            false => format!("a load of {}", Span(Duration::from_secs(needed_ms.div_ceil(1000)))),
        };
        close.then(|| {
            format!(
                "nemesis.recovery: a load of {} leaves less than {} between a fault and the next: a node that has not answered \
                 when the next begins is not judged after that heal; {needed} has this room for one of each kind (`load.time`, `--time`)",
                Span(self.load),
                Span::millis(after_ms)
            )
        })
    }
}

/// Stretches the slots to the room: first up to the time that the target needs to serve again, then up to the plan's rate.
fn stretch(slots: &mut [FaultSlot], room_ms: u64, election_ms: u64) {
    let wanted: Vec<u64> = slots.iter().map(|slot| slot.slot_ms).collect();
    let enough: Vec<u64> = slots.iter().map(|slot| slot.enough_ms(election_ms)).collect();
    slots.iter_mut().for_each(|slot| slot.slot_ms = slot.least_ms());
    for goals in [enough, wanted] {
        let spare_ms = room_ms.saturating_sub(slots.iter().map(|slot| slot.slot_ms).sum());
        let asked_ms: u64 = slots.iter().zip(&goals).map(|(slot, goal)| goal - slot.slot_ms).sum();
        for (slot, goal) in slots.iter_mut().zip(goals) {
            let more =
                u128::from(goal - slot.slot_ms) * u128::from(spare_ms.min(asked_ms)) / u128::from(asked_ms.max(1));
            slot.slot_ms += u64::try_from(more).unwrap_or(u64::MAX);
        }
    }
    for slot in slots {
        slot.gap_ms = (slot.slot_ms - slot.lasts_ms).min(GAP_MS + election_ms);
    }
}
