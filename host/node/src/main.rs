//! The `isthmus` binary.

fn main() -> std::process::ExitCode {
    isthmus_node::cli::main()
}
