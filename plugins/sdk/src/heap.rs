//! The guest's heap: small blocks from free lists, all else from Rust's own allocator.
//!
//! Of a short call, what is handed over and answered is most of the work: some small blocks, each taken and given back at
//! once. And a call that starts from a snapshot pays for every page that it writes to, so that after `init` small blocks
//! come out of the page in which the heap's own state is, not out of the gaps that `init` left; most calls write to no
//! other but the stack's.
#![allow(unsafe_code, reason = "an allocator hands out raw memory; this is the only place that does")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Blocks are multiples of this, and so aligned.
const GRAIN: usize = 16;
/// Larger blocks are rare.
const SMALL: usize = 1024;
const CLASSES: usize = SMALL / GRAIN + 1;
/// What is taken from the allocator behind at a time, and aligned to it: a page of the host.
const CHUNK: usize = 4096;

/// Small blocks of a modest `init` come from here: then the plugin has no other pages at all, and a page that is there has its
/// price in each call, whether it is written to or not.
const EARLY: usize = 2 * CHUNK;

/// On one page with the blocks of a short call.
#[repr(align(4096))]
pub(crate) struct Heap(UnsafeCell<Lists>);

/// In this order: what each call writes to comes first.
#[repr(C)]
struct Lists {
    /// By size in grains: the first free block, which holds the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the newest chunk. There is none at first.
    next: *mut u8,
    left: usize,
    /// The chunk for what comes after `init`.
    own: Own,
    /// The first chunk.
    early: [u8; EARLY],
}

/// What the first page has room for beside the rest.
#[repr(align(16))]
struct Own([u8; CHUNK - (CLASSES + 3) * size_of::<usize>()]);

const _: () = assert!(size_of::<Heap>() == CHUNK + EARLY);

// SAFETY: WebAssembly without threads: nobody else is there.
unsafe impl Sync for Heap {}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Lists {
            free: [null_mut(); CLASSES],
            next: null_mut(),
            left: 0,
            own: Own([0; _]),
            early: [0; _],
        }))
    }

    /// What is allocated from now on lies together, and apart from what was there before. Small blocks that were free are
    /// given up.
    pub(crate) fn start_anew(&self) {
        // SAFETY: single-threaded, and no reference into the lists outlives a call of this module.
        let lists = unsafe { &mut *self.0.get() };
        lists.free = [null_mut(); CLASSES];
        (lists.next, lists.left) = (lists.own.0.as_mut_ptr(), lists.own.0.len());
    }
}

/// Its size in grains, if it is a small block's.
fn class(layout: Layout) -> Option<usize> {
    (layout.size() <= SMALL && layout.align() <= GRAIN).then(|| layout.size().div_ceil(GRAIN))
}

impl Lists {
    fn refill(&mut self) -> bool {
        if self.next.is_null() {
            (self.next, self.left) = (self.early.as_mut_ptr(), EARLY);
            return true;
        }
        // SAFETY: the layout is not empty.
        let chunk = unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, CHUNK)) };
        if !chunk.is_null() {
            (self.next, self.left) = (chunk, CHUNK);
        }
        !chunk.is_null()
    }

    fn take(&mut self, class: usize) -> *mut u8 {
        let first = self.free[class];
        if !first.is_null() {
            // SAFETY: a free block holds its successor's address; it is aligned and large enough for it.
            self.free[class] = unsafe { first.cast::<*mut u8>().read() };
            return first;
        }
        let size = class * GRAIN;
        if size > self.left && !self.refill() {
            return null_mut();
        }
        let block = self.next;
        self.left -= size;
        // SAFETY: there was so much left of the chunk.
        self.next = unsafe { block.add(size) };
        block
    }

    fn give(&mut self, block: *mut u8, class: usize) {
        // SAFETY: the block was taken here with this class, so that it is large enough, and its owner gives it back.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }
}

// SAFETY: blocks come from disjoint parts of chunks, or from `System`; `class` sends a layout the same way each time.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            // SAFETY: single-threaded, as above.
            Some(class) => unsafe { (*self.0.get()).take(class) },
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            // SAFETY: single-threaded, as above.
            Some(class) => unsafe { (*self.0.get()).give(block, class) },
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(before), Some(after)) if before == after => block,
            // SAFETY: the caller's promise is passed on.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: both blocks are as large as what is copied.
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    block.copy_to_nonoverlapping(moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    #[test]
    fn blocks_do_not_overlap_keep_what_is_in_them_and_are_used_again() {
        let heap = Heap::new();
        let fill = |block: *mut u8, size: usize, byte: u8| unsafe { block.write_bytes(byte, size) };
        let holds = |block: *mut u8, size: usize, byte: u8| (0..size).all(|at| unsafe { block.add(at).read() } == byte);
        let sizes = [1, 15, 16, 17, 100, 500, 512, 1_024, 1_025, 5_000];
        let blocks: Vec<_> =
            sizes.iter().cycle().take(900).map(|size| (unsafe { heap.alloc(layout(*size)) }, *size)).collect();
        for (number, (block, size)) in (0u8..=250).cycle().zip(&blocks) {
            assert!(!block.is_null() && block.addr() % 8 == 0);
            fill(*block, *size, number);
        }
        for (number, (block, size)) in (0u8..=250).cycle().zip(&blocks) {
            assert!(holds(*block, *size, number), "{size}");
            let grown = unsafe { heap.realloc(*block, layout(*size), size + 20) };
            assert!(holds(grown, *size, number), "{size} grown");
            unsafe { heap.dealloc(grown, layout(size + 20)) };
        }
        let again = unsafe { heap.alloc(layout(36)) };
        assert!(blocks.iter().any(|(block, _)| block.addr().abs_diff(again.addr()) < CHUNK));
        heap.start_anew();
        let page = std::ptr::from_ref(&heap).addr();
        let mut taken = 0;
        while unsafe { heap.alloc(layout(1_000)) }.addr().abs_diff(page) < CHUNK {
            taken += 1;
        }
        assert_eq!(taken, 3, "as many as the heap's own page has room for");
    }
}
