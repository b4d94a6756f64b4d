//! The shape of the source: layers as `docs/architecture.md` has them, circles of imports, sizes, and what may stand at the top.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that import each other in a circle, at most.
const CIRCLE_MAX: usize = 5;
const FUNCTION_LINES_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder whose names end so; what is built or stored is passed over.
fn files(folder: &Path, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
            if entry.is_dir() {
                let passed_over = ["target", "results", ".git", "corpus", "artifacts"].contains(&name.as_str());
                folders.extend((!passed_over).then_some(entry));
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).expect("UTF-8 text")
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// A source without comments and without what only tests have.
fn code(file: &Path) -> String {
    let mut code = String::new();
    let mut tested = false;
    for line in text(file).lines() {
        if tested && line.starts_with("mod ") && line.ends_with('{') {
            // A module of tests is the end of its file.
            break;
        }
        tested = line == "#[cfg(test)]";
        let plain = line.split("//").next().unwrap_or("");
        code.push_str(plain);
        code.push('\n');
    }
    code
}

fn is_test(file: &Path) -> bool {
    let name = file.file_name().expect("a name");
    name == "tests.rs" || name == "testing.rs" || file.components().any(|part| part.as_os_str() == "tests")
}

/// Paths that a source names, from `crate` or `super` on; lists in braces are spread out.
fn named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // Within a longer path: named by its beginning.
            if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':' || before == '$')
            {
                continue;
            }
            let mut rest = &code[at..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            let path = &rest[..end];
            rest = &rest[end..];
            if path.ends_with("::") && rest.starts_with('{') {
                named.extend(spread(rest).into_iter().map(|part| format!("{path}{part}")));
            } else {
                named.push(path.to_owned());
            }
        }
    }
    named
}

/// The paths in a list of imports that begins with its brace.
fn spread(list: &str) -> Vec<String> {
    let (mut depth, mut part, mut parts) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            parts.push(std::mem::take(&mut part));
        } else if !(depth == 1 && c == '{') {
            part.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    let one = |part: String| match part.find('{') {
        Some(at) => spread(&part[at..]).into_iter().map(|inner| format!("{}{inner}", part[..at].trim())).collect(),
        None => vec![part.split_whitespace().next().unwrap_or("").to_owned()],
    };
    parts.into_iter().flat_map(one).filter(|part| !part.is_empty()).collect()
}

/// Modules of a crate by their paths, and which others each names outside of tests.
fn imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let module = |file: &Path| {
        let path = file.strip_prefix(source).expect("within").with_extension("");
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let named = parts.iter().filter(|part| !["mod", "lib", "main"].contains(&part.as_str()));
        named.cloned().collect::<Vec<_>>().join("::")
    };
    // A crate below the folder has paths of its own.
    let crates = files(source, &["Cargo.toml"]);
    let foreign =
        |file: &Path| crates.iter().any(|manifest| manifest.parent().is_some_and(|own| file.starts_with(own)));
    let sources = files(source, &[".rs"]).into_iter().filter(|file| !is_test(file) && !foreign(file));
    let files: BTreeMap<String, PathBuf> = sources.map(|file| (module(&file), file)).collect();
    let resolve = |path: &[&str]| {
        (1..=path.len()).rev().map(|len| path[..len].join("::")).find(|module| files.contains_key(module))
    };
    let of = |(module, file): (&String, &PathBuf)| {
        let own: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        let code = code(file);
        let mut others = BTreeSet::new();
        for path in named(&code) {
            let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
            let mut base = own.clone();
            match parts.remove(0) {
                "crate" => base.clear(),
                "super" => drop(base.pop()),
                _ => {}
            }
            while parts.first() == Some(&"super") {
                parts.remove(0);
                base.pop();
            }
            let whole: Vec<&str> = base.into_iter().chain(parts).collect();
            others.extend(resolve(&whole).filter(|other| other != module));
        }
        (module.clone(), others)
    };
    files.iter().map(of).collect()
}

