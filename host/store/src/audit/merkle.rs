//! RFC 6962 hashing (SHA-256), and the compact range that is all an appender needs to know of the tree.

use aws_lc_rs::digest::{self, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The log's entry for a record: a commitment that tells nothing once salt and record are erased.
pub(crate) fn commitment(salt: &[u8; 16], record: &[u8]) -> Hash {
    sha256(&[salt, record])
}

/// Hash of a leaf whose entry is `entry` (RFC 6962 §2.1).
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Hash of an inner node.
pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Root of a perfect subtree of `hashes`, whose number is a power of two.
pub(crate) fn perfect(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| node(&pair[0], &pair[pair.len() - 1])).collect();
    }
    level.first().copied().unwrap_or_else(|| sha256(&[]))
}

/// Size and roots of the perfect subtrees, largest first: enough to append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The frontier of a tree whose right edge, tile level by tile level, is `levels`: each of at most 255 hashes.
    pub(crate) fn of_edge(size: u64, levels: &[Vec<Hash>]) -> Frontier {
        let mut nodes = Vec::new();
        for level in levels.iter().rev() {
            let mut rest = &level[..];
            for bit in (0..8).rev().map(|b| 1 << b).filter(|bit| level.len() & bit != 0) {
                let (subtree, tail) = rest.split_at(bit);
                nodes.push(perfect(subtree));
                rest = tail;
            }
        }
        Frontier { size, nodes }
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let (mut hash, mut rest) = (leaf, self.size);
        while rest & 1 == 1 {
            if let Some(left) = self.nodes.pop() {
                hash = node(&left, &hash);
            }
            rest >>= 1;
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return sha256(&[]) };
        nodes.fold(*last, |right, left| node(left, &right))
    }

    /// Size (u64), then the subtrees' roots.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 32 * self.nodes.len());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend(self.nodes.iter().flatten());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Frontier> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (nodes, tail) = rest.as_chunks::<32>();
        let whole = tail.is_empty() && nodes.len() == size.count_ones() as usize;
        whole.then(|| Frontier { size, nodes: nodes.to_vec() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first failure")]
mod tests {
    use super::*;

    /// Leaves and roots of the Certificate Transparency test vectors.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

    fn reference(hashes: &[Hash]) -> Hash {
        match hashes {
            [] => sha256(&[]),
            [one] => *one,
            _ => {
                let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
                node(&reference(left), &reference(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let mut frontier = Frontier::default();
        assert_eq!(hex::encode(frontier.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for text in LEAVES {
            frontier.push(leaf(&hex::decode(text).unwrap()));
            if frontier.size() == 1 {
                assert_eq!(
                    hex::encode(frontier.root()),
                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
                );
            }
        }
        assert_eq!(hex::encode(frontier.root()), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn the_compact_range_has_the_root_of_the_whole_tree_at_every_size_and_survives_its_encoding() {
        let mut frontier = Frontier::default();
        let mut hashes = Vec::new();
        for n in 0..600_u64 {
            assert_eq!(frontier.root(), reference(&hashes));
            assert_eq!(Frontier::decode(&frontier.encode()).unwrap(), frontier);
            frontier.push(leaf(&n.to_be_bytes()));
            hashes.push(leaf(&n.to_be_bytes()));
        }
        assert_eq!(perfect(&hashes[..256]), reference(&hashes[..256]));
    }

    #[test]
    fn the_compact_range_of_a_right_edge_is_that_of_the_tree() {
        for size in [0_u64, 1, 255, 256, 257, 511, 70_000] {
            let mut frontier = Frontier::default();
            let mut levels = vec![Vec::new(); 3];
            for n in 0..size {
                let mut hash = leaf(&n.to_be_bytes());
                frontier.push(hash);
                for level in &mut levels {
                    level.push(hash);
                    if level.len() < 256 {
                        break;
                    }
                    hash = perfect(level);
                    level.clear();
                }
            }
            assert_eq!(Frontier::of_edge(size, &levels), frontier, "{size}");
        }
    }

    #[test]
    fn a_state_that_was_cut_or_grew_is_not_read() {
        let mut frontier = Frontier::default();
        (0..5_u8).for_each(|n| frontier.push([n; 32]));
        let encoded = frontier.encode();
        for bad in [&encoded[..encoded.len() - 1], &encoded[..8], &[encoded.clone(), vec![0; 32]].concat(), &[]] {
            assert_eq!(Frontier::decode(bad), None);
        }
    }
}
