//! `dsfuzz check`: judges a stored run, or a history from a file.
use super::Output;
use super::run::{quoted, show};
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::judge::{self, Rules};
use crate::plan::{Plan, names};
use crate::report;
use crate::run::{FinishedRun, read_back};
use crate::store::{self, CheckRequest, RunDir, RunInfo, RunVerdict};
use clap::Args;
use dsfuzz_checkers::history::{self, Format, HistoryError, ReadOptions};
use dsfuzz_checkers::inference::{self, Candidate, Inference};
use dsfuzz_checkers::{CHECKERS, History, MODELS, Options, Validity, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The option by which a checker judges one workload alone; all take it.
const WORKLOAD: &str = "workload";

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// A run (`latest`, PLAN, PLAN/TIME or its folder), or a history file
    #[arg(value_name = "RUN|FILE", default_value = "latest")]
    pub what: String,
    /// Judge by these checkers instead of the plan's
    #[arg(long = "checker", value_name = "NAME", value_delimiter = ',')]
    pub checkers: Vec<String>,
    /// Judge the history as this checker or workload [default: inferred from the functions of its calls]
    #[arg(long = "as", value_name = "NAME", conflicts_with = "checkers")]
    pub kind: Option<String>,
    /// Judge by this model, such as serializable; short for --set model=M
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// Set an option of the checkers (see `dsfuzz list checkers`); repeatable
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    pub options: Vec<String>,
    /// Format of the history file: jsonl, jepsen-edn, jepsen-json, porcupine-etcd, porcupine-kv, plume [default:
    /// detected from its first bytes]
    #[arg(long, value_name = "FORMAT", value_parser = |text: &str| text.parse::<Format>())]
    pub format: Option<Format>,
    /// Values of the history file are [key value], as jepsen.independent makes them; =false: they are plain values
    /// although they look like pairs (`dsfuzz explain independent`)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub independent: Option<bool>,
    /// For a history file: write verdict.json, report.html and report/ into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Time for all checkers together, such as 5m
    #[arg(long, value_name = "DURATION")]
    pub budget: Option<dsfuzz_nemesis::Span>,
}

/// A stored run or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckSubject {
    /// A stored run.
    Run(RunDir),
    /// A history on its own.
    File(PathBuf),
}

impl CheckArgs {
    /// The run or file that the arguments name. A file within a run's folder means that file alone.
    pub fn subject(&self, out: &mut Output) -> Result<CheckSubject, Failure> {
        super::runs::file_or_run(out, &self.what)
    }

    /// The named checkers with their options; `None` if none was named. Each checker exists and takes its options.
    pub fn checkers(&self) -> Result<Option<Vec<(String, Options)>>, Failure> {
        let named = self.named()?.to_vec();
        let named = match &self.kind {
            Some(name) => judges(name)?,
            None if named.is_empty() => return Ok(None),
            None => named,
        };
        self.with_options(named, None).map(Some)
    }

