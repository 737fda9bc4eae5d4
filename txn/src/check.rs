//! The checker of everything: the laws of storage, the order of every tree, and that the two agree.

use crate::catalog::{self, CATALOG, DOOMED, TreeRecord};
use crate::database::Database;
use crate::snapshot::Snapshot;
use pentimento_btree as btree;
use pentimento_storage as storage;
use pentimento_storage::PageId;
use std::collections::HashMap;
use std::fmt;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The tree that it was found in, if in one.
    pub tree: Option<String>,
    /// The page that it is about, if about one.
    pub page: Option<u32>,
    /// The slot of the file (2048 bytes each) that it is about, if about one.
    pub slot: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tree) = &self.tree {
            write!(f, "tree {tree:?}: ")?;
        }
        if let Some(page) = self.page {
            write!(f, "page {page}: ")?;
        }
        if let Some(slot) = self.slot {
            write!(f, "slot {slot}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// What the checker counted and found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// Everything that is wrong, in the order in which it was met.
    pub findings: Vec<Finding>,
    /// Trees, with what each consists of.
    pub trees: Vec<(String, btree::Census)>,
    /// What the storage layer counted.
    pub storage: storage::Summary,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Which tree each page belongs to.
struct Owners {
    owners: HashMap<PageId, String>,
    findings: Vec<Finding>,
}

impl Owners {
    fn find(&mut self, tree: Option<&str>, page: Option<PageId>, what: String) {
        self.findings.push(Finding { tree: tree.map(str::to_owned), page: page.map(|page| page.0), slot: None, what });
    }

    fn own(&mut self, id: PageId, name: &str) {
        if let Some(other) = self.owners.insert(id, name.to_owned()) {
            self.find(Some(name), Some(id), format!("it belongs to {other:?} too"));
        }
    }

    fn tree(&mut self, snapshot: &Snapshot, name: &str, root: PageId) -> btree::Census {
        let findings = &mut self.findings;
        let census = btree::check(snapshot, root, &mut |finding| {
            let (page, what) = (Some(finding.page.0), finding.to_string());
            findings.push(Finding { tree: Some(name.to_owned()), page, slot: None, what });
        });
        for &id in &census.pages {
            self.own(id, name);
        }
        census
    }
}

impl Database {
    /// Checks everything: every slot of the file accounted for once, every retained version needed by somebody, every tree in order, every checksum
    /// right, counts equal. It reads the whole store. Writers wait meanwhile, readers do not. All findings are reported, not the first.
    #[must_use]
    pub fn check(&self) -> CheckReport {
        let mut storage_findings = Vec::new();
        let mut report = CheckReport::default();
        let mut owners = Owners { owners: HashMap::new(), findings: Vec::new() };
        self.store().check_and(&mut |finding| storage_findings.push(finding), |summary, pin, _| {
            let snapshot = Snapshot::new(pin);
            owners.tree(&snapshot, "(catalog)", CATALOG);
            owners.tree(&snapshot, "(doomed)", DOOMED);
            match catalog::list(&snapshot) {
                Ok(trees) => {
                    for (name, TreeRecord { root, counter }) in trees {
                        let census = owners.tree(&snapshot, &name, root);
                        owners.own(counter, &name);
                        let len = snapshot.register(counter);
                        if len.as_ref().ok() != Some(&census.entries) {
                            let what = format!("it has {} entries, but its register says {len:?}", census.entries);
                            owners.find(Some(&name), Some(counter), what);
                        }
                        report.trees.push((name, census));
                    }
                }
                Err(error) => owners.find(Some("(catalog)"), None, error.to_string()),
            }
            match catalog::doomed(&snapshot) {
                Ok(roots) => roots.into_iter().for_each(|root| {
                    owners.tree(&snapshot, "(dropped)", root);
                }),
                Err(error) => owners.find(Some("(doomed)"), None, error.to_string()),
            }
            for &id in &summary.pages {
                if !owners.owners.contains_key(&id) {
                    owners.find(None, Some(id), "it belongs to no tree".to_owned());
                }
            }
            report.storage = summary;
        });
        report.findings.extend(storage_findings.into_iter().map(|finding| Finding {
            tree: None,
            page: finding.page.map(|page| page.0),
            slot: finding.slot,
            what: finding.what,
        }));
        report.findings.append(&mut owners.findings);
        report
    }
}
