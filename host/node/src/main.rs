//! The `isthmus` binary.

/// The system's allocator keeps what password hashing has freed (19 MiB a thread) for each thread that ever hashed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    isthmus_node::cli::main()
}
