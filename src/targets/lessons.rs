//! [`lessons`]: what the specimens teach, from their pages in `docs/specimens`.

/// The pages, one for each mode of the specimens.
const PAGES: &[(&str, &str)] = &[
    ("crdt", include_str!("../../docs/specimens/crdt.md")),
    ("gossip", include_str!("../../docs/specimens/gossip.md")),
    ("ids", include_str!("../../docs/specimens/ids.md")),
    ("raft", include_str!("../../docs/specimens/raft.md")),
    ("saga", include_str!("../../docs/specimens/saga.md")),
    ("two-phase", include_str!("../../docs/specimens/two-phase.md")),
];

/// What a page says about a mode, or about one of its mistakes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// The mode.
    pub mode: &'static str,
    /// The mistake; none: the lesson is about the mode itself.
    pub mistake: Option<&'static str>,
    /// The text, in Markdown.
    pub text: &'static str,
}

impl Lesson {
    /// Whether it is a mistake's and names this kind of finding.
    fn shows(&self, kind: &str) -> bool {
        self.mistake.is_some() && self.text.contains(&format!("`{kind}`"))
    }
}

/// Every lesson: for each mode its promise, then its mistakes.
pub fn lessons() -> Vec<Lesson> {
    PAGES.iter().flat_map(|(mode, page)| of_page(mode, page)).collect()
}

/// What a kind of finding is, in a sentence, and which mistakes show one. None: the kind is not known.
pub fn about(kind: &str) -> Option<String> {
    let sentence = dsfuzz_checkers::anomaly(kind)?;
    let shown: Vec<String> = lessons()
        .iter()
        .filter(|lesson| lesson.shows(kind))
        .filter_map(|lesson| Some(format!("{} of {}", lesson.mistake?, lesson.mode)))
        .collect();
    Some(match shown.is_empty() {
        true => sentence.to_owned(),
        false => format!("{sentence} Mistakes of the specimens that show it: {}.", shown.join(", ")),
    })
}

fn of_page(mode: &'static str, page: &'static str) -> Vec<Lesson> {
    let mut sections = page.split("\n## ");
    let promise = sections.next().and_then(|head| head.split_once('\n')).map(|(_, text)| (None, text));
    let mistakes =
        sections.filter_map(|section| section.split_once('\n')).map(|(name, text)| (Some(name.trim()), text));
    promise.into_iter().chain(mistakes).map(|(mistake, text)| Lesson { mode, mistake, text: text.trim() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_mode_and_every_mistake_has_a_lesson() {
        let listed: serde_json::Value = dsfuzz_specimen::modes::listed();
        let mut expected = BTreeSet::new();
        for mode in listed.as_array().unwrap() {
            let name = mode["mode"].as_str().unwrap().to_owned();
            for mistake in mode["mistakes"].as_array().unwrap() {
                expected.insert((name.clone(), mistake.as_str().map(str::to_owned)));
            }
            expected.insert((name, None));
        }
        let all = lessons();
        let there: BTreeSet<_> =
            all.iter().map(|lesson| (lesson.mode.to_owned(), lesson.mistake.map(str::to_owned))).collect();
        assert_eq!(there, expected);
        assert_eq!(all.len(), there.len(), "each once");
    }

    #[test]
    fn every_mistake_names_the_kind_of_its_findings() {
        let kinds: Vec<&str> = dsfuzz_checkers::ANOMALIES.iter().map(|(kind, _)| *kind).collect();
        for lesson in lessons().iter().filter(|lesson| lesson.mistake.is_some()) {
            assert!(kinds.iter().any(|kind| lesson.shows(kind)), "{}: {:?}", lesson.mode, lesson.mistake);
        }
    }
}