    /// The options of checkers on the command line.
    fn options(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut options = BTreeMap::new();
        if let Some(model) = &self.model {
            options.insert("model".to_owned(), Value::text(model));
        }
        for text in &self.options {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Failure::Usage(format!("--set takes OPTION=VALUE, not {text}")));
            };
            options.insert(name.to_owned(), option_value(name, value)?);
        }
        Ok(options)
    }

    /// These checkers, each with the options that it knows, among them those of this model where no other is named. An option
    /// that none of them knows is an error.
    fn with_options(&self, named: Vec<String>, model: Option<&'static str>) -> Result<Vec<(String, Options)>, Failure> {
        let mut options = self.options()?;
        if let Some(model) = model {
            options.entry("model".to_owned()).or_insert_with(|| Value::text(model));
        }
        let knows = |checker: &str, option: &str| {
            CHECKERS.iter().any(|doc| doc.name == checker && doc.takes(option)) || option == WORKLOAD
        };
        if let Some(unknown) = options.keys().find(|option| !named.iter().any(|name| knows(name, option))) {
            let whole = Options(BTreeMap::from([(unknown.clone(), Value::Nil)]));
            let problem = named.first().and_then(|name| dsfuzz_checkers::checker_with(name, &whole).err());
            let problem =
                problem.unwrap_or_else(|| format!("nothing that judges this history has an option {unknown}"));
            return Err(Failure::Usage(problem));
        }
        let mut checkers = Vec::new();
        for name in named {
            let own = options.iter().filter(|(option, _)| knows(&name, option));
            let own = Options(own.map(|(option, value)| (option.clone(), value.clone())).collect());
            dsfuzz_checkers::checker_with(&name, &own).map_err(Failure::Usage)?;
            checkers.push((name, own));
        }
        Ok(checkers)
    }

    /// The checkers inferred from the functions of this history, workload by workload, with the options set for them. A
    /// workload that fits no checker, or several, gets a sentence in `doubts` instead.
    fn fitting(
        &self,
        fits: &[Inference<'_>],
        history: &History,
        doubts: &mut Vec<(String, String)>,
    ) -> Result<Vec<(String, Options)>, Failure> {
        let set = self.options()?;
        let mut fitting: Vec<(String, Options)> = Vec::new();
        let mut taken: BTreeSet<&String> = BTreeSet::new();
        let mut refused = None;
        let alone = history.workloads().len() == 1;
        for fit in fits {
            let mut named = Vec::new();
            // An option may single out the checker: only one of them takes it.
            for candidate in &fit.candidates {
                let other =
                    set.get("model").is_some_and(|model| Some(model) != candidate.model.map(Value::text).as_ref());
                if fits.len() > 1 && candidate.checker == "linearizable" && other {
                    continue;
                }
                match self.with_options(vec![candidate.checker.to_owned()], candidate.model) {
                    Ok(own) => named.extend(own.into_iter().map(|own| (*candidate, own))),
                    Err(failure) => drop(refused.get_or_insert(failure)),
                }
            }
            // The option may belong to the checker of another workload.
            if named.is_empty() && fits.len() > 1 {
                let plain = |candidate: &Candidate| (*candidate, (candidate.checker.to_owned(), Options::default()));
                named = fit.candidates.iter().map(plain).collect();
            }
            let mut named: Vec<(String, Options)> =
                named.into_iter().map(|(candidate, own)| candidate.with(own)).collect();
            named.dedup();
            if named.len() > 1 {
                let several: Vec<String> = fit.candidates.iter().map(ToString::to_string).collect();
                let (of, which) = match alone {
                    true => (String::new(), String::new()),
                    false => {
                        (format!(" of workload {}", fit.workload), format!(" --set workload={}", quoted(fit.workload)))
                    }
                };
                let doubt = format!(
                    "calls{of} of {} may be judged by {}: say which with --as, such as --as {}{which}",
                    fit.functions.join(", "),
                    several.join(", "),
                    several[0]
                );
                doubts.push((fit.workload.to_owned(), doubt));
                for (_, options) in &named {
                    taken.extend(set.keys().filter(|option| options.0.contains_key(*option)));
                }
                continue;
            }
            for (_, options) in &mut named {
                taken.extend(set.keys().filter(|option| options.0.contains_key(*option)));
                if !alone {
                    options.0.insert(WORKLOAD.to_owned(), Value::text(fit.workload));
                }
            }
            fitting.append(&mut named);
        }
        match refused.filter(|_| taken.len() < set.len()) {
            Some(failure) => return Err(failure),
            None if taken.len() < set.len() => drop(self.with_options(Vec::new(), None)?),
            None => {}
        }
        if !history.roles.is_empty() || !history.faults.is_empty() {
            let initial = set.get("initial").map(|value| ("initial".to_owned(), value.clone()));
            fitting.push(("split-brain".to_owned(), Options(initial.into_iter().collect())));
        }
        Ok(fitting)
    }

    /// The command that judges this file or run in the same way.
    fn again(&self, what: &Path) -> String {
        let mut words = vec!["dsfuzz".to_owned(), "check".to_owned(), what.display().to_string()];
        words.extend(self.question());
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// The arguments that ask another question than the run's own plan; empty if none does.
    fn question(&self) -> Vec<String> {
        let mut words = Vec::new();
        let checkers = (!self.checkers.is_empty()).then(|| self.checkers.join(","));
        let format = self.format.map(|format| format.name().to_owned());
        let budget = self.budget.map(|budget| budget.to_string());
        let given = [("--as", self.kind.clone()), ("--checker", checkers), ("--model", self.model.clone())];
        let options = self.options.iter().map(|option| ("--set", Some(option.clone())));
        for (flag, value) in given.into_iter().chain(options).chain([("--format", format), ("--budget", budget)]) {
            words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        match self.independent {
            Some(true) => words.push("--independent".to_owned()),
            Some(false) => words.push("--independent=false".to_owned()),
            None => {}
        }
        words
    }

    fn named(&self) -> Result<&[String], Failure> {
        let known: Vec<&str> = CHECKERS.iter().map(|doc| doc.name).collect();
        let unknown = self.checkers.iter().find(|name| !known.contains(&name.as_str()));
        let twice = |(at, name): (usize, &String)| self.checkers[..at].contains(name).then(|| name.clone());
        if let Some(twice) = self.checkers.iter().enumerate().find_map(twice) {
            return Err(Failure::Usage(format!("the checker {twice} is there twice: name each once")));
        }
        let Some(name) = unknown else { return Ok(&self.checkers) };
        let meant = did_you_mean(name, known.iter().copied()).map(|meant| format!("; did you mean {meant}?"));
        let meant = meant.unwrap_or_default();
        Err(Failure::Usage(format!("no checker {name}{meant} (there are: {})", known.join(", "))))
    }
}

/// The value of an option: a number, true, null, list or object in JSON or in a plan's one-line YAML; anything else is a
/// text. A malformed value is an error: read as a text, it would change the verdict.
fn option_value(name: &str, text: &str) -> Result<Value, Failure> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let wrong = |why: &str| Err(Failure::Usage(format!("--set {name}={text}: {why}")));
    if text.is_empty() {
        return wrong("a value is missing; an empty text is \"\"");
    }
    if text == "nil" {
        return wrong("write null for no value, or \"nil\" for the text");
    }
    if text.starts_with(['{', '[', '"']) {
        let value: Result<serde_json::Value, _> = serde_yaml::from_str(text);
        return match value {
            Ok(value) if !value.is_string() || text.starts_with('"') => {
                serde_json::from_value(value).or_else(|error| wrong(&error.to_string()))
            }
            Ok(_) => wrong("neither JSON nor YAML"),
            Err(error) => wrong(&format!("neither JSON nor YAML: {error}")),
        };
    }
    // A number in a form that JSON lacks: 00, +1, 1_000, 0x10.
    if text.starts_with(['+', '-']) || text.starts_with(|first: char| first.is_ascii_digit()) {
        let digits = text.trim_start_matches(['+', '-']);
        if !digits.is_empty() && digits.chars().all(|letter| letter.is_ascii_digit() || letter == '_') {
            return wrong("numbers are written like 10; a text of digits is \"00\"");
        }
    }
    Ok(Value::text(text))
}

pub(super) fn main(args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    // A misspelt name is reported before any file is opened.
    args.checkers()?;
    args.options()?;
    match args.subject(out)? {
        CheckSubject::Run(_) if args.format.is_some() || args.independent.is_some() => {
            Err(Failure::Usage("--format and --independent are about history files, not about runs".into()))
        }
        CheckSubject::Run(_) if args.report.is_some() => {
            Err(Failure::Usage("--report is about history files: a run's report is drawn in its own folder".into()))
        }
        CheckSubject::Run(dir) => check_run(&dir, args, out),
        CheckSubject::File(file) => check_file(&file, args, out),
    }
}

/// Judges a run from its files, draws its report again and keeps the verdict.
fn check_run(dir: &RunDir, args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    if let Some(failure) = super::runs::nothing_recorded(dir) {
        return Err(failure);
    }
    // The files are the harness's own: damage in them is not a wrong argument.
    let unreadable = |error: &dyn std::fmt::Display| Failure::harness(format!("{}: {error}", dir.plan().display()));
    let plan = std::fs::read_to_string(dir.plan()).map_err(|error| unreadable(&error))?;
    let plan = Plan::from_yaml_str(&plan).map_err(|error| unreadable(&error))?;
    let mut info = RunInfo::load(dir)
        .map_err(|error| Failure::harness(format!("{} cannot be read: {error}", dir.info().display())))?;
    let mut rules = Rules::of_plan(&plan, &info.facts);
    let plans_own: Vec<String> = rules.checkers.iter().map(|(name, _)| name.clone()).collect();
    change(&mut rules, args)?;
    let history = read_back(dir)?;
    let mut verdict = judge::judge(&history, &rules, &info);
    let arguments = args.question();
    let dir = if arguments.is_empty() {
        own_answer(dir, &verdict, out)?
    } else {
        let asked: Vec<&str> = rules.checkers.iter().map(|(name, _)| name.as_str()).collect();
        let label = asked.join(",");
        let not_asked = plans_own.into_iter().filter(|name| !asked.contains(&name.as_str())).collect();
        info.again = args.again(dir.path());
        verdict.asked = Some(CheckRequest { arguments, not_asked });
        store::create_beside(dir, &label, chrono::Utc::now())?
    };
    if let Err(error) = report::write_all(&dir, &history, &info, &verdict) {
        out.note(format!("the report could not be drawn whole: {error:#}"));
    }
    show(&FinishedRun { info, verdict, history }, &dir, out)
}

/// The folder for the answer to the plan's own check: the run's folder, unless it holds a broken promise that was not
/// found again. Then both answers are kept.
fn own_answer(dir: &RunDir, verdict: &RunVerdict, out: &mut Output) -> Result<RunDir, Failure> {
    let kept = RunVerdict::load(dir).ok().filter(|kept| kept.validity == Validity::Invalid);
    let Some(kept) = kept.filter(|_| verdict.validity != Validity::Invalid) else { return Ok(dir.clone()) };
    let beside = store::create_beside(dir, "plan", chrono::Utc::now())?;
    let version = if kept.dsfuzz.is_empty() { "an earlier version".into() } else { format!("dsfuzz {}", kept.dsfuzz) };
    out.note(format!(
        "the run stays invalid: {version} found \"{}\", and this check did not find it again. Its own answer is in {}; \
         remove {} and check again to let it replace the older one",
        kept.sentence,
        beside.answers().display(),
        dir.verdict().display()
    ));
    Ok(beside)
}

/// Judges a history without a run: promises only, no evidence. Only `--report` writes files.
fn check_file(file: &Path, args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    let workload = args.kind.clone().filter(|name| CHECKERS.iter().all(|doc| doc.name != *name));
    let options = ReadOptions { workload, independent: args.independent, strict: false };
    let (format, history) = read_file(file, args.format, &options, args.kind.is_some() || !args.named()?.is_empty())?;
    if format != Format::Jsonl {
        out.note(format!("{} is read as {format}", file.display()));
    }
    for remark in &history.remarks {
        out.note(remark.clone());
    }
    let (checkers, unseen) = chosen(args, &history, out)?;
    let rests = |(name, own): &(String, Options)| {
        dsfuzz_checkers::checker_with(name, own).is_ok_and(|checker| checker.needs_realtime())
    };
    if !history.realtime && history.find_name("txn").is_some() && checkers.iter().any(rests) {
        out.note(
            "there is no order between the sessions of this history: name a weaker model, such as --model \
             serializable, or --as causal-transactions",
        );
    }
    let mut rules = Rules { checkers, ..Rules::default() };
    if let Some(budget) = args.budget {
        rules.budget.time = budget;
    }
    let plan = file.display().to_string();
    let info = RunInfo { plan, again: args.again(file), unseen, file: true, ..RunInfo::default() };
    let verdict = judge::judge(&history, &rules, &info);
    let dir = match &args.report {
        Some(folder) => {
            let failed = |error: &dyn std::fmt::Display| Failure::harness(format!("{}: {error}", folder.display()));
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
            let dir = RunDir::at(folder);
            report::write_all(&dir, &history, &info, &verdict).map_err(|error| failed(&format!("{error:#}")))?;
            dir
        }
        // A file has no parts.
        None => RunDir::at(file),
    };
    show(&FinishedRun { info, verdict, history }, &dir, out)
}

/// Checkers of a history, and a sentence for each workload that is left out without a request to do so.
type ChosenCheckers = (Vec<(String, Options)>, Vec<String>);

/// The checkers for the history of this file.
fn chosen(args: &CheckArgs, history: &History, out: &mut Output) -> Result<ChosenCheckers, Failure> {
    let mut doubts: Vec<(String, String)> = Vec::new();
    let set = Options(args.options()?);
    let text = |option: &str| set.text(option).map_err(|error| Failure::Usage(error.to_string()));
    let only = text(WORKLOAD)?;
    let mut fits = inference::infer(history, text("model")?);
    let several = fits.len() > 1;
    let checkers = match args.checkers()? {
        Some(named) => modelled(named, &fits, out),
        None => {
            fits.retain(|fit| only.is_none_or(|only| only == fit.workload));
            if let (Some(only), true) = (only, fits.is_empty()) {
                let there: Vec<&str> = history.workloads().into_iter().map(|id| history.name(id)).collect();
                return Err(Failure::Usage(format!("no workload {only} (there are: {})", there.join(", "))));
            }
            let fitting = args.fitting(&fits, history, &mut doubts)?;
            for (name, options) in &fitting {
                let text = |option: &str| options.text(option).ok().flatten();
                let model = text("model").filter(|_| args.model.is_none()).map(|model| format!(" --model {model}"));
                let of = text(WORKLOAD).filter(|_| several).map(|workload| format!(" of workload {workload}"));
                if model.is_some() || of.is_some() {
                    let (of, model) = (of.unwrap_or_default(), model.unwrap_or_default());
                    out.note(format!("inferred from the functions{of}: {name}{model}"));
                }
            }
            for asked in fits.iter().filter_map(|fit| fit.asked.as_ref()) {
                let advice = match args.independent {
                    Some(false) => {
                        "--independent=false says that it is no key: then name what judges such reads with --as, or say \
                         --independent if it is a key with its value"
                    }
                    _ => "where it names the key, write the key into the field `key` and leave the value out",
                };
                out.note(format!("{asked}: a read with an argument of its own, which no register has; {advice}"));
            }
            doubts.extend(fits.iter().filter_map(|fit| Some((fit.workload.to_owned(), unrecognised(fit)?))));
            if fitting.is_empty() && doubts.is_empty() {
                out.note(
                    "no checker can be inferred from the functions of these calls: name one with --as (`dsfuzz list \
                     checkers`)",
                );
            }
            fitting
        }
    };
    let mut unjudged = if several { dsfuzz_checkers::unjudged(history, &checkers) } else { Vec::new() };
    unjudged.retain(|workload| doubts.iter().all(|(other, _)| other != workload));
    if !unjudged.is_empty() {
        out.note(unjudged_note(&unjudged));
    }
    let mut unseen: Vec<String> = doubts.into_iter().map(|(_, doubt)| doubt).collect();
    for doubt in &unseen {
        out.note(doubt.clone());
    }
    // A workload that the user named exists.
    if only.is_none() {
        unseen.extend(unjudged.iter().map(|workload| format!("nothing judged the calls of workload {workload}")));
    }
    Ok((checkers, unseen))
}

/// The named checkers; `linearizable` without a model gets the model inferred from the functions, if there is one.
fn modelled(mut named: Vec<(String, Options)>, fits: &[Inference<'_>], out: &mut Output) -> Vec<(String, Options)> {
    let [Inference { candidates, .. }] = fits else { return named };
    let [candidate @ Candidate { checker: "linearizable", model: Some(model) }] = candidates[..] else { return named };
    for (name, options) in &mut named {
        if name == candidate.checker && !options.0.contains_key("model") {
            out.note(format!("inferred from the functions: {name} --model {model}"));
            options.0.insert("model".to_owned(), Value::text(model));
        }
    }
    named
}

/// The reason why no checker is inferred although the functions are known, and the candidates.
fn unrecognised(fit: &Inference<'_>) -> Option<String> {
    if !fit.candidates.is_empty() || fit.possible.is_empty() || fit.asked.is_some() {
        return None;
    }
    let possible: Vec<String> = fit.possible.iter().map(ToString::to_string).collect();
    let unlike = fit.unlike.as_ref().map(|unlike| format!(" ({unlike})")).unwrap_or_default();
    Some(format!(
        "calls of {} do not look like what judges such functions{unlike}: if they are meant for {}, say so with --as, such \
         as --as {}",
        fit.functions.join(", "),
        possible.join(" or "),
        possible[0]
    ))
}

fn unjudged_note(workloads: &[&str]) -> String {
    let (noun, verb) = if workloads.len() == 1 { ("workload", "is") } else { ("workloads", "are") };
    format!(
        "{noun} {} {verb} not judged: without --as the checker of each workload is inferred from its functions; --set \
         workload=NAME judges one alone",
        workloads.join(", ")
    )
}

fn change(rules: &mut Rules, args: &CheckArgs) -> Result<(), Failure> {
    if let Some(named) = args.checkers()? {
        rules.checkers = named;
    } else if !(args.options.is_empty() && args.model.is_none()) {
        let names = rules.checkers.iter().map(|(name, _)| name.clone()).collect();
        rules.checkers = args.with_options(names, None)?;
    }
    if let Some(budget) = args.budget {
        rules.budget.time = budget;
    }
    Ok(())
}

/// Bytes of a file that are inspected before it is read.
const BEGINNING_BYTES: u64 = 4096;

/// Reads a history file in its format, or in the format detected from its first bytes. An empty file is refused, unless
/// `asked` says that the user named a checker: its answer is "nothing to judge".
pub(super) fn read_file(
    file: &Path,
    format: Option<Format>,
    options: &ReadOptions,
    asked: bool,
) -> Result<(Format, History), Failure> {
    let failed = |error: std::io::Error| unread(file, &HistoryError::Io(error));
    let mut reader = std::fs::File::open(file).map_err(failed)?;
    let mut beginning = Vec::new();
    reader.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning).map_err(failed)?;
    if !asked && beginning.trim_ascii().is_empty() && (beginning.len() as u64) < BEGINNING_BYTES {
        return Err(Failure::Usage(format!("{} is empty: there is no history in it", file.display())));
    }
    let reader = std::io::Cursor::new(beginning).chain(reader);
    let read = match format {
        Some(format) => history::read(format, reader, options).map(|history| (format, history)),
        None => history::read_any(reader, options),
    };
    read.map_err(|error| unread(file, &error))
}

/// The error for an unusable history file: nothing was judged, and another file or other arguments are needed.
pub(super) fn unread(file: &Path, error: &HistoryError) -> Failure {
    let file = file.display();
    Failure::Usage(match error {
        HistoryError::AmbiguousKeys { line, column, seen } => format!(
            "{file}: line {line}, column {column}: {seen}. So jepsen.independent writes a key with its value, and judged \
             as one value each they could break a promise that was kept. Say --independent if they are keys with their \
             values; if they are not, say --independent=false and name with --as what judges such calls"
        ),
        HistoryError::Io(error) => format!("{file}: {error}"),
        other => format!("{file}: {other}"),
    })
}

/// The checkers for `--as`: the one of that name, or those of a workload.
fn judges(name: &str) -> Result<Vec<String>, Failure> {
    if CHECKERS.iter().any(|doc| doc.name == name) {
        return Ok(vec![name.to_owned()]);
    }
    let workload: Result<dsfuzz_workloads::WorkloadOptions, _> = serde_json::from_value(serde_json::json!({name: {}}));
    match workload {
        Ok(workload) => Ok(workload.build().checkers().into_iter().map(String::from).collect()),
        Err(_) if MODELS.iter().any(|model| model.name == name) => {
            Err(Failure::Usage(format!("{name} is a model and no checker: --as linearizable --model {name}")))
        }
        Err(_) => {
            let known: Vec<String> =
                names::checkers().into_iter().chain(names::workloads()).map(|entry| entry.name).collect();
            let meant =
                did_you_mean(name, known.iter().map(String::as_str)).map(|meant| format!("; did you mean {meant}?"));
            let (meant, known) = (meant.unwrap_or_default(), known.join(", "));
            Err(Failure::Usage(format!("no checker or workload {name}{meant} (there are: {known})")))
        }
    }
}
