//! A few names of trees.

use std::sync::Arc;

/// Names, each once, in order. Most transactions have one, which needs no memory of its own, and most have the same as the one before.
#[derive(Debug, Default)]
pub(crate) struct Names {
    least: Option<Arc<str>>,
    others: Vec<Arc<str>>,
    /// While there are none: the one that was `least` before they were forgotten. To count a reference anew costs more than to look.
    before: Option<Arc<str>>,
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
        if self.least.is_none() && self.add_again(name) {
            return;
        }
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

    /// Adds the one that was there before, if that is it.
    #[inline]
    fn add_again(&mut self, name: &Arc<str>) -> bool {
        let is_it = self.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, name));
        self.least = self.before.take().filter(|_| is_it);
        is_it
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
    #[inline]
    pub fn clear(&mut self) {
        if self.least.is_some() {
            self.before = self.least.take();
        }
        self.others = Vec::new();
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
            let shared: Vec<Arc<str>> = (0..16).map(|name| name.to_string().into()).collect();
            for (number, name) in names.into_iter().enumerate() {
                let shared = &shared[usize::from(name) % 16];
                if number % 4 == 0 && name % 3 == 0 {
                    set.clear();
                    model.clear();
                } else {
                    if number % 4 == 0 {
                        set.insert(shared)
                    } else {
                        set.insert_shared(shared)
                    }
                    model.insert(shared.to_string());
                }
                assert!(set.iter().eq(model.iter()));
            }
            set.is_empty() == model.is_empty()
        }
        QuickCheck::new().quickcheck(property as fn(Vec<u8>) -> bool);
    }
}
