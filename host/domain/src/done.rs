//! What a rule leaves to be done once it is committed.

use crate::inbox::Delivery;
use crate::outbox::Waiting;

/// Pushes and letters, in the order in which they came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// What to push to whom.
    pub deliveries: Vec<Delivery>,
    /// Letters that now wait.
    pub letters: Vec<Waiting>,
}

impl Done {
    /// Adds what another rule of the same transaction left.
    pub fn extend(&mut self, other: Done) {
        self.deliveries.extend(other.deliveries);
        self.letters.extend(other.letters);
    }
}
