use std::process::Command;

use serde_json::Value;

/// What a user of the crates may have to agree with.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What cargo says of the packages that are compiled here with default features.
fn metadata() -> Value {
    let host = String::from_utf8(cargo(&["-vV"])).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let json = cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", host]);
    serde_json::from_slice(&json).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Whether there is a choice among alternatives for each part that is known.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_licence_is_known() {
    assert!(is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0") && is_allowed("Unlicense/MIT"));
    assert!(!is_allowed("GPL-3.0") && !is_allowed("MIT AND GPL-3.0") && !is_allowed(""));

    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !is_allowed(text(package, "license")))
        .map(|package| format!("{}: {}", text(package, "name"), text(package, "license")))
        .collect();
    assert!(packages.len() > 50 && refused.is_empty(), "{refused:?}");
}

#[test]
fn each_dependency_of_a_published_crate_has_its_reason_in_the_design() {
    let design = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../DESIGN.md")).unwrap();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    // `publish = false` is an empty list of registries.
    let published = packages.filter(|package| package["source"].is_null() && package["publish"].is_null());
    let mut count = 0;
    for package in published {
        count += 1;
        let name = text(package, "name");
        let row = design.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = text(dependency, "name");
            let is_told = other.starts_with("ipc-") || row.contains(&format!("`{other}`"));
            let is_for_tests = text(dependency, "kind") == "dev" || text(dependency, "target") == "cfg(loom)";
            assert!(is_told || is_for_tests, "{name} needs {other}: DESIGN.md does not say why");
        }
    }
    assert_eq!(count, 7);
}

/// All that Python's `multiprocessing` has in `__all__`.
const NAMES: &str = "Array AuthenticationError Barrier BoundedSemaphore BufferTooShort Condition Event JoinableQueue Lock \
    Manager Pipe Pool Process ProcessError Queue RLock RawArray RawValue Semaphore SimpleQueue TimeoutError Value \
    active_children allow_connection_pickling cpu_count current_process freeze_support get_all_start_methods get_context \
    get_logger get_start_method log_to_stderr parent_process reducer set_executable set_forkserver_preload \
    set_start_method";

#[test]
fn the_readme_has_an_answer_to_every_name_of_multiprocessing() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, table) = readme.split_once("## From Python").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let left: String = table.lines().filter_map(|line| line.split('|').nth(1)).collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let told: Vec<&str> = left.split(|c| !is_word(c)).collect();
    let missing: Vec<_> = NAMES.split_whitespace().filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
