//! The history of a run from its journal, exported as `history.jsonl`.
use super::journal;
use crate::store::{RunDir, RunInfo};
use anyhow::{Context, Result};
use dsfuzz_checkers::History;
use dsfuzz_checkers::history::{HistoryBuilder, write_record};

/// Reads the history back from the journal and exports it. Only a whole export replaces the old one. Without a journal the
/// export is read.
pub fn read_back(dir: &RunDir) -> Result<History> {
    if !dir.journal().is_dir() {
        let file = std::fs::File::open(dir.history())
            .with_context(|| format!("neither {} nor {}", dir.journal().display(), dir.history().display()))?;
        let history = dsfuzz_checkers::history::read_jsonl(std::io::BufReader::new(file));
        return history.with_context(|| dir.history().display().to_string());
    }
    // Records after another run took over a node are left out, here and in the export.
    let until = RunInfo::load(dir).ok().and_then(|info| info.judged_until);
    let mut history = HistoryBuilder::new();
    let mut beside = dir.history().into_os_string();
    beside.push(".part");
    let file = std::fs::File::create(&beside).context("history.jsonl cannot be written")?;
    let mut writer = std::io::BufWriter::new(file);
    journal::for_each(&dir.journal(), |record| {
        if until.is_some_and(|until| record.mark().time > until) {
            return Ok(());
        }
        write_record(&mut writer, &record).map_err(journal::JournalError::Write)?;
        Ok(history.push(record)?)
    })?;
    std::io::Write::flush(&mut writer).context("history.jsonl cannot be written")?;
    std::fs::rename(&beside, dir.history()).context("history.jsonl cannot be written")?;
    Ok(history.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_its_journal_is_judged_from_its_export_which_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path());
        let lines = "{\"type\":\"start\",\"index\":0,\"time\":0,\"version\":1,\"nodes\":[\"n1\"],\"wall\":\"w\"}\n\
                     {\"type\":\"end\",\"index\":1,\"time\":1}\n";
        std::fs::write(dir.history(), lines).unwrap();
        assert!(read_back(&dir).unwrap().complete);
        assert_eq!(std::fs::read_to_string(dir.history()).unwrap(), lines);
        // An unreadable journal leaves the export unchanged.
        std::fs::create_dir(dir.journal()).unwrap();
        std::fs::write(dir.journal().join("segment-000000"), "damaged").unwrap();
        assert!(read_back(&dir).is_err());
        assert_eq!(std::fs::read_to_string(dir.history()).unwrap(), lines);
    }
}
