//! Who may depend on whom: the table of `docs/architecture.md`, compared with what Cargo says.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// What each crate may name of ours. What is not listed is forbidden.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("drift-types", &[]),
    ("drift-kernels", &[]),
    ("drift-epoch", &[]),
    ("drift-storage", &["drift-types"]),
    ("drift-ipc", &[]),
    ("drift-codec", &["drift-types", "drift-kernels"]),
    ("drift-wal", &["drift-types", "drift-storage"]),
    ("drift-memtable", &["drift-types", "drift-kernels", "drift-codec"]),
    ("drift-ivf", &["drift-types", "drift-kernels", "drift-codec"]),
    ("drift-segment", &["drift-types", "drift-kernels", "drift-codec", "drift-storage", "drift-ipc"]),
    ("drift-manifest", &["drift-types", "drift-storage", "drift-ipc"]),
    (
        "drift-engine",
        &[
            "drift-types",
            "drift-kernels",
            "drift-epoch",
            "drift-storage",
            "drift-ipc",
            "drift-codec",
            "drift-wal",
            "drift-memtable",
            "drift-ivf",
            "drift-segment",
            "drift-manifest",
        ],
    ),
    ("drift-udfs", &["drift-types", "drift-kernels", "drift-engine"]),
    ("drift-sql", &["drift-engine", "drift-udfs"]),
    ("drift-flight-server", &["drift-engine", "drift-udfs", "drift-sql"]),
    (
        "drift-cli",
        &[
            "drift-types",
            "drift-storage",
            "drift-segment",
            "drift-engine",
            "drift-udfs",
            "drift-sql",
            "drift-flight-server",
        ],
    ),
];

/// These look at all the others from outside.
const MAY_NAME_ALL: [&str; 2] = ["drift-tests", "drift-benches"];

/// `ipc` and the crates from the segment upward, which may speak Arrow; elsewhere there are slices and
/// numbers.
const SPEAK_ARROW: &[&str] = &[
    "drift-ipc",
    "drift-segment",
    "drift-manifest",
    "drift-engine",
    "drift-udfs",
    "drift-sql",
    "drift-flight-server",
    "drift-cli",
];

/// Dependencies kept behind a fence: what their names begin with, and who may name them.
const FENCES: &[(&str, &[&str])] = &[
    ("opendal", &["drift-storage"]),
    ("hnsw_rs", &["drift-memtable"]),
    ("crossbeam-epoch", &["drift-epoch"]),
    ("arrow", SPEAK_ARROW),
    ("datafusion", &["drift-udfs", "drift-sql", "drift-flight-server", "drift-cli"]),
    ("tonic", &["drift-flight-server", "drift-cli"]),
];

/// The names each member of the workspace depends on, for building, testing and running alike.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs this test, so it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let name = |value: &Value| value["name"].as_str().expect("packages and dependencies have names").to_owned();
    let list = |value: &Value| value.as_array().expect("a list in cargo metadata").clone();
    let package = |package: &Value| (name(package), list(&package["dependencies"]).iter().map(name).collect());
    list(&metadata["packages"]).iter().map(package).collect()
}

fn sees_all(member: &str) -> bool {
    MAY_NAME_ALL.contains(&member)
}

#[test]
fn the_table_names_every_crate() {
    let members = dependencies();
    let mut listed: Vec<_> = MAY_NAME.iter().map(|(name, _)| *name).chain(MAY_NAME_ALL).collect();
    listed.sort_unstable();
    assert_eq!(members.keys().collect::<Vec<_>>(), listed, "list each crate in MAY_NAME and in docs/architecture.md");
}

#[test]
fn crates_name_only_those_below_them() {
    let members = dependencies();
    let table = BTreeMap::from_iter(MAY_NAME.iter().copied());
    let mut wrong = Vec::new();
    for (member, dependencies) in members.iter().filter(|(member, _)| !sees_all(member)) {
        let allowed = table.get(member.as_str()).copied().unwrap_or_default();
        let ours = dependencies.iter().filter(|name| members.contains_key(*name));
        wrong.extend(ours.filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{member} -> {name}")));
    }
    assert!(wrong.is_empty(), "forbidden by docs/architecture.md, \"Who may depend on whom\": {wrong:#?}");
}

#[test]
fn heavy_dependencies_stay_behind_their_fences() {
    let mut wrong = Vec::new();
    for (member, dependencies) in dependencies().iter().filter(|(member, _)| !sees_all(member)) {
        for (prefix, allowed) in FENCES.iter().filter(|(_, allowed)| !allowed.contains(&member.as_str())) {
            let named = dependencies.iter().filter(|name| name.starts_with(prefix));
            wrong.extend(named.map(|name| format!("{member} -> {name}: only {allowed:?}")));
        }
    }
    assert!(wrong.is_empty(), "named outside its fence: {wrong:#?}");
}
