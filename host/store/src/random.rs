//! Random bytes, fetched in large pieces: a system call or generator round for each nonce would cost more than the
//! sealing.

use aws_lc_rs::rand;

use crate::StoreError;

const PIECE: usize = 2048;

/// A stock of random bytes for one thread. Bytes are given out once and wiped.
pub(crate) struct Random {
    stock: Box<[u8; PIECE]>,
    used: usize,
}

impl Random {
    pub(crate) fn new() -> Random {
        Random { stock: Box::new([0; PIECE]), used: PIECE }
    }

    /// `N` bytes, at most the size of the stock.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        const { assert!(N <= PIECE) };
        if self.used + N > PIECE {
            rand::fill(&mut self.stock[..]).map_err(|_| StoreError::Random)?;
            self.used = 0;
        }
        let mut out = [0; N];
        let taken = &mut self.stock[self.used..self.used + N];
        out.copy_from_slice(taken);
        taken.fill(0);
        self.used += N;
        Ok(out)
    }
}