/// Modules that reach each other, more than one in each group.
fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reached = |from: &String| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for other in imports.get(&module).into_iter().flatten() {
                if reached.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        reached
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = imports.keys().map(|module| (module, reached(module))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for module in imports.keys() {
        let circle: BTreeSet<String> = reach[module]
            .iter()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(module)))
            .cloned()
            .collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// The layers of a source from below, as the block behind the line of the map that names it has them.
fn layers(source: &str) -> Vec<Vec<String>> {
    let map = text(&root().join("docs/architecture.md"));
    let (_, rest) = map.split_once("## Layers").expect("a section on layers");
    let (_, rest) = rest.split_once(&format!("The layers of `{source}/`")).expect("a line on this source");
    let block = rest.split("```").nth(1).expect("a block");
    let lines = block.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Modules that compare a checker with brute force, or make histories: no checker imports them, and they import anything.
const ORACLES: [&str; 8] = ["fuzz", "random", "oracle", "oracles", "brute", "small", "load", "simulate"];

/// Imports of a source that do not go down by its layers.
fn upward(source: &str, imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let layers = layers(source);
    let is_oracle = |module: &str| source == "checkers/src" && module.split("::").any(|part| ORACLES.contains(&part));
    // The entry of a module is the longest one that its path begins with.
    let entry = |module: &str| -> Option<(usize, String)> {
        let parts: Vec<&str> = module.split("::").collect();
        (1..=parts.len())
            .rev()
            .map(|len| parts[..len].join("::"))
            .find_map(|name| layers.iter().position(|layer| layer.contains(&name)).map(|level| (level, name)))
    };
    let mut wrong = Vec::new();
    for (module, others) in imports.iter().filter(|(module, _)| !module.is_empty() && !is_oracle(module)) {
        let Some((level, name)) = entry(module) else {
            wrong.push(format!("{source}: {module} is in no layer of docs/architecture.md"));
            continue;
        };
        let is_below = |other: &str| entry(other).is_some_and(|(below, own)| below < level || own == name);
        let above = others.iter().filter(|other| is_oracle(other) || !is_below(other));
        wrong.extend(above.map(|other| format!("{source}: {module} imports {other}, which is not below it")));
    }
    wrong
}

#[test]
fn each_layer_knows_only_those_below_it() {
    for source in ["src", "checkers/src"] {
        let wrong = upward(source, &imports(&root().join(source)));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn an_import_against_the_layers_is_found() {
    let imports = |of: &str, other: &str| [(of.to_owned(), [other.to_owned()].into())].into();
    for (of, other) in [
        ("history::import::foreign", "registry"),
        ("functions", "history::import"),
        ("transactions::bank", "registers::order"),
        ("graph", "verdict"),
        ("transactions::bank", "transactions::fuzz"),
        ("unlisted", "value"),
    ] {
        assert_eq!(upward("checkers/src", &imports(of, other)).len(), 1, "{of} -> {other}");
    }
    assert!(upward("checkers/src", &imports("transactions::bank", "transactions::txn")).is_empty());
    assert!(upward("checkers/src", &imports("transactions::fuzz", "registry")).is_empty());
}

#[test]
fn imports_go_in_no_large_circle() {
    let mut seen = 0;
    for source in ["checkers/src", "workloads/src", "nemesis/src", "nemesis/agent/src", "src/targets/specimen/src"] {
        let imports = imports(&root().join(source));
        seen += imports.values().map(BTreeSet::len).sum::<usize>();
        for circle in circles(&imports) {
            assert!(circle.len() <= CIRCLE_MAX, "{source}: {} files import each other: {circle:?}", circle.len());
        }
    }
    assert!(seen > 500, "only {seen} imports were found");
}

#[test]
fn functions_and_files_are_short() {
    let mut wrong = Vec::new();
    let mut functions = 0;
    for file in files(root(), &[".rs"]) {
        let text = text(&file);
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            wrong.push(format!("{} has {} lines", shown(&file), lines.len()));
        }
        for (at, line) in lines.iter().enumerate() {
            let rest = line.trim_start();
            let words: Vec<&str> = rest.split_whitespace().take_while(|word| *word != "fn").collect();
            let is_function = rest.split_whitespace().any(|word| word == "fn")
                && words.iter().all(|word| {
                    word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\"", "super)"].contains(word)
                });
            if !is_function || rest.ends_with(';') {
                continue;
            }
            functions += 1;
            let end = format!("{}}}", &line[..line.len() - rest.len()]);
            // A declaration alone has no end of its own and is passed over by the first line as deep that is another's.
            let length = lines[at..].iter().position(|line| *line == end).map_or(0, |length| length + 1);
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{}: {length} lines: {rest}", shown(&file), at + 1));
            }
        }
    }
    assert!(functions > 3000, "only {functions} functions were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn checkers_hide_nothing_in_their_public_api() {
    let files = files(&root().join("checkers/src"), &[".rs"]);
    let hidden = ["doc", "(hidden)"].concat();
    let found: Vec<String> = files.iter().filter(|file| text(file).contains(&hidden)).map(|file| shown(file)).collect();
    assert!(found.is_empty(), "private, or behind the feature `oracles`, instead of hidden: {found:?}");
    assert!(files.len() > 200, "only {} files were found", files.len());
    let library = text(&root().join("checkers/src/lib.rs"));
    for module in ["oracles", "random", "testing"] {
        let line = library.lines().position(|line| line.ends_with(&format!("mod {module};"))).expect("a module");
        assert_eq!(library.lines().nth(line - 1), Some("#[cfg(feature = \"oracles\")]"), "{module}");
    }
}

#[test]
fn folders_at_the_top_are_in_the_map() {
    let map = text(&root().join("docs/architecture.md"));
    for entry in fs::read_dir(root()).expect("the project").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        // What cargo builds, and what git and CI look for.
        if !entry.is_dir() || name.starts_with('.') || name == "target" {
            continue;
        }
        assert!(map.contains(&format!("`{name}`")), "{name}/ is not in docs/architecture.md");
    }
}

/// What only `checkers/src/verdict/` does: making findings and verdicts, changing them, ordering findings.
const OF_VERDICTS: [&str; 20] = [
    ".validity = ",
    "verdict.summary = ",
    "verdict.findings = ",
    "verdict.findings.push(",
    "verdict.findings.extend(",
    "verdict.findings.sort",
    "verdict.findings.truncate(",
    "sort_by_key(|finding|",
    "Finding::new(",
    "finding.kind = ",
    "finding.severity = ",
    "finding.title = ",
    "finding.sentences.push(",
    "finding.sentences.extend(",
    "finding.sentences = ",
    "finding.ops = ",
    "finding.key = ",
    "finding.cycle = ",
    "finding.certificate = ",
    "mut finding = ",
];

/// Lines of a source that make or change a finding or a verdict.
fn of_verdicts(code: &str) -> Vec<&str> {
    let literal = |line: &str, name: &str| {
        line.match_indices(&format!("{name} {{")).any(|(at, _)| {
            let before = line[..at].trim_end();
            !before.ends_with("->") && !before.ends_with("for") && !line[..at].ends_with(char::is_alphanumeric)
        })
    };
    let made = |line: &str| literal(line, "Verdict") || literal(line, "Finding");
    code.lines().filter(|line| made(line) || OF_VERDICTS.iter().any(|part| line.contains(part))).collect()
}

#[test]
fn findings_and_verdicts_are_made_by_one_builder() {
    let source = root().join("checkers/src");
    let mut wrong = Vec::new();
    for file in files(&source, &[".rs"]).into_iter().filter(|file| !is_test(file)) {
        let own =
            file.strip_prefix(&source).is_ok_and(|path| path.starts_with("verdict") || path == Path::new("verdict.rs"));
        if !own {
            wrong
                .extend(of_verdicts(&code(&file)).into_iter().map(|line| format!("{}: {}", shown(&file), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "made or changed outside of checkers/src/verdict:\n{}", wrong.join("\n"));
    let bad = "Verdict { a }\nlet x = Verdict {\nfn f() -> Verdict {\nverdict.findings.push(x);\nimpl T for Verdict {\n\
               Finding { sentences, ..finding }\nfn f() -> Finding {\nlet x = Finding::new(kind);\nfinding.title = x;";
    assert_eq!(of_verdicts(bad).len(), 6);
}

#[test]
fn no_file_names_a_machine() {
    let ends = [".rs", ".md", ".toml", ".yaml", ".yml", ".json", ".py", ".js", ".sh", "Makefile"];
    let machine = ["/wo", "rk/"].concat();
    let found: Vec<String> = files(root(), &ends)
        .iter()
        .filter(|file| fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&machine)))
        .map(|file| shown(file))
        .collect();
    assert!(found.is_empty(), "{found:?} name a folder of one machine");
}

#[test]
fn imports_are_found_in_lists() {
    let found = named("use crate::a::{self, b::{c, d as e}};\nlet x = super::super::f::g(crate::h);");
    for path in ["crate::a::self", "crate::a::b::c", "crate::a::b::d", "super::super::f::g", "crate::h"] {
        assert!(found.iter().any(|one| one == path), "{path}: {found:?}");
    }
}
