//! Checks that the paths which the documentation names exist.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

#[test]
fn every_path_that_a_document_names_exists() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("a workspace")?;
    let mut checked = 0;
    let mut documents: Vec<_> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned).into();
    for folder in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path.strip_prefix(root)?.to_str().context("a path in UTF-8")?.to_owned());
            }
        }
    }
    for document in documents {
        let text = fs::read_to_string(root.join(&document))?;
        let folder = root.join(&document).parent().context("a folder")?.to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.contains("://")).map(|path| folder.join(path));
        let named = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.starts_with("crates/") || word.starts_with(".ci/"))
            .filter(|word| !word.contains('<'));
        for path in links.chain(named.map(|path| root.join(path))) {
            assert!(path.exists(), "{document} names {}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 10);
    Ok(())
}
