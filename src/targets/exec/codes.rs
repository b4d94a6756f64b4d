//! What the codes of the protocol mean to a call. Pure.
use crate::targets::recipe::Certainty;
use dsfuzz_workloads::codes::CODES;

/// What a code of the protocol says about the effect of a call; none of a code that the protocol does not have.
pub(super) fn certainty(code: &str) -> Option<Certainty> {
    let known = CODES.iter().find(|known| known.code == code)?;
    Some(if known.fails { Certainty::Fail } else { Certainty::Info })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_workloads::codes::ErrorCode;

    #[test]
    fn the_documentation_has_every_code() {
        let page = include_str!("../../../docs/client-protocol.md");
        let (_, rest) = page.split_once("\n| code | means | when |\n|---|---|---|\n").expect("the table");
        let (table, _) = rest.split_once("\n\n").expect("its end");
        let row = |code: &ErrorCode| format!("| `{}` | {} | {} |", code.code, code.means(), code.when);
        assert_eq!(table.lines().collect::<Vec<_>>(), CODES.iter().map(row).collect::<Vec<_>>());
    }
}
