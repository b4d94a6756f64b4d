//! A packet fault with its draws made, as the options of its effect.
use super::{Delay, Flap, Loss, LossBursts, PacketFault, PacketOptions, Reorder};
use crate::protocol::PacketEffect;
use dsfuzz_span::Span;

/// The options with the values of this fault; none of an effect that no options name.
pub(super) fn options(fault: &PacketFault) -> Option<PacketOptions> {
    let percent = |permille: u32| f64::from(permille) / 10.0;
    let micros = |us: u64| Span(std::time::Duration::from_micros(us));
    let none = PacketOptions { link: fault.link.clone(), ..PacketOptions::default() };
    Some(match fault.effect {
        PacketEffect::Cut(_) => return None,
        PacketEffect::Loss { permille } => PacketOptions { loss: Some(Loss::Percent(percent(permille))), ..none },
        PacketEffect::Bursts { permille, mean, .. } => {
            let bursts = LossBursts { percent: percent(permille), burst: mean };
            PacketOptions { loss: Some(Loss::Bursts(bursts)), ..none }
        }
        PacketEffect::EveryNth { n } => PacketOptions { every_nth: Some(n), ..none },
        PacketEffect::Duplicate { permille } => PacketOptions { duplicate: Some(percent(permille)), ..none },
        PacketEffect::Corrupt { permille } => PacketOptions { corrupt: Some(percent(permille)), ..none },
        PacketEffect::Rate { bytes_per_second } => PacketOptions { rate: Some(bytes_per_second / 125), ..none },
        PacketEffect::TooBig { bytes } => PacketOptions { mtu: Some(bytes), ..none },
        PacketEffect::Delay { mean_us, jitter_us, .. } => {
            let delay = Delay { mean: micros(mean_us), jitter: micros(jitter_us) };
            PacketOptions { delay: Some(delay), ..none }
        }
        PacketEffect::Reorder { permille, by_us, .. } => {
            PacketOptions { reorder: Some(Reorder { percent: percent(permille), by: micros(by_us) }), ..none }
        }
        PacketEffect::Flap { period_ms, down_ms } => {
            PacketOptions { flap: Some(Flap { period: Span::millis(period_ms), down: Span::millis(down_ms) }), ..none }
        }
    })
}
