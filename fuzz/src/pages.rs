//! Files as fuzzers like them: short, and no byte inserted in one page moves those of the next.
//!
//! ```text
//! input  page ...
//! page   u16 n (bits 0 to 12, at most 4,096; bit 15: the file ends here), n bytes
//! ```
//!
//! A page that ends no file is filled up with zeros to 4,096 bytes.

const PAGE: usize = 4096;

/// Most pages of an input: what they hold must fit into the memory a run may take.
const PAGES_MAX: usize = 24;

const LENGTH: u16 = 0x1fff;
const ENDS: u16 = 0x8000;

/// The files in `input`. The last ends where the input does.
pub fn unfold(mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut files = vec![Vec::new()];
    for _ in 0..PAGES_MAX {
        let Some((head, rest)) = input.split_first_chunk() else { break };
        let head = u16::from_le_bytes(*head);
        let (page, rest) = rest.split_at(rest.len().min(PAGE).min((head & LENGTH).into()));
        let file = files.last_mut().expect("there is one from the start");
        file.extend_from_slice(page);
        if head & ENDS == 0 {
            file.resize(file.len() - page.len() + PAGE, 0);
        } else {
            files.push(Vec::new());
        }
        input = rest;
    }
    files.retain(|file| !file.is_empty());
    files
}

/// The input that unfolds to `files`, without what zeros fill up. No more than so many pages.
pub fn fold(files: &[&[u8]]) -> Vec<u8> {
    let mut input = Vec::new();
    for file in files {
        let last = file.len().div_ceil(PAGE) - 1;
        for (i, page) in file.chunks(PAGE).enumerate() {
            let used = page.len() - page.iter().rev().take_while(|byte| **byte == 0).count();
            let (used, ends) = if i == last { (page.len(), ENDS) } else { (used, 0) };
            input.extend_from_slice(&(used as u16 | ends).to_le_bytes());
            input.extend_from_slice(&page[..used]);
        }
    }
    assert!(unfold(&input).iter().eq(files), "it has too many pages");
    input
}
