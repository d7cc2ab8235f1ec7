//! A person: told what to do on standard error, answering on standard input.

use std::io::{BufRead, Write};

use super::{ActError, Sheet};

pub(super) async fn act(sheet: &Sheet) -> Result<String, ActError> {
    let words = sheet.words.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&words)).await;
    let line = asked.map_err(|error| ActError(error.to_string()))??;
    if line.trim().eq_ignore_ascii_case("cannot") {
        return Err(ActError(format!("the person at the terminal cannot: {}", sheet.words)));
    }
    Ok(line.trim().to_owned())
}

fn ask(words: &str) -> Result<String, ActError> {
    let fail = |error: std::io::Error| ActError(error.to_string());
    let mut terminal = std::io::stderr().lock();
    writeln!(
        terminal,
        "  please: {words}\n  then press Enter, after the answer if one is asked for; `cannot` skips the case"
    )
    .map_err(fail)?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).map_err(fail)? == 0 {
        return Err(ActError("standard input has ended".to_owned()));
    }
    Ok(line)
}
