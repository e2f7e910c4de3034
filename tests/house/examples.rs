//! Every public item of the layer's crate has an example, or its documentation leads to one.
//!
//! What counts is a code block that names the item: in its own documentation; on the page of its
//! type, where rustdoc shows it as well; or on a page to which its documentation links. A type that
//! is only handed around, so that no code names it, needs a code block on its page, or such a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// A public item, as far as this test has to know it.
struct Item {
    file: String,
    /// The type of a method.
    owner: Option<String>,
    name: String,
    doc: String,
}

// === impl Item ===

impl Item {
    /// The item on whose page rustdoc shows it.
    fn page(&self) -> &str {
        self.owner.as_deref().unwrap_or(&self.name)
    }
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        // What is generated is documented by proto/; the manual's pages are no items.
        } else if name.ends_with(".rs")
            && !["generated.rs", "manual.rs", "tests.rs"].contains(&&*name)
        {
            found.push(path);
        }
    }
}

/// The code in a text, without the lines that rustdoc hides.
fn code(text: &str) -> String {
    let (mut code, mut inside, mut is_rust) = (String::new(), false, false);
    for line in text.lines() {
        if let Some(language) = line.trim().strip_prefix("```") {
            inside = !inside;
            is_rust =
                ["", "no_run", "rust", "ignore", "rust,no_run", "rust,ignore"].contains(&language);
        } else if inside && is_rust && !line.trim_start().starts_with("# ") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|it: char| !it.is_alphanumeric() && it != '_')
}

/// The paths in the links of a documentation.
fn links(doc: &str) -> Vec<Vec<String>> {
    let path = |text: &str| -> Vec<String> {
        let text = text.split('#').next().unwrap_or_default();
        let steps = text.trim_matches(['`', ')', '(']).split("::");
        steps
            .map(|it| it.trim_end_matches("()").to_owned())
            .collect()
    };
    // Lines of a comment are joined, because a link may go over two.
    let doc = doc.replace('\n', " ");
    let mut links: Vec<_> = doc
        .split("](")
        .skip(1)
        .map(|it| path(it.split(')').next().unwrap()))
        .collect();
    links.extend(
        doc.split("[`")
            .skip(1)
            .map(|it| path(it.split('`').next().unwrap())),
    );
    links.extend(
        doc.split("]: ")
            .skip(1)
            .map(|it| path(it.split(' ').next().unwrap())),
    );
    links
}

/// The public items of a file; with `unreachable_pub`, clippy sees to it that they are public indeed.
fn items(path: &Path) -> Vec<Item> {
    let text = fs::read_to_string(path).expect("text");
    let file = path
        .strip_prefix(root())
        .expect("inside")
        .display()
        .to_string();
    let (mut items, mut doc, mut owner) = (Vec::new(), String::new(), None);
    let (mut is_hidden, mut of_tests) = (false, false);
    // An attribute over several lines.
    let mut is_attribute = false;
    // The indentation of a module of tests.
    let mut skipped = None;
    for line in text.lines() {
        let (code, indent) = (line.trim(), line.len() - line.trim_start().len());
        if let Some(end) = skipped {
            if code == "}" && indent == end {
                skipped = None;
            }
            continue;
        }
        if let Some(text) = code.strip_prefix("///") {
            doc.push_str(text.strip_prefix(' ').unwrap_or(text));
            doc.push('\n');
            continue;
        }
        if is_attribute {
            is_attribute = !code.ends_with(")]");
            continue;
        }
        if code.starts_with("#[") {
            is_attribute = !code.ends_with(']');
            is_hidden |= code.contains("doc(hidden)");
            of_tests |= code.contains("cfg(test") || code.contains("cfg(all(test");
            continue;
        }
        if of_tests && code.starts_with("mod ") && code.ends_with('{') {
            skipped = Some(indent);
        }
        if code.starts_with("impl") && code.contains([' ', '<']) {
            let after = code.trim_start_matches("impl");
            let after = match after.starts_with('<') {
                true => after.split_once("> ").map_or("", |(_, it)| it),
                false => after,
            };
            let is_of_trait = after.contains(" for ");
            let name = names(after).find(|it| !it.is_empty());
            owner = name.filter(|_| !is_of_trait).map(str::to_owned);
        }
        let item = code.strip_prefix("pub ").and_then(|rest| {
            let rest = rest
                .trim_start_matches("const ")
                .trim_start_matches("async ");
            let (kind, rest) = rest.split_once(' ')?;
            let is_item = ["fn", "struct", "enum", "trait", "type"].contains(&kind);
            Some((kind, names(rest).next()?)).filter(|_| is_item)
        });
        if let Some((kind, name)) = item
            && !is_hidden
        {
            let owner = owner.clone().filter(|_| kind == "fn" && indent > 0);
            let (name, doc) = (name.to_owned(), doc.clone());
            items.push(Item {
                file: file.clone(),
                owner,
                name,
                doc,
            });
        }
        if !code.is_empty() && !code.starts_with("//") {
            doc.clear();
            (is_hidden, of_tests) = (false, false);
        }
    }
    items
}

