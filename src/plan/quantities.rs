//! The written forms of [`Clients`], [`Rate`], [`Share`] and [`LabPlan`].
use super::{Clients, LabPlan, Rate, Share};
use crate::lab::NODES_MAX;
use dsfuzz_span::written_as_text;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

impl Clients {
    /// The number of clients in a cluster of this size.
    pub fn count(self, nodes: usize) -> u32 {
        match self {
            Clients::Total(count) => count,
            Clients::PerNode(each) => each.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX)),
        }
    }
}

impl FromStr for Clients {
    type Err = String;

    fn from_str(text: &str) -> Result<Clients, String> {
        let text = text.trim();
        let (digits, each) = text.strip_suffix('n').map_or((text, false), |digits| (digits, true));
        match digits.parse::<u32>() {
            Ok(0) | Err(_) => Err(format!("not a number of clients: {text} (write 10, or 2n for two for each node)")),
            Ok(count) if each => Ok(Clients::PerNode(count)),
            Ok(count) => Ok(Clients::Total(count)),
        }
    }
}

impl fmt::Display for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Clients::Total(count) => write!(f, "{count}"),
            Clients::PerNode(each) => write!(f, "{each}n"),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let text = text.trim();
        let number = text.strip_suffix("/s").unwrap_or(text);
        match number.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Rate(rate)),
            _ => Err(format!("not a rate: {text} (write 400/s)")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        match text.trim().strip_suffix('%').map(|number| number.trim().parse::<f64>()) {
            Some(Ok(percent)) if percent > 0.0 && percent <= 100.0 => Ok(Share(percent / 100.0)),
            _ => Err(format!("not a share: {} (write 50%; more than 0%, at most 100%)", text.trim())),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, so that what was read is written: 0.07 times 100 is a little more than 7.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

written_as_text!(
    Clients,
    "Clients",
    "a number of clients, or `2n` for two for each node",
    "type": ["string", "number"],
);
written_as_text!(Rate, "Rate", "calls a second, such as 400/s", "type": ["string", "number"]);
written_as_text!(Share, "Share", "a share, such as 50%", "type": ["string", "number"]);

impl<'de> Deserialize<'de> for LabPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LabPlan, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = LabPlan;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nodes, or the name of a lab that is up,")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<LabPlan, E> {
                Ok(LabPlan::Named(name.into()))
            }
            fn visit_u64<E: de::Error>(self, nodes: u64) -> Result<LabPlan, E> {
                let wrong = |_| E::custom(format!("a lab has 1 to {NODES_MAX} nodes, not {nodes}"));
                u16::try_from(nodes).map(LabPlan::Nodes).map_err(wrong)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::LoadPlan;
    use super::*;

    #[test]
    fn clients_and_rates_are_read_as_people_write_them() {
        assert_eq!("2n".parse(), Ok(Clients::PerNode(2)));
        assert_eq!("10".parse(), Ok(Clients::Total(10)));
        assert!("0".parse::<Clients>().is_err() && "n".parse::<Clients>().is_err());
        assert_eq!("400/s".parse(), Ok(Rate(400.0)));
        assert!("-1/s".parse::<Rate>().is_err() && "0".parse::<Rate>().is_err());
        assert_eq!(Clients::PerNode(2).count(5), 10);
    }

    #[test]
    fn a_share_is_a_percentage_of_more_than_nothing() {
        for text in ["50%", "7%", "33.3%", "100%"] {
            assert_eq!(text.parse::<Share>().expect(text).to_string(), text);
        }
        for text in ["0%", "101%", "-1%", "50", "0.5", "NaN%", "half"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_clients_follow_the_leader_and_those_that_stay_ask_the_nodes() {
        let load = |clients, on_leader| LoadPlan { clients, on_leader, ..LoadPlan::default() };
        let nodes: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let half = load(Clients::PerNode(2), Some(Share(0.5)));
        assert_eq!((half.on_leader(6), half.unbound(&nodes).len(), half.too_few(&nodes)), (3, 0, None));
        assert_eq!(load(Clients::Total(2), Some(Share(0.1))).on_leader(2), 1, "one at the least");
        let all = load(Clients::PerNode(2), Some(Share(1.0)));
        assert_eq!((all.on_leader(6), all.unbound(&nodes)), (6, &nodes[..]));
        assert!(all.too_few(&nodes).expect("too few").contains("6 of them follow the leader"));
        assert_eq!(load(Clients::PerNode(2), None).on_leader(6), 0);
    }
}
