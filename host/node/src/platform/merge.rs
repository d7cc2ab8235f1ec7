//! Pages out of pages: the users of all servers in one row, server after server, cut into pages of one size whatever the
//! sizes of the servers' own pages are.

/// What one server has found, by its own pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shelf {
    /// Users on each page but the last.
    pub(super) size: usize,
    /// Pages; 0 if it has found nobody.
    pub(super) pages: usize,
    /// Users on the last page.
    pub(super) last: usize,
}

/// A part of a server's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which shelf.
    pub(super) shelf: usize,
    /// Which of its pages.
    pub(super) page: usize,
    /// Users of that page to pass over.
    pub(super) skip: usize,
    /// Users of that page to take then.
    pub(super) take: usize,
}

impl Shelf {
    pub(super) fn total(self) -> usize {
        match self.pages {
            0 => 0,
            pages => self.size.saturating_mul(pages - 1).saturating_add(self.last),
        }
    }
}

/// Where the users from place `first` of the whole row lie, at most `many`.
pub(super) fn pieces(shelves: &[Shelf], first: usize, many: usize) -> Vec<Piece> {
    let (mut found, mut pass, mut left) = (Vec::new(), first, many);
    for (shelf, of) in shelves.iter().enumerate() {
        if pass >= of.total() {
            pass -= of.total();
            continue;
        }
        while left > 0 && pass < of.total() {
            let page = (pass / of.size.max(1)).min(of.pages - 1);
            let skip = pass - page * of.size;
            let held = if page + 1 == of.pages { of.last } else { of.size };
            let take = left.min(held - skip);
            found.push(Piece { shelf, page, skip, take });
            (pass, left) = (pass + take, left - take);
        }
        pass = 0;
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use proptest::prelude::*;

    use super::*;

    /// A server's users, by its own pages.
    fn shelved(users: &[u32], size: usize) -> (Shelf, Vec<Vec<u32>>) {
        let pages: Vec<Vec<u32>> = users.chunks(size).map(<[u32]>::to_vec).collect();
        let last = pages.last().map_or(0, Vec::len);
        (Shelf { size: pages.first().map_or(0, Vec::len), pages: pages.len(), last }, pages)
    }

    proptest! {
        /// Page after page is everybody once, in order, whatever the servers' pages are.
        #[test]
        fn merged_pages_are_the_whole_in_order(
            servers in proptest::collection::vec((0..70_usize, 1..30_usize), 0..6),
            size in 1..25_usize,
        ) {
            let (mut whole, mut shelves, mut books) = (Vec::new(), Vec::new(), Vec::new());
            for (users, of) in servers {
                let next = u32::try_from(whole.len()).unwrap();
                let users: Vec<u32> = (next..).take(users).collect();
                let (shelf, pages) = shelved(&users, of);
                prop_assert_eq!(shelf.total(), users.len());
                whole.extend(users);
                shelves.push(shelf);
                books.push(pages);
            }
            let mut seen = Vec::new();
            for page in 0..=whole.len() / size {
                let parts = pieces(&shelves, page * size, size);
                let on_page: Vec<u32> = parts
                    .iter()
                    .flat_map(|p| books[p.shelf][p.page][p.skip..p.skip + p.take].to_vec())
                    .collect();
                prop_assert_eq!(on_page.len(), whole.len().saturating_sub(page * size).min(size));
                seen.extend(on_page);
            }
            prop_assert_eq!(seen, whole);
        }
    }
}
