//! Roles as child processes, to be killed.
