//! A few names of trees.

use std::sync::Arc;

/// Names, each once, in order. Most transactions have one, which needs no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Names {
    least: Option<Arc<str>>,
    others: Vec<Arc<str>>,
}

impl Names {
    /// Adds a name, unless it is there.
    pub fn insert(&mut self, name: &str) {
        if !self.contains(name) {
            self.add(name.into());
        }
    }

    /// The same, without a copy of it.
    #[inline]
    pub fn insert_shared(&mut self, name: &Arc<str>) {
        if !self.contains(name) {
            self.add(name.clone());
        }
    }

    fn contains(&self, name: &str) -> bool {
        match &self.least {
            Some(least) if **least < *name => self.others.binary_search_by(|other| (**other).cmp(name)).is_ok(),
            least => least.as_ref().is_some_and(|least| **least == *name),
        }
    }

    fn add(&mut self, mut name: Arc<str>) {
        let Some(least) = &mut self.least else { return self.least = Some(name) };
        if name < *least {
            std::mem::swap(&mut name, least);
        }
        let at = self.others.partition_point(|other| *other < name);
        self.others.insert(at, name);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.least = None;
        self.others.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.least.is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.least.iter().chain(&self.others).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::QuickCheck;
    use std::collections::BTreeSet;

    #[test]
    fn are_a_set() {
        fn property(names: Vec<u8>) -> bool {
            let (mut set, mut model) = (Names::default(), BTreeSet::new());
            for (number, name) in names.into_iter().enumerate() {
                let name = (name % 16).to_string();
                if number % 2 == 0 {
                    set.insert(&name)
                } else {
                    set.insert_shared(&name.as_str().into())
                }
                model.insert(name);
                assert!(set.iter().eq(model.iter()));
            }
            set.is_empty() == model.is_empty()
        }
        QuickCheck::new().quickcheck(property as fn(Vec<u8>) -> bool);
    }
}
