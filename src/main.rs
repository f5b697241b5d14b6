//! The `openshelf` program: reads flags and environment, builds the parts, hands them over.

mod commands;

use std::process::ExitCode;

use clap::Parser;

/// A slice makes hundreds of small allocations on one thread and frees them on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::fail(5, &format!("the runtime did not start: {error}")),
    };
    let code = runtime.block_on(commands::run(arguments));
    // A pipeline that still works on a blocking thread must not hold up the end of the program.
    runtime.shutdown_background();
    code
}