#[test]
fn every_public_item_has_an_example_or_leads_to_one() {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    // What the crate re-exports.
    for of_schema in ["service", "finding"] {
        sources(
            &root().join("crates/schema/src").join(of_schema),
            &mut paths,
        );
    }
    for file in ["gateway.rs", "hash/mod.rs", "version.rs"] {
        paths.push(root().join("crates/schema/src").join(file));
    }
    let exported: String = ["src/lib.rs", "src/server/mod.rs", "src/control/mod.rs"]
        .map(|file| fs::read_to_string(root().join(file)).expect("text"))
        .iter()
        .flat_map(|text| text.split("pub use ").skip(1))
        .map(|it| it.split(';').next().unwrap_or_default().to_owned() + " ")
        .collect();
    let exported: BTreeSet<_> = names(&exported).collect();
    let mut items: Vec<_> = paths.iter().flat_map(|it| items(it)).collect();
    items.retain(|it| exported.contains(it.page()));

    // The code on each page of rustdoc, and on each of the manual.
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for item in &items {
        pages
            .entry(item.page().to_owned())
            .or_default()
            .push_str(&code(&item.doc));
    }
    for directory in ["docs", "docs/manual"] {
        for entry in fs::read_dir(root().join(directory)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if let (Ok(text), Some(stem)) = (fs::read_to_string(&path), path.file_stem()) {
                pages.insert(stem.to_string_lossy().replace('-', "_"), code(&text));
            }
        }
    }
    let front_page = fs::read_to_string(root().join("src/lib.rs")).expect("text");
    let front_page = front_page.lines().filter_map(|it| it.strip_prefix("//!"));
    let front_page: String = front_page
        .map(|it| format!("{}\n", it.trim_start_matches(' ')))
        .collect();
    pages.insert("crate".to_owned(), code(&front_page));

    let mut missing = Vec::new();
    for item in &items {
        let is_type = item.owner.is_none() && item.name.starts_with(char::is_uppercase);
        let shows =
            |page: &str| is_type && !page.is_empty() || names(page).any(|it| it == item.name);
        let mut reached = vec![item.page().to_owned()];
        reached.extend(links(&item.doc).into_iter().flat_map(|path| match &*path {
            [only] if only == "Self" => vec![],
            _ => path,
        }));
        if !reached
            .iter()
            .filter_map(|it| pages.get(it))
            .any(|it| shows(it))
        {
            let owner = item
                .owner
                .as_deref()
                .map(|it| format!("{it}::"))
                .unwrap_or_default();
            missing.push(format!("{}: {owner}{}", item.file, item.name));
        }
    }
    assert!(
        missing.is_empty(),
        "without an example:\n{}",
        missing.join("\n")
    );
    assert!(items.len() > 200, "{}", items.len());
}
