//! What bare hyper costs on this machine.
