//! Prints what a mutual-TLS POST of 400 bytes costs on this machine: bare hyper, and through our listener and client.
//!
//! `cargo run --release -p isthmus-net --example floor -- [REQUESTS]`

use isthmus_net::floor::{Rig, Way};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example prints")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let requests = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    println!("{:>6} {:>9} {:>12} {:>14}", "way", "in flight", "requests/s", "CPU µs/request");
    for in_flight in [20, 64] {
        for way in [Way::Bare, Way::Ours] {
            let floor = Rig::new(way, 400).await?.measure(requests, in_flight).await?;
            let cpu = floor.cpu_micros.map_or("?".to_owned(), |cpu| format!("{cpu:.1}"));
            println!("{:>6} {in_flight:>9} {:>12.0} {cpu:>14}", format!("{way:?}"), floor.per_second);
        }
    }
    Ok(())
}
