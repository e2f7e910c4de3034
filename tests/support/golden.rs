//! Golden files: texts that are kept in the repository, to be read in one go.

use std::path::Path;

/// The number of lines shown from the first difference on.
const SHOWN: usize = 5;

/// Compares a text with a golden file, and shows the first difference below the last headline
/// (`== …`) before it. With `UPDATE_GOLDEN=1` it writes the file instead.
#[track_caller]
pub(crate) fn is_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).expect("written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    if golden == text {
        return;
    }
    let lines = text.lines().zip(golden.lines());
    let same = lines.take_while(|(is, was)| is == was).count();
    let headline = text
        .lines()
        .take(same + 1)
        .filter(|it| it.starts_with("== "));
    let from = |text: &str| {
        let shown: Vec<&str> = text.lines().skip(same).take(SHOWN).collect();
        shown.join("\n")
    };
    panic!(
        "{}, line {}: {}\nis:\n{}\nwas:\n{}\nUPDATE_GOLDEN=1 writes the file; read the difference",
        path.display(),
        same + 1,
        headline.last().unwrap_or_default(),
        from(text),
        from(&golden),
    );
}
