//! Telemetry of the process under test: faults are counted, the log shows them and nothing else (`ISTHMUS_TEST_LOG` shows more).

use std::sync::Once;

use isthmus_node::config::{Log, LogFormat};
use isthmus_node::telemetry;

/// Sets telemetry up, once a process. Returns the faults counted so far.
pub(crate) fn faults() -> u64 {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = std::env::var("ISTHMUS_TEST_LOG").unwrap_or_else(|_| "error,isthmus::plugin=off".to_owned());
        let tests = std::panic::take_hook();
        telemetry::init(&Log { format: LogFormat::Text, level }).unwrap();
        // A panic on a worker's thread is a fault of the server. One on a test's own thread is a failed assertion, and no reason
        // for the tests beside it to fail too.
        let faults = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_none_or(|name| name.starts_with("tokio-")) {
                faults(panic);
            }
            tests(panic);
        }));
    });
    telemetry::faults()
}
