//! The contents of a disk at rest.

use super::record::{Effect, STORE};
use std::collections::BTreeMap;

/// Files by their own numbers, and the logs' names.
#[derive(Default, Debug)]
pub struct Image {
    pub files: Vec<Vec<u8>>,
    pub names: BTreeMap<u64, usize>,
}

impl Clone for Image {
    fn clone(&self) -> Image {
        Image { files: self.files.clone(), names: self.names.clone() }
    }

    /// Keeps the memory: images are built by the thousand.
    fn clone_from(&mut self, other: &Image) {
        self.files.clone_from(&other.files);
        self.names.clone_from(&other.names);
    }
}

impl Image {
    pub fn store(&self) -> &[u8] {
        self.files.get(STORE).map_or(&[], Vec::as_slice)
    }

    fn file(&mut self, file: usize) -> &mut Vec<u8> {
        if self.files.len() <= file {
            self.files.resize_with(file + 1, Vec::new);
        }
        &mut self.files[file]
    }

    /// Does it all.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Write { bytes, .. } => self.apply_piece(effect, 0..bytes.len()),
            Effect::SetLen { file, len } => self.file(*file).resize(*len as usize, 0),
            Effect::Create { number, file } => {
                self.file(*file);
                self.names.insert(*number, *file);
            }
            Effect::Remove { number } => {
                self.names.remove(number);
            }
        }
    }

    /// Does a part of a write. What lies past the end of the file is lost: it does not grow without its length.
    pub fn apply_piece(&mut self, effect: &Effect, piece: std::ops::Range<usize>) {
        let Effect::Write { file, offset, bytes } = effect else { return self.apply(effect) };
        let contents = self.file(*file);
        let start = (*offset as usize + piece.start).min(contents.len());
        let end = (*offset as usize + piece.end).min(contents.len());
        contents[start..end].copy_from_slice(&bytes[piece.start..piece.start + (end - start)]);
    }
}
